from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

import pytest

from monitor.domain.failover import decide, fallback_after, hold_for
from monitor.domain.failure import failure_of
from monitor.domain.health import Health, HealthState, expire
from monitor.domain.maintenance import Maintenance
from monitor.domain.outcome import Outcome
from monitor.domain.policy import Failback, Policy
from monitor.domain.search import obstacle
from monitor.domain.situation import Action, Candidate, Decision, Rule, Situation
from monitor.domain.target import ProviderRef, Purpose
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
    situation,
)

LIMITED, BUSY = Outcome.RATE_LIMITED, Outcome.BUSY
UP, DOWN = HealthState.UP, HealthState.DOWN


def now_of(given: Situation, second: float, policy: Policy = POLICY) -> Decision:
    return decide(given, at(second), policy)


def fine(last: float = 0, of: ProviderRef = B) -> Health:
    """Up and eligible since -999, with a last pass begun then."""
    return observed((-1000, OK), (last, OK), of=of)


def dead(of: ProviderRef = A) -> Health:
    """Down by failures that began at 100, 115 and 130."""
    return observed((0, OK), (100, FAIL), (115, FAIL), (130, FAIL), of=of)


def refused(of: ProviderRef = A) -> Health:
    """Blocked by its key at 100 and 110."""
    return observed((0, OK), (100, AUTH), (110, AUTH), of=of)


def said(decision: Decision) -> tuple[Action, Rule, ProviderRef | None]:
    return decision.action, decision.rule, decision.to


# 1 and 2: paused and pinned


@pytest.mark.parametrize("active", [dead(), refused(), None])
def test_a_paused_purpose_never_moves(active: Health | None) -> None:
    candidate = Candidate(ref=A, health=active, gone_since=at(100) if active is None else None)
    given = situation({A: candidate, B: fine(140)}, paused=True, pinned=True)
    assert said(now_of(given, 141)) == (Action.KEEP, Rule.PAUSED, None)


@pytest.mark.parametrize("active", [dead(), refused(), None])
def test_a_pin_holds_and_says_when_the_pinned_one_is_not_eligible(active: Health | None) -> None:
    given = situation({A: active, B: fine(140)}, pinned=True)
    decision = now_of(given, 141)
    assert said(decision) == (Action.KEEP, Rule.PINNED, None)
    assert "although" in decision.reason
    fit = now_of(situation({A: fine(), B: fine()}, pinned=True), 141)
    assert fit.reason == "ai_server:1 is pinned by an operator"


def test_a_pin_holds_against_a_return() -> None:
    given = situation({A: fine(5000), B: fine(5000)}, active=B, pinned=True)
    assert said(now_of(given, 5001)) == (Action.KEEP, Rule.PINNED, None)


# 3: fail_over


def test_one_that_is_down_is_left_for_one_that_passed_since_its_failure_began() -> None:
    decision = now_of(situation({A: dead(), B: fine(101)}), 131)
    assert said(decision) == (Action.MOVE, Rule.FAIL_OVER, B)
    assert decision.failure_began_at == at(100)
    assert decision.evidence == ("ai_server:1@100", "ai_server:1@115", "ai_server:1@130", "ai_server:2@101")


def test_a_pass_from_before_the_failure_qualifies_nobody() -> None:
    for last in (99, 100):
        decision = now_of(situation({A: dead(), B: fine(last)}), 131)
        assert said(decision) == (Action.QUALIFY, Rule.FAIL_OVER, B)
        assert decision.evidence == ("ai_server:1@100", "ai_server:1@115", "ai_server:1@130")
        assert decision.failure_began_at == at(100)


def test_one_that_goes_on_failing_is_left_for_one_that_passed_since_its_failure_began() -> None:
    """An act of before changes nothing of it: what it fell on is the failure, not what came after."""
    active = observed(*every(60, [FAIL] * 4, 190), onto=dead())
    for chosen in (None, 50):
        decision = now_of(situation({A: active, B: fine(101)}, chosen_at=chosen), 371)
        assert said(decision) == (Action.MOVE, Rule.FAIL_OVER, B)
        assert decision.evidence[:-1] == ("ai_server:1@100", "ai_server:1@115", "ai_server:1@130")


def test_one_that_is_blocked_is_left() -> None:
    decision = now_of(situation({A: refused(), B: fine(101)}), 111)
    assert said(decision) == (Action.MOVE, Rule.FAIL_OVER, B)
    assert len(decision.evidence) == 3
    assert "auth" in decision.reason


@pytest.mark.parametrize("outcome", [AUTH, Outcome.QUOTA_EXHAUSTED, Outcome.MODEL_MISSING])
def test_whatever_blocks_the_one_that_serves_is_a_reason_to_leave_it(outcome: Outcome) -> None:
    blocked = observed((0, OK), (100, outcome), (110, outcome))
    assert said(now_of(situation({A: blocked, B: fine(101)}), 111)) == (Action.MOVE, Rule.FAIL_OVER, B)
    assert said(now_of(situation({A: blocked, B: None}), 111)) == (Action.STRAND, Rule.CALL_FOR_HELP, None)


