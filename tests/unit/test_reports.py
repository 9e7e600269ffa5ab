"""Reports of applications: what they say by themselves, and what together with a failed probe."""

from dataclasses import replace
from itertools import product

import pytest

from monitor.domain.failover import decide
from monitor.domain.health import Health, HealthState, Heard, expect, expire
from monitor.domain.observe import observe
from monitor.domain.outcome import Outcome
from monitor.domain.policy import Policy
from monitor.domain.reports import (
    MOST_KEPT,
    Hearing,
    Report,
    ReportOutcome,
    hear,
    heard,
    keep,
    read_recorded,
    recorded,
    speaking,
    words,
)
from monitor.domain.situation import Action, Rule
from tests.unit.build import FAIL, MARK, OK, POLICY, A, B, at, observed, result, seconds, situation

PASSED, TIMEOUT = ReportOutcome.OK, ReportOutcome.TIMEOUT
SMALL = replace(Policy(), report_fall=3, report_window=4, report_share=0.5)


def reports(*seen: tuple[float, ReportOutcome]) -> tuple[Report, ...]:
    return tuple(Report(at=at(when), outcome=outcome, source="app@host:1") for when, outcome in seen)


def failures(count: int, begin: float, step: float = 0.05) -> tuple[Report, ...]:
    return reports(*((begin + number * step, TIMEOUT) for number in range(count)))


def hearing(
    given: tuple[Report, ...], deciding_since: float = -86_400, chosen_at: float | None = None
) -> Hearing:
    return Hearing(
        ref=A,
        fingerprint=MARK,
        reports=given,
        deciding_since=at(deciding_since),
        chosen_at=None if chosen_at is None else at(chosen_at),
    )


def found(
    health: Health,
    given: tuple[Report, ...],
    now: float,
    *,
    policy: Policy = POLICY,
    deciding_since: float = -86_400,
    chosen_at: float | None = None,
) -> Heard | None:
    return heard(health, hearing(given, deciding_since, chosen_at), at(now), policy)


def failed_once(*, when: float = 100, took: float = 1) -> Health:
    """Up, with one failed probe last."""
    return observed((0, OK), (30, OK), result(when, FAIL, took=took))


@pytest.mark.parametrize("length", range(7))
def test_reports_speak_by_a_streak_or_by_their_share_of_a_full_window(length: int) -> None:
    for outcomes in product((PASSED, TIMEOUT), repeat=length):
        given = reports(*enumerate(outcomes))
        streak = all(one is TIMEOUT for one in outcomes[-3:]) and length >= 3
        share = length >= 4 and sum(one is TIMEOUT for one in outcomes[-4:]) >= 2
        assert bool(speaking(given, SMALL)) == (streak or share), outcomes


@pytest.mark.parametrize(("fall", "window", "told"), [(3, 4, 4), (5, 4, 5), (3, 9, 8)])
def test_of_a_long_streak_the_last_reports_are_told(fall: int, window: int, told: int) -> None:
    policy = replace(SMALL, report_fall=fall, report_window=window, report_share=1.0)
    given = reports((0, PASSED), *((1 + number, TIMEOUT) for number in range(8)))
    assert speaking(given, policy) == given[-told:]


def test_a_streak_counts_from_the_failure_after_the_last_pass() -> None:
    policy = replace(SMALL, report_window=9)
    passed, *failed = given = reports((0, PASSED), (1, TIMEOUT), (2, TIMEOUT), (3, TIMEOUT))
    assert speaking(given, policy) == tuple(failed)
    assert speaking((passed, *failed[1:]), policy) == ()


@pytest.mark.parametrize("length", range(5))
def test_without_a_failed_probe_no_reports_make_down(length: int) -> None:
    """However many, whatever else is believed."""
    quiet = [one for one in Outcome if one not in (FAIL, Outcome.TIMEOUT, Outcome.UNREACHABLE)]
    quiet.remove(Outcome.BAD_RESPONSE)
    for outcomes in product(quiet, repeat=min(length, 2)):
        health = observed((0, OK), *((10 + index, one) for index, one in enumerate(outcomes)))
        assert found(health, failures(50, 12.5, 0.01), 13) is None, outcomes


def test_one_that_was_never_probed_is_not_made_down() -> None:
    assert found(Health(fingerprint=MARK), failures(50, 100, 0.01), 102) is None


