"""Who serves each purpose as we last saw or wrote it, and what its operator wants."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from monitor.domain.preference import Edit, Pointers
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


async def load_purposes(connection: Any) -> dict[Purpose, PurposeState]:
    """Every purpose we keep a state of."""
    found: dict[Purpose, PurposeState] = {}
    for row in await connection.fetch(QUERIES["load_purposes"]):
        active = read_ref(row["provider_type"], row["provider_id"])
        fallback = read_ref(row["fallback_provider_type"], row["fallback_provider_id"])
        found[Purpose(row["purpose"])] = PurposeState(
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
        )
    return found


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


async def adopt_edit(
    connection: Any,
    purpose: Purpose,
    row: Pointers,
    edit: Edit,
    state: PurposeState | None,
    names: dict[ProviderRef, str],
    now: datetime,
    instance: str,
) -> bool:
    """Take up what an operator wrote: its order, and a new generation when it names another one to serve.

    Args:
        connection: the leader's.
        purpose: whose row it is.
        row: what was read there.
        edit: what it means.
        state: what we knew before; None when the purpose is new to us.
        names: the operator's names, for the record.
        now: UTC; evidence from before it no longer counts.
        instance: this daemon.

    Returns:
        False when the row has changed again meanwhile: read it anew.
    """
    rule = ADOPTED if state is None else OPERATOR
    async with connection.transaction():
        if await lock_active(connection, purpose) != row:
            return False
        generation = await connection.fetchval(
            QUERIES["adopt_purpose"],
            str(purpose),
            *columns(row.active),
            *columns(row.fallback),
            now,
            rule,
            edit.chosen,
        )
        await write_preference(connection, purpose, edit.preference)
        if edit.chosen and state is not None:
            left = state.seen.active if state.seen else None
            await connection.execute(
                QUERIES["record_transition"],
                str(purpose),
                generation,
                rule,
                *columns(left),
                names.get(left) if left else None,
                *columns(row.active),
                names.get(row.active),
                "an operator chose who serves",
                None,
                now,
                instance,
                {},
                [],
            )
    return True


async def write_preference(connection: Any, purpose: Purpose, order: Sequence[ProviderRef]) -> None:
    """Replace a purpose's order; within the caller's transaction."""
    await connection.execute(QUERIES["clear_preference"], str(purpose))
    places = [(str(purpose), place, *columns(ref)) for place, ref in enumerate(order, start=1)]
    await execute_each(connection, QUERIES["add_preference"], places)


async def forget_purpose(connection: Any, purpose: Purpose) -> None:
    """Take note that a purpose's row was deleted; its order, generation and transitions stay."""
    await connection.execute(QUERIES["forget_purpose"], str(purpose))


async def mark_stranded(connection: Any, purpose: Purpose, since: datetime | None) -> None:
    """Record that nobody serves since an instant, or withdraw it."""
    await connection.execute(QUERIES["mark_stranded"], str(purpose), since)


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


def read_ref(type_: str | None, id_: int | None) -> ProviderRef | None:
    """Two columns as a reference; None when they name nobody."""
    if type_ is None or id_ is None or type_ not in set(ProviderType):
        return None
    return ProviderRef(type=ProviderType(type_), id=id_)
