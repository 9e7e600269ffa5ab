"""Whom an application may turn to when who serves does not answer it."""

from typing import Any

from monitor.domain.provider import ProviderRef, Purpose
from monitor.storage.served import read_candidates, read_served
from monitor.storage.standing import ProviderStanding, load_standings


async def find_fallbacks(connection: Any, purpose: Purpose, without: ProviderRef) -> list[ProviderRef]:
    """The other candidates that are fit to serve, as the daemon believes, the most preferred first.

    Where nothing is believed, or nothing recent (no daemon runs), the fallback that the purpose's row names.
    Embeddings never change their vector space: a candidate whose space is not known to be that of the
    preferred one is none.

    Args:
        connection: any.
        purpose: whose.
        without: the one that does not answer.
    """
    order = await read_candidates(connection, purpose)
    standings = await load_standings(connection, purpose, [*order, without])
    believed = any(one.state is not None and not one.stale for one in standings.values())
    if believed:
        candidates = [ref for ref in order if ref in standings and standings[ref].unfit(purpose) is None]
    else:
        served = await read_served(connection, purpose)
        named = served.fallback if served is not None else None
        fit = named is not None and named in standings and not standings[named].in_maintenance
        candidates = [named] if fit and named is not None else []
    preferred = standings.get(order[0]) if order else None
    return [
        ref
        for ref in candidates
        if ref != without and standings[ref].enabled and _fits(purpose, preferred, standings[ref])
    ]


def _fits(purpose: Purpose, preferred: ProviderStanding | None, other: ProviderStanding) -> bool:
    if purpose is not Purpose.EMBEDDINGS or preferred is other:
        return True
    return preferred is not None and other.same_space(preferred) is True
