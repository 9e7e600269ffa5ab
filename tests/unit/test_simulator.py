"""The simulator is believed only as far as it agrees with what is known."""

import random

import pytest

from monitor.domain.policy import Policy
from tests.simulator.checkers import Counting
from tests.simulator.ours import Ours
from tests.simulator.story import DAY, Figures, measure
from tests.simulator.worlds import WORLDS

DAYS = 1.0


def figures(name: str, checker: Ours | Counting) -> Figures:
    world = WORLDS[name](random.Random(5), DAYS)
    return measure(world, checker.run(world, DAYS * DAY, 5), DAYS)


def test_noise_moves_nobody_under_our_policy_and_many_under_one_failure() -> None:
    assert figures("noise 1 %", Ours(Policy())).false_a_day == 0
    assert figures("noise 1 %", Counting(fall=1, rise=1)).false_a_day > 10


def test_an_outage_is_left_within_the_spans_of_the_policy() -> None:
    found = figures("outage 15 min, refused", Ours(Policy()))
    assert found.switch_p50 is not None
    assert 30 <= found.switch_p50 <= 54
    assert found.switch_p99 is not None
    assert found.switch_p99 <= 80
    assert found.back_p50 is not None
    assert found.back_p50 >= 300


def test_nothing_is_left_while_nobody_else_is_well() -> None:
    found = figures("both out at once", Ours(Policy()))
    assert found.sick_minutes_a_day < 1
    assert found.stranded_minutes_a_day > 20


@pytest.mark.parametrize("name", ["restart within outage", "restart, clock 1 h back"])
def test_a_restart_within_an_outage_only_delays(name: str) -> None:
    found = figures(name, Ours(Policy()))
    assert found.false_a_day == 0
    assert found.switch_p99 is not None
    assert found.switch_p99 <= 120
