"""Deciding again beside a record that says otherwise, leaves something out, or breaks off."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from monitor.domain.journal import Entry, EntryKind, Facts, Standing
from monitor.domain.outcome import ProbeResult, ResultId
from monitor.domain.policy import Policy
from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.replay import Difference, Replayed, replay
from monitor.domain.reports import Hearing
from monitor.domain.situation import Action, Decision, Rule
from monitor.domain.timeline import Stranding, Turn
from tests.unit.build import FAIL, MARK, OK, POLICY, A, B, C, at, every, observed, result

GOOD_A = observed(*every(30, [OK] * 3, begin=-90), of=A)
GOOD_B = observed(*every(30, [OK] * 3, begin=-90), of=B)
FALL = [result(when, FAIL, of=A) for when in (10, 20, 45)]
"""A is down at 46."""
TAKEN = [*FALL, result(50, of=B)]
"""B has passed at 51."""
TOLD = (Standing(ref=A, told=True, health=GOOD_A), Standing(ref=B, told=True, health=GOOD_B))
PLAIN = (Standing(ref=A), Standing(ref=B))
STRANDED, RELIEVED, AWAY = EntryKind.STRANDED, EntryKind.RELIEVED, EntryKind.AWAY
IDS = tuple(one.id for one in FALL)


def whole(
    when: float, kind: EntryKind = EntryKind.REIGN, standings: Iterable[Standing] = TOLD, **changes: Any
) -> Entry:
    known: dict[str, Any] = {"active": A, "preference": (A, B), "deciding_since": at(-1000)}
    return Entry(at=at(when), kind=kind, facts=Facts(standings=tuple(standings), **(known | changes)))


def change(when: float, **changes: Any) -> Entry:
    return whole(when, EntryKind.CHANGE, **({"standings": PLAIN} | changes))


def alone(when: float, **changes: Any) -> Entry:
    """A reign with nobody to take over."""
    return whole(when, standings=TOLD[:1], preference=(A,), **changes)


def settled(decided_at: float, when: float, *, done: bool = True, again_at: float | None = None) -> Entry:
    return Entry(
        at=at(when),
        kind=EntryKind.SETTLED,
        decided_at=at(decided_at),
        done=done,
        again_at=None if again_at is None else at(again_at),
    )


def noted(when: float, kind: EntryKind) -> Entry:
    return Entry(at=at(when), kind=kind, reason="noted", evidence=(ResultId("x"),))


def move(when: float, left: ProviderRef = A, onto: ProviderRef = B, rule: str = "fail_over") -> Turn:
    return Turn(at=at(when), rule=rule, left=left, onto=onto)


def followed(
    entries: Sequence[Entry], results: Iterable[ProbeResult], *moves: Turn, until: float = 100
) -> Replayed:
    ordered = sorted(results, key=lambda one: one.ended_at)
    found = replay(Purpose.CHAT, POLICY, entries, ordered, at(until), moves)
    assert found is not None
    assert found.follows
    return found


def free(
    entries: Sequence[Entry], results: Iterable[ProbeResult], *, until: float = 100, policy: Policy = POLICY
) -> Replayed:
    ordered = sorted(results, key=lambda one: one.ended_at)
    found = replay(Purpose.CHAT, policy, entries, ordered, at(until))
    assert found is not None
    assert (found.follows, found.differences, found.reproduced) == (False, (), ())
    return found


def turns(found: Replayed) -> list[tuple[datetime, str, ProviderRef | None]]:
    return [(one.at, one.rule, one.onto) for one in found.course.timeline.turns]


def told(found: Replayed) -> list[tuple[datetime, object, Action | None]]:
    """Instant, what is recorded and what is decided of each difference."""
    return [(one.at, one.recorded, one.decided.action if one.decided else None) for one in found.differences]


def test_without_a_journal_there_is_nothing_to_begin_with() -> None:
    assert replay(Purpose.CHAT, POLICY, [], FALL, at(100), [move(51)]) is None


def test_a_recorded_move_is_made_again_with_what_the_decision_says() -> None:
    found = followed([whole(0), settled(51, 52)], TAKEN, move(51))
    assert found.differences == ()
    assert found.reproduced == (move(51),)
    (turn,) = found.course.timeline.turns
    assert turn == Turn(
        at=at(51),
        rule="fail_over",
        left=A,
        onto=B,
        reason="ai_server:1 is down: server_error",
        evidence=(*IDS, ResultId("ai_server:2@50")),
        failure_began_at=at(10),
    )
    timeline = found.course.timeline
    assert (timeline.begin, timeline.until, timeline.first) == (at(0), at(100), A)
    assert found.decision is not None
    assert (found.decision.action, found.decided_at) == (Action.KEEP, at(52))


def test_freely_the_same_moves_come_of_the_same_results() -> None:
    for entries in ([whole(0), settled(51, 52)], [whole(0)]):
        assert turns(free(entries, TAKEN)) == [(at(51), "fail_over", B)]
    slow = free([whole(0), settled(51, 52)], TAKEN, policy=replace(POLICY, fall=4))
    assert turns(slow) == []


def test_freely_what_could_not_be_recorded_is_not_done_until_it_is_decided_again() -> None:
    tried = settled(51, 58, done=False, again_at=60)
    meanwhile, later = result(54, FAIL, of=A), result(69, FAIL, of=A)
    assert turns(free([whole(0), tried], [*TAKEN, meanwhile, later])) == [(at(60), "fail_over", B)]
    soon = result(58, FAIL, of=A)
    assert turns(free([whole(0), tried], [*TAKEN, soon, later])) == [(at(59), "fail_over", B)]
    done = settled(51, 71)
    assert turns(free([whole(0), done], [*TAKEN, meanwhile, later])) == [(at(51), "fail_over", B)]
    assert free([whole(0), done], [*TAKEN, meanwhile, result(64, of=A)]).decided_at == at(71)


def test_freely_the_records_own_attempts_are_no_moments_and_hold_nothing_up() -> None:
    assert free([whole(0), settled(30, 31, done=False, again_at=40)], []).decided_at == at(0)
    # Our own decision at 11 is to keep: what the record was busy with until 90 is another course.
    assert turns(free([whole(0), settled(11, 90)], TAKEN)) == [(at(51), "fail_over", B)]
    away = [whole(0), Entry(at=at(12), kind=AWAY), noted(30, STRANDED)]
    assert free(away, [result(29, of=A)]).course.timeline.strandings == []


def test_a_result_that_ends_with_an_attempt_is_judged_after_it() -> None:
    tried = settled(51, 58, done=False, again_at=65)
    together = [*TAKEN, result(57, FAIL, of=A), result(79, of=A)]
    assert turns(free([whole(0), tried], together)) == [(at(58), "fail_over", B)]


def test_a_failed_attempt_is_a_decision_like_another() -> None:
    entries = [whole(0), settled(51, 53, done=False, again_at=60), settled(60, 61)]
    found = followed(entries, TAKEN, move(60))
    assert (found.differences, turns(found)) == ((), [(at(60), "fail_over", B)])
    early = followed([whole(0), settled(46, 48, done=False, again_at=49)], [*FALL, result(60, of=B)])
    assert told(early)[0] == (at(46), early.differences[0].recorded, Action.QUALIFY)
    kept = followed([whole(0), settled(30, 31, done=False)], [])
    assert [(one[0], one[2]) for one in told(kept)] == [(at(30), Action.KEEP)]


def test_an_attempt_without_its_move_was_no_decision_to_move() -> None:
    found = followed([whole(0), settled(51, 52, done=True), whole(90, EntryKind.DAY)], TAKEN)
    assert told(found) == [
        (at(51), settled(51, 52), Action.MOVE),
        (at(52), None, Action.MOVE),
    ]


def test_while_a_decision_is_recorded_nothing_is_judged() -> None:
    entries = [whole(0), settled(51, 70)]
    found = followed(entries, [*TAKEN, result(53, of=A), result(55, of=A), result(65, of=B)], move(51))
    assert found.differences == ()
    assert found.decided_at == at(70)
    waiting = followed([whole(0)], [*TAKEN, result(53, of=A)], move(51))
    assert waiting.decided_at == at(51)


@pytest.mark.parametrize(
    "recorded",
    [move(51, onto=C), move(51, rule="call_for_help"), move(46), move(20)],
    ids=["another one", "another rule", "before the probe", "too early"],
)
def test_a_recorded_move_that_is_not_decided_is_a_difference_and_gone_on_with(recorded: Turn) -> None:
    found = followed([whole(0, standings=(*TOLD, Standing(ref=C))), settled(90, 91)], TAKEN, recorded)
    decided = {at(51): Action.MOVE, at(46): Action.QUALIFY, at(20): Action.KEEP}[recorded.at]
    assert told(found) == [(recorded.at, recorded, decided)]
    assert found.reproduced == ()
    assert found.course.timeline.turns == [recorded]
    assert found.course.facts is not None
    assert found.course.facts.active == recorded.onto


def test_what_is_recorded_while_nothing_could_be_decided_is_gone_on_with() -> None:
    entries = [whole(0), Entry(at=at(12), kind=AWAY), noted(30, STRANDED), noted(40, RELIEVED)]
    recorded = move(51)
    found = followed(entries, TAKEN, recorded)
    assert told(found) == [(at(30), entries[2], None), (at(40), entries[3], None), (at(51), recorded, None)]
    assert found.course.timeline.turns == [recorded]
    assert found.course.timeline.strandings == [
        Stranding(since=at(30), until=at(40), reason="noted", evidence=(ResultId("x"),))
    ]
    assert turns(free(entries, TAKEN)) == []


def test_a_stranding_and_its_end_are_decided_again() -> None:
    entries = [alone(0), noted(46, STRANDED), settled(46, 47), noted(55, RELIEVED), settled(55, 56)]
    answers = result(54, of=A)
    found = followed(entries, [*FALL, answers])
    assert (found.differences, found.reproduced) == ((), ())
    spans = [
        Stranding(
            since=at(46),
            until=at(55),
            reason="ai_server:1 is down: server_error, and no candidate is eligible",
            evidence=IDS,
        )
    ]
    assert found.course.timeline.strandings == spans
    assert free(entries, [*FALL, answers]).course.timeline.strandings == spans
    lasting = [*FALL, result(60, FAIL, of=A)]
    assert followed(entries[:3], lasting).course.timeline.strandings == [replace(spans[0], until=None)]


@pytest.mark.parametrize(("kind", "other"), [(STRANDED, RELIEVED), (RELIEVED, STRANDED)])
def test_a_stranding_that_is_not_decided_is_a_difference_and_gone_on_with(
    kind: EntryKind, other: EntryKind
) -> None:
    begun = at(5) if kind is RELIEVED else None
    recorded = noted(30, kind)
    found = followed([alone(0, stranded_since=begun), recorded], [])
    assert told(found) == [(at(30), recorded, Action.KEEP)]
    assert found.course.facts is not None
    assert found.course.facts.stranded_since == (at(30) if kind is STRANDED else None)
    (span,) = found.course.timeline.strandings
    assert (span.since, span.until) == ((at(30), None) if kind is STRANDED else (at(5), at(30)))
    assert span.reason == ("noted" if kind is STRANDED else "")
    # At 46 a stranding is decided: its end is something else.
    wrong = followed([alone(0), noted(46, other)], FALL)
    assert [one[2] for one in told(wrong)] == ([Action.STRAND] if other is RELIEVED else [])


def test_a_decision_that_is_not_recorded_is_a_difference_told_once() -> None:
    goes_on = [whole(0), change(80)]
    found = followed(goes_on, [*TAKEN, result(55, FAIL, of=A), result(60, FAIL, of=A)])
    assert found.differences == (
        Difference(
            at=at(51),
            recorded=None,
            decided=Decision(
                action=Action.MOVE,
                rule=Rule.FAIL_OVER,
                to=B,
                reason="ai_server:1 is down: server_error",
                evidence=(*IDS, ResultId("ai_server:2@50")),
                failure_began_at=at(10),
            ),
        ),
    )
    assert turns(found) == []


def test_after_something_recorded_the_next_difference_is_told_again() -> None:
    entries = [whole(0), settled(60, 61, done=False), change(80)]
    found = followed(entries, [*TAKEN, result(59, FAIL, of=A), result(62, FAIL, of=A)])
    assert [(one[0], one[1] is None) for one in told(found)] == [(at(51), True), (at(63), True)]
    reborn = [whole(0), change(60), whole(65, standings=PLAIN), change(90)]
    found = followed(reborn, [*TAKEN, result(70, FAIL, of=A)])
    assert [one[0] for one in told(found)] == [at(51), at(65)]


def test_a_daemon_that_ended_before_it_could_record_differs_in_nothing() -> None:
    late = [*TAKEN, result(52, FAIL, of=A)]
    again = whole(70, standings=PLAIN)
    ended = followed([whole(0), again, settled(70, 71), change(90)], late, move(70))
    assert (ended.differences, turns(ended)) == ((), [(at(70), "fail_over", B)])
    lost = [whole(0), Entry(at=at(60), kind=AWAY), again]
    assert followed(lost, late).differences == ()
    assert followed([whole(0), change(51), again], late).differences == ()
    went_on = followed([whole(0), change(51.5), again], late)
    assert [one.at for one in went_on.differences] == [at(51)]
    # What is reported is noted also while a decision waits to be recorded, and after the records are lost.
    hearing = Hearing(ref=A, fingerprint=MARK, reports=(), deciding_since=at(-1000))
    heard = Entry(at=at(61), kind=EntryKind.REPORTED, hearing=hearing)
    for entries in ([whole(0), heard, again], [*lost[:2], heard, again]):
        assert followed(entries, late).differences == ()
    waits = followed([whole(0)], late)
    assert (waits.differences, waits.decided_at) == ((), at(51))


@pytest.mark.parametrize(("known_until", "differs"), [(65, False), (65.9, False), (66, True), (80, True)])
def test_what_was_decided_at_the_very_end_may_still_be_recorded(known_until: float, differs: bool) -> None:
    found = followed([whole(0)], [*TAKEN, result(known_until - 1, of=C)])
    assert bool(found.differences) is differs


def test_a_deadline_is_met_before_what_comes_after_it() -> None:
    began = whole(0, deciding_since=at(0))
    passes = [*TAKEN, result(55, FAIL, of=A)]
    assert turns(free([began], [*passes, result(64, of=A)])) == [(at(60), "fail_over", B)]
    assert turns(free([began], passes)) == [(at(60), "fail_over", B)]
    assert turns(free([began], passes, until=60)) == []
    assert turns(free([began], passes, until=60.1)) == [(at(60), "fail_over", B)]
    # Whatever ends at the deadline itself is seen first: A answers again.
    assert turns(free([began], [*passes, result(59, of=A)])) == []


def test_a_deadline_ends_with_its_reign() -> None:
    began = whole(0, deciding_since=at(0))
    for ending in (
        [Entry(at=at(58), kind=AWAY)],
        [whole(59, standings=PLAIN, paused=True)],
        [whole(62, standings=PLAIN, paused=True)],
    ):
        assert turns(free([began, *ending], [*TAKEN, result(70, FAIL, of=A)])) == []


def test_a_move_at_a_deadline_is_decided_again_at_that_instant() -> None:
    began = whole(0, deciding_since=at(0))
    found = followed([began, settled(60, 61)], TAKEN, move(60))
    assert (found.differences, found.reproduced) == ((), (move(60),))
    later = followed([began, settled(64, 65)], TAKEN, move(64))
    assert [(one[0], one[2]) for one in told(later)] == [(at(60), Action.MOVE)]
    assert later.reproduced == (move(64),)


def test_whatever_is_noted_is_judged_at_once() -> None:
    pausing = [change(48, paused=True), change(60, standings=PLAIN)]
    assert turns(free([whole(0), *pausing], TAKEN)) == [(at(60), "fail_over", B)]
    day = whole(60, EntryKind.DAY)
    assert turns(free([whole(0), change(48, paused=True), day], TAKEN)) == [(at(60), "fail_over", B)]


def test_a_journal_that_begins_with_a_day_begins_to_decide_with_it() -> None:
    assert turns(free([whole(0, EntryKind.DAY)], TAKEN)) == [(at(51), "fail_over", B)]
    before = [settled(-9, -8), Entry(at=at(-5), kind=AWAY)]
    begun = free([*before, whole(0, EntryKind.CHANGE)], TAKEN)
    assert turns(begun) == [(at(51), "fail_over", B)]


def test_nothing_is_decided_while_the_records_are_away() -> None:
    back = whole(60, standings=PLAIN)
    entries = [whole(0), Entry(at=at(48), kind=AWAY)]
    assert turns(free(entries, TAKEN)) == []
    assert turns(free([*entries, change(55)], TAKEN)) == []
    assert turns(free([*entries, back], TAKEN)) == [(at(60), "fail_over", B)]


def test_another_targets_result_is_no_moment_to_judge() -> None:
    foreign = replace(result(70, of=A), fingerprint="another")
    found = followed([whole(0)], [result(10, of=A), foreign, result(80, of=C)])
    assert found.decided_at == at(11)
    together = followed([whole(0)], [result(70, of=A), foreign])
    assert together.decided_at == at(71)


def test_what_is_reported_of_another_target_is_no_moment_to_judge() -> None:
    hearing = Hearing(ref=A, fingerprint=MARK, reports=(), deciding_since=at(-1000))

    def reported(**changes: Any) -> Replayed:
        told = Entry(at=at(30), kind=EntryKind.REPORTED, hearing=replace(hearing, **changes))
        return followed([whole(0), told], [])

    assert reported().decided_at == at(30)
    assert reported(ref=C).decided_at == at(0)
    assert followed([whole(0), Entry(at=at(30), kind=EntryKind.REPORTED)], []).decided_at == at(0)
    both = [whole(0), Entry(at=at(30), kind=EntryKind.REPORTED, hearing=replace(hearing, ref=C))]
    assert followed(both, [result(29, of=A)]).decided_at == at(30)
