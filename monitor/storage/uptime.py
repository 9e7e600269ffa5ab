"""How long a target, and whoever served a purpose, was up; and single results a page at a time."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from monitor.domain.outcome import ProbeResult
from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.target import ProbeKind, TargetId
from monitor.domain.uptime import MINUTE, Uptime
from monitor.domain.uptime import SPANS as SPANS
from monitor.storage.columns import NO_PURPOSE, ref_columns, target_in
from monitor.storage.paced import paced
from monitor.storage.queries import QUERIES
from monitor.storage.results import read_result

_NAMES = list(SPANS)
_FIRST = UUID(int=0)


async def read_uptimes(
    connection: Any, now: datetime, refs: Sequence[ProviderRef] | None = None
) -> dict[TargetId, Mapping[str, Uptime]]:
    """The uptime of every target over each of `SPANS`; one of which nothing is known in any is left out.

    Args:
        connection: any of ours.
        now: the database's clock: where the spans end.
        refs: only of these; None for all.
    """
    found: dict[TargetId, Mapping[str, Uptime]] = {}
    async for target, sums in paced((await read_sums(connection, now, refs)).items()):
        uptimes = {
            name: uptime_of(up, down, span, passed, failed)
            for (name, span), up, down, passed, failed in zip(SPANS.items(), *sums, strict=True)
        }
        if any(one.known or one.passed or one.failed for one in uptimes.values()):
            found[target] = uptimes
    return found


class Sums(NamedTuple):
    """What an uptime is made of, over each of `SPANS` in their order: minutes, and deep probes."""

    up: Sequence[int]
    down: Sequence[int]
    passed: Sequence[int]
    failed: Sequence[int]


async def read_sums(
    connection: Any, now: datetime, refs: Sequence[ProviderRef] | None = None
) -> dict[TargetId, Sums]:
    """The same bare: of thousands, an `Uptime` of each takes a while."""
    spans = list(SPANS.values())
    if refs is None:
        rows = await connection.fetch(QUERIES["read_uptimes"], now, spans)
    else:
        rows = await connection.fetch(QUERIES["read_uptimes_of"], now, spans, *ref_columns(set(refs)))
    return {
        target_in(row): Sums(row["up"], row["down"], row["passed"], row["failed"])
        async for row in paced(rows)
    }


async def read_purpose_uptimes(connection: Any, now: datetime) -> dict[Purpose, Mapping[str, Uptime]]:
    """For how long somebody served a purpose: how long the one that did, by the record of moves, was up.

    A purpose of which nothing is known is left out.
    """
    found: dict[Purpose, dict[str, Uptime]] = {}
    for row in await connection.fetch(QUERIES["read_purpose_uptimes"], now, list(SPANS.values())):
        purpose = read_purpose(row["purpose"])
        if purpose is None:
            continue
        uptimes = found.setdefault(purpose, {name: Uptime(unknown=span) for name, span in SPANS.items()})
        name = _NAMES[row["number"] - 1]
        uptimes[name] = uptime_of(row["up"], row["down"], SPANS[name])
    return dict(found)


def uptime_of(up: int, down: int, span: timedelta, passed: int = 0, failed: int = 0) -> Uptime:
    """An uptime, of minutes within a span."""
    known = (up + down) * MINUTE
    return Uptime(
        up=up * MINUTE,
        down=down * MINUTE,
        unknown=max(span - known, timedelta(0)),
        passed=passed,
        failed=failed,
    )


def read_purpose(word: str) -> Purpose | None:
    """A purpose by its word; None when this version knows none such."""
    return Purpose(word) if word in set(Purpose) else None


def day_begin(now: datetime) -> datetime:
    """The begin of an instant's UTC day."""
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


async def page_results(
    connection: Any,
    ref: ProviderRef,
    *,
    before: datetime,
    before_id: UUID = _FIRST,
    purpose: Purpose | None = None,
    kind: ProbeKind | None = None,
    limit: int,
) -> list[ProbeResult]:
    """A provider's results that began before an instant, newest first.

    Args:
        connection: any of ours.
        ref: whose.
        before: the instant.
        before_id: of those that began at that very instant, only the ones before this.
        purpose: only of this one; None for all.
        kind: only of this one; None for both.
        limit: how many at most.
    """
    purposes = [str(purpose)] if purpose is not None else [NO_PURPOSE, *map(str, Purpose)]
    wanted = None if kind is None else str(kind)
    rows = await connection.fetch(
        QUERIES["page_results"], str(ref.type), ref.id, purposes, wanted, before, before_id, limit
    )
    return [read_result(row) for row in rows]


async def oldest_of_purpose(connection: Any, purpose: Purpose) -> datetime | None:
    """Since when anything is recorded of a purpose."""
    at: datetime | None = await connection.fetchval(QUERIES["oldest_of_purpose"], str(purpose))
    return at
