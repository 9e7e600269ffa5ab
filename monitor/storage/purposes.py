"""Who serves each purpose as we last saw or wrote it, and what its operator wants."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from monitor.domain.preference import Pointers
from monitor.domain.provider import ProviderRef, ProviderType, Purpose
from monitor.domain.situation import Rule, Switch
from monitor.storage.address import execute_each
from monitor.storage.queries import QUERIES

ACTIVE_CHANNEL = "monitor_active"
AUTOMATIC = (Rule.FAIL_OVER, Rule.CALL_FOR_HELP, Rule.FAIL_BACK)
OPERATOR = "operator"
ADOPTED = "adopted"


@dataclass(frozen=True, slots=True, kw_only=True)
class PurposeState:
    """What we know of one purpose.

    Attributes:
        purpose: whose.
        generation: counts the moves, the operator's included.
        seen: the pointers as we last saw or wrote them.
        since: since when the one that serves does.
        rule: by which rule; `operator` or `adopted` when it was none of ours.
        chosen_at: the operator's last act, or None.
        stranded_since: since when nobody serves, or None.
        paused: an operator paused it.
        pinned_until: the end of a pin; None without one.
        pinned: whom a pin names, or None.
        held: an operator promoted somebody, and no return is made by itself until he lets go.
        held_until: the end of that; None without one.
        ordered_at: when an operator last changed the order by an act, or None.
        act: the number of the last act that concerns the purpose.
        act_taken: the last one that a deciding daemon has taken up.
        chosen_act: the last one that named who serves.
        ordered_act: the last one that changed the order.
    """

    purpose: Purpose
    generation: int
    seen: Pointers | None
    since: datetime | None
    rule: str | None
    chosen_at: datetime | None
    stranded_since: datetime | None
    paused: bool
    pinned: ProviderRef | None
    pinned_until: datetime | None
    held: bool = False
    held_until: datetime | None = None
    ordered_at: datetime | None = None
    act: int = 0
    act_taken: int = 0
    chosen_act: int = 0
    ordered_act: int = 0


async def load_purposes(connection: Any) -> dict[Purpose, PurposeState]:
    """Every purpose we keep a state of."""
    rows = await connection.fetch(QUERIES["load_purposes"])
    return {Purpose(row["purpose"]): _state(row) for row in rows}


async def lock_purpose(connection: Any, purpose: Purpose) -> PurposeState | None:
    """Lock our own state of a purpose and read it; the application's row comes first, always."""
    row = await connection.fetchrow(QUERIES["lock_purpose"], str(purpose))
    return None if row is None else _state(row)


async def load_switches(connection: Any, since: datetime) -> dict[Purpose, tuple[Switch, ...]]:
    """The automatic moves since an instant, oldest first."""
    found: dict[Purpose, tuple[Switch, ...]] = {}
    for row in await connection.fetch(QUERIES["load_switches"], since, [str(rule) for rule in AUTOMATIC]):
        left = read_ref(row["from_provider_type"], row["from_provider_id"])
        onto = read_ref(row["to_provider_type"], row["to_provider_id"])
        if left is not None and onto is not None:
            purpose = Purpose(row["purpose"])
            found[purpose] = (*found.get(purpose, ()), Switch(at=row["decided_at"], left=left, onto=onto))
    return found


async def tell_active(connection: Any, purpose: Purpose, generation: int, to: ProviderRef) -> None:
    """Tell every listener, at the end of the transaction, who serves a purpose now."""
    payload = {"purpose": str(purpose), "generation": generation, "to": str(to)}
    await connection.execute(QUERIES["notify"], ACTIVE_CHANNEL, json.dumps(payload))


async def write_preference(connection: Any, purpose: Purpose, order: Sequence[ProviderRef]) -> None:
    """Replace a purpose's order; within the caller's transaction."""
    await connection.execute(QUERIES["clear_preference"], str(purpose))
    places = [(str(purpose), place, *columns(ref)) for place, ref in enumerate(order, start=1)]
    await execute_each(connection, QUERIES["add_preference"], places)


async def forget_purpose(connection: Any, purpose: Purpose) -> None:
    """Take note that a purpose's row was deleted; its order, generation and transitions stay."""
    await connection.execute(QUERIES["forget_purpose"], str(purpose))


async def mark_stranded(connection: Any, purpose: Purpose, since: datetime | None, act: int) -> bool:
    """Record that nobody serves since an instant, or withdraw it.

    Args:
        connection: the leader's.
        purpose: whose.
        since: since when; None withdraws it.
        act: the last act that was seen.

    Returns:
        False when an operator has acted meanwhile; nothing is recorded then.
    """
    return await connection.fetchval(QUERIES["mark_stranded"], str(purpose), since, act) is not None


async def take_acts(connection: Any, state: PurposeState) -> bool:
    """Write down that a deciding daemon has taken up an operator's acts, with the instants it gave them.

    Returns:
        False when there has been another act meanwhile: read everything anew.
    """
    taken = await connection.fetchval(
        QUERIES["take_acts"], str(state.purpose), state.act, state.chosen_at, state.ordered_at
    )
    return taken is not None


async def lock_active(connection: Any, purpose: Purpose) -> Pointers | None:
    """Lock the application's row and read it; None when there is none, or it names nobody."""
    row = await connection.fetchrow(QUERIES["lock_active"], str(purpose))
    if row is None:
        return None
    active = read_ref(row["provider_type"], row["provider_id"])
    fallback = read_ref(row["fallback_provider_type"], row["fallback_provider_id"])
    return Pointers(active=active, fallback=fallback) if active else None


def columns(ref: ProviderRef | None) -> tuple[str | None, int | None]:
    """A reference as its two columns."""
    return (None, None) if ref is None else (str(ref.type), ref.id)


def _state(row: Any) -> PurposeState:
    active = read_ref(row["provider_type"], row["provider_id"])
    fallback = read_ref(row["fallback_provider_type"], row["fallback_provider_id"])
    return PurposeState(
        purpose=Purpose(row["purpose"]),
        generation=row["generation"],
        seen=Pointers(active=active, fallback=fallback) if active else None,
        since=row["since"],
        rule=row["rule"],
        chosen_at=row["chosen_at"],
        stranded_since=row["stranded_since"],
        paused=row["paused_at"] is not None,
        pinned=read_ref(row["pinned_provider_type"], row["pinned_provider_id"]),
        pinned_until=row["pinned_until"],
        held=row["held_at"] is not None,
        held_until=row["held_until"],
        ordered_at=row["ordered_at"],
        act=row["act"],
        act_taken=row["act_taken"],
        chosen_act=row["chosen_act"],
        ordered_act=row["ordered_act"],
    )


def read_ref(type_: str | None, id_: int | None) -> ProviderRef | None:
    """Two columns as a reference; None when they name nobody."""
    if type_ is None or id_ is None or type_ not in set(ProviderType):
        return None
    return ProviderRef(type=ProviderType(type_), id=id_)
