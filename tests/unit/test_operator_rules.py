"""What a pin, a promotion, a new order and a maintenance make of the rules."""

from dataclasses import replace

import pytest

from monitor.domain.failover import decide, fallback_after
from monitor.domain.health import Health
from monitor.domain.maintenance import Maintenance
from monitor.domain.outcome import Outcome
from monitor.domain.situation import Action, Candidate, Decision, Rule, Situation
from monitor.domain.target import ProviderRef
from tests.unit.build import FAIL, OK, POLICY, A, B, C, at, observed, result, situation


def now_of(given: Situation, second: float) -> Decision:
    return decide(given, at(second), POLICY)


def fine(last: float, of: ProviderRef = B) -> Health:
    """Up and eligible since -999, with a last pass begun then."""
    return observed((-1000, OK), (last, OK), of=of)


def dead(of: ProviderRef = A) -> Health:
    """Down by failures that began at 100, 115 and 130."""
    return observed((0, OK), (100, FAIL), (115, FAIL), (130, FAIL), of=of)


def said(decision: Decision) -> tuple[Action, Rule, ProviderRef | None]:
    return decision.action, decision.rule, decision.to


def away(
    since: float, until: float | None = None, *, of: ProviderRef = A, health: Health | None = None
) -> Candidate:
    span = Maintenance(since=at(since), until=None if until is None else at(until))
    return Candidate(ref=of, health=health or fine(since, of), maintenance=span)


# A promotion: no return by itself, everything else as ever


def test_a_promotion_holds_the_return_until_its_end() -> None:
    given = situation({A: fine(5000, A), B: fine(5000)}, active=B, held=True, held_until=6000)
    decision = now_of(given, 5001)
    assert said(decision) == (Action.KEEP, Rule.HOLD, None)
    assert decision.reason == "an operator's promotion holds the return until 2026-03-01 13:40:00"
    assert decision.wake_at == at(6000)
    over = situation({A: fine(6001, A), B: fine(5000)}, active=B)
    assert said(now_of(over, 6002)) == (Action.MOVE, Rule.FAIL_BACK, A)


def test_a_promoted_one_that_fails_is_left_all_the_same() -> None:
    given = situation({A: dead(), B: fine(140)}, held=True)
    assert said(now_of(given, 141)) == (Action.MOVE, Rule.FAIL_OVER, B)
    help_wanted = situation({A: dead(), B: dead(B)}, held=True)
    assert said(now_of(help_wanted, 141)) == (Action.STRAND, Rule.CALL_FOR_HELP, None)


def test_a_promotion_without_an_end_wakes_nobody() -> None:
    assert now_of(situation({A: fine(5000, A), B: fine(5000)}, active=B, held=True), 5001).wake_at is None


# A pin


def test_the_end_of_a_pin_is_noticed_in_time() -> None:
    given = situation({A: dead(), B: fine(140)}, pinned=True, pinned_until=200)
    decision = now_of(given, 141)
    assert said(decision) == (Action.KEEP, Rule.PINNED, None)
    assert (decision.alarm, decision.wake_at) == (True, at(200))
    assert said(now_of(replace(given, pinned=False), 200)) == (Action.MOVE, Rule.FAIL_OVER, B)


def test_a_pinned_one_of_another_space_that_answers_is_no_reason_for_an_alarm() -> None:
    pinned = Candidate(ref=A, health=fine(140, A), same_space=False)
    assert not now_of(situation({A: pinned, B: fine(140)}, pinned=True), 141).alarm
    assert not now_of(situation({A: dead(), B: fine(140)}), 141).alarm


# A new order


def test_a_new_order_begins_the_hold_anew() -> None:
    given = situation({B: fine(5000), A: fine(5000, A)}, active=A, ordered_at=4900)
    decision = now_of(given, 5001)
    assert said(decision) == (Action.KEEP, Rule.HOLD, None)
    assert decision.wake_at == at(5200)
    later = situation({B: fine(5201), A: fine(5000, A)}, active=A, ordered_at=4900)
    assert said(now_of(later, 5202)) == (Action.MOVE, Rule.FAIL_BACK, B)


