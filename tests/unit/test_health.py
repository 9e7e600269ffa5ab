from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.domain.application_status import (
    ApplicationStatus,
    HealthWarning,
    application_status,
    warnings,
    worst,
)
from monitor.domain.eligibility import Block, blocking_run, blocks, demoting_limit, eligible_from, is_eligible
from monitor.domain.health import Health, HealthState, expect, expire, fall, is_stale, window_failures
from monitor.domain.observe import RUN_LENGTH, USUAL_LATENCY_SAMPLES, observe
from monitor.domain.outcome import VOTES, Outcome, Vote
from monitor.domain.target import ProbeKind
from tests.unit.build import AUTH, FAIL, MARK, OK, POLICY, at, every, observed, result, seconds

UP, DOWN, UNKNOWN = HealthState.UP, HealthState.DOWN, HealthState.UNKNOWN
LIMITED, BUSY, LOADING = Outcome.RATE_LIMITED, Outcome.BUSY, Outcome.STARTING
FAILURES = (Outcome.UNREACHABLE, Outcome.TIMEOUT, Outcome.SERVER_ERROR, Outcome.BAD_RESPONSE)
SILENT = (Outcome.INDETERMINATE, Outcome.PROBE_INVALID)


def blocked(health: Health, second: float) -> frozenset[Block]:
    return blocks(health, at(second), POLICY)


def eligible(health: Health, second: float) -> bool:
    return is_eligible(health, at(second), POLICY)


# From an outcome to its vote


def test_every_outcome_has_its_vote() -> None:
    by_vote = {vote: {outcome for outcome, one in VOTES.items() if one is vote} for vote in Vote}
    assert set(VOTES) == set(Outcome)
    assert by_vote == {
        Vote.PASS: {Outcome.OK},
        Vote.FAILURE: set(FAILURES),
        Vote.BLOCK: {Outcome.AUTH_FAILED, Outcome.QUOTA_EXHAUSTED, Outcome.MODEL_MISSING},
        Vote.LIMIT: {Outcome.RATE_LIMITED},
        Vote.STARTING: {Outcome.STARTING},
        Vote.NONE: {Outcome.BUSY, Outcome.PROBE_INVALID, Outcome.INDETERMINATE},
    }


@pytest.mark.parametrize("outcome", FAILURES)
def test_each_kind_of_failure_counts(outcome: Outcome) -> None:
    assert observed(*every(20, [OK, outcome, outcome, outcome])).state is DOWN


@pytest.mark.parametrize("outcome", [one for one in Outcome if one not in FAILURES and one is not LOADING])
def test_what_is_no_failure_never_makes_down(outcome: Outcome) -> None:
    assert observed(*every(30, [OK] + [outcome] * 50)).state is UP


# Fall


def test_three_failures_over_thirty_seconds_make_down() -> None:
    health = observed((0, OK), (30, FAIL), (45, FAIL), (60, FAIL))
    assert health.state is DOWN
    assert health.since == at(61)
    assert [one.started_at for one in health.fell_on] == [at(30), at(45), at(60)]


def test_what_it_fell_on_stays_while_it_is_down() -> None:
    down = observed(*every(30, [OK, FAIL, FAIL, FAIL]))
    later = observed(*every(60, [FAIL] * 30, 200), onto=down)
    assert (later.state, later.since, later.fell_on) == (DOWN, down.since, down.fell_on)


def test_three_failures_within_less_than_thirty_seconds_are_one_blip() -> None:
    health = observed((0, OK), (30, FAIL), (40, FAIL), (59.9, FAIL))
    assert health.state is UP
    assert observed((60, FAIL), onto=health).state is DOWN


def test_the_thirty_seconds_begin_at_the_end_of_the_first_failure() -> None:
    slow = result(30, FAIL, took=20)
    assert observed((0, OK), slow, (55, FAIL), (65, FAIL)).state is UP
    assert observed((0, OK), slow, (55, FAIL), (79, FAIL)).state is DOWN


def test_two_failures_never_make_down_however_far_apart() -> None:
    assert observed((0, OK), (30, FAIL), (3000, FAIL)).state is UP


def test_a_pass_ends_the_streak() -> None:
    assert observed(*every(30, [OK, FAIL, FAIL, OK, FAIL, FAIL])).state is UP


