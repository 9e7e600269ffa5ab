"""The schedule in real time."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import apscheduler.schedulers.base
import pytest
from structlog.testing import capture_logs

from monitor.domain.grid import Grid, next_slot
from monitor.scheduling import Scheduler

pytestmark = pytest.mark.alone  # runs are where the clock says, to hundredths of a second


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


class Times:
    """Remembers on the loop's clock when it was run, and may take its time."""

    def __init__(self, takes: float = 0.0) -> None:
        self.takes = takes
        self.starts: list[float] = []
        self.ended = 0
        self.cancelled = 0
        self.at_once = 0
        self.most_at_once = 0

    async def __call__(self) -> None:
        self.starts.append(time.monotonic())
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.takes)
            self.ended += 1
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.at_once -= 1

    @property
    def gaps(self) -> list[float]:
        return [late - early for early, late in pairwise(self.starts)]


class Clocks:
    """Real clocks that a test can step."""

    def __init__(self) -> None:
        self.wall_step = timedelta(0)
        self.gap = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC) + self.wall_step

    def monotonic(self) -> float:
        return time.monotonic() + self.gap


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[Scheduler]:
    scheduler = Scheduler(**options)
    scheduler.start()
    try:
        yield scheduler
    finally:
        await scheduler.stop()


async def until(condition: Callable[[], object], within: float = 3.0) -> None:
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.005)


async def test_a_job_runs_on_its_grid_and_each_slot_once() -> None:
    lags: list[float] = []
    times: list[datetime] = []

    async def run() -> None:
        times.append(datetime.now(UTC))

    async with running(on_lag=lags.append) as scheduler:
        scheduler.put("api_key:1/chat", seconds(0.1), run, jitter=0.3)
        await asyncio.sleep(1.55)
    grid = Grid(name="api_key:1/chat", interval=seconds(0.1), jitter=0.3)
    slot = next_slot(grid, times[0] - seconds(0.05))
    for at in times:
        assert abs(at - slot.at) < seconds(0.04)
        slot = next_slot(grid, slot.at)
    assert 14 <= len(times) <= 16
    assert len(lags) == len(times)
    assert all(0 <= lag < 0.05 for lag in lags)


async def test_the_first_run_comes_within_one_interval() -> None:
    every = {f"api_key:{n}/chat": Times() for n in range(200)}
    async with running() as scheduler:
        begun = time.monotonic()
        for job_id, times in every.items():
            scheduler.put(job_id, seconds(0.5), times, jitter=0.4)
        await asyncio.sleep(0.6)
    firsts = sorted(times.starts[0] - begun for times in every.values())
    assert firsts[-1] < 0.56
    assert max(late - early for early, late in pairwise(firsts)) < 0.1


async def test_soon_starts_a_crowd_in_a_line_and_not_as_a_burst() -> None:
    every = [Times() for _ in range(60)]
    async with running() as scheduler:
        begun = time.monotonic()
        for n, times in enumerate(every):
            scheduler.put(f"job {n}", seconds(3600), times, soon=True)
        await until(lambda: all(times.starts for times in every))
        starts = sorted(times.starts[0] - begun for times in every)
    assert 1.1 < starts[-1] < 1.5
    assert max(Counter(int(start * 10) for start in starts).values()) <= 10


async def test_jobs_put_before_the_start_run_after_it() -> None:
    times = Times()
    scheduler = Scheduler()
    scheduler.put("job", seconds(3600), times, soon=True)
    scheduler.start()
    await until(lambda: times.starts, within=0.5)
    await scheduler.stop()
    with pytest.raises(RuntimeError, match="starts once"):
        scheduler.start()


async def test_an_overrunning_job_skips_slots_and_keeps_its_grid() -> None:
    times = Times(takes=0.25)
    async with running() as scheduler:
        scheduler.put("job", seconds(0.1), times, anchor_delay=seconds(0))
        await asyncio.sleep(1.6)
    assert times.most_at_once == 1
    for gap in times.gaps:
        assert abs(gap - 0.3) < 0.04


async def test_one_hanging_job_holds_up_no_other() -> None:
    hanging, quick = Times(takes=60), Times()
    async with running() as scheduler:
        scheduler.put("hanging", seconds(0.1), hanging, soon=True)
        scheduler.put("quick", seconds(0.1), quick)
        await asyncio.sleep(1)
        assert scheduler.jobs()["hanging"].running
        assert not scheduler.jobs()["quick"].running
    assert len(hanging.starts) == 1
    assert 9 <= len(quick.starts) <= 11
    assert hanging.cancelled == 1


async def test_a_job_that_fails_is_logged_and_goes_on() -> None:
    runs = 0

    async def fail() -> None:
        nonlocal runs
        runs += 1
        if runs == 2:
            raise asyncio.CancelledError
        raise OSError("the disk is full")

    with capture_logs() as logs:
        async with running() as scheduler:
            scheduler.put("failing", seconds(0.05), fail, anchor_delay=seconds(0))
            await until(lambda: runs >= 3)
    assert [entry["error"] for entry in logs][:3] == ["OSError", "CancelledError", "OSError"]
    assert all(entry["event"] == "job_failed" and entry["job"] == "failing" for entry in logs)
    assert all(entry["exc_info"] for entry in logs)


