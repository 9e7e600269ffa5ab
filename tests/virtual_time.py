"""Time that passes only when nothing is left to do in it, and a schedule that follows it."""

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

_WAIT_SECONDS = 0.02


class _Selector(selectors.DefaultSelector):
    """Waits for real for sockets that will answer; leaps over every other wait."""

    def __init__(self) -> None:
        super().__init__()
        self.elapsed = 0.0
        self.expected = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self.expected or timeout is None:
            return super().select(_WAIT_SECONDS)
        self.elapsed += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock stands still while anybody waits for an answer, and leaps otherwise.

    Whoever waits for a socket says so with `answers`; an hour of sleeping then takes no time at all, and the
    order of everything is the same in every run.
    """

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._virtual.elapsed

    @contextmanager
    def answers(self) -> Iterator[None]:
        """As long as this lasts, an answer from outside is expected and time stands still."""
        self._virtual.expected += 1
        try:
            yield
        finally:
            self._virtual.expected -= 1


@dataclass(eq=False)
class _Job:
    interval: timedelta
    run: Callable[[], Awaitable[None]]
    due: asyncio.TimerHandle | None = None
    task: asyncio.Task[None] | None = None
    again: bool = field(default=False)


class VirtualSchedule:
    """Jobs on their intervals in the loop's time: no jitter, one run of a job at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._jobs: dict[str, _Job] = {}

    def put(
        self,
        job_id: str,
        interval: timedelta,
        run: Callable[[], Awaitable[None]],
        *,
        jitter: float = 0.0,
        anchor_delay: timedelta | None = None,
        soon: bool = False,
    ) -> None:
        """Add a job or change its interval."""
        new = job_id not in self._jobs
        job = self._jobs.setdefault(job_id, _Job(interval, run))
        delay = timedelta(seconds=0.02 * len(self._jobs)) if new and soon else interval
        if new or anchor_delay is not None or job.interval != interval:
            self._plan(job, delay if anchor_delay is None else anchor_delay)
        job.interval, job.run = interval, run

    def run_now(self, job_id: str) -> bool:
        """Bring the next run forward; one that runs is followed by another."""
        job = self._jobs.get(job_id)
        if job is None:
            return False
        self._fire(job)
        return True

    def remove(self, job_id: str) -> None:
        """Stop a job; a run that is under way ends by itself."""
        job = self._jobs.pop(job_id, None)
        if job is not None and job.due is not None:
            job.due.cancel()

    async def stop(self) -> None:
        """Stop everything, as a process does that ends."""
        tasks = [job.task for job in self._jobs.values() if job.task is not None]
        for job_id in list(self._jobs):
            self.remove(job_id)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _plan(self, job: _Job, delay: timedelta) -> None:
        if job.due is not None:
            job.due.cancel()
        job.due = self._loop.call_later(delay.total_seconds(), self._fire, job)

    def _fire(self, job: _Job) -> None:
        self._plan(job, job.interval)
        if job.task is not None:
            job.again = True
            return
        job.task = self._loop.create_task(self._run(job))

    async def _run(self, job: _Job) -> None:
        await job.run()
        job.task = None
        if job.again and job in self._jobs.values():
            job.again = False
            self._fire(job)