@pytest.mark.parametrize("outcome", [BUSY, LIMITED, LOADING, *SILENT])
def test_what_does_not_vote_does_not_end_the_streak(outcome: Outcome) -> None:
    assert observed(*every(30, [OK, FAIL, FAIL, outcome, FAIL])).state is DOWN


def test_an_unknown_one_falls_like_any_other() -> None:
    assert observed((0, FAIL), (20, FAIL)).state is UNKNOWN
    assert observed((0, FAIL), (20, FAIL), (40, FAIL)).state is DOWN


def test_a_sixth_failure_in_a_full_window_makes_down() -> None:
    """A 30 % brownout never shows three in a row."""
    brownout = [OK] * 5 + [FAIL, OK, OK] * 5
    risen = observed((0, OK))
    health = observed(*every(30, brownout, 30), onto=risen)
    assert health.state is UP
    assert window_failures(health, POLICY) == 5
    health = observed((700, FAIL), onto=health)
    assert health.state is DOWN
    assert len(health.fell_on) == 6


def test_only_a_failure_pulls_the_window_down() -> None:
    health = replace(observed((0, OK)), since=at(-1))
    health = observed(*every(30, [FAIL, FAIL, OK] * 3 + [OK] * 10, 30), onto=health)
    assert (len(health.window), window_failures(health, POLICY), health.state) == (20, 6, UP)
    assert fall(health.window, POLICY) == ()


def test_a_full_window_with_less_than_six_failures_makes_nothing_down() -> None:
    health = observed(*every(30, [OK] * 25 + [FAIL]))
    assert (len(health.window), health.state) == (20, UP)
    health = observed(*every(30, [OK, FAIL] * 4, 1000), onto=health)
    assert (window_failures(health, POLICY), health.state) == (5, UP)


@pytest.mark.parametrize("outcome", [OK, FAIL])
def test_no_more_than_a_window_is_kept(outcome: Outcome) -> None:
    assert len(observed(*every(30, [outcome] * 40)).window) == POLICY.window


def test_a_window_that_a_new_policy_shortens_counts_as_it_wants_at_once() -> None:
    """What was kept under the old one is longer."""
    window = observed(*every(30, [FAIL] * 3 + [OK] * 3 + [FAIL])).window
    short = replace(POLICY, fall=9, window=4, window_failures=2)
    assert fall(window, short) == ()
    assert len(fall(window[:3] + window[-1:], short)) == 4
    assert window_failures(Health(fingerprint=MARK, window=window), short) == 1


def test_six_failures_in_a_window_that_is_not_full_do_not_make_down() -> None:
    health = observed(*every(30, [OK, *([FAIL, FAIL, OK] * 6)]))
    assert (len(health.window), window_failures(health, POLICY), health.state) == (19, 12, UP)


def test_what_made_it_down_once_is_spent_when_it_has_risen() -> None:
    health = observed(*every(60, [OK, *([FAIL] * 30), OK, OK]))
    assert (health.state, window_failures(health, POLICY)) == (UP, 18)
    health = observed((3000, FAIL), (3060, FAIL), onto=health)
    assert health.state is UP
    assert observed((3120, FAIL), onto=health).state is DOWN


def test_after_a_rise_a_full_window_of_its_own_speaks_again() -> None:
    health = observed(*every(60, [OK, FAIL, FAIL, FAIL, OK, OK]))
    own = [FAIL, OK, OK] * 6 + [OK]
    health = observed(*every(30, own, 1000), onto=health)
    assert health.state is UP
    assert observed((3000, FAIL), onto=health).state is DOWN


def test_results_that_come_very_fast_still_fall_by_the_window() -> None:
    assert observed(*every(1.2, [OK, *([FAIL] * 20)])).state is DOWN


def test_fall_counts_only_what_began_after_an_instant() -> None:
    window = observed(*every(20, [FAIL] * 4)).window
    assert len(fall(window, POLICY)) == 4
    assert len(fall(window, POLICY, after=at(0))) == 3
    assert fall(window, POLICY, after=at(20)) == ()
    assert fall((), POLICY) == ()


# Rise


def test_one_pass_raises_an_unknown_one() -> None:
    health = observed((0, OK))
    assert (health.state, health.since, health.eligible_since) == (UP, at(1), at(1))
    assert health.passes == 1