def test_one_that_is_gone_is_left_at_once_though_it_was_healthy() -> None:
    gone = Candidate(ref=A, health=fine(120, A), gone_since=at(130))
    assert said(now_of(situation({A: gone, B: fine(120)}), 131)) == (Action.QUALIFY, Rule.FAIL_OVER, B)
    assert said(now_of(situation({A: gone, B: fine(131)}), 132)) == (Action.MOVE, Rule.FAIL_OVER, B)


@pytest.mark.parametrize(
    "active",
    [
        Candidate(ref=A, health=fine(120, A), maintenance=Maintenance(since=at(101))),
        Candidate(ref=A, health=fine(120, A), gone_since=at(121)),
    ],
)
def test_one_that_is_out_with_nobody_eligible_calls_for_help(active: Candidate) -> None:
    given = situation({A: active, B: dead(B)})
    assert said(now_of(given, 150)) == (Action.STRAND, Rule.CALL_FOR_HELP, None)


@pytest.mark.parametrize(
    "active",
    [
        Candidate(ref=A, health=fine(120, A), maintenance=Maintenance(since=at(101))),
        Candidate(ref=A, health=fine(120, A), gone_since=at(121)),
    ],
)
def test_whoever_begins_to_decide_wants_a_pass_of_its_own_before_any_move(active: Candidate) -> None:
    """What a daemon before it chose, or saw go, does not make that daemon's passes fresh."""
    given = situation({A: active, B: fine(140)}, chosen_at=100, deciding_since=145)
    assert said(now_of(given, 146)) == (Action.QUALIFY, Rule.FAIL_OVER, B)
    fresh = situation({A: active, B: fine(146)}, chosen_at=100, deciding_since=145)
    assert said(now_of(fresh, 147)) == (Action.MOVE, Rule.FAIL_OVER, B)


def test_the_first_in_the_order_of_preference_is_taken() -> None:
    healths = {A: dead(), B: fine(140), C: fine(140, C)}
    assert now_of(situation(healths), 141).to == B
    assert now_of(situation(healths, preference=(A, C, B)), 141).to == C


def test_one_that_is_not_eligible_is_passed_over() -> None:
    for unfit in (
        None,
        Health(fingerprint=MARK),
        dead(B),
        refused(B),
        observed((140, OK), (145, LIMITED), of=B),
    ):
        assert now_of(situation({A: dead(), B: unfit, C: fine(140, C)}), 150).to == C
    for barred in (
        Candidate(ref=B, health=fine(140), maintenance=Maintenance(since=at(101))),
        Candidate(ref=B, health=fine(140), gone_since=at(1)),
        Candidate(ref=B, health=fine(140), same_space=None),
        Candidate(ref=B, health=fine(140), same_space=False),
    ):
        assert now_of(situation({A: dead(), B: barred, C: fine(140, C)}), 150).to == C


def test_one_that_fails_its_qualification_is_skipped_for_a_minute_and_the_next_is_tried() -> None:
    tried = observed((140, FAIL), onto=fine(0), of=B)
    healths = {A: dead(), B: tried, C: fine(0, C)}
    assert said(now_of(situation(healths), 141)) == (Action.QUALIFY, Rule.FAIL_OVER, C)
    assert said(now_of(situation(healths), 199.9)) == (Action.QUALIFY, Rule.FAIL_OVER, C)
    assert said(now_of(situation(healths), 200)) == (Action.QUALIFY, Rule.FAIL_OVER, B)
    passed = {A: dead(), B: tried, C: fine(150, C)}
    assert said(now_of(situation(passed), 151)) == (Action.MOVE, Rule.FAIL_OVER, C)


@pytest.mark.parametrize("outcome", [BUSY, Outcome.INDETERMINATE, Outcome.PROBE_INVALID])
def test_a_qualification_without_a_verdict_is_skipped_as_well(outcome: Outcome) -> None:
    tried = observed((140, outcome), onto=fine(0), of=B)
    healths = {A: dead(), B: tried, C: fine(0, C)}
    assert said(now_of(situation(healths), 141)) == (Action.QUALIFY, Rule.FAIL_OVER, C)
    assert said(now_of(situation(healths), 200)) == (Action.QUALIFY, Rule.FAIL_OVER, B)


@pytest.mark.parametrize("outcome", [FAIL, BUSY, Outcome.INDETERMINATE])
def test_help_is_called_when_the_only_one_left_does_not_qualify(outcome: Outcome) -> None:
    tried = observed((140, outcome), onto=fine(0), of=B)
    healths = {A: dead(), B: tried}
    assert said(now_of(situation(healths), 141)) == (Action.STRAND, Rule.CALL_FOR_HELP, None)
    passed = {A: dead(), B: observed((150, OK), onto=tried, of=B)}
    rescued = now_of(situation(passed, stranded_since=141), 151)
    assert (rescued.action, rescued.to) == (Action.MOVE, B)


