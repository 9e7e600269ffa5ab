"""When a repeated job runs: points at a fixed distance, each strayed from a little, in whole microseconds.

A slot's time follows from the job's name and the slot's number alone. It does not matter who asks, when or
how often: nothing is drawn at random, no error adds up, and a gap of any length is skipped in one step.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The slots of one job.

    Attributes:
        name: the job's id; phase and jitter are hashed from it.
        interval: the distance of two points.
        jitter: the share of the interval by which a run may stray to either side, at least 0 and below 0.5.
        anchor: slot 0, which does not stray; None for points at the job's own phase since 1970.
    """

    name: str
    interval: timedelta
    jitter: float = 0.0
    anchor: datetime | None = None

    def __post_init__(self) -> None:
        if self.interval <= timedelta(0):
            raise ValueError(f"{self.name}: an interval of {self.interval} never ends; make it longer than 0")
        if not 0 <= self.jitter < 0.5:
            raise ValueError(f"{self.name}: a jitter of {self.jitter} would swap slots; keep it in [0, 0.5)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One place of a grid: its number, and the instant after jitter."""

    number: int
    at: datetime


def phase(name: str, interval: timedelta) -> timedelta:
    """Where in an interval a job of that name has its points: at least 0, less than the interval."""
    whole = interval // _MICROSECOND
    return timedelta(microseconds=_hash(name) * whole >> 64)


def jitter(grid: Grid, number: int) -> timedelta:
    """How far a slot strays from its point, at most `grid.jitter` of the interval to either side."""
    return timedelta(microseconds=_jitter(grid, number, grid.interval // _MICROSECOND))


def next_slot(grid: Grid, after: datetime) -> Slot:
    """The first slot that lies later than an instant.

    Because no slot strays by half an interval, slots keep their order, and the answer is one of the three
    whose points lie nearest: the cost does not depend on how long ago the last one was.
    """
    whole = grid.interval // _MICROSECOND
    instant = (after - _EPOCH) // _MICROSECOND
    if grid.anchor is None:
        origin = phase(grid.name, grid.interval) // _MICROSECOND
        number = (instant - origin) // whole
    else:
        origin = (grid.anchor - _EPOCH) // _MICROSECOND
        number = max(0, (instant - origin) // whole)
    while (at := origin + number * whole + _jitter(grid, number, whole)) <= instant:
        number += 1
    return Slot(number=number, at=_EPOCH + timedelta(microseconds=at))


def _jitter(grid: Grid, number: int, whole: int) -> int:
    # Less than half of the interval, for the largest jitter too: the product is never rounded up to the half.
    width = int(grid.jitter * whole)
    if number == 0 and grid.anchor is not None:
        return 0
    return (_hash(f"{grid.name}\0{number}") * (2 * width + 1) >> 64) - width


def _hash(text: str) -> int:
    """A whole number below 2**64, the same on every machine and in every run."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())