def test_one_that_never_passed_is_made_down_like_any_other() -> None:
    assert found(observed((100, FAIL)), failures(5, 100), 102) is not None


@pytest.mark.parametrize("outcome", [FAIL, Outcome.TIMEOUT, Outcome.UNREACHABLE, Outcome.BAD_RESPONSE])
def test_one_failed_probe_and_five_failed_requests_are_a_fall(outcome: Outcome) -> None:
    health = observed((0, OK), result(100, outcome))
    assert found(health, failures(4, 100), 102) is None
    both = found(health, failures(5, 100), 102)
    assert both is not None
    after = hear(health, both, at(102))
    assert (after.state, after.since, after.fell_on) == (HealthState.DOWN, at(102), (health.last,))
    assert after.eligible_since is None


def test_half_of_twenty_requests_are_enough_and_nine_are_not() -> None:
    mixed = [(100 + number * 0.1, TIMEOUT if number % 2 else PASSED) for number in range(20)]
    assert found(failed_once(), reports(*mixed), 103) is not None
    mixed[1] = (100.1, PASSED)
    assert found(failed_once(), reports(*mixed), 103) is None
    assert found(failed_once(), reports(*mixed[2:]), 103) is None


def test_reports_fade_after_a_minute_and_so_does_the_probe() -> None:
    health = failed_once(when=100, took=1)
    given = failures(5, 102)
    assert found(health, given, 161) is not None
    assert found(health, given, 161.5) is None
    late = observed((0, OK), result(150, FAIL))
    assert found(late, given, 162) is not None
    assert found(late, given, 163) is None


@pytest.mark.parametrize(("began", "together"), [(89.9, False), (90, True), (100, True), (130, True)])
def test_the_probe_began_at_most_a_recheck_before_the_first_failed_request(
    began: float, together: bool
) -> None:
    health = failed_once(when=began)
    assert (found(health, failures(5, 100), began + 30) is not None) is together


def test_a_pass_answers_the_reports_from_before_it_began() -> None:
    health = observed((0, OK), (100, FAIL), (110, OK), (120, FAIL))
    assert found(health, failures(50, 100, 0.01), 121) is None
    assert found(health, failures(5, 109.9, 0.05), 121) is None
    assert found(health, failures(5, 110.1, 0.05), 121) is not None


def test_nothing_from_before_an_operators_act_counts() -> None:
    health, given = failed_once(when=100), failures(5, 100)
    assert found(health, given, 102, chosen_at=99) is not None
    assert found(health, given, 102, chosen_at=100) is None
    assert found(failed_once(when=100.1), given, 102, chosen_at=100) is None
    assert found(failed_once(when=100.1), failures(5, 100.2), 102, chosen_at=100) is not None


@pytest.mark.parametrize("chosen_at", [100, 101])
def test_a_probe_that_began_before_an_operators_act_says_nothing_about_it(chosen_at: float) -> None:
    """However many requests fail afterwards."""
    assert found(failed_once(when=100), failures(50, 102, 0.01), 104, chosen_at=chosen_at) is None
    assert found(failed_once(when=102), failures(50, 102, 0.01), 104, chosen_at=chosen_at) is not None


def test_an_operators_act_from_before_the_start_excuses_no_older_evidence() -> None:
    health, given = failed_once(when=100), failures(5, 100)
    assert found(health, given, 102, chosen_at=50, deciding_since=99) is not None
    assert found(health, given, 102, chosen_at=50, deciding_since=101) is None


def test_nothing_from_before_the_daemon_decides_counts() -> None:
    health = failed_once(when=100)
    assert found(health, failures(5, 100), 102, deciding_since=99) is not None
    assert found(health, failures(5, 100), 102, deciding_since=100) is None


def test_one_that_is_down_is_found_so_again_only_after_an_operators_act() -> None:
    health = failed_once(when=100)
    first = found(health, failures(5, 100), 102)
    assert first is not None
    health = observe(hear(health, first, at(102)), result(110, FAIL), POLICY)
    more = failures(20, 110)
    assert found(health, more, 112) is None
    again = found(health, more, 112, chosen_at=105)
    assert again is not None
    after = hear(health, again, at(112))
    assert (after.since, after.fell_on) == (at(102), (health.last,))