def test_no_help_is_called_while_time_will_free_one_of_those_that_are_left() -> None:
    """The next one's failed qualification does not hide that the first is only too fresh."""
    healths = {A: dead(), B: fine(140), C: observed((140, FAIL), onto=fine(0, C), of=C)}
    decision = now_of(situation(healths, switches=[(90, B, A)]), 141)
    assert (said(decision), decision.wake_at) == ((Action.KEEP, Rule.FAIL_OVER, None), at(150))


def test_the_fallback_named_after_a_move_is_never_one_that_was_deleted() -> None:
    gone = Candidate(ref=A, health=None, gone_since=at(100))
    assert fallback_after(situation({A: gone, B: fine(140)}), B, at(150), POLICY) is None
    assert fallback_after(situation({A: dead(), B: fine(140)}), B, at(150), POLICY) == A


def test_never_back_within_a_minute_onto_one_that_was_left() -> None:
    given = situation({A: fine(140, A), B: dead(B)}, active=B, switches=[(90, A, B)])
    decision = now_of(given, 141)
    assert said(decision) == (Action.KEEP, Rule.FAIL_OVER, None)
    assert decision.wake_at == at(150)
    assert said(now_of(given, 149.9))[0] is Action.KEEP
    assert said(now_of(given, 150)) == (Action.MOVE, Rule.FAIL_OVER, A)


def test_the_gap_counts_from_the_last_time_that_it_was_left() -> None:
    switches = [(0, A, B), (30, B, A), (100, A, B)]
    given = situation({A: fine(140, A), B: dead(B)}, active=B, switches=switches)
    assert now_of(given, 141).wake_at == at(160)


def four(last: float = 60) -> list[tuple[float, ProviderRef, ProviderRef]]:
    return [(last - 900 + 300 * index, *((C, A) if index % 2 else (A, C))) for index in range(4)]


def test_from_the_fifth_switch_on_only_onto_one_that_has_been_eligible_for_a_minute() -> None:
    risen = observed((100, OK), (140, OK), of=B)
    assert risen.eligible_since == at(101)
    given = situation({A: dead(), B: risen}, switches=four())
    decision = now_of(given, 141)
    assert said(decision) == (Action.KEEP, Rule.FAIL_OVER, None)
    assert decision.wake_at == at(161)
    assert said(now_of(given, 161)) == (Action.MOVE, Rule.FAIL_OVER, B)
    assert said(now_of(replace(given, switches=given.switches[1:]), 141)) == (Action.MOVE, Rule.FAIL_OVER, B)


def test_switches_from_more_than_an_hour_ago_are_forgotten() -> None:
    given = situation({A: dead(), B: observed((101, OK), of=B)}, switches=four(last=-2700))
    assert said(now_of(given, 141)) == (Action.MOVE, Rule.FAIL_OVER, B)


def test_one_that_time_alone_made_eligible_serves_its_minute_too() -> None:
    """Its limit ended at 131: it is asked for a probe at 191, however long its own next one is away."""
    limited = observed(result(100, LIMITED, of=B), onto=fine(0), of=B)
    given = situation({A: dead(), B: limited}, switches=four())
    decision = now_of(given, 150)
    assert (said(decision), decision.wake_at) == ((Action.KEEP, Rule.FAIL_OVER, None), at(191))
    assert said(now_of(given, 191)) == (Action.QUALIFY, Rule.FAIL_OVER, B)


def test_one_that_answers_again_is_not_left_before_its_re_check() -> None:
    given = situation({A: observed((190, OK), onto=dead()), B: fine(140)})
    assert said(now_of(given, 191)) == (Action.KEEP, Rule.HOLD, None)
    again = situation({A: observed((190, OK), (200, FAIL), onto=dead()), B: fine(140)})
    assert said(now_of(again, 201)) == (Action.MOVE, Rule.FAIL_OVER, B)


def test_one_that_is_down_is_told_with_its_last_failure() -> None:
    down = observed((0, OK), (100, FAIL), (115, FAIL), (130, Outcome.TIMEOUT))
    decision = now_of(situation({A: down, B: fine(140)}), 141)
    assert decision.reason == "ai_server:1 is down: timeout"


def brownout() -> Health:
    """Down at 601 by six failures of twenty, the first of which began at 90."""
    return observed(*every(30, [OK, *([OK, OK, FAIL] * 5), OK, OK, OK, OK, FAIL]))


def test_a_failure_began_with_its_first_evidence_whatever_is_done_about_it() -> None:
    """What has to be passed again is asked for since the last failures only."""
    active, weak = brownout(), observed((600, OK), onto=dead(B), of=B)
    for given, action in (
        (situation({A: active, B: fine(50)}), Action.QUALIFY),
        (situation({A: active, B: fine(600)}), Action.MOVE),
        (situation({A: active, B: None}), Action.STRAND),
        (situation({A: active, B: weak}, stranded_since=599), Action.MOVE),
    ):
        decision = now_of(given, 601)
        assert (decision.action, decision.failure_began_at) == (action, at(90))