def test_two_passes_in_a_row_raise_one_that_is_down() -> None:
    down = observed(*every(30, [OK, FAIL, FAIL, FAIL]))
    once = observed((200, OK), onto=down)
    assert (once.state, len(once.fell_on)) == (DOWN, 3)
    twice = observed((210, OK), onto=once)
    assert (twice.state, twice.since, twice.fell_on) == (UP, at(211), ())


@pytest.mark.parametrize("outcome", [FAIL, AUTH, LOADING])
def test_two_passes_with_something_against_it_between_them_raise_nothing(outcome: Outcome) -> None:
    down = observed(*every(30, [OK, FAIL, FAIL, FAIL]))
    third = observed((200, OK), (210, outcome), (220, OK), onto=down)
    assert third.state is DOWN
    assert observed((230, OK), onto=third).state is UP


@pytest.mark.parametrize("outcome", [BUSY, *SILENT])
def test_what_does_not_vote_does_not_end_a_rise(outcome: Outcome) -> None:
    down = observed(*every(30, [OK, FAIL, FAIL, FAIL]))
    assert observed((200, OK), (210, outcome), (220, OK), onto=down).state is UP


# Blocks


@pytest.mark.parametrize(("outcome", "block"), [(AUTH, Block.AUTH), (Outcome.QUOTA_EXHAUSTED, Block.QUOTA)])
def test_key_and_quota_block_on_the_second_at_least_ten_seconds_after_the_first(
    outcome: Outcome, block: Block
) -> None:
    once = observed((0, OK), (30, outcome))
    assert blocked(once, 31) == frozenset()
    assert blocked(observed((39.9, outcome), onto=once), 41) == frozenset()
    twice = observed((40, outcome), onto=once)
    assert blocked(twice, 41) == {block}
    assert twice.state is UP
    assert not eligible(twice, 41)


def test_a_missing_model_blocks_on_the_second_at_once() -> None:
    health = observed((0, OK), (30, Outcome.MODEL_MISSING), (30.5, Outcome.MODEL_MISSING))
    assert blocked(health, 32) == {Block.MODEL_MISSING}


def test_blocks_of_different_kinds_do_not_add_up() -> None:
    assert blocked(observed((0, OK), (30, AUTH), (60, Outcome.QUOTA_EXHAUSTED)), 61) == frozenset()


def test_a_block_stands_whatever_else_is_refused_after_it() -> None:
    health = observed((0, OK), (30, AUTH), (40, AUTH), (50, LIMITED), (60, Outcome.QUOTA_EXHAUSTED))
    assert blocked(health, 61) == {Block.AUTH, Block.RATE_LIMITED}


def test_a_pass_lifts_every_block() -> None:
    health = observed((0, OK), (30, AUTH), (40, AUTH), (50, LIMITED), (60, LOADING), (90, OK))
    assert blocked(health, 91) == frozenset()
    assert health.eligible_since == at(91)


def test_a_block_counts_only_what_began_after_an_instant() -> None:
    health = observed((0, AUTH), (30, AUTH), (60, AUTH))
    assert len(blocking_run(health, AUTH, POLICY)) == 3
    assert len(blocking_run(health, AUTH, POLICY, after=at(0))) == 2
    assert blocking_run(health, AUTH, POLICY, after=at(30)) == ()


def test_a_long_run_keeps_its_first_and_does_not_grow() -> None:
    for length in (RUN_LENGTH, RUN_LENGTH + 1, RUN_LENGTH + 2, 500):
        run = observed(*every(30, [AUTH] * length)).runs[AUTH]
        assert len(run) == RUN_LENGTH
        assert (run[0].started_at, run[-1].started_at) == (at(0), at((length - 1) * 30))


# Rate limits


def test_a_429_blocks_moves_onto_it_for_thirty_seconds_when_it_does_not_say() -> None:
    health = observed((0, OK), (30, LIMITED))
    assert blocked(health, 31) == {Block.RATE_LIMITED}
    assert blocked(health, 60.9) == {Block.RATE_LIMITED}
    assert blocked(health, 61) == frozenset()


def test_retry_after_says_how_long_a_429_blocks() -> None:
    health = observed((0, OK), result(30, LIMITED, retry_after=120))
    assert blocked(health, 150) == {Block.RATE_LIMITED}
    assert blocked(health, 151) == frozenset()


