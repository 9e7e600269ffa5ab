"""One job: its grid, what it does, and what else is asked of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitor.domain.grid import Grid

Run = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """One job as seen from outside; `next_run` is UTC by the wall clock of now."""

    interval: timedelta
    next_run: datetime
    running: bool


@dataclass(slots=True, eq=False)
class Job:
    """One job.

    Attributes:
        grid: where its slots are.
        run: what it does.
        soon: its first run is placed with the other first runs and does not wait for its slot.
        early: the time of one run beside the grid; None once that run or any other has begun.
        again: run once more as soon as the present run ends.
    """

    grid: Grid
    run: Run
    soon: bool
    early: datetime | None = None
    again: bool = False