def test_a_failure_that_began_before_the_start_is_heeded_though_its_end_came_after_it() -> None:
    patient = replace(POLICY, start_grace=seconds(3600))
    given = situation({A: brownout(), B: fine(600)}, deciding_since=95)
    assert said(now_of(given, 601, patient)) == (Action.MOVE, Rule.FAIL_OVER, B)
    later = replace(given, deciding_since=at(90))
    assert said(now_of(later, 601, patient)) == (Action.KEEP, Rule.HOLD, None)


def test_a_brownout_is_left_for_one_that_passed_since_its_last_failures_began() -> None:
    active = brownout()
    assert active.state is DOWN
    first_of_last_three = [one.started_at for one in active.fell_on][-3]
    second = (first_of_last_three - at(0)).total_seconds()
    assert said(now_of(situation({A: active, B: fine(second)}), 601))[0] is Action.QUALIFY
    assert said(now_of(situation({A: active, B: fine(second + 1)}), 601))[0] is Action.MOVE


def test_no_warning_moves_anything() -> None:
    active = observed((0, OK), (100, BUSY), (130, BUSY), (160, BUSY))
    assert said(now_of(situation({A: active, B: fine(160)}), 161)) == (Action.KEEP, Rule.HOLD, None)


def test_one_of_which_nothing_is_known_is_not_left() -> None:
    for nothing in (None, Health(fingerprint=MARK), observed((100, FAIL), (110, FAIL))):
        assert said(now_of(situation({A: nothing, B: fine(160)}), 161)) == (Action.KEEP, Rule.HOLD, None)


# Rate limits


def test_a_lasting_rate_limit_is_left_for_one_that_is_eligible() -> None:
    active = observed((0, OK), *every(60, [LIMITED] * 3, 100))
    decision = now_of(situation({A: active, B: fine(230)}), 231)
    assert said(decision) == (Action.MOVE, Rule.FAIL_OVER, B)
    assert len(decision.evidence) == 4


def test_a_rate_limit_alone_calls_nobody_for_help() -> None:
    active = observed((0, OK), *every(60, [LIMITED] * 3, 100))
    assert said(now_of(situation({A: active, B: dead(B)}), 231)) == (Action.KEEP, Rule.HOLD, None)


def test_one_whose_limit_has_just_run_out_is_not_moved_onto_itself() -> None:
    active = observed((0, OK), *every(60, [LIMITED] * 3, 100))
    given = situation({A: active, B: fine(230)})
    assert obstacle(given, given.candidates[A], at(281), POLICY) is None
    assert said(now_of(given, 281)) == (Action.MOVE, Rule.FAIL_OVER, B)


def test_a_rate_limited_one_wakes_for_whoever_has_to_wait() -> None:
    active = observed((0, OK), *every(60, [LIMITED] * 3, 100))
    decision = now_of(situation({A: active, B: observed((225, FAIL), onto=fine(0), of=B)}), 231)
    assert said(decision) == (Action.KEEP, Rule.FAIL_OVER, None)
    assert decision.wake_at == at(285)


# 4: call_for_help


def test_when_nobody_is_eligible_the_purpose_is_stranded_and_keeps_its_pointer() -> None:
    decision = now_of(situation({A: dead(), B: dead(B)}), 131)
    assert said(decision) == (Action.STRAND, Rule.CALL_FOR_HELP, None)
    assert decision.failure_began_at == at(100)
    assert len(decision.evidence) == 3


def test_a_stranded_purpose_does_not_rotate() -> None:
    given = situation({A: dead(), B: dead(B), C: refused(C)}, stranded_since=131)
    assert said(now_of(given, 200)) == (Action.KEEP, Rule.CALL_FOR_HELP, None)


def test_the_first_fresh_pass_is_accepted_whatever_its_window_says() -> None:
    back = observed((140, OK), onto=dead(B), of=B)
    assert back.state is DOWN
    given = situation({A: dead(), B: back, C: dead(C)}, stranded_since=131)
    decision = now_of(given, 141)
    assert said(decision) == (Action.MOVE, Rule.CALL_FOR_HELP, B)
    assert decision.evidence[-1] == "ai_server:2@140"
    assert len(set(decision.evidence)) == 4


def test_a_pass_from_before_the_call_for_help_is_not_fresh() -> None:
    back = observed((140, OK), onto=dead(B), of=B)
    assert said(now_of(situation({A: dead(), B: back}, stranded_since=140), 141))[0] is Action.KEEP


def test_a_pass_that_went_stale_rescues_nobody() -> None:
    lapsed = expire(observed((140, OK), onto=dead(B), of=B, interval=10), at(500))
    assert lapsed.last is not None
    given = situation({A: dead(), B: lapsed}, stranded_since=131)
    assert said(now_of(given, 500)) == (Action.KEEP, Rule.CALL_FOR_HELP, None)


def test_a_pass_from_before_this_daemon_began_to_decide_rescues_nobody() -> None:
    back = observed((140, OK), onto=dead(B), of=B)
    active = observed((155, FAIL), onto=dead())
    given = situation({A: active, B: back}, stranded_since=131, deciding_since=150)
    assert said(now_of(given, 215)) == (Action.KEEP, Rule.CALL_FOR_HELP, None)
    fresh = replace(given, deciding_since=at(139))
    assert said(now_of(fresh, 215)) == (Action.MOVE, Rule.CALL_FOR_HELP, B)