@pytest.mark.parametrize(("chosen_at", "anew"), [(99, False), (100, True), (104, True)])
def test_a_fall_that_began_after_an_operators_act_is_known_already(chosen_at: float, anew: bool) -> None:
    down = observe(fallen(failed_once(when=100), failures(5, 100), 102), result(110, FAIL), POLICY)
    assert (found(down, failures(5, 110), 112, chosen_at=chosen_at) is not None) is anew


def test_what_was_heard_is_forgotten_with_a_belief_that_went_stale() -> None:
    down = expect(fallen(failed_once(when=100), failures(5, 100), 102), seconds(30), POLICY)
    assert down.stale_at is not None
    lapsed = expire(down, down.stale_at)
    assert (lapsed.state, lapsed.heard, lapsed.fell_on) == (HealthState.UNKNOWN, None, ())


def test_what_was_heard_is_forgotten_with_the_rise() -> None:
    health = failed_once(when=100)
    both = found(health, failures(5, 100), 102)
    assert both is not None
    health = hear(health, both, at(102))
    for when in (110, 120):
        assert health.heard is not None
        health = observe(health, result(when, OK), POLICY)
    assert (health.state, health.heard, health.fell_on) == (HealthState.UP, None, ())


def fallen(health: Health, given: tuple[Report, ...], now: float) -> Health:
    both = found(health, given, now)
    assert both is not None
    return hear(health, both, at(now))


def test_a_fall_by_reports_moves_onto_one_that_passes_afterwards() -> None:
    down = fallen(failed_once(when=100), failures(5, 99.5), 102)
    waiting = decide(situation({A: down, B: observed((-1000, OK), (50, OK), of=B)}), at(102), POLICY)
    assert (waiting.action, waiting.rule, waiting.to) == (Action.QUALIFY, Rule.FAIL_OVER, B)
    decision = decide(situation({A: down, B: observed((-1000, OK), (103, OK), of=B)}), at(104), POLICY)
    assert (decision.action, decision.rule, decision.to) == (Action.MOVE, Rule.FAIL_OVER, B)
    assert decision.evidence == ("ai_server:1@100", "ai_server:2@103")
    assert decision.heard == down.heard
    assert decision.failure_began_at == at(99.5)
    assert "5 of 5 requests failed (timeout 5; 1 client)" in decision.reason


@pytest.mark.parametrize(("first", "qualified"), [(99.5, 99.7), (102, 100.2)])
def test_a_fall_by_reports_began_with_its_first_evidence_of_either_kind(
    first: float, qualified: float
) -> None:
    """A pass that began since then is a pass since the failure began."""
    down = fallen(failed_once(when=100), failures(5, first), 104)
    for passed, action in ((qualified, Action.MOVE), (min(first, 100), Action.QUALIFY)):
        given = situation({A: down, B: observed((-1000, OK), (passed, OK), of=B)})
        decision = decide(given, at(200), POLICY)
        assert (decision.action, decision.failure_began_at) == (action, at(min(first, 100)))


def test_what_was_heard_stands_beside_the_results_whatever_is_done_about_it() -> None:
    down = fallen(failed_once(when=100), failures(5, 100), 102)
    shaky = observed((-1000, OK), (100, FAIL), (115, FAIL), (130, FAIL), (140, OK), of=B)
    for given, action in (
        (situation({A: down, B: observed((-1000, OK), (50, OK), of=B)}), Action.QUALIFY),
        (situation({A: down, B: None}), Action.STRAND),
        (situation({A: down, B: shaky}, stranded_since=131), Action.MOVE),
    ):
        decision = decide(given, at(141), POLICY)
        assert (decision.action, decision.heard) == (action, down.heard)


@pytest.mark.parametrize(("chosen_at", "moves"), [(None, True), (99, True), (99.5, False), (101, False)])
def test_an_operators_act_after_a_fall_by_reports_holds_against_it(
    chosen_at: float | None, moves: bool
) -> None:
    down = fallen(failed_once(when=100), failures(5, 99.5), 102)
    given = situation({A: down, B: observed((-1000, OK), (103, OK), of=B)}, chosen_at=chosen_at)
    assert (decide(given, at(104), POLICY).action is Action.MOVE) is moves