async def test_a_listener_of_lags_that_fails_stops_nothing() -> None:
    def fail(lag: float) -> None:
        raise ValueError(lag)

    times = Times()
    with capture_logs() as logs:
        async with running(on_lag=fail) as scheduler:
            scheduler.put("job", seconds(0.05), times, anchor_delay=seconds(0))
            await until(lambda: len(logs) >= 2)
            assert scheduler.alive()


async def test_put_again_with_the_same_interval_does_not_disturb_the_grid() -> None:
    first, second = Times(), Times()
    async with running() as scheduler:
        scheduler.put("job", seconds(0.3), first, jitter=0.1)
        due = scheduler.jobs()["job"].next_run
        for _ in range(30):
            scheduler.put("job", seconds(0.3), second, jitter=0.1)
        assert abs(scheduler.jobs()["job"].next_run - due) < seconds(0.001)
        await until(lambda: second.starts, within=0.5)
        assert not first.starts


async def test_an_anchor_places_the_next_run_and_a_new_interval_takes_it_back_to_its_phase() -> None:
    times = Times()
    async with running() as scheduler:
        scheduler.put("job", seconds(3600), times)
        begun = time.monotonic()
        scheduler.put("job", seconds(0.2), times, jitter=0.1, anchor_delay=seconds(0.1))
        scheduler.put("job", seconds(0.2), times, jitter=0.1)
        await until(lambda: len(times.starts) == 3)
        for n, start in enumerate(times.starts):
            assert abs(start - begun - 0.1 - 0.2 * n) < 0.045
        scheduler.put("job", seconds(3600), times)
        slot = next_slot(Grid(name="job", interval=seconds(3600)), datetime.now(UTC)).at
        assert abs(scheduler.jobs()["job"].next_run - slot) < seconds(0.1)


async def test_a_job_may_anchor_itself_after_each_result() -> None:
    times = Times(takes=0.05)
    async with running() as scheduler:

        async def run() -> None:
            await times()
            scheduler.put("job", seconds(0.1), run, jitter=0.1, anchor_delay=seconds(0.1))

        scheduler.put("job", seconds(60), run, soon=True)
        await until(lambda: len(times.starts) == 4)
    assert all(0.14 < gap < 0.19 for gap in times.gaps)


async def test_run_now_comes_at_once_and_leaves_the_grid_alone() -> None:
    times = Times()
    async with running() as scheduler:
        scheduler.put("job", seconds(0.5), times, anchor_delay=seconds(0.4))
        begun = time.monotonic()
        assert scheduler.run_now("job")
        assert scheduler.run_now("job")
        await until(lambda: len(times.starts) == 3)
    offsets = [start - begun for start in times.starts]
    assert offsets == pytest.approx([0, 0.4, 0.9], abs=0.04)
    assert not scheduler.run_now("nobody")


async def test_run_now_survives_a_new_interval() -> None:
    times = Times()
    async with running() as scheduler:
        scheduler.put("job", seconds(3600), times)
        scheduler.run_now("job")
        scheduler.put("job", seconds(1800), times)
        scheduler.put("job", seconds(900), times, anchor_delay=seconds(900))
        await until(lambda: times.starts, within=0.5)


async def test_run_now_on_a_running_job_runs_it_once_more_when_it_ends() -> None:
    times = Times(takes=0.2)
    async with running() as scheduler:
        scheduler.put("job", seconds(3600), times, soon=True)
        await until(lambda: times.starts)
        for _ in range(5):
            scheduler.run_now("job")
        await asyncio.sleep(0.6)
    assert len(times.starts) == 2
    assert 0.2 <= times.gaps[0] < 0.24
    assert times.most_at_once == 1


async def test_remove_cancels_the_run_and_a_namesake_waits_for_its_end() -> None:
    ending = asyncio.Event()
    old_ended_at = 0.0

    async def stubborn() -> None:
        nonlocal old_ended_at
        try:
            ending.set()
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.2)
            old_ended_at = time.monotonic()

    new = Times()
    async with running() as scheduler:
        scheduler.put("job", seconds(3600), stubborn, soon=True)
        await ending.wait()
        scheduler.remove("job")
        assert "job" not in scheduler.jobs()
        scheduler.put("job", seconds(3600), new, soon=True)
        await until(lambda: new.starts)
    assert new.starts[0] >= old_ended_at > 0


async def test_a_job_may_remove_itself() -> None:
    async with running() as scheduler:
        done: list[str] = []

        async def once() -> None:
            scheduler.remove("once")
            await asyncio.sleep(0)
            done.append("whole")

        scheduler.put("once", seconds(0.05), once, soon=True)
        await asyncio.sleep(0.3)
    assert done == ["whole"]