def test_one_that_was_never_probed_rescues_nobody_and_stands_nobody_down() -> None:
    given = situation({A: dead(), B: None}, stranded_since=131)
    assert said(now_of(given, 141)) == (Action.KEEP, Rule.CALL_FOR_HELP, None)
    new = situation({A: None, B: dead(B)}, stranded_since=131)
    assert said(now_of(new, 141)) == (Action.KEEP, Rule.HOLD, None)


def test_of_two_that_answer_the_more_preferred_one_rescues() -> None:
    healths = {A: dead(), **{ref: observed((140, OK), onto=dead(ref), of=ref) for ref in (C, B)}}
    assert said(now_of(situation(healths, stranded_since=131), 141)) == (Action.MOVE, Rule.CALL_FOR_HELP, C)


def test_a_rescue_passes_over_one_left_just_now_for_the_next_that_answers() -> None:
    healths = {A: dead(), B: observed((140, OK), onto=dead(B), of=B)}
    healths |= {C: observed((140, OK), onto=dead(C), of=C)}
    decision = now_of(situation(healths, stranded_since=131, switches=[(95, B, A)]), 141)
    assert said(decision) == (Action.MOVE, Rule.CALL_FOR_HELP, C)
    assert decision.failure_began_at == at(100)


def test_a_rescue_never_lands_on_one_that_is_gone_or_away_or_of_another_space_or_left_just_now() -> None:
    back = observed((140, OK), onto=dead(B), of=B)
    for barred in (
        Candidate(ref=B, health=back, gone_since=at(1)),
        Candidate(ref=B, health=back, maintenance=Maintenance(since=at(101))),
        Candidate(ref=B, health=back, same_space=False),
        Candidate(ref=B, health=back, same_space=None),
    ):
        given = situation({A: dead(), B: barred}, stranded_since=131)
        assert said(now_of(given, 141)) == (Action.KEEP, Rule.CALL_FOR_HELP, None)
    given = situation({A: dead(), B: back}, stranded_since=131, switches=[(95, B, A)])
    decision = now_of(given, 141)
    assert (said(decision)[0], decision.wake_at) == (Action.KEEP, at(155))
    assert said(now_of(given, 155)) == (Action.MOVE, Rule.CALL_FOR_HELP, B)


@pytest.mark.parametrize("span", [(10, 135), (300, 400), (300, None)])
def test_a_maintenance_that_is_over_or_to_come_bars_no_rescue(span: tuple[float, float | None]) -> None:
    since, until = span
    planned = Maintenance(since=at(since), until=None if until is None else at(until))
    back = Candidate(ref=B, health=observed((140, OK), onto=dead(B), of=B), maintenance=planned)
    given = situation({A: dead(), B: back}, stranded_since=131)
    assert said(now_of(given, 141)) == (Action.MOVE, Rule.CALL_FOR_HELP, B)


def test_a_stranded_purpose_fails_over_as_soon_as_somebody_is_eligible() -> None:
    given = situation({A: dead(), B: fine(140)}, stranded_since=131)
    assert said(now_of(given, 141)) == (Action.MOVE, Rule.FAIL_OVER, B)


# 5: fail_back


def returning(
    eligible_since: float,
    last: float,
    switches: Iterable[tuple[float, ProviderRef, ProviderRef]] = ((0, A, B),),
) -> Situation:
    """B serves, and A, the preferred one, is back."""
    healthy = observed((eligible_since - 1, OK), (last, OK), of=A)
    return situation({A: healthy, B: fine(last)}, active=B, switches=switches)


def test_the_return_waits_for_the_hold_and_wakes_at_its_end() -> None:
    given = returning(100, 390)
    decision = now_of(given, 391)
    assert said(decision) == (Action.KEEP, Rule.HOLD, None)
    assert decision.wake_at == at(400)
    assert decision.reason == "ai_server:1 has to stay eligible until 12:06:40"


def test_a_return_wants_a_pass_of_this_daemons_own() -> None:
    given = replace(returning(100, 430), deciding_since=at(430))
    assert said(now_of(given, 431)) == (Action.QUALIFY, Rule.FAIL_BACK, A)
    assert said(now_of(replace(given, deciding_since=at(429)), 431)) == (Action.MOVE, Rule.FAIL_BACK, A)


def test_the_return_wants_a_pass_begun_after_the_hold() -> None:
    assert said(now_of(returning(100, 390), 400)) == (Action.QUALIFY, Rule.FAIL_BACK, A)
    assert said(now_of(returning(100, 400), 401)) == (Action.QUALIFY, Rule.FAIL_BACK, A)
    decision = now_of(returning(100, 401), 402)
    assert said(decision) == (Action.MOVE, Rule.FAIL_BACK, A)
    assert decision.failure_began_at is None
    assert len(set(decision.evidence)) == 2