def test_the_last_429_says_how_long_it_blocks_from_its_own_end() -> None:
    health = observed((0, OK), result(30, LIMITED, retry_after=120), result(90, LIMITED, retry_after=200))
    assert blocked(health, 290) == {Block.RATE_LIMITED}
    assert blocked(health, 291) == frozenset()
    assert eligible_from(health, at(300), POLICY) == at(291)
    sooner = observed((0, OK), result(30, LIMITED, retry_after=200), result(90, LIMITED, retry_after=20))
    assert blocked(sooner, 111) == frozenset()
    assert eligible_from(sooner, at(112), POLICY) == at(111)


def test_a_retry_after_of_nothing_tells_nothing() -> None:
    assert blocked(observed((0, OK), result(30, LIMITED, retry_after=0)), 60) == {Block.RATE_LIMITED}


def test_an_endless_retry_after_blocks_and_does_not_crash() -> None:
    endless = result(30, LIMITED, retry_after=timedelta.max.total_seconds() / 2)
    health = observed((0, OK), endless)
    assert blocked(health, 31) == {Block.RATE_LIMITED}
    assert not eligible(health, 1e6)


def test_eligible_by_the_passing_of_time_counts_from_the_end_of_the_limit() -> None:
    health = observed((0, OK), result(30, LIMITED, retry_after=60))
    assert eligible_from(health, at(90), POLICY) is None
    assert eligible_from(health, at(91), POLICY) == at(91)
    assert eligible_from(health, at(200), POLICY) == at(91)
    busy = observed((150, BUSY), onto=health)
    assert eligible_from(busy, at(200), POLICY) == at(91)


def test_three_429s_over_two_minutes_are_reason_to_leave() -> None:
    assert demoting_limit(observed((0, OK), *every(60, [LIMITED] * 2, 30)), POLICY) == ()
    assert demoting_limit(observed((0, OK), *every(500, [LIMITED] * 2, 30)), POLICY) == ()
    assert demoting_limit(observed((0, OK), *every(59, [LIMITED] * 3, 30)), POLICY) == ()
    assert len(demoting_limit(observed((0, OK), *every(60, [LIMITED] * 3, 30)), POLICY)) == 3


def test_the_two_minutes_of_429s_lie_between_their_beginnings() -> None:
    begun = [result(when, LIMITED, took=10) for when in (0, 60, 119)]
    assert demoting_limit(observed(*begun), POLICY) == ()
    assert len(demoting_limit(observed(*begun[:2], result(120, LIMITED, took=10)), POLICY)) == 3


def test_a_pass_between_429s_forgives_them() -> None:
    assert demoting_limit(observed(*every(60, [LIMITED, LIMITED, OK, LIMITED])), POLICY) == ()


def test_one_429_that_asks_for_more_than_five_minutes_is_reason_to_leave() -> None:
    assert demoting_limit(observed(result(0, LIMITED, retry_after=300)), POLICY) == ()
    assert len(demoting_limit(observed(result(0, LIMITED, retry_after=301)), POLICY)) == 1
    last = observed((0, LIMITED), result(10, LIMITED, retry_after=301))
    assert [one.started_at for one in demoting_limit(last, POLICY)] == [at(10)]
    assert demoting_limit(observed(result(0, LIMITED, retry_after=301), (10, LIMITED)), POLICY) == ()


def test_429s_from_before_an_instant_are_no_reason() -> None:
    health = observed(*every(60, [LIMITED] * 3))
    assert demoting_limit(health, POLICY, after=at(0)) == ()
    assert demoting_limit(health, POLICY, after=at(500)) == ()
    assert len(demoting_limit(health, POLICY, after=at(-1))) == 3


def test_a_429_is_no_failure_and_no_demoting_block() -> None:
    health = observed(*every(60, [OK] + [LIMITED] * 40))
    assert (health.state, window_failures(health, POLICY)) == (UP, 0)
    assert application_status(health, frozenset(), at(40 * 60 + 1), POLICY) is ApplicationStatus.DEGRADED


# Starting


def test_loading_is_no_failure_for_five_minutes() -> None:
    health = observed((0, OK), *every(10, [LOADING] * 30, 30))
    assert (health.state, health.starting_since) == (UP, at(30))
    assert blocked(health, 330) == {Block.STARTING}
    assert not eligible(health, 330)


