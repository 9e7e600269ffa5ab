"""Results and journal of a purpose in the order in which its daemons saw them."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter

from monitor.domain.journal import Entry, EntryKind
from monitor.domain.outcome import ProbeResult

_order = itemgetter(0, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """All that has one instant.

    Attributes:
        reign: counts the daemons that decided, from 0.
        at: the instant.
        results: that ended then.
        entries: of the journal.
    """

    reign: int
    at: datetime
    results: tuple[ProbeResult, ...]
    entries: tuple[Entry, ...]


def reigns(entries: Sequence[Entry]) -> list[int]:
    """The reign of each entry, from 0."""
    found, reign = [], -1
    for entry in entries:
        reign += entry.kind is EntryKind.REIGN or reign < 0
        found.append(reign)
    return found


def moments(
    entries: Sequence[Entry], results: Iterable[ProbeResult], decided: Iterable[datetime]
) -> list[Moment]:
    """Everything in order, reign by reign: clocks may be set back between two of them.

    Args:
        entries: the journal in its order.
        results: in the order of their ends.
        decided: instants at which something is known to have been decided.
    """
    numbers = reigns(entries)
    places: list[tuple[int, datetime, ProbeResult | Entry | None]] = [
        (number, entry.at, entry) for number, entry in zip(numbers, entries, strict=True)
    ]
    starts = _starts(entries, numbers)
    for result in results:
        # What ended with the beginning of a reign is told by its first entry.
        reign = bisect_left(starts, result.ended_at) - 1
        if reign >= 0:
            places.append((reign, result.ended_at, result))
    places += [(reign, at, None) for at in decided if (reign := bisect_right(starts, at) - 1) >= 0]
    places.sort(key=_order)
    return [
        _moment(reign, at, [one for _, _, one in group]) for (reign, at), group in groupby(places, _order)
    ]


def _starts(entries: Sequence[Entry], numbers: Sequence[int]) -> list[datetime]:
    """From when on a result belongs to a reign or to a later one."""
    starts: list[datetime] = []
    for number, entry in zip(numbers, entries, strict=True):
        if number == len(starts):
            starts.append(entry.at)
    for index in range(len(starts) - 2, -1, -1):
        starts[index] = min(starts[index], starts[index + 1])
    return starts


def _moment(reign: int, at: datetime, found: Sequence[ProbeResult | Entry | None]) -> Moment:
    return Moment(
        reign=reign,
        at=at,
        results=tuple(one for one in found if isinstance(one, ProbeResult)),
        entries=tuple(one for one in found if isinstance(one, Entry)),
    )