async def test_stop_waits_for_what_runs_and_starts_nothing_more() -> None:
    cleaned_up = False

    async def run() -> None:
        nonlocal cleaned_up
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.1)
            cleaned_up = True

    later = Times()
    scheduler = Scheduler()
    scheduler.start()
    scheduler.put("run", seconds(60), run, soon=True)
    scheduler.put("later", seconds(0.05), later)
    await until(lambda: later.starts)
    assert scheduler.alive()
    scheduler.run_now("run")
    await scheduler.stop()
    assert cleaned_up
    assert not scheduler.alive()
    count = len(later.starts)
    scheduler.put("later", seconds(0.01), later, soon=True)
    scheduler.run_now("later")
    await asyncio.sleep(0.2)
    assert len(later.starts) == count
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("job ")] == []


@contextmanager
def apscheduler_on(clocks: Clocks) -> Iterator[None]:
    """APScheduler's own reading of the wall clock steps too, as it would after a settimeofday."""

    class Stepped(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            wall = clocks.now()
            return tz.fromutc(wall.replace(tzinfo=tz)) if tz is not None else wall.replace(tzinfo=None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(apscheduler.schedulers.base, "datetime", Stepped)
        yield


@pytest.mark.parametrize("step", [timedelta(hours=1), timedelta(hours=-1)])
async def test_a_stepped_wall_clock_neither_stops_nor_piles_up(step: timedelta) -> None:
    clocks = Clocks()
    every = [Times() for _ in range(50)]
    with capture_logs() as logs, apscheduler_on(clocks):
        async with running(now=clocks.now, monotonic=clocks.monotonic) as scheduler:
            for n, times in enumerate(every):
                scheduler.put(f"job {n}", seconds(0.25), times)
            await asyncio.sleep(0.6)
            clocks.wall_step = step
            assert all(
                timedelta(0) < view.next_run - clocks.now() + seconds(0.05) < seconds(0.35)
                for view in scheduler.jobs().values()
            )
            await asyncio.sleep(1.4)
            assert scheduler.alive()
    for times in every:
        assert all(abs(gap - 0.25) < 0.06 for gap in times.gaps)
        assert 7 <= len(times.starts) <= 9
    stepped = [entry for entry in logs if entry["event"] == "clock_stepped"]
    assert [round(entry["seconds"]) for entry in stepped] == [step.total_seconds()]


async def test_after_a_long_gap_what_was_missed_runs_once_in_a_line() -> None:
    clocks = Clocks()
    hourly = [Times() for _ in range(40)]
    often = [Times() for _ in range(40)]
    with capture_logs() as logs:
        async with running(now=clocks.now, monotonic=clocks.monotonic) as scheduler:
            for n in range(40):
                scheduler.put(f"hourly {n}", seconds(3600), hourly[n])
                scheduler.put(f"often {n}", seconds(0.5), often[n])
            clocks.gap = 2 * 3600.0
            begun = time.monotonic()
            await asyncio.sleep(1.9)
            assert scheduler.alive()
    assert all(len(times.starts) == 1 for times in hourly)
    assert all(3 <= len(times.starts) <= 5 for times in often)
    starts = Counter(int((start - begun) * 10) for times in hourly for start in times.starts)
    assert max(starts.values()) <= 10
    assert "schedule_stood_still" in {entry["event"] for entry in logs}


async def test_a_crowd_that_is_due_at_once_never_holds_the_loop() -> None:
    count = 3000
    done = 0
    longest = 0.0

    async def run() -> None:
        nonlocal done
        done += 1

    async def watch() -> None:
        nonlocal longest
        while True:
            before = time.monotonic()
            await asyncio.sleep(0)
            longest = max(longest, time.monotonic() - before)

    async with running(starts_per_turn=16) as scheduler:
        for n in range(count):
            scheduler.put(f"job {n}", seconds(3600), run)
        await asyncio.sleep(0)
        for n in range(count):
            scheduler.run_now(f"job {n}")
        watcher = asyncio.create_task(watch())
        await until(lambda: done >= count)
        watcher.cancel()
    assert done == count
    assert longest < 0.05


async def test_at_most_so_many_runs_start_in_one_turn() -> None:
    started = 0
    most = 0

    async def run() -> None:
        nonlocal started
        started += 1

    async with running(starts_per_turn=4) as scheduler:
        for n in range(100):
            scheduler.put(f"job {n}", seconds(3600), run)
            scheduler.run_now(f"job {n}")
        while started < 100:
            before = started
            await asyncio.sleep(0)
            most = max(most, started - before)
    assert most <= 4


async def test_ten_thousand_jobs_each_keep_their_own_period() -> None:
    lags: list[float] = []
    counts: Counter[int] = Counter()

    def job(n: int) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            counts[n] += 1

        return run

    async with running(on_lag=lags.append) as scheduler:
        for n in range(10_000):
            scheduler.put(f"api_key:{n}/chat", seconds(30), job(n), jitter=0.1)
        await asyncio.sleep(0.3)  # what fell due while they were put
        lags.clear()
        # From here on: on a slow machine those that are put last miss a second of the first ones' time.
        before, begun = counts.total(), time.monotonic()
        await asyncio.sleep(2.7)
        ran, taken = counts.total() - before, time.monotonic() - begun
    assert ran / taken == pytest.approx(10_000 / 30, rel=0.15)
    assert max(counts.values()) == 1
    assert sorted(lags)[len(lags) // 2] < 0.05
