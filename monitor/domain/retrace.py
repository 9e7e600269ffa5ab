"""How a purpose stands at an instant, from what is noted of it alone: no result is looked at again."""

from collections.abc import Sequence
from datetime import datetime

from monitor.domain.course import Course
from monitor.domain.journal import Entry, EntryKind
from monitor.domain.policy import Policy
from monitor.domain.provider import Purpose
from monitor.domain.timeline import Turn


def retrace(
    purpose: Purpose, policy: Policy, entries: Sequence[Entry], moves: Sequence[Turn], until: datetime
) -> Course | None:
    """Follow the journal and the recorded moves; None when nothing is noted.

    Args:
        purpose: whose.
        policy: in force.
        entries: the journal, from a whole entry on, in its order.
        moves: the automatic ones.
        until: the instant.
    """
    noted = [one for one in entries if one.at <= until]
    if not noted:
        return None
    course = Course(purpose, policy, noted[0].at, until)
    # A change is noted before the move that rests on it, at the same instant.
    steps: list[tuple[datetime, int, Entry | Turn]] = [(one.at, 0, one) for one in noted]
    steps += [(one.at, 1, one) for one in moves if noted[0].at <= one.at <= until]
    for _, _, step in sorted(steps, key=lambda one: one[:2]):
        match step:
            case Turn():
                course.move(step)
            case Entry(kind=EntryKind.REIGN | EntryKind.DAY | EntryKind.CHANGE):
                course.adopt(step, follow=True)
            case Entry(kind=EntryKind.STRANDED):
                course.strand(step.at, step.at, step.reason, step.evidence)
            case Entry(kind=EntryKind.RELIEVED):
                course.strand(None, step.at)
            case Entry():
                pass
    return course