def test_a_return_rests_on_two_passes_even_with_a_failure_between_them() -> None:
    healthy = observed((99, OK), (200, FAIL), (401, OK))
    decision = now_of(situation({A: healthy, B: fine(401)}, active=B), 402)
    assert said(decision) == (Action.MOVE, Rule.FAIL_BACK, A)
    assert decision.evidence == ("ai_server:1@99", "ai_server:1@401")
    more = observed((10, OK), (99, OK), (401, OK))
    assert now_of(situation({A: more, B: fine(401)}, active=B), 402).evidence == decision.evidence


def test_a_return_that_fails_its_qualification_waits_a_minute() -> None:
    healthy = observed((99, OK), (410, FAIL))
    given = situation({A: healthy, B: fine(401)}, active=B)
    decision = now_of(given, 411)
    assert (said(decision), decision.wake_at) == ((Action.KEEP, Rule.HOLD, None), at(470))
    assert said(now_of(given, 470)) == (Action.QUALIFY, Rule.FAIL_BACK, A)


@pytest.mark.parametrize(("recent", "hold"), [(0, 300), (1, 300), (2, 600), (3, 1200)])
def test_each_switch_within_the_hour_doubles_the_hold(recent: int, hold: int) -> None:
    given = returning(0, 0, switches=[(index * 10, A, B) for index in range(recent)])
    assert hold_for(given, at(100), POLICY).total_seconds() == hold


def test_the_hold_never_exceeds_an_hour() -> None:
    given = returning(0, 0, switches=[(index, A, B) for index in range(40)])
    assert hold_for(given, at(100), POLICY).total_seconds() == 3600


def test_four_switches_within_the_hour_end_the_returns_until_one_is_an_hour_old() -> None:
    given = returning(100, 5000, switches=[(3000, A, B), (3100, B, A), (3200, A, B), (3300, B, A)])
    decision = now_of(given, 5001)
    assert (said(decision), decision.wake_at) == ((Action.KEEP, Rule.HOLD, None), at(6600))
    assert said(now_of(given, 6600)) == (Action.MOVE, Rule.FAIL_BACK, A)


def test_with_more_than_four_switches_the_returns_wait_until_fewer_than_four_are_left() -> None:
    switches = [(2900, B, A), (3000, A, B), (3100, B, A), (3200, A, B), (3300, B, A)]
    assert now_of(returning(100, 5000, switches=switches), 5001).wake_at == at(6600)


def test_the_preferred_one_waits_for_no_return_however_many_switches_there_were() -> None:
    decision = now_of(situation({A: fine(140, A), B: fine(140)}, switches=four()), 141)
    assert (said(decision), decision.wake_at) == ((Action.KEEP, Rule.HOLD, None), None)
    assert decision.reason == "the preferred one serves"


@pytest.mark.parametrize("failback", [Failback.MANUAL, Failback.NEVER])
def test_nobody_returns_when_the_policy_does_not_want_it(failback: Failback) -> None:
    policy = Policy(failback=failback)
    assert said(now_of(returning(100, 4000), 4001, policy)) == (Action.KEEP, Rule.HOLD, None)
    assert said(now_of(situation({A: dead(), B: fine(140)}), 141, policy))[0] is Action.MOVE


def test_one_that_is_not_eligible_is_not_returned_to() -> None:
    for unfit in (
        dead(),
        refused(),
        Candidate(ref=A, health=fine(5000, A), maintenance=Maintenance(since=at(101))),
    ):
        given = situation({A: unfit, B: fine(5000)}, active=B)
        decision = now_of(given, 5001)
        assert said(decision) == (Action.KEEP, Rule.HOLD, None)
        assert decision.reason == "nobody preferred is eligible"


def test_only_a_more_preferred_one_is_returned_to() -> None:
    healths = {A: fine(5000, A), B: fine(5000), C: fine(5000, C)}
    assert said(now_of(situation(healths), 5001)) == (Action.KEEP, Rule.HOLD, None)
    assert said(now_of(situation(healths, active=C), 5001)) == (Action.MOVE, Rule.FAIL_BACK, A)
    assert said(now_of(situation(healths | {A: dead()}, active=C), 5001)) == (Action.MOVE, Rule.FAIL_BACK, B)


def test_one_that_nobody_prefers_is_left_for_the_preferred() -> None:
    healths = {A: fine(5000, A), B: fine(5000), C: fine(5000, C)}
    given = situation(healths, active=C, preference=(A, B))
    assert said(now_of(given, 5001)) == (Action.MOVE, Rule.FAIL_BACK, A)


# 6 and 7: stand_down and hold


def test_a_stranded_purpose_stands_down_when_the_active_one_passes_again() -> None:
    back = observed((140, OK), onto=dead())
    given = situation({A: back, B: dead(B)}, stranded_since=131)
    assert said(now_of(given, 141)) == (Action.RELIEVE, Rule.STAND_DOWN, None)
    assert said(now_of(replace(given, stranded_since=at(140)), 141)) == (Action.KEEP, Rule.HOLD, None)


