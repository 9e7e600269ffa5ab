from dataclasses import replace

import pytest

from monitor.domain.health import Health, Heard, expire
from monitor.domain.outcome import Outcome
from monitor.domain.reports import hear
from monitor.domain.schedule import Role, deep_interval, is_contested, light_interval, plan
from monitor.domain.target import Network, ProbeSettings, Target
from tests.unit.build import (
    AUTH,
    FAIL,
    MARK,
    OK,
    POLICY,
    A,
    B,
    C,
    at,
    every,
    observed,
    result,
    seconds,
    target,
)

LIMITED, BUSY, LOADING = Outcome.RATE_LIMITED, Outcome.BUSY, Outcome.STARTING
NOTHING = Health(fingerprint=MARK)
FINE = observed((0, OK))
DEAD = observed(*every(30, [OK, FAIL, FAIL, FAIL]))
REFUSED = observed((0, OK), (30, AUTH), (60, AUTH))


def interval(
    health: Health, role: Role = Role.SERVING, *, of: Target | None = None, second: float = 200
) -> float:
    return deep_interval(of or target(), role, health, at(second), POLICY).total_seconds()


@pytest.mark.parametrize(
    ("role", "wanted"),
    [(Role.SERVING, 30), (Role.RETURNING, 30), (Role.STANDBY, 300), (Role.STRANDED, 10)],
)
def test_the_interval_follows_what_a_target_does_for_its_purpose(role: Role, wanted: float) -> None:
    assert interval(FINE, role) == wanted
    assert interval(NOTHING, role) == wanted


def test_a_standby_that_loads_its_model_is_probed_once_an_hour() -> None:
    ollama = target(probe=ProbeSettings(slow_start=True))
    assert interval(FINE, Role.STANDBY, of=ollama) == 3600
    assert interval(FINE, Role.SERVING, of=ollama) == 30
    assert interval(FINE, Role.STRANDED, of=ollama) == 10


def test_a_rows_own_interval_wins_over_the_policys() -> None:
    own = target(probe=ProbeSettings(interval=seconds(120)))
    assert interval(FINE, Role.SERVING, of=own) == 120
    assert interval(FINE, Role.STANDBY, of=own) == 120
    assert interval(FINE, Role.STRANDED, of=own) == 10
    fast = target(probe=ProbeSettings(interval=seconds(5)))
    assert interval(observed((0, OK), (30, FAIL)), Role.SERVING, of=fast) == 5


@pytest.mark.parametrize("role", [Role.SERVING, Role.RETURNING, Role.STANDBY])
def test_a_streak_that_speaks_against_the_state_is_looked_at_every_ten_seconds(role: Role) -> None:
    assert interval(observed((0, OK), (30, FAIL)), role) == 10
    assert interval(observed((30, FAIL)), role) == 10
    assert interval(observed((0, OK), (30, AUTH)), role) == 10
    assert interval(observed((0, OK), (30, LOADING)), role) == 10
    assert interval(observed((200, OK), onto=DEAD), role) == 10


@pytest.mark.parametrize("silent", [BUSY, Outcome.INDETERMINATE, Outcome.PROBE_INVALID])
def test_a_result_without_a_vote_does_not_end_the_hurry(silent: Outcome) -> None:
    assert interval(observed((0, OK), (30, FAIL), (40, silent))) == 10
    assert interval(observed((0, OK), (30, AUTH), (40, silent))) == 10
    assert interval(observed((200, OK), (210, silent), onto=DEAD)) == 10


def test_a_limit_that_holds_does_not_hide_the_streak_behind_one_that_is_busy() -> None:
    assert interval(observed((0, OK), (30, FAIL), (40, LIMITED), (50, BUSY)), second=51) == 10


def test_a_failure_after_a_429_is_looked_at_like_any_other() -> None:
    assert interval(observed((0, OK), (30, LIMITED), (40, FAIL)), second=41) == 10


def test_loading_that_turns_busy_is_not_probed_as_rarely_as_a_block() -> None:
    assert interval(observed((0, OK), (30, LOADING), (40, BUSY)), second=41) == 30


def test_a_429_that_went_stale_is_no_reason_to_ask_more_or_less_often() -> None:
    stale = expire(observed((0, OK), (30, LIMITED), interval=30), at(1000))
    assert interval(stale, second=1000) == 30
    own = target(probe=ProbeSettings(interval=seconds(20)))
    assert interval(stale, of=own, second=1000) == 20


def test_nothing_in_hurry_without_a_streak() -> None:
    assert not is_contested(NOTHING, at(0), POLICY)
    for health in (
        FINE,
        observed((0, OK), (30, BUSY)),
        observed((0, OK), (30, FAIL), (40, OK)),
        DEAD,
        REFUSED,
        observed((200, OK), (210, LIMITED), onto=DEAD),
    ):
        assert not is_contested(health, at(200), POLICY)


def test_one_that_is_down_is_probed_every_minute() -> None:
    for role in (Role.SERVING, Role.RETURNING, Role.STANDBY):
        assert interval(DEAD, role) == 60
    assert interval(observed((200, BUSY), onto=DEAD)) == 60