def test_a_new_order_holds_up_no_failover() -> None:
    given = situation({A: dead(), B: fine(140)}, ordered_at=139)
    assert said(now_of(given, 141)) == (Action.MOVE, Rule.FAIL_OVER, B)


def test_a_new_order_holds_up_no_failover_that_waits_for_a_settled_one_either() -> None:
    """After four switches only onto one that has been eligible for a minute, whenever the order was set."""
    switches = [(-840 + 300 * number, *((C, A) if number % 2 else (A, C))) for number in range(4)]
    given = situation({A: dead(), B: fine(140)}, ordered_at=139, switches=switches)
    assert said(now_of(given, 141)) == (Action.MOVE, Rule.FAIL_OVER, B)


def test_one_that_recovered_after_the_new_order_serves_its_hold_from_its_recovery() -> None:
    risen = observed((4999, OK), (5100, OK), of=B)
    given = situation({B: risen, A: fine(5100, A)}, active=A, ordered_at=4000)
    assert now_of(given, 5101).wake_at == at(5300)


# Maintenance


def test_one_in_maintenance_is_left_at_once_for_one_that_passes_a_probe_since() -> None:
    given = situation({A: away(120), B: fine(110)})
    decision = now_of(given, 121)
    assert said(decision) == (Action.QUALIFY, Rule.FAIL_OVER, B)
    assert decision.reason.startswith("ai_server:1 is in maintenance; ")
    decision = now_of(situation({A: away(120), B: fine(121)}), 122)
    assert said(decision) == (Action.MOVE, Rule.FAIL_OVER, B)
    assert decision.failure_began_at == at(120)


def test_a_maintenance_to_come_changes_nothing_before_its_hour_and_is_noticed_in_time() -> None:
    given = situation({A: away(300), B: fine(110)})
    decision = now_of(given, 299)
    assert said(decision) == (Action.KEEP, Rule.HOLD, None)
    assert decision.wake_at == at(300)
    assert said(now_of(given, 300))[0] is Action.QUALIFY


def test_nobody_is_moved_onto_one_in_maintenance() -> None:
    given = situation({A: dead(), B: away(100, 500, of=B, health=fine(140)), C: fine(140, C)})
    assert now_of(given, 141).to == C
    alone = situation({A: dead(), B: away(100, 500, of=B, health=fine(140))})
    assert said(now_of(alone, 141)) == (Action.STRAND, Rule.CALL_FOR_HELP, None)
    stranded = replace(alone, stranded_since=at(131))
    decision = now_of(stranded, 141)
    assert said(decision) == (Action.KEEP, Rule.CALL_FOR_HELP, None)
    assert decision.wake_at == at(500)
    assert now_of(stranded, 500).to == B
    assert fallback_after(given, C, at(141), POLICY) == A


def test_one_that_comes_out_of_maintenance_is_returned_to_after_its_hold() -> None:
    """Its probes went on and passed: what it shows now is no news, that it serves again is."""
    given = situation({A: away(1000, 5000, health=fine(4990, A)), B: fine(4990)}, active=B)
    assert said(now_of(given, 4999)) == (Action.KEEP, Rule.HOLD, None)
    decision = now_of(given, 5000)
    assert said(decision) == (Action.KEEP, Rule.HOLD, None)
    assert decision.wake_at == at(5300)
    later = situation({A: away(1000, 5000, health=fine(5301, A)), B: fine(4990)}, active=B)
    assert said(now_of(later, 5302)) == (Action.MOVE, Rule.FAIL_BACK, A)


@pytest.mark.parametrize("until", [9000, None])
def test_a_maintenance_to_come_keeps_nobody_from_being_moved_onto(until: float | None) -> None:
    planned = away(8000, until, of=B, health=fine(140))
    assert said(now_of(situation({A: dead(), B: planned}), 141)) == (Action.MOVE, Rule.FAIL_OVER, B)
    preferred = away(8000, until, health=fine(5000, A))
    given = situation({A: preferred, B: fine(5000)}, active=B)
    assert said(now_of(given, 5001)) == (Action.MOVE, Rule.FAIL_BACK, A)