def test_loading_for_longer_than_five_minutes_is_a_failure() -> None:
    health = observed((0, OK), *every(10, [LOADING] * 40, 30))
    assert health.state is DOWN
    assert health.fell_on[0].started_at == at(330)
    last = observed((30, LOADING), (329, LOADING)).last
    assert last is not None
    assert last.counts_as is Vote.FAILURE


def test_loading_that_counts_as_a_failure_is_loading_still() -> None:
    """Also where the policy grants it no time at all."""
    health = observe(observed((0, OK)), result(30, LOADING), replace(POLICY, starting_grace=seconds(0)))
    assert health.last is not None
    assert health.last.counts_as is Vote.FAILURE
    assert blocked(health, 31) == {Block.STARTING}


def test_a_pass_ends_the_loading_and_its_grace() -> None:
    health = observed((0, LOADING), (290, OK), (300, LOADING), (330, LOADING))
    assert (health.state, health.starting_since) == (UP, at(300))


# Eligible


def test_eligible_is_up_without_block_fresh_and_with_less_than_six_failures() -> None:
    fine = observed((0, OK), interval=30)
    assert eligible(fine, 10)
    assert not eligible(Health(fingerprint=MARK), 10)
    assert not eligible(observed(*every(30, [OK, FAIL, FAIL, FAIL])), 100)
    assert not eligible(observed((5, LIMITED), onto=fine), 10)
    assert not eligible(fine, 200)


def test_six_failures_in_the_last_twenty_bar_a_move_onto_it_until_they_leave_the_window() -> None:
    health = observed(*every(60, [OK, *([FAIL] * 6), OK, OK]))
    assert (health.state, health.eligible_since) == (UP, None)
    health = observed(*every(30, [OK] * 12, 600), onto=health)
    assert (window_failures(health, POLICY), health.eligible_since) == (6, None)
    health = observed((1000, OK), onto=health)
    assert health.eligible_since == at(1001)


def test_one_that_a_milder_policy_made_eligible_is_so_from_now_on() -> None:
    """No result has said so yet."""
    strict = replace(POLICY, window_failures=1)
    shaky = observed((0, OK), (30, FAIL), policy=strict)
    assert (shaky.eligible_since, eligible_from(shaky, at(900), strict)) == (None, None)
    assert eligible_from(shaky, at(900), POLICY) == at(900)


def test_eligible_since_stays_while_it_is_eligible_and_ends_with_it() -> None:
    health = observed(*every(30, [OK, OK, FAIL, OK]))
    assert health.eligible_since == at(1)
    assert observed((200, LIMITED), onto=health).eligible_since is None


# Stale


def test_a_belief_is_stale_after_three_intervals_and_a_timeout() -> None:
    health = observed((0, OK), interval=30)
    assert health.stale_at == at(1 + 90 + 20)
    assert not is_stale(health, at(110.9))
    assert is_stale(health, at(111))


def test_a_stale_belief_is_none_and_its_old_results_are_no_evidence() -> None:
    down = observed(*every(30, [OK, FAIL, FAIL, FAIL]), (120, AUTH), (130, AUTH), interval=30)
    gone = expire(down, at(1000))
    assert (gone.state, gone.window, gone.fell_on, gone.passes) == (UNKNOWN, (), (), 0)
    assert blocks(gone, at(1000), POLICY) == frozenset()
    assert gone.since == down.stale_at
    assert (gone.eligible_since, gone.stale_at) == (None, None)
    assert expire(gone, at(2000)) == gone
    up = observed((0, OK), (30, LOADING), interval=30)
    assert expire(up, at(1000)).starting_since is None
    assert expire(observed((0, OK), interval=30), at(1000)).eligible_since is None


def test_a_belief_expires_at_the_very_instant_that_it_is_stale() -> None:
    health = observed((0, OK), interval=30)
    assert expire(health, at(111)).state is UNKNOWN
    assert observed((111, FAIL), (126, FAIL), (141, FAIL), onto=health).state is DOWN


def test_one_that_was_unknown_is_no_more_unknown_for_going_stale() -> None:
    gone = expire(observed((0, OK), interval=30), at(1000))
    again = observed((2000, FAIL), onto=gone, interval=30)
    assert (again.state, again.since) == (UNKNOWN, at(111))
    assert expire(again, at(9000)).since == at(111)


