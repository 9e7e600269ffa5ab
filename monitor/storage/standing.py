"""How a provider stands in a purpose, as far as the database knows: for an act of an operator."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from monitor.domain.embedding import same_space
from monitor.domain.health import HealthState
from monitor.domain.provider import ProviderRef, Purpose
from monitor.storage.columns import provider_in
from monitor.storage.queries import QUERIES


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderStanding:
    """One provider in one purpose.

    Attributes:
        name: the operator's.
        enabled: whether it is to be used.
        state: unknown, up or down; None when nothing is believed of it.
        eligible: whether it might be moved onto when the belief was stored.
        block: what keeps it from serving, joined by commas; None when nothing does.
        last_outcome: what its last deep probe showed.
        stale: the belief is too old to act on.
        in_maintenance: an operator took it out of service, and it lasts.
        space: `metadata.embedding_space`, or None.
        vector: of the probe's sentence, or None.
    """

    name: str
    enabled: bool
    state: HealthState | None
    eligible: bool
    block: str | None
    last_outcome: str | None
    stale: bool
    in_maintenance: bool
    space: str | None
    vector: tuple[float, ...] | None

    def unfit(self, purpose: Purpose) -> str | None:
        """Why it is not fit to serve, in plain words; None when it is."""
        if self.in_maintenance:
            return "is in maintenance"
        if self.state is None:
            return f"has not been probed for {purpose} yet"
        if self.stale:
            return "has no recent result"
        if self.block:
            return f"is blocked: {self.block}"
        if self.state is not HealthState.UP:
            return f"is {self.state}" + (f" ({self.last_outcome})" if self.last_outcome else "")
        return None if self.eligible else "failed too many of its last probes"

    def same_space(self, other: "ProviderStanding") -> bool | None:
        """Whether vectors of both may stand in one index; None when that is not known."""
        return same_space(self.space, other.space, self.vector, other.vector)


async def load_standings(
    connection: Any, purpose: Purpose, refs: Sequence[ProviderRef]
) -> dict[ProviderRef, ProviderStanding]:
    """How some providers stand; those without a row are left out."""
    rows = await connection.fetch(
        QUERIES["act_providers"], str(purpose), [str(ref.type) for ref in refs], [ref.id for ref in refs]
    )
    return {
        provider_in(row): ProviderStanding(
            name=row["name"],
            enabled=row["enabled"],
            state=HealthState(row["state"]) if row["state"] else None,
            eligible=bool(row["eligible"]),
            block=row["block"],
            last_outcome=row["last_outcome"],
            stale=row["stale"],
            in_maintenance=row["in_maintenance"],
            space=_space(row["metadata"]),
            vector=tuple(row["vector"]) if row["vector"] is not None else None,
        )
        for row in rows
    }


def _space(metadata: str | None) -> str | None:
    try:
        read = json.loads(metadata or "{}")
    except ValueError:
        return None
    space = read.get("embedding_space") if isinstance(read, dict) else None
    return space if isinstance(space, str) and space else None