def test_standing_down_names_the_pass_and_still_waits_for_the_return() -> None:
    active = observed((390, OK), onto=dead(B), of=B)
    recovered = observed((99, OK), (380, OK), of=A)
    given = situation({A: recovered, B: active}, active=B, stranded_since=131)
    decision = now_of(given, 391)
    assert said(decision) == (Action.RELIEVE, Rule.STAND_DOWN, None)
    assert decision.reason == "ai_server:2 answers again"
    assert decision.evidence == ("ai_server:2@390",)
    assert decision.wake_at == at(400)


def test_a_return_that_is_due_comes_before_standing_down() -> None:
    active = observed((401, OK), onto=dead(B), of=B)
    given = situation({A: observed((99, OK), (401, OK), of=A), B: active}, active=B, stranded_since=131)
    assert said(now_of(given, 402)) == (Action.MOVE, Rule.FAIL_BACK, A)


def test_a_stranded_purpose_whose_active_one_only_went_silent_stays_stranded() -> None:
    given = situation({A: Health(fingerprint=MARK), B: dead(B)}, stranded_since=131)
    assert said(now_of(given, 1000)) == (Action.KEEP, Rule.HOLD, None)


def test_when_all_is_well_nothing_happens_and_nothing_is_waited_for() -> None:
    decision = now_of(situation({A: fine(0, A), B: fine(0)}), 1)
    assert (said(decision), decision.wake_at) == ((Action.KEEP, Rule.HOLD, None), None)


def test_a_purpose_of_which_nothing_is_said_is_neither_paused_nor_pinned_nor_held() -> None:
    given = Situation(
        purpose=Purpose.CHAT,
        active=A,
        preference=(A, B),
        candidates={A: Candidate(ref=A, health=dead()), B: Candidate(ref=B, health=fine(140))},
        deciding_since=at(-86_400),
    )
    assert said(now_of(given, 141)) == (Action.MOVE, Rule.FAIL_OVER, B)
    back = {A: Candidate(ref=A, health=fine(5000, A)), B: Candidate(ref=B, health=fine(5000))}
    given = replace(given, active=B, candidates=back)
    assert said(now_of(given, 5001)) == (Action.MOVE, Rule.FAIL_BACK, A)


# The operator wins


def test_after_an_operators_act_only_a_fall_that_began_later_counts() -> None:
    for active in (dead(), refused()):
        for chosen in (100, 105, 500):
            given = situation({A: active, B: fine(600)}, chosen_at=chosen)
            assert said(now_of(given, 601)) == (Action.KEEP, Rule.HOLD, None)
        assert now_of(situation({A: active, B: fine(600)}, chosen_at=99), 601).action is Action.MOVE


def test_a_whole_fall_after_the_act_is_a_fall() -> None:
    down = observed((200, FAIL), (215, FAIL), onto=dead())
    given = situation({A: down, B: fine(300)}, chosen_at=150)
    assert now_of(given, 301).action is Action.KEEP
    again = situation({A: observed((232, FAIL), onto=down), B: fine(300)}, chosen_at=150)
    decision = now_of(again, 301)
    assert (decision.action, decision.failure_began_at) == (Action.MOVE, at(200))


def test_a_rate_limit_from_before_the_act_is_no_reason() -> None:
    active = observed((0, OK), *every(60, [LIMITED] * 3, 100))
    assert now_of(situation({A: active, B: fine(230)}, chosen_at=150), 231).action is Action.KEEP


# After a start


def test_in_the_first_minute_only_evidence_from_before_the_start_leaves_anybody() -> None:
    before = situation({A: dead(), B: fine(131)}, deciding_since=120)
    assert said(now_of(before, 132)) == (Action.MOVE, Rule.FAIL_OVER, B)
    after = situation({A: dead(), B: fine(131)}, deciding_since=95)
    decision = now_of(after, 132)
    assert said(decision) == (Action.KEEP, Rule.HOLD, None)
    assert decision.wake_at == at(155)
    assert said(now_of(after, 155)) == (Action.MOVE, Rule.FAIL_OVER, B)


def test_a_failure_that_began_at_the_very_start_waits_for_the_grace() -> None:
    given = situation({A: dead(), B: fine(131)}, deciding_since=100)
    assert said(now_of(given, 132)) == (Action.KEEP, Rule.HOLD, None)
    assert failure_of(given, given.candidates[A], at(132), POLICY) is None
    assert failure_of(given, given.candidates[A], at(160), POLICY) is not None


def test_after_the_grace_nobody_is_woken_for_it() -> None:
    """A rate limit with nobody to move onto: the grace is over, and asking again at its end is long past."""
    active = observed((0, OK), *every(60, [LIMITED] * 3, 100))
    decision = now_of(situation({A: active, B: dead(B)}, deciding_since=95), 231)
    assert (said(decision), decision.wake_at) == ((Action.KEEP, Rule.HOLD, None), None)