def test_a_fresh_belief_does_not_expire() -> None:
    health = observed((0, OK), interval=30)
    assert expire(health, at(110)) is health
    assert expire(health, at(-500)) is health


def test_a_result_after_the_silence_starts_from_nothing() -> None:
    stale = observed(*every(30, [OK, FAIL, FAIL]), interval=30)
    health = observed((1000, FAIL), onto=stale)
    assert (health.state, len(health.window)) == (UNKNOWN, 1)
    assert observed((1000, OK), onto=stale).state is UP


def test_a_silence_is_measured_to_the_start_of_the_next_probe() -> None:
    """A slow probe must not age its own target."""
    health = observed(*every(30, [OK, FAIL, FAIL]), interval=30)
    assert observed(result(170, FAIL, took=130), onto=health).state is DOWN


def test_results_without_a_verdict_keep_no_belief_alive() -> None:
    health = observed((0, OK), interval=30)
    for second in range(30, 330, 30):
        health = expect(observe(health, result(second, Outcome.INDETERMINATE), POLICY), seconds(30), POLICY)
    assert is_stale(health, at(330))


def test_a_shorter_interval_never_shortens_what_a_belief_has() -> None:
    health = observed((0, OK), interval=300)
    assert expect(health, seconds(30), POLICY) is health
    assert expect(health, seconds(600), POLICY).stale_at == at(1 + 1800 + 20)


def test_a_new_result_is_waited_for_at_the_interval_of_now() -> None:
    slow = observed((0, OK), interval=300)
    assert observed((50, OK), onto=slow, interval=30).stale_at == at(51 + 90 + 20)


def test_a_targets_own_timeout_is_waited_for() -> None:
    assert expect(observed((0, OK)), seconds(30), POLICY, seconds(130)).stale_at == at(1 + 90 + 130)


def test_nothing_is_expected_of_what_was_never_probed() -> None:
    health = Health(fingerprint=MARK)
    assert expect(health, seconds(30), POLICY) is health
    assert not is_stale(health, at(1e6))


# The order of results


def test_a_result_of_another_fingerprint_changes_nothing() -> None:
    health = observed((0, OK))
    assert observe(health, result(30, FAIL, fingerprint="other"), POLICY) is health
    light = result(30, FAIL, kind=ProbeKind.LIGHT, fingerprint="other")
    assert observe(health, light, POLICY) is health


def test_an_older_or_equal_result_changes_nothing() -> None:
    health = observed((30, OK))
    assert observe(health, result(30, FAIL), POLICY) is health
    assert observe(health, result(29, FAIL), POLICY) is health


def test_a_result_without_a_verdict_moves_the_order_on_and_nothing_else() -> None:
    health = observed((0, OK), (30, FAIL))
    for outcome in SILENT:
        assert observe(health, result(60, outcome), POLICY) == replace(health, last_started_at=at(60))


def test_light_results_have_an_order_of_their_own_and_only_warn() -> None:
    health = observed((100, OK))
    seen = observe(health, result(50, FAIL, kind=ProbeKind.LIGHT), POLICY)
    assert seen == replace(health, light_started_at=at(50), light_outcome=FAIL)
    assert observe(seen, result(49, OK, kind=ProbeKind.LIGHT), POLICY) is seen
    assert observe(seen, result(50, OK, kind=ProbeKind.LIGHT), POLICY) is seen


# Warnings and the application's word


@pytest.mark.parametrize("outcome", [*FAILURES, AUTH, Outcome.QUOTA_EXHAUSTED, Outcome.MODEL_MISSING])
def test_a_light_failure_warns(outcome: Outcome) -> None:
    health = observe(observed((0, OK)), result(5, outcome, kind=ProbeKind.LIGHT), POLICY)
    assert warnings(health, at(6), POLICY) == {HealthWarning.LIGHT_FAILING}
    assert application_status(health, frozenset(), at(6), POLICY) is ApplicationStatus.DEGRADED
    health = observe(health, result(15, OK, kind=ProbeKind.LIGHT), POLICY)
    assert warnings(health, at(16), POLICY) == frozenset()


def test_busy_warns_until_the_next_verdict() -> None:
    health = observed((0, OK), (30, BUSY))
    assert warnings(health, at(31), POLICY) == {HealthWarning.BUSY}
    assert warnings(observed((60, OK), onto=health), at(61), POLICY) == frozenset()