@pytest.mark.parametrize("outcome", [AUTH, Outcome.QUOTA_EXHAUSTED, Outcome.MODEL_MISSING])
def test_one_that_is_blocked_is_probed_every_five_minutes(outcome: Outcome) -> None:
    blocked = observed((0, OK), (30, outcome), (60, outcome))
    assert interval(blocked) == 300
    assert interval(observed((70, BUSY), onto=blocked)) == 300
    assert interval(observed((70, FAIL), (90, outcome), onto=blocked)) == 300
    assert interval(observed(*every(10, [FAIL] * 4, 70), onto=blocked)) == 300
    assert interval(blocked, Role.STANDBY, of=target(probe=ProbeSettings(slow_start=True))) == 3600


def test_blocked_and_now_failing_is_a_new_streak() -> None:
    assert interval(observed((70, FAIL), onto=REFUSED)) == 10


@pytest.mark.parametrize("health", [DEAD, REFUSED])
def test_one_believed_unfit_that_an_operator_chose_is_looked_at_again_soon(health: Health) -> None:
    assert health.last is not None
    now = health.last.ended_at
    chosen = deep_interval(target(), Role.SERVING, health, now, POLICY, now)
    assert chosen == POLICY.recheck_interval
    before = deep_interval(target(), Role.SERVING, health, now, POLICY, at(-60))
    assert before > POLICY.recheck_interval


def chosen(health: Health, second: float, role: Role = Role.SERVING) -> float:
    """The interval some time later, when an operator chose who serves at that second."""
    return deep_interval(target(), role, health, at(500), POLICY, at(second)).total_seconds()


def test_only_the_one_that_serves_is_looked_at_again_for_the_operators_sake() -> None:
    assert chosen(DEAD, 100, Role.STANDBY) == 60
    assert chosen(REFUSED, 100, Role.RETURNING) == 300


def test_evidence_that_did_not_begin_after_the_choice_has_to_be_seen_again() -> None:
    for second in (30, 45, 100):
        assert chosen(DEAD, second) == 10
    assert chosen(DEAD, 29) == 60
    for second in (30, 45, 100):
        assert chosen(REFUSED, second) == 10
    assert chosen(REFUSED, 29) == 300


def test_a_fall_by_reports_from_before_the_choice_has_to_be_seen_again_though_its_probe_began_later() -> None:
    """What speaks against the one that was chosen began with the first failed request, not with the probe."""
    failed = result(100, FAIL)
    health = observed((0, OK), failed)
    assert health.last is not None
    together = Heard(probe=health.last, count=5, failures=5, first_at=at(95), last_at=at(101))
    down = hear(health, together, at(102))
    assert chosen(down, 97) == 10
    assert chosen(down, 95) == 10
    assert chosen(down, 94) == 60


def test_a_whole_fall_or_block_since_the_choice_ends_the_hurry() -> None:
    assert chosen(observed(*every(20, [FAIL] * 2, 120), onto=DEAD), 100) == 10
    assert chosen(observed(*every(20, [FAIL] * 3, 120), onto=DEAD), 100) == 60
    assert chosen(observed((120, AUTH), (140, AUTH), onto=REFUSED), 100) == 300
    quota = Outcome.QUOTA_EXHAUSTED
    assert chosen(observed((120, quota), (140, quota), onto=REFUSED), 100) == 300


def test_one_that_fell_since_the_choice_is_no_riddle_for_having_passed_once_in_between() -> None:
    assert chosen(observed((120, OK), (130, FAIL), onto=DEAD), -60) == 60


def test_nothing_has_to_be_seen_again_of_one_that_is_not_believed_unfit() -> None:
    assert chosen(FINE, 100) == 30
    assert chosen(NOTHING, 100) == 30
    assert chosen(observed((0, OK), (30, BUSY)), 100) == 30


def test_a_429_is_asked_at_most_every_minute() -> None:
    limited = observed((0, OK), (30, LIMITED))
    assert interval(limited, second=31) == 60
    assert interval(limited, Role.STANDBY, second=31) == 300
    assert interval(limited, Role.STRANDED, second=31) == 60
    assert interval(observed((200, OK), (210, LIMITED), onto=DEAD), second=211) == 60
    assert interval(observed((60, OK), onto=limited)) == 30


def test_when_nobody_serves_all_are_asked_every_ten_seconds_the_blocked_and_dead_too() -> None:
    for health in (FINE, DEAD, REFUSED, NOTHING):
        assert interval(health, Role.STRANDED) == 10


def test_light_probes_are_more_frequent_near_by() -> None:
    for network, wanted in ((Network.OFF_HOST, 30), (Network.LAN, 10), (Network.LOOPBACK, 10)):
        assert light_interval(target(network=network), POLICY).total_seconds() == wanted
    own = target(probe=ProbeSettings(light_interval=seconds(77)), network=Network.LAN)
    assert light_interval(own, POLICY).total_seconds() == 77


def test_the_plan_starts_changes_and_stops_what_differs_and_nothing_else() -> None:
    one, two, three = target(A), target(B), target(C)
    renamed = replace(two, name="renamed")
    found = plan({one.id: one, renamed.id: renamed}, {two.id: two, three.id: three})
    assert (found.start, found.change, found.stop) == ((one,), (renamed,), (three.id,))
    same = plan({one.id: one}, {one.id: target(A)})
    assert (same.start, same.change, same.stop) == ((), (), ())
