"""The schedule: which job runs when, one run of a job at a time."""

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog

from monitor.domain.grid import Grid, next_slot
from monitor.scheduling.engine import Engine, SteadyTime
from monitor.scheduling.job import Job, JobView, Run

_PULSE_SECONDS = 1.0
_GAP = timedelta(seconds=5)  # nothing turned for so long: what was missed is spread, not made up for at once
_SPREAD = timedelta(seconds=1 / 50)  # the distance of two first runs after a start or a gap
_OVERDUE = timedelta(seconds=30)
_STEP = timedelta(seconds=1)
_STOP_SECONDS = 10.0

log = structlog.get_logger()


class Scheduler:
    """Runs jobs on their grids, on a clock that no step of the wall clock moves.

    All methods belong to the event loop's thread; only `alive` may be asked from another.

    Args:
        on_lag: told at every start how many seconds it came after its time.
        starts_per_turn: at most this many runs begin in one turn of the event loop.
        now: the wall clock, only for the eyes: what `jobs` shows and what a step of it amounts to.
        monotonic: the clock that the schedule lives by, in seconds.
    """

    def __init__(
        self,
        *,
        on_lag: Callable[[float], None] | None = None,
        starts_per_turn: int = 16,
        now: Callable[[], datetime] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_lag = on_lag
        self._now = now or partial(datetime.now, UTC)
        self._clock = SteadyTime(self._now(), monotonic)
        self._engine = Engine(
            clock=self._clock,
            begin=self._begin,
            next_time=self._next_time,
            on_turn=self._turned,
            starts_per_turn=starts_per_turn,
        )
        self._jobs: dict[str, Job] = {}
        self._running: dict[str, tuple[Job, asyncio.Task[None]]] = {}
        self._place = self._last_turn = self._gap_end = self._clock.now()
        self._offset = self._wall_offset()
        self._pulse_timer: asyncio.TimerHandle | None = None
        self._started = False
        self._stopped = False

    def start(self) -> None:
        """Begin to turn; jobs put before get their places now.

        Raises:
            RuntimeError: it has been started before; a stopped one does not start again.
        """
        if self._started:
            raise RuntimeError("a scheduler starts once: build a new one")
        self._started = True
        self._place = self._last_turn = self._gap_end = self._clock.now()
        self._engine.start()
        for job_id, job in self._jobs.items():
            self._schedule(job_id, job, first=True)
        self._pulse()

    async def stop(self) -> None:
        """Start nothing more, cancel what runs and wait for its end, for at most ten seconds."""
        self._stopped = True
        if self._pulse_timer is not None:
            self._pulse_timer.cancel()
        await self._engine.stop()
        tasks = {
            task: job_id for job_id, (_, task) in self._running.items() if task is not asyncio.current_task()
        }
        for task in tasks:
            task.cancel()
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=_STOP_SECONDS)
            if left:
                log.warning(
                    "jobs_do_not_end", jobs=sorted(tasks[task] for task in left)[:10], count=len(left)
                )

    def put(
        self,
        job_id: str,
        interval: timedelta,
        run: Run,
        *,
        jitter: float = 0.0,
        anchor_delay: timedelta | None = None,
        soon: bool = False,
    ) -> None:
        """Add a job, or change when or what it runs.

        With the interval and jitter that it has, and no anchor, a job keeps its grid and its next run.

        Args:
            job_id: whose grid it is: phase and jitter are hashed from it.
            interval: from one run to the next.
            run: called for every run; what it raises is logged, and the job goes on.
            jitter: the share of the interval by which a run strays from its point, in [0, 0.5).
            anchor_delay: the next run is that far from now and the grid starts there; None for its phase.
            soon: a new job's first run comes with the other first runs, 50 in a second, not at its phase.

        Raises:
            ValueError: an interval, jitter or delay that makes no grid.
        """
        anchor = None
        if anchor_delay is not None:
            if anchor_delay < timedelta(0):
                raise ValueError(f"{job_id}: a delay of {anchor_delay} lies in the past")
            anchor = self._clock.now() + anchor_delay
        grid = Grid(name=job_id, interval=interval, jitter=jitter, anchor=_utc(anchor) if anchor else None)
        job = self._jobs.get(job_id)
        if job is None:
            job = self._jobs[job_id] = Job(grid=grid, run=run, soon=soon)
            self._schedule(job_id, job, first=True)
            return
        job.run = run
        if anchor is not None or (grid.interval, grid.jitter) != (job.grid.interval, job.grid.jitter):
            job.grid = grid
            self._schedule(job_id, job, first=False)

    def run_now(self, job_id: str) -> bool:
        """Bring a job's next run forward to now; one that is running runs once more as soon as it ends.

        Returns:
            Whether there is such a job. Its grid stays as it is.
        """
        job = self._jobs.get(job_id)
        if job is None:
            return False
        if job_id in self._running:
            job.again = True
            return True
        now = self._clock.now()
        job.early = min(now, job.early or now)
        if self._turns and self._engine.due(job_id) > job.early:
            self._engine.set(job_id, job.early)
        return True

    def remove(self, job_id: str) -> None:
        """Forget a job and cancel its run; nothing happens when there is none."""
        if self._jobs.pop(job_id, None) is None:
            return
        if self._turns:
            self._engine.remove(job_id)
        if job_id in self._running:
            _, task = self._running[job_id]
            if task is not asyncio.current_task():
                task.cancel()

    def job(self, job_id: str) -> JobView | None:
        """One job, or None when there is none or nothing turns."""
        job = self._jobs.get(job_id)
        return self._view(job_id, job, self._wall_offset()) if job is not None and self._turns else None

    def jobs(self) -> Mapping[str, JobView]:
        """All jobs by id, in the order in which they were put; none while nothing turns."""
        if not self._turns:
            return {}
        offset = self._wall_offset()
        return {job_id: self._view(job_id, job, offset) for job_id, job in self._jobs.items()}

    def alive(self) -> bool:
        """Whether the schedule turns: it has looked for what is due in the last seconds, and begun it."""
        now = self._clock.now()
        earliest = self._engine.earliest()
        return (
            self._turns and now - self._last_turn < _GAP and (earliest is None or now - earliest < _OVERDUE)
        )

    def _view(self, job_id: str, job: Job, offset: timedelta) -> JobView:
        due = _utc(self._engine.due(job_id)) + offset
        return JobView(interval=job.grid.interval, next_run=due, running=job_id in self._running)

    @property
    def _turns(self) -> bool:
        return self._started and not self._stopped

    def _schedule(self, job_id: str, job: Job, *, first: bool) -> None:
        """Give a job its next run on its present grid, unless one beside the grid comes first."""
        if not self._turns:
            return
        now = self._clock.now()
        if first and job.soon:
            job.early = min(self._next_place(now), job.early or now + job.grid.interval)
        slot = self._slot(job, now - timedelta(microseconds=1))  # an anchor of now is a slot
        latest = now + job.grid.interval
        if job.grid.anchor is None and slot > latest:  # jitter may put a slot past the end of the interval
            job.early = min(latest, job.early or latest)
        self._engine.set(job_id, min(slot, job.early) if job.early is not None else slot)

    def _next_place(self, now: datetime) -> datetime:
        """The next free place in the line of first runs; later than now."""
        self._place = max(self._place, now) + _SPREAD
        return self._place

    def _next_time(self, job_id: str, now: datetime) -> datetime:
        job = self._jobs[job_id]
        slot = self._slot(job, now)
        return job.early if job.early is not None and now < job.early < slot else slot

    def _slot(self, job: Job, after: datetime) -> datetime:
        return next_slot(job.grid, _utc(after)).at.replace(tzinfo=self._clock)

    def _begin(self, job_id: str, due: datetime) -> None:
        if self._stopped:
            return
        job = self._jobs[job_id]
        if due <= self._gap_end:
            job.early = self._next_place(self._clock.now())
            return
        job.early = None
        if job_id in self._running:
            # An overrunning job skips its slot; one whose removed namesake still ends runs right after it.
            job.again = job.again or self._running[job_id][0] is not job
            return
        task = asyncio.get_running_loop().create_task(self._run(job_id, job, due), name=f"job {job_id}")
        self._running[job_id] = (job, task)
        task.add_done_callback(partial(self._ended, job_id))

    async def _run(self, job_id: str, job: Job, due: datetime) -> None:
        try:
            if self._on_lag is not None:
                self._on_lag(max(0.0, (self._clock.now() - due).total_seconds()))
            await job.run()
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            log.error("job_failed", job=job_id, error=type(error).__name__, exc_info=True)
        except Exception as error:  # a job's fault ends its run, not its schedule
            log.error("job_failed", job=job_id, error=type(error).__name__, exc_info=True)

    def _ended(self, job_id: str, task: asyncio.Task[None]) -> None:
        del self._running[job_id]
        job = self._jobs.get(job_id)
        if job is not None and job.again and not self._stopped:
            job.again = False
            self.run_now(job_id)

    def _turned(self, now: datetime) -> None:
        gap = now - self._last_turn
        self._last_turn = now
        if gap > _GAP:
            self._gap_end = now
            log.warning("schedule_stood_still", seconds=round(gap.total_seconds(), 1))

    def _pulse(self) -> None:
        """Each second: look for what is due although no timer says so, and tell of a stepped wall clock."""
        self._pulse_timer = asyncio.get_running_loop().call_later(_PULSE_SECONDS, self._pulse)
        self._engine.wake()
        offset = self._wall_offset()
        step = offset - self._offset
        if abs(step) > _STEP:
            log.warning("clock_stepped", seconds=round(step.total_seconds(), 1))
        self._offset = offset

    def _wall_offset(self) -> timedelta:
        return self._now() - _utc(self._clock.now())


def _utc(steady: datetime) -> datetime:
    """The same digits as an ordinary instant."""
    return steady.replace(tzinfo=UTC)
