"""How a purpose stands now, and why: read from the database alone, without looking at its results again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from monitor.domain.explanation import Explanation, explain
from monitor.domain.health import Health, expire
from monitor.domain.journal import Entry
from monitor.domain.policy import Policy
from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.retrace import retrace
from monitor.storage.healths import load_healths_of
from monitor.storage.journal import load_entries
from monitor.storage.record import RecordedMove, names_in, read_clock, read_moves, read_names


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """What is noted of a purpose, as far as it says how things stand at one instant.

    Attributes:
        purpose: whose.
        as_of: the instant, by the database's clock.
        entries: of the journal, from the last whole one on.
        moves: since then and the one before, oldest first.
        healths: what is believed of those whom the entries name.
        names: the operator's names, those of deleted providers as far as moves name them.
    """

    purpose: Purpose
    as_of: datetime
    entries: tuple[Entry, ...]
    moves: tuple[RecordedMove, ...]
    healths: Mapping[ProviderRef, Health]
    names: Mapping[ProviderRef, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """A purpose now.

    Attributes:
        explanation: why it stands so and what would move it; None when no daemon has decided for it yet.
        move: the move that brought the one that serves; None when it was there from the first.
    """

    explanation: Explanation | None
    move: RecordedMove | None


async def read_present(connection: Any, purpose: Purpose, policy: Policy) -> Present:
    """Explain a purpose as it stands.

    Args:
        connection: one of ours, outside of a transaction.
        purpose: whose.
        policy: in force.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        noted = await read_noted(connection, purpose, await read_clock(connection))
    return explain_noted(noted, policy)


async def read_noted(
    connection: Any, purpose: Purpose, now: datetime, names: Mapping[ProviderRef, str] | None = None
) -> Noted:
    """What is noted of a purpose.

    Args:
        connection: one of ours, in a transaction that sees one snapshot.
        purpose: whose.
        now: the database's clock.
        names: the operator's, when they are known already.
    """
    entries = await load_entries(connection, purpose, now)
    begin = min([now - timedelta(seconds=1), *(one.at for one in entries[:1])])
    moves = await read_moves(connection, purpose, begin, now)
    refs = {one.ref for entry in entries if entry.facts for one in entry.facts.standings}
    healths = await load_healths_of(connection, purpose, sorted(refs)) if refs else {}
    return Noted(
        purpose=purpose,
        as_of=now,
        entries=tuple(entries),
        moves=tuple(moves),
        healths=healths,
        names=await read_names(connection, moves) if names is None else {**names_in(moves), **names},
    )


def explain_noted(noted: Noted, policy: Policy) -> Present:
    """Why a purpose stands as it does: pure, and so much of it that it may want a thread of its own."""
    now, moves = noted.as_of, noted.moves
    turns = [one.turn for one in moves if one.automatic]
    course = retrace(noted.purpose, policy, noted.entries, turns, now)
    if course is None or course.facts is None:
        return Present(explanation=None, move=moves[-1] if moves else None)
    situation = course.situation(now, {ref: expire(one, now) for ref, one in noted.healths.items()})
    active = course.facts.active
    brought = [one for one in moves if one.turn.onto == active]

    def name(ref: ProviderRef) -> str:
        return f"{noted.names.get(ref, 'deleted')} ({ref})"

    return Present(
        explanation=explain(situation, now, policy, name) if situation is not None else None,
        move=brought[-1] if brought else None,
    )