def test_loading_warns() -> None:
    assert warnings(observed((0, OK), (30, LOADING)), at(31), POLICY) == {HealthWarning.STARTING}


def test_a_429_warns_until_something_passes() -> None:
    """It is probed every 60 s and asks for 30: between the two it is refused as much as before."""
    health = observed((0, OK), (30, LIMITED))
    assert warnings(health, at(31), POLICY) == {HealthWarning.RATE_LIMITED}
    assert warnings(health, at(80), POLICY) == {HealthWarning.RATE_LIMITED}
    assert warnings(observed((90, OK), onto=health), at(91), POLICY) == frozenset()


def test_slow_is_more_than_three_times_its_own_usual_latency() -> None:
    usual = observed(*(result(index * 30, latency_seconds=1.0) for index in range(40)))
    assert warnings(usual, at(1200), POLICY) == frozenset()
    slow = observed(*(result(1200 + index * 30, latency_seconds=9.0) for index in range(3)), onto=usual)
    assert warnings(slow, at(1300), POLICY) == {HealthWarning.SLOW}


def test_the_usual_latency_moves_slowly_and_the_recent_one_quickly() -> None:
    health = observed(result(0, latency_seconds=2.0), result(30, latency_seconds=12.0))
    assert (health.usual_latency_seconds, health.recent_latency_seconds) == (2.5, 7.0)
    assert health.latency_samples == 2
    assert observed((60, OK), onto=health).latency_samples == 2
    assert observed((60, OK), onto=health).usual_latency_seconds == 2.5


def test_three_times_its_usual_latency_is_not_yet_slow() -> None:
    health = replace(observed((0, OK)), latency_samples=USUAL_LATENCY_SAMPLES)
    for recent, warned in ((6.0, frozenset()), (6.01, {HealthWarning.SLOW})):
        seen = replace(health, usual_latency_seconds=2.0, recent_latency_seconds=recent)
        assert warnings(seen, at(1), POLICY) == warned


def test_nothing_is_warned_of_before_the_first_result() -> None:
    assert warnings(Health(fingerprint=MARK), at(0), POLICY) == frozenset()


def test_a_new_target_has_no_usual_latency_yet() -> None:
    few = [result(index * 30, latency_seconds=0.01) for index in range(USUAL_LATENCY_SAMPLES - 2)]
    assert warnings(observed(*few, result(2000, latency_seconds=60.0)), at(2001), POLICY) == frozenset()


def test_the_applications_word_for_each_belief() -> None:
    fine = observed((0, OK), interval=30)
    down = observed(*every(30, [OK, FAIL, FAIL, FAIL]))
    nothing = frozenset[Block]()
    assert application_status(Health(fingerprint=MARK), nothing, at(5), POLICY) is ApplicationStatus.UNKNOWN
    assert application_status(fine, nothing, at(5), POLICY) is ApplicationStatus.HEALTHY
    assert application_status(fine, nothing, at(500), POLICY) is ApplicationStatus.UNKNOWN
    assert application_status(down, nothing, at(100), POLICY) is ApplicationStatus.DOWN
    for block in (Block.MAINTENANCE, Block.GONE):
        assert application_status(fine, frozenset({block}), at(5), POLICY) is ApplicationStatus.DOWN
    refused = observed((10, AUTH), (20, AUTH), onto=fine)
    assert application_status(refused, nothing, at(21), POLICY) is ApplicationStatus.DOWN


def test_a_provider_with_several_targets_shows_the_worst() -> None:
    healthy, unknown, degraded, down = ApplicationStatus
    assert worst((healthy, down, degraded)) is down
    assert worst((healthy, unknown)) is unknown
    assert worst((unknown, degraded)) is degraded
    assert worst(()) is unknown


@pytest.mark.parametrize("outcome", [AUTH, Outcome.QUOTA_EXHAUSTED, Outcome.MODEL_MISSING])
def test_whatever_blocks_for_good_is_down_to_the_application(outcome: Outcome) -> None:
    refused = observed((0, OK), (10, outcome), (20, outcome))
    assert application_status(refused, frozenset(), at(21), POLICY) is ApplicationStatus.DOWN


# Properties

