"""The clock that APScheduler is given, and what a schedule refuses."""

from datetime import UTC, datetime, timedelta

import pytest

from monitor.scheduling import Scheduler
from monitor.scheduling.engine import SteadyTime

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def nothing() -> None:
    """A run that does nothing."""


def test_now_in_the_steady_zone_is_the_monotonic_clock() -> None:
    seconds = 100.0
    zone = SteadyTime(START, lambda: seconds)
    assert datetime.now(zone).replace(tzinfo=UTC) == START
    seconds += 90
    assert datetime.now(zone).replace(tzinfo=UTC) == START + timedelta(seconds=90)
    assert datetime.now(zone).tzinfo is zone
    assert datetime.now(zone).astimezone(zone) == datetime.now(zone)
    assert datetime.now(zone).timestamp() == START.timestamp() + 90


def test_a_job_that_makes_no_grid_is_refused_and_not_kept() -> None:
    scheduler = Scheduler()
    with pytest.raises(ValueError, match="interval"):
        scheduler.put("job", timedelta(0), nothing)
    with pytest.raises(ValueError, match="jitter"):
        scheduler.put("job", timedelta(seconds=1), nothing, jitter=0.5)
    with pytest.raises(ValueError, match="past"):
        scheduler.put("job", timedelta(seconds=1), nothing, anchor_delay=timedelta(seconds=-1))
    assert not scheduler.run_now("job")


def test_a_schedule_that_was_not_started_is_not_alive() -> None:
    scheduler = Scheduler()
    scheduler.put("job", timedelta(seconds=1), nothing)
    assert not scheduler.alive()
    assert scheduler.jobs() == {}
    scheduler.remove("job")
    scheduler.remove("job")
