"""What is told of a purpose: why, what next, and how two courses compare."""

from dataclasses import replace
from typing import Any

from monitor.domain.comparison import figures, policy_changes
from monitor.domain.explanation import Explanation, Standpoint, explain
from monitor.domain.health import Health
from monitor.domain.history import tell_history
from monitor.domain.journal import Entry, EntryKind, Facts, Standing
from monitor.domain.outcome import Outcome
from monitor.domain.policy import Failback, Policy, policy_record
from monitor.domain.provider import ProviderRef
from monitor.domain.situation import Candidate, Rule, Situation
from monitor.domain.timeline import Stranding, Timeline, Turn, sicknesses
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

GOOD_A = observed(*every(30, [OK, OK, OK]), of=A)
GOOD_B = observed(*every(30, [OK, OK, OK]), of=B)


def told(found: Situation, now: float = 100, policy: Policy = POLICY) -> Explanation:
    names = {A: "primary", B: "fallback"}
    return explain(found, at(now), policy, lambda ref: names.get(ref, str(ref)))


def obstacles(found: Explanation) -> dict[ProviderRef, str]:
    return {one.ref: one.obstacle for one in found.candidates}


def test_a_healthy_primary_is_left_after_three_failures() -> None:
    found = told(situation({A: GOOD_A, B: GOOD_B}))
    assert found.decision.rule is Rule.HOLD
    assert [one.eligible for one in found.candidates] == [True, True]
    sentence, _ = found.next_moves
    assert sentence == (
        "fail_over: 3 more failures of primary in a row, at least 30 s from the first to the last, "
        "then fallback takes over once it passes a probe."
    )


def test_a_streak_is_counted_and_its_earliest_end_is_named() -> None:
    failing = observed((90, FAIL), of=A, onto=GOOD_A)
    sentence, _ = told(situation({A: failing, B: GOOD_B})).next_moves
    assert "2 more failures of primary in a row, the last of them not before 12:02:01 (in 21 s)" in sentence
    assert "or 5 more among its last 20 results" in sentence


def test_failures_from_before_an_operators_choice_do_not_count() -> None:
    failing = observed((90, FAIL), of=A, onto=GOOD_A)
    sentence, _ = told(situation({A: failing, B: GOOD_B}, chosen_at=95)).next_moves
    assert "3 more failures" in sentence


def test_without_another_one_the_purpose_would_be_stranded() -> None:
    found = told(situation({A: GOOD_A, B: Health(fingerprint=MARK)}))
    assert obstacles(found) == {A: "", B: "is unknown"}
    assert found.next_moves[0].endswith("then the purpose is stranded, for nobody else is eligible.")


def test_a_half_proven_block_is_told() -> None:
    refused = observed((90, Outcome.AUTH_FAILED), of=A, onto=GOOD_A)
    sentences = told(situation({A: refused, B: GOOD_B})).next_moves
    assert any("1 more auth_failed of primary as well" in one for one in sentences)


def test_the_return_is_told_with_its_hold() -> None:
    found = told(situation({A: GOOD_A, B: GOOD_B}, active=B, preference=(A, B)))
    assert found.next_moves[-1] == (
        "fail_back: back to primary not before 12:05:01 (in 201 s), "
        "if it stays eligible and passes a probe then."
    )
    never = told(
        situation({A: GOOD_A, B: GOOD_B}, active=B, preference=(A, B)),
        policy=replace(POLICY, failback=Failback.NEVER),
    )
    assert never.next_moves[-1] == "No return by itself: failback is never."


def test_a_preferred_one_that_is_down_has_to_recover_first() -> None:
    down = observed(*every(30, [FAIL] * 4), of=A)
    found = told(situation({A: down, B: GOOD_B}, active=B, preference=(A, B)))
    assert found.next_moves[-1].startswith("fail_back: primary is down; it has to be eligible again")


def test_a_dead_one_waits_for_the_probe_of_its_successor() -> None:
    dead = observed(*every(10, [FAIL] * 4, begin=70), of=A)
    found = told(situation({A: dead, B: GOOD_B}), now=102)
    assert found.next_moves == ("fallback takes over when the probe it is asked for now passes (fail_over).",)
    passed = observed((101, OK), of=B, onto=GOOD_B)
    due = told(situation({A: dead, B: passed}), now=103)
    assert due.next_moves == ("The move onto fallback is due now (fail_over).",)


def test_whoever_is_stranded_takes_the_first_that_answers() -> None:
    dead = observed(*every(30, [FAIL] * 4), of=A)
    gone = Candidate(ref=B, health=GOOD_B, gone_since=at(50))
    found = told(situation({A: dead, B: gone}, stranded_since=95))
    assert found.next_moves[0].startswith("call_for_help: the first candidate that passes a probe takes over")
    assert obstacles(found)[B] == "was deleted or disabled"


