"""APScheduler behind one door: it keeps what is due in order; what a job is and when it runs is said outside.

Four of its parts are replaced through its own extension points. Its time zone, because its clock is
`datetime.now(timezone)` and follows every step of the wall clock. Its triggers, because they drift and list
every missed run. Its job store's answer, because all that is due at once would be started at once. Its
executor, because that neither measures a lag nor waits for coroutines at the end.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from itertools import islice

from apscheduler.executors.base import BaseExecutor
from apscheduler.job import Job
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

Begin = Callable[[str, datetime], None]
NextTime = Callable[[str, datetime], datetime]
OnTurn = Callable[[datetime], None]


class SteadyTime(tzinfo):
    """A time zone whose now is the monotonic clock: right at the start, never stepped afterwards.

    Every instant handed to APScheduler carries this very object, so that none is ever converted.
    """

    def __init__(self, started_at: datetime, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._origin = started_at.replace(tzinfo=self) - timedelta(seconds=monotonic())

    def now(self) -> datetime:
        """The steady clock."""
        return self._origin + timedelta(seconds=self._monotonic())

    def fromutc(self, dt: datetime, /) -> datetime:
        """What `datetime.now(zone)` asks a zone for: here the steady clock, whatever the wall clock says."""
        return self.now()

    def utcoffset(self, dt: datetime | None, /) -> timedelta:
        """None of its own."""
        return timedelta(0)

    def dst(self, dt: datetime | None, /) -> timedelta:
        """Never."""
        return timedelta(0)

    def tzname(self, dt: datetime | None, /) -> str:
        """A name for messages."""
        return "steady"


class Engine:
    """A queue of job ids by time, which calls back when one is due.

    Args:
        clock: the time it lives in.
        begin: called with a job's id and the time it was due; must not raise and must not wait.
        next_time: called with a job's id and now, for the time of its next run; later than now.
        on_turn: called with now whenever it looks for what is due.
        starts_per_turn: at most this many `begin` in one turn of the event loop.
    """

    def __init__(
        self, *, clock: SteadyTime, begin: Begin, next_time: NextTime, on_turn: OnTurn, starts_per_turn: int
    ) -> None:
        self._clock = clock
        self._next_time = next_time
        self._store = _CappedStore(starts_per_turn, on_turn)
        self._apscheduler = _Wakeful(
            timezone=clock, jobstores={"default": self._store}, executors={"default": _CallBack(begin)}
        )

    def start(self) -> None:
        """Turn, on the running event loop."""
        self._apscheduler.start()

    async def stop(self) -> None:
        """Begin nothing more."""
        if self._apscheduler.running:
            self._apscheduler.shutdown(wait=False)
            await asyncio.sleep(0)  # it only asks the loop to shut it down

    def set(self, job_id: str, at: datetime) -> None:
        """Add a job, or move its next run."""
        if self._apscheduler.get_job(job_id) is not None:
            self._apscheduler.modify_job(job_id, next_run_time=at)
        else:
            trigger = _CallTrigger(job_id, self._next_time)
            self._apscheduler.add_job(_never_called, trigger, id=job_id, name=job_id, next_run_time=at)

    def remove(self, job_id: str) -> None:
        """Forget a job that was set."""
        self._apscheduler.remove_job(job_id)

    def due(self, job_id: str) -> datetime:
        """When a job that was set runs next."""
        at: datetime = self._apscheduler.get_job(job_id).next_run_time
        return at

    def earliest(self) -> datetime | None:
        """When the first of all jobs runs next; None without jobs."""
        at: datetime | None = self._store.get_next_run_time()
        return at

    def wake(self) -> None:
        """Look for what is due."""
        self._apscheduler.wakeup()


class _Wakeful(AsyncIOScheduler):  # type: ignore[misc]  # the library has no types
    """Answers any number of wake-ups within one turn of the loop by looking once.

    Otherwise a thousand jobs added in one turn look a thousand times, and the cap on starts holds for each.
    """

    _asked = False

    def wakeup(self) -> None:
        if self._asked or self._eventloop is None:
            return
        self._asked = True
        super().wakeup()  # queues the look with the loop
        self._eventloop.call_soon(self._answered)  # right behind it

    def _answered(self) -> None:
        self._asked = False


class _CallTrigger(BaseTrigger):  # type: ignore[misc]
    __slots__ = ("_job_id", "_next_time")

    def __init__(self, job_id: str, next_time: NextTime) -> None:
        self._job_id = job_id
        self._next_time = next_time

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        return self._next_time(self._job_id, now)


class _CappedStore(MemoryJobStore):  # type: ignore[misc]
    """Says of a crowd that is due only the first few; the rest is still due in the next turn."""

    def __init__(self, limit: int, on_turn: OnTurn) -> None:
        super().__init__()
        self._limit = limit
        self._on_turn = on_turn

    def get_due_jobs(self, now: datetime) -> list[Job]:
        self._on_turn(now)
        return [job for job, _ in islice(self._jobs, self._limit) if job.next_run_time <= now]


class _CallBack(BaseExecutor):  # type: ignore[misc]
    def __init__(self, begin: Begin) -> None:
        super().__init__()
        self._begin = begin

    def submit_job(self, job: Job, run_times: list[datetime]) -> None:
        self._do_submit_job(
            job, run_times
        )  # without the base's count of instances, which warns of every overrun

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        self._begin(job.id, run_times[-1])


def _never_called() -> None:
    raise AssertionError("a job is begun by the engine's callback")