def test_the_grace_after_a_start_wakes_for_one_that_is_blocked() -> None:
    """Its own next probe is five minutes away."""
    given = situation({A: refused(), B: fine(109)}, deciding_since=95)
    assert now_of(given, 111).wake_at == at(155)


def test_whoever_begins_to_decide_looks_once_with_its_own_eyes() -> None:
    given = situation({A: dead(), B: fine(140)}, deciding_since=135)
    assert now_of(given, 250).action is Action.KEEP
    assert now_of(replace(given, deciding_since=at(130)), 250).action is Action.KEEP
    seen = replace(
        given, candidates={**given.candidates, A: Candidate(ref=A, health=observed((150, FAIL), onto=dead()))}
    )
    assert said(now_of(seen, 151)) == (Action.MOVE, Rule.FAIL_OVER, B)
    old = replace(seen, candidates={**seen.candidates, B: Candidate(ref=B, health=fine(134))})
    assert said(now_of(old, 151)) == (Action.QUALIFY, Rule.FAIL_OVER, B)


def test_one_that_is_gone_is_left_in_the_first_minute_too() -> None:
    gone = Candidate(ref=A, health=None, gone_since=at(100))
    assert now_of(situation({A: gone, B: fine(110)}, deciding_since=95), 111).action is Action.MOVE


# Embeddings


@pytest.mark.parametrize("space", [None, False])
@pytest.mark.parametrize("active", [dead(), refused()])
def test_no_embedder_of_another_or_unknown_space_is_ever_moved_onto(
    space: bool | None, active: Health
) -> None:
    other = Candidate(ref=B, health=fine(140), same_space=space)
    given = situation({A: active, B: other}, purpose=Purpose.EMBEDDINGS)
    assert said(now_of(given, 141)) == (Action.STRAND, Rule.CALL_FOR_HELP, None)
    later = replace(given, stranded_since=at(135))
    assert said(now_of(later, 141)) == (Action.KEEP, Rule.CALL_FOR_HELP, None)
    back = situation({B: other, A: fine(9000, A)}, active=A, purpose=Purpose.EMBEDDINGS)
    assert said(now_of(back, 9001)) == (Action.KEEP, Rule.HOLD, None)
    why = obstacle(given, other, at(141), POLICY)
    assert why is not None
    assert "vector space" in why


# What the application's columns say


def test_the_fallback_column_names_the_most_preferred_other_eligible_one_else_the_one_replaced() -> None:
    healths = {A: dead(), B: fine(140), C: fine(140, C)}
    assert fallback_after(situation(healths), B, at(141), POLICY) == C
    assert fallback_after(situation(healths | {C: dead(C)}), B, at(141), POLICY) == A
    assert fallback_after(situation(healths | {A: fine(140, A)}, active=C), B, at(141), POLICY) == A


def test_back_on_the_preferred_one_the_fallback_is_the_operators_own_second() -> None:
    healths = {A: fine(140, A), B: dead(B), C: fine(140, C)}
    assert fallback_after(situation(healths, active=C), A, at(141), POLICY) == B
    assert fallback_after(situation({A: fine(140, A)}, active=C), A, at(141), POLICY) is None


def test_the_operators_own_second_is_named_when_it_is_the_only_other_one_and_dead() -> None:
    healths = {A: fine(140, A), B: dead(B), C: fine(140, C)}
    given = situation(healths, active=C, preference=(A, B))
    assert fallback_after(given, A, at(141), POLICY) == B


def test_a_purpose_without_a_preference_names_the_one_that_was_left() -> None:
    given = situation({A: dead(), B: fine(140)}, preference=())
    assert fallback_after(given, B, at(141), POLICY) == A


def test_nobody_is_its_own_fallback() -> None:
    given = situation({A: dead(), B: fine(140)}, active=B)
    assert fallback_after(replace(given, preference=(A,)), B, at(141), POLICY) is None


# Why not


@pytest.mark.parametrize(
    ("health", "word"),
    [
        (None, "not been probed"),
        (dead(B), "down"),
        (Health(fingerprint=MARK), "unknown"),
        (refused(B), "auth"),
        (observed((0, OK), of=B, interval=10), "recent"),
        (observed(*every(60, [OK, *([FAIL] * 6), OK, OK]), of=B), "6 of its last 20"),
    ],
)
def test_every_obstacle_has_its_words(health: Health | None, word: str) -> None:
    given = situation({A: dead(), B: health})
    why = obstacle(given, given.candidates[B], at(600), POLICY)
    assert why is not None
    assert word in why
    assert obstacle(given, Candidate(ref=B, health=fine(590)), at(600), POLICY) is None


def test_a_clock_set_back_neither_moves_nor_forgets() -> None:
    """Everything lies in the future: gaps and holds last, and no failure is older than it is."""
    early: datetime = at(-5000)
    left = situation({A: fine(140, A), B: dead(B)}, active=B, switches=[(90, A, B)])
    assert decide(left, early, POLICY).action is Action.KEEP
    home = returning(100, 5000)
    assert decide(home, early, POLICY).action is Action.KEEP
    assert failure_of(left, left.candidates[B], early, POLICY) is not None