def test_each_candidate_is_told_with_its_place_its_belief_and_its_last_results() -> None:
    refused = observed((70, Outcome.RATE_LIMITED), (80, AUTH), (95, AUTH), of=A, onto=GOOD_A)
    third = replace(GOOD_B, light_outcome=FAIL)
    third = observed((70, Outcome.RATE_LIMITED), (80, Outcome.BUSY), of=B, onto=third)
    found = told(situation({A: refused, B: third, C: None}, active=C, preference=(B, A)))
    assert found.candidates == (
        Standpoint(
            ref=B,
            place=1,
            serves=False,
            health="up",
            since=at(1),
            eligible=False,
            obstacle="is blocked: rate_limited",
            warnings=("busy", "light_failing", "rate_limited"),
            last=tuple(
                (at(when), word)
                for when, word in (
                    (0, "ok"),
                    (30, "ok"),
                    (60, "ok"),
                    (70, "rate_limited"),
                    (80, "busy"),
                )
            ),
        ),
        Standpoint(
            ref=A,
            place=2,
            serves=False,
            health="blocked: auth",
            since=at(1),
            eligible=False,
            obstacle="is blocked: auth, rate_limited",
            warnings=("rate_limited",),
            last=tuple(
                (at(when), word)
                for when, word in (
                    (30, "ok"),
                    (60, "ok"),
                    (70, "rate_limited"),
                    (80, "auth_failed"),
                    (95, "auth_failed"),
                )
            ),
        ),
        Standpoint(
            ref=C,
            place=None,
            serves=True,
            health="not probed",
            since=None,
            eligible=False,
            obstacle="has not been probed yet",
            warnings=(),
            last=(),
        ),
    )


def test_a_pause_and_a_pin_hold_everything() -> None:
    healths = {A: GOOD_A, B: GOOD_B}
    assert told(situation(healths, paused=True)).next_moves == (
        "Nothing moves until an operator resumes it.",
    )
    assert told(situation(healths, pinned=True)).next_moves == ("Nothing moves while the pin holds.",)


def test_time_on_a_sick_provider_is_what_its_results_show() -> None:
    results = [
        result(0, of=A),
        result(10, FAIL, of=A),
        result(20, Outcome.INDETERMINATE, of=A),
        result(30, FAIL, of=B),
        result(40, of=B),
        result(50, of=A),
    ]
    sick = sicknesses(results, at(100))
    assert [(one.ref, one.since, one.until) for one in sick] == [(A, at(10), at(51)), (B, at(30), at(41))]
    course = Timeline(begin=at(0), until=at(100), first=A)
    course.turns.append(Turn(at=at(21), rule="fail_over", left=A, onto=B))
    course.strandings.append(Stranding(since=at(15), until=at(25)))
    found = figures(course, at(20), ["fail_over"], sick)
    assert (found.switches, found.stranded, found.on_sick) == (1, seconds(5), seconds(1 + 11))


def test_a_policy_that_was_another_is_named_with_both_values() -> None:
    assert policy_changes(policy_record(POLICY), replace(POLICY, fall=2)) == ["fall was 3 and is 2"]
    assert policy_changes(policy_record(POLICY), POLICY) == []


def test_a_history_begins_with_who_was_named_and_tells_what_operators_did() -> None:
    def entry(when: float, kind: EntryKind, **changes: Any) -> Entry:
        standings = (Standing(ref=A), Standing(ref=B, gone_since=changes.pop("gone", None)))
        known: dict[str, Any] = {
            "active": A,
            "preference": (A, B),
            "deciding_since": at(0),
            "standings": standings,
        }
        return Entry(at=at(when), kind=kind, facts=Facts(**(known | changes)))

    entries = [
        entry(1, EntryKind.REIGN, rule="adopted", since=at(0)),
        entry(10, EntryKind.CHANGE, paused=True),
        entry(20, EntryKind.CHANGE, preference=(A,)),
        entry(30, EntryKind.CHANGE, preference=(A,), gone=at(29)),
        Entry(at=at(40), kind=EntryKind.STRANDED, reason="A is down"),
        Entry(at=at(50), kind=EntryKind.RELIEVED),
        entry(60, EntryKind.CHANGE, active=None, preference=(), standings=()),
    ]
    lines = tell_history([], entries, str)
    assert [(line.at, line.what) for line in lines] == [
        (at(0), "adopted"),
        (at(10), "paused"),
        (at(20), "order"),
        (at(20), "resumed"),
        (at(30), "gone"),
        (at(40), "stranded"),
        (at(60), "deleted"),
    ]
    assert lines[5].until == at(50)