OUTCOMES = st.sampled_from(sorted(Outcome))
STEPS = st.sampled_from((0.5, 5.0, 10.0, 30.0, 60.0, 300.0))
HISTORIES = st.lists(st.tuples(STEPS, OUTCOMES), max_size=40)
FEW = settings(max_examples=25, deadline=None)
SAID = ("state", "window", "runs", "passes", "fell_on", "starting_since", "since", "usual_latency_seconds")


def spoken(health: Health) -> tuple[object, ...]:
    return tuple(getattr(health, name) for name in SAID)


def told(history: list[tuple[float, Outcome]]) -> list[tuple[float, Outcome]]:
    found, second = [], 0.0
    for step, outcome in history:
        second += step
        found.append((second, outcome))
    return found


@FEW
@given(HISTORIES)
def test_fewer_than_three_failures_never_make_down(history: list[tuple[float, Outcome]]) -> None:
    health, failures = Health(fingerprint=MARK), 0
    for one in told(history):
        health = observed(one, onto=health)
        failures += health.last is not None and health.last.counts_as is Vote.FAILURE
        if failures < POLICY.fall:
            assert health.state is not DOWN


@FEW
@given(HISTORIES)
def test_down_always_says_on_what(history: list[tuple[float, Outcome]]) -> None:
    health = Health(fingerprint=MARK)
    for one in told(history):
        health = observed(one, onto=health)
        assert (health.state is DOWN) == bool(health.fell_on)
        assert len(health.fell_on) == 0 or len({seen.result_id for seen in health.fell_on}) >= POLICY.fall
        assert all(seen.counts_as is Vote.FAILURE for seen in health.fell_on)
        assert len(health.window) <= POLICY.window


@FEW
@given(HISTORIES, OUTCOMES, st.floats(0, 4000))
def test_an_older_result_never_changes_anything(
    history: list[tuple[float, Outcome]], outcome: Outcome, back: float
) -> None:
    health = observed(*told(history))
    if health.last_started_at is not None:
        old = replace(result(0, outcome), started_at=health.last_started_at - seconds(back))
        assert observe(health, old, POLICY) is health


@FEW
@given(HISTORIES)
def test_no_belief_depends_on_results_without_a_vote(history: list[tuple[float, Outcome]]) -> None:
    whole = told(history)
    voting = [one for one in whole if VOTES[one[1]] is not Vote.NONE]
    assert spoken(observed(*whole)) == spoken(observed(*voting))


@FEW
@given(HISTORIES)
def test_eligible_since_is_set_exactly_while_it_is_eligible(history: list[tuple[float, Outcome]]) -> None:
    health = Health(fingerprint=MARK)
    for second, outcome in told(history):
        health = observed((second, outcome), onto=health)
        if outcome not in SILENT:
            assert (health.eligible_since is not None) == eligible(health, second + 1)


@FEW
@given(HISTORIES, st.floats(0, 1e6))
def test_a_clock_set_back_makes_no_age_negative(history: list[tuple[float, Outcome]], back: float) -> None:
    """Earlier than all that it has seen, a belief is neither stale nor out of its limits, nor lost."""
    health = observed(*told(history), interval=30)
    now = at(-back)
    assert expire(health, now) is health
    assert not is_stale(health, now)
    assert (Block.RATE_LIMITED in blocks(health, now, POLICY)) == bool(health.runs.get(LIMITED))
    since = eligible_from(health, now, POLICY)
    assert since is None or is_eligible(health, now, POLICY)


@FEW
@given(st.lists(st.tuples(st.floats(-600, 600), OUTCOMES), max_size=40))
def test_results_whose_end_lies_before_their_start_span_nothing(ends: list[tuple[float, Outcome]]) -> None:
    health = Health(fingerprint=MARK)
    for index, (took, outcome) in enumerate(ends):
        health = observed(result(index * 0.1, outcome, took=min(took, 0)), onto=health)
    assert not blocked(health, 4) & {Block.AUTH, Block.QUOTA}
    assert demoting_limit(health, POLICY) == ()


def test_a_clock_set_back_between_results_makes_their_span_nothing_and_no_less() -> None:
    eager = replace(POLICY, fall_span=seconds(0))
    back = [result(index, FAIL, took=10 - 5 * index) for index in range(3)]
    assert observed(*back, policy=eager).state is DOWN
