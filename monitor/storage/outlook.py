"""What a person looks at before an act: how things stand, and a word by which the act knows them again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from monitor.domain.maintenance import Maintenance
from monitor.domain.preference import Pointers, ordered
from monitor.domain.provider import ProviderRef, Purpose
from monitor.storage.acting import Scene, seen_of
from monitor.storage.maintenance import seen_of_maintenance
from monitor.storage.purposes import columns, load_purposes, read_ref
from monitor.storage.queries import QUERIES
from monitor.storage.standing import load_standings

MOST_OFFERED = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class PurposeOutlook:
    """A purpose before an act.

    Attributes:
        scene: as the act would find it, unless something changes first.
        seen: for `By.seen`.
        offered: onto whom it might be moved: the order, then everybody else who is probed for it.
    """

    scene: Scene
    seen: str
    offered: tuple[ProviderRef, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderOutlook:
    """A provider before an act.

    Attributes:
        ref: its row.
        name: the operator's.
        enabled: whether it is to be used.
        now: the database's clock.
        purposes: for which it is probed.
        serves: the purposes that it serves.
        maintenance: one that lasts or is planned, or None.
        maintenance_by: who set it, and why.
        seen: for `By.seen`.
    """

    ref: ProviderRef
    name: str
    enabled: bool
    now: datetime
    purposes: tuple[Purpose, ...]
    serves: tuple[str, ...]
    maintenance: Maintenance | None
    maintenance_by: str
    seen: str


async def read_purpose_outlook(
    connection: Any, purpose: Purpose, wanted: ProviderRef | None = None
) -> PurposeOutlook:
    """How a purpose stands, in one snapshot.

    Args:
        connection: outside of a transaction.
        purpose: whose.
        wanted: somebody who is to be among those that are offered, if there is such a row.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        now: datetime = await connection.fetchval(QUERIES["read_clock"])
        rows = {one["purpose"]: one for one in await connection.fetch(QUERIES["read_actives"])}
        row = _pointers(rows.get(str(purpose)))
        state = (await load_purposes(connection)).get(purpose)
        places = await connection.fetch(QUERIES["read_order"], str(purpose))
        order = ordered(read_ref(one["provider_type"], one["provider_id"]) for one in places)
        believed = await connection.fetch(QUERIES["outlook_believed"], str(purpose), MOST_OFFERED)
        named = (row.active, row.fallback) if row else ()
        others = (read_ref(one["provider_type"], one["provider_id"]) for one in believed)
        refs = ordered((*order, *named, wanted, *others))
        standings = await load_standings(connection, purpose, refs)
    scene = Scene(
        purpose=purpose,
        now=now,
        row=row,
        state=state,
        order=tuple(ref for ref in order if ref in standings),
        standings=standings,
    )
    offered = tuple(ref for ref in refs if ref in standings)
    return PurposeOutlook(scene=scene, seen=seen_of(row, state), offered=offered)


async def read_provider_outlook(connection: Any, ref: ProviderRef) -> ProviderOutlook | None:
    """How a provider stands, in one snapshot; None when it has no row."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        now: datetime = await connection.fetchval(QUERIES["read_clock"])
        row = await connection.fetchrow(QUERIES["outlook_provider"], *columns(ref))
    if row is None:
        return None
    span = _span(row, now)
    by = ": ".join(one for one in (row["user_id"], row["reason"]) if one)
    return ProviderOutlook(
        ref=ref,
        name=row["name"],
        enabled=row["enabled"],
        now=now,
        purposes=tuple(Purpose(one) for one in row["purposes"] if one in set(Purpose)),
        serves=tuple(row["serves"]),
        maintenance=span,
        maintenance_by=by if span else "",
        seen=seen_of_maintenance(row["act"]),
    )


def _pointers(row: Mapping[str, Any] | None) -> Pointers | None:
    active = read_ref(row["provider_type"], row["provider_id"]) if row else None
    if row is None or active is None:
        return None
    return Pointers(
        active=active, fallback=read_ref(row["fallback_provider_type"], row["fallback_provider_id"])
    )


def _span(row: Any, now: datetime) -> Maintenance | None:
    if row["starts_at"] is None or (row["ends_at"] is not None and row["ends_at"] <= now):
        return None
    return Maintenance(since=row["starts_at"], until=row["ends_at"])