@pytest.mark.parametrize("kept", [{"paused": True}, {"pinned": True}])
def test_a_pause_and_a_pin_hold_against_reports(kept: dict[str, bool]) -> None:
    down = fallen(failed_once(when=100), failures(50, 99.5), 103)
    given = situation({A: down, B: observed((-1000, OK), (103, OK), of=B)}, **kept)  # type: ignore[arg-type]
    assert decide(given, at(104), POLICY).action is Action.KEEP


def test_reports_in_the_first_moments_after_a_start_wait_for_their_end() -> None:
    down = fallen(failed_once(when=100), failures(5, 100), 102)
    b = observed((-1000, OK), (103, OK), of=B)
    early = decide(situation({A: down, B: b}, deciding_since=99), at(104), POLICY)
    assert (early.action, early.wake_at) == (Action.KEEP, at(99 + 60))


def test_only_what_may_still_matter_is_kept() -> None:
    now = at(1000)
    old = failures(5, 900)
    known = keep(old, failures(30, 990, 0.1), now, POLICY)
    assert len(known) == 20
    assert known[-1].at == at(992.9)
    assert keep(old, (), now, POLICY) == ()
    ahead = keep((), failures(1, 1005), now, POLICY)
    assert [one.at for one in ahead] == [now]
    assert len(keep((), failures(30, 999, 0.01), now, replace(POLICY, report_fall=25))) == 25


def test_what_was_heard_is_told_from_its_record_in_the_same_words() -> None:
    given = (*failures(3, 100), *reports((100.5, ReportOutcome.UNREACHABLE), (100.6, TIMEOUT)))
    both = found(failed_once(), given, 102)
    assert both is not None
    assert words(both) == "5 of 5 requests failed (timeout 4, unreachable 1; 1 client)"
    assert read_recorded(recorded(both, A)) == (at(100), words(both))
    assert read_recorded({"kind": "deep"}) is None
    assert both.last_at - both.first_at == seconds(0.6)


def test_what_is_known_and_what_is_new_are_kept_together_oldest_first() -> None:
    late, early = failures(2, 1000), failures(2, 999)
    assert keep(late, early, at(1002), POLICY) == (*early, *late)
    assert [one.at for one in keep(early, (), at(1059), POLICY)] == [at(999), at(999.05)]
    assert [one.at for one in keep(early, (), at(1059.01), POLICY)] == [at(999.05)]


def test_no_policy_keeps_more_than_a_hundred() -> None:
    assert len(keep((), failures(150, 999, 0.001), at(1000), replace(POLICY, report_fall=500))) == MOST_KEPT


def test_who_reported_is_told_in_the_order_of_the_alphabet() -> None:
    sources = [f"{letter}@host:1" for letter in "hcafbgde"]
    given = tuple(
        Report(at=at(100 + number * 0.1), outcome=TIMEOUT, source=source)
        for number, source in enumerate(sources)
    )
    both = found(failed_once(), given, 102)
    assert both is not None
    assert both.sources == tuple(sorted(sources))


def test_a_share_of_failures_is_told_with_its_failures_alone() -> None:
    """The passes among them count, but they are no failures, and whoever sent only those is no witness."""
    given = tuple(
        Report(at=at(100 + number * 0.1), outcome=outcome, source=source)
        for number in range(5)
        for outcome, source in (
            (PASSED, "calm@host:1"),
            (TIMEOUT, "web@host:2"),
            (ReportOutcome.SERVER_ERROR, "app@host:3"),
            (PASSED, "calm@host:1"),
        )
    )
    both = found(failed_once(), given, 102)
    assert both is not None
    assert (both.first_at, both.last_at) == (at(100), at(100.4))
    assert words(both) == "10 of 20 requests failed (server_error 5, timeout 5; 2 clients)"
    assert read_recorded(recorded(both, A)) == (at(100), words(both))
    assert recorded(both, A) == {
        "kind": "reports",
        "provider_type": "ai_server",
        "provider_id": 1,
        "first_at": both.first_at.isoformat(),
        "last_at": both.last_at.isoformat(),
        "count": 20,
        "failures": 10,
        "outcomes": {"ok": 10, "timeout": 5, "server_error": 5},
        "sources": ["app@host:3", "web@host:2"],
    }