def test_whoever_is_chosen_in_maintenance_was_meant() -> None:
    """Until it ends and begins again: the next span is another."""
    given = situation({A: away(100), B: fine(140)}, chosen_at=120)
    assert said(now_of(given, 141)) == (Action.KEEP, Rule.HOLD, None)
    dies = situation({A: away(50, health=dead()), B: fine(140)}, chosen_at=60)
    assert said(now_of(dies, 141)) == (Action.MOVE, Rule.FAIL_OVER, B)
    at_once = situation({A: away(120), B: fine(140)}, chosen_at=120)
    assert said(now_of(at_once, 141)) == (Action.KEEP, Rule.HOLD, None)
    again = situation({A: away(130), B: fine(140)}, chosen_at=120)
    assert said(now_of(again, 141)) == (Action.MOVE, Rule.FAIL_OVER, B)


def test_a_purpose_stranded_by_a_maintenance_is_relieved_by_its_end_alone() -> None:
    given = situation({A: away(100, 200, health=fine(150, A)), B: dead(B)}, stranded_since=101)
    assert said(now_of(given, 151)) == (Action.KEEP, Rule.CALL_FOR_HELP, None)
    assert said(now_of(given, 200)) == (Action.RELIEVE, Rule.STAND_DOWN, None)


@pytest.mark.parametrize(
    ("since", "until", "now", "holds", "changes"),
    [
        (100, None, 99, False, 100),
        (100, None, 100, True, None),
        (100, 200, 150, True, 200),
        (100, 200, 200, False, None),
        (300, 200, 100, False, None),
        (200, 200, 100, False, None),
    ],
)
def test_a_maintenance_lasts_from_its_beginning_until_before_its_end(
    since: float, until: float | None, now: float, holds: bool, changes: float | None
) -> None:
    span = Maintenance(since=at(since), until=None if until is None else at(until))
    assert span.holds(at(now)) is holds
    assert span.next_change(at(now)) == (None if changes is None else at(changes))


def test_of_two_ends_the_earlier_is_noticed() -> None:
    """Whatever comes first may change what is decided."""
    given = situation(
        {A: away(300), B: away(250, 400, of=B, health=fine(110))}, pinned=True, pinned_until=200
    )
    assert now_of(given, 150).wake_at == at(200)
    assert now_of(replace(given, pinned=False), 150).wake_at == at(250)


# The end of a rate limit


def test_the_end_of_a_rate_limit_is_noticed_in_time() -> None:
    limited = observed((-1000, OK), (90, OK), result(120, Outcome.RATE_LIMITED, retry_after=60, of=B), of=B)
    given = situation({A: dead(), B: limited}, stranded_since=131)
    decision = now_of(given, 140)
    assert said(decision) == (Action.KEEP, Rule.CALL_FOR_HELP, None)
    assert decision.wake_at == at(181)
    assert said(now_of(given, 181)) == (Action.QUALIFY, Rule.FAIL_OVER, B)


def test_a_rate_limit_that_ends_at_this_very_instant_wakes_nobody_again() -> None:
    limited = observed((-1000, OK), (90, OK), result(120, Outcome.RATE_LIMITED, retry_after=60, of=B), of=B)
    given = situation({A: fine(180, A), B: limited})
    assert now_of(given, 180).wake_at == at(181)
    assert now_of(given, 181).wake_at is None


def test_the_last_of_several_rate_limits_says_when_they_end() -> None:
    first = result(120, Outcome.RATE_LIMITED, retry_after=200, of=B)
    last = result(150, Outcome.RATE_LIMITED, retry_after=60, of=B)
    given = situation({A: fine(180, A), B: observed((-1000, OK), first, last, of=B)})
    assert now_of(given, 160).wake_at == at(211)


def test_a_rate_limit_beyond_the_calendar_wakes_nobody() -> None:
    limited = observed(result(120, Outcome.RATE_LIMITED, retry_after=3e11, of=B), of=B)
    assert now_of(situation({A: fine(120, A), B: limited}), 140).wake_at is None
