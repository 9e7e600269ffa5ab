"""What a report brings about in the daemon: a probe at once, but never many; a belief that falls or holds."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from monitor.domain.health import HealthState
from monitor.domain.outcome import Outcome
from monitor.domain.policy import Policy
from monitor.domain.reports import Report, ReportOutcome
from monitor.jobs.probe_target import Schedule
from tests.replay_world import PURPOSE, NoSchedule, World
from tests.unit.build import A, B

DEFAULT = replace(Policy(), start_grace=timedelta(0), jitter=0.0)


class Counting(NoSchedule):
    """Counts the deep probes that are brought forward."""

    def __init__(self) -> None:
        self.forward: list[str] = []

    def run_now(self, job: str) -> bool:
        self.forward.append(job)
        return True


@pytest.fixture
def world() -> World:
    """A is up and serves, B is up."""
    world = World(DEFAULT)
    for _ in range(2):
        for ref in (A, B):
            world.probe(ref, Outcome.OK)
        world.wait(30)
    return world


def counting(world: World) -> list[str]:
    schedule = Counting()
    world.probes._schedule = cast("Schedule", schedule)
    return schedule.forward


def shout(world: World, seconds: float, per_second: int = 10) -> None:
    for _ in range(int(seconds * per_second)):
        world.report(A, 1, 0, 0.0)
        world.wait(1 / per_second)


def state(world: World) -> HealthState:
    return world.beliefs.healths[world.id_of(A)].state


def test_a_failure_brings_the_next_deep_probe_forward_and_a_success_does_not(world: World) -> None:
    forward = counting(world)
    world.report(A, 0, 5, 0.0)
    assert forward == []
    world.report(A, 1, 0, 0.0)
    assert forward == [f"{world.id_of(A)}:deep"]


def test_however_loud_one_probe_comes_in_a_recheck_interval(world: World) -> None:
    forward = counting(world)
    shout(world, 60)
    assert len(forward) == 6
    assert state(world) is HealthState.UP
    assert world.moves == []


@pytest.mark.parametrize("outcome", [Outcome.AUTH_FAILED, Outcome.RATE_LIMITED, Outcome.SERVER_ERROR])
def test_one_that_is_down_blocked_or_limited_is_not_probed_before_its_time(
    outcome: Outcome, world: World
) -> None:
    for _ in range(4):
        world.probe(A, outcome, retry_after=300)
        world.wait(20)
    forward = counting(world)
    shout(world, 60)
    assert len(forward) <= 1


def test_when_probes_have_cost_enough_reports_bring_no_more(world: World) -> None:
    spending: Any = world.beliefs.spending
    spending.spent_usd[A] = 10.0
    spending.last_usd[world.id_of(A)] = 0.01
    forward = counting(world)
    shout(world, 120)
    assert len(forward) == 1


def test_reports_of_a_target_that_is_not_probed_change_nothing(world: World) -> None:
    world.vanish(A)
    world.report(A, 50, 0, 0.0)
    assert world.id_of(A) not in world.beliefs.healths


@pytest.mark.parametrize("first", ["probe", "reports"])
def test_whichever_comes_second_makes_the_fall(first: str, world: World) -> None:
    if first == "probe":
        world.probe(A, Outcome.SERVER_ERROR)
        world.wait(0.2)
        assert state(world) is HealthState.UP
        world.report(A, 5, 0, 0.0)
    else:
        world.report(A, 5, 0, 0.0)
        assert state(world) is HealthState.UP
        world.probe(A, Outcome.SERVER_ERROR)
        world.wait(0.2)
    assert state(world) is HealthState.DOWN


def test_reports_of_another_key_do_not_count_against_the_new_one(world: World) -> None:
    world.report(A, 5, 0, 0.0)
    world.change_key(A)
    world.probe(A, Outcome.SERVER_ERROR)
    world.wait(0.2)
    assert state(world) is not HealthState.DOWN


def test_a_report_from_a_clock_ahead_is_one_of_now(world: World) -> None:
    ahead = Report(at=world.now + timedelta(hours=1), outcome=ReportOutcome.TIMEOUT, source="x")
    world.reports.take(world.id_of(A), [ahead] * 5)
    world.probe(A, Outcome.SERVER_ERROR)
    world.wait(0.2)
    assert state(world) is HealthState.DOWN
    found = world.beliefs.healths[world.id_of(A)].heard
    assert found is not None
    assert found.last_at <= world.now
    assert PURPOSE in world.beliefs.purposes
