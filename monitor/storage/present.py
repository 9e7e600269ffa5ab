"""How a purpose stands now, and why: read from the database alone, without looking at its results again."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from monitor.domain.explanation import Explanation, explain
from monitor.domain.health import expire
from monitor.domain.policy import Policy
from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.retrace import retrace
from monitor.storage.healths import load_healths
from monitor.storage.journal import load_entries
from monitor.storage.record import RecordedMove, read_clock, read_moves, read_names


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
        connection: one of ours.
        purpose: whose.
        policy: in force.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        now = await read_clock(connection)
        entries = await load_entries(connection, purpose, now)
        begin = min([now - timedelta(seconds=1), *(one.at for one in entries[:1])])
        moves = await read_moves(connection, purpose, begin, now)
        healths = await load_healths(connection)
        names = await read_names(connection, moves)
    course = retrace(purpose, policy, entries, [one.turn for one in moves if one.automatic], now)
    if course is None or course.facts is None:
        return Present(explanation=None, move=moves[-1] if moves else None)
    beliefs = {id_.provider: expire(one, now) for id_, one in healths.items() if id_.purpose is purpose}
    situation = course.situation(now, beliefs)
    active = course.facts.active
    brought = [one for one in moves if one.turn.onto == active]

    def name(ref: ProviderRef) -> str:
        return f"{names.get(ref, 'deleted')} ({ref})"

    return Present(
        explanation=explain(situation, now, policy, name) if situation is not None else None,
        move=brought[-1] if brought else None,
    )
