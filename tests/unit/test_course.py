"""A purpose in a replay: what results, the journal and decisions make of it."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from monitor.domain.course import Course, health_word
from monitor.domain.health import Health
from monitor.domain.journal import Entry, EntryKind, Facts, Standing
from monitor.domain.maintenance import Maintenance
from monitor.domain.outcome import Outcome, ResultId
from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.reports import Hearing, Report, ReportOutcome, hear, heard
from monitor.domain.situation import Action, Candidate, Decision, Rule, Situation, Switch
from monitor.domain.timeline import HealthChange, Stranding, Turn
from tests.unit.build import AUTH, FAIL, MARK, OK, POLICY, A, B, C, at, every, observed, result

REIGN, DAY, CHANGE = EntryKind.REIGN, EntryKind.DAY, EntryKind.CHANGE
GOOD_A = observed(*every(30, [OK] * 3, begin=-90), of=A)
GOOD_B = observed(*every(30, [OK] * 3, begin=-90), of=B)
NEWER_A = observed((-5, OK), of=A, onto=GOOD_A)
REKEYED_A = replace(GOOD_A, fingerprint="another")
TOLD = (Standing(ref=A, told=True, health=GOOD_A), Standing(ref=B, told=True, health=GOOD_B))
PLAIN = (Standing(ref=A), Standing(ref=B))
OUT = Maintenance(since=at(-8), until=at(200))
PAST = (Switch(at=at(-50), left=B, onto=A),)


def entry(when: float, kind: EntryKind, standings: Iterable[Standing] = PLAIN, **changes: Any) -> Entry:
    known: dict[str, Any] = {"active": A, "preference": (A, B), "standings": tuple(standings)}
    return Entry(at=at(when), kind=kind, facts=Facts(deciding_since=at(-1000), **(known | changes)))


def begun(*standings: Standing, follow: bool = True, **changes: Any) -> Course:
    """After a reign that began at 0."""
    course = Course(Purpose.CHAT, POLICY, at(0), at(100))
    known: dict[str, Any] = {"since": at(-40), "rule": "fail_back", "switches": PAST}
    course.adopt(entry(0, REIGN, standings or TOLD, **(known | changes)), follow=follow)
    return course


def situation(course: Course, when: float = 50) -> Situation:
    found = course.situation(at(when))
    assert found is not None
    return found


def facts(course: Course) -> Facts:
    assert course.facts is not None
    return course.facts


def serves(course: Course) -> tuple[ProviderRef | None, datetime | None, str | None]:
    return facts(course).active, facts(course).since, facts(course).rule


def moved(when: float, left: ProviderRef | None, onto: ProviderRef | None) -> Turn:
    return Turn(at=at(when), rule="fail_over", left=left, onto=onto)


def decided(action: Action, to: ProviderRef | None = None) -> Decision:
    return Decision(
        action=action,
        rule=Rule.FAIL_OVER,
        to=to,
        reason="why",
        evidence=(ResultId("x"),),
        failure_began_at=at(3),
    )


def test_before_the_first_entry_nothing_is_known_and_nothing_can_be_done() -> None:
    course = Course(Purpose.CHAT, POLICY, at(0), at(100))
    course.adopt(Entry(at=at(0), kind=EntryKind.AWAY), follow=True)
    course.strand(at(1), at(1))
    course.move(moved(2, A, B))
    course.act(decided(Action.MOVE, B), at(3))
    assert course.observe(result(4)) is False
    assert course.situation(at(5)) is None
    assert (course.facts, course.healths) == (None, {})
    assert (course.timeline.turns, course.timeline.strandings) == ([], [])


def test_a_situation_is_all_that_the_journal_and_the_results_say() -> None:
    course = begun(
        Standing(ref=A, told=True, health=GOOD_A, maintenance=OUT),
        Standing(ref=B, gone_since=at(-7), same_space=None),
        preference=(B, A),
        chosen_at=at(-30),
        ordered_at=at(-29),
        stranded_since=at(-20),
        paused=True,
        pinned=B,
        pinned_until=at(60),
        held=True,
        held_until=at(61),
    )
    whole = Situation(
        purpose=Purpose.CHAT,
        active=A,
        preference=(B, A),
        candidates={
            A: Candidate(ref=A, health=GOOD_A, maintenance=OUT),
            B: Candidate(ref=B, gone_since=at(-7), same_space=None),
        },
        deciding_since=at(-1000),
        chosen_at=at(-30),
        ordered_at=at(-29),
        switches=PAST,
        stranded_since=at(-20),
        paused=True,
        pinned=True,
        pinned_until=at(60),
        held=True,
        held_until=at(61),
    )
    assert course.situation(at(59)) == whole
    assert course.situation(at(60)) == replace(whole, pinned=False)
    assert course.situation(at(61)) == replace(whole, pinned=False, held=False)
    other = course.situation(at(59), {B: GOOD_B})
    assert other is not None
    assert [one.health for one in other.candidates.values()] == [None, GOOD_B]


def test_a_result_changes_the_belief_that_it_is_of_and_no_other() -> None:
    course = begun()
    failing = [result(when, FAIL, of=A) for when in (10, 20, 45)]
    assert [course.observe(one) for one in failing] == [True] * 3
    assert course.healths == {A: observed(*failing, onto=GOOD_A), B: GOOD_B}
    assert course.timeline.changes == [
        HealthChange(at=at(46), ref=A, before="up", after="down", result=failing[-1].id)
    ]
    before = dict(course.healths)
    assert course.observe(result(50, of=C)) is False
    assert course.observe(result(50, of=B, fingerprint="another")) is False
    assert course.healths == before


def test_what_is_reported_changes_the_belief_that_it_is_of_and_no_other() -> None:
    reports = tuple(Report(at=at(12), outcome=ReportOutcome.TIMEOUT) for _ in range(5))
    hearing = Hearing(ref=A, fingerprint=MARK, reports=reports, deciding_since=at(-1000))
    course = begun()
    assert course.hear(hearing, at(13)) is True
    assert course.healths == {A: GOOD_A, B: GOOD_B}
    failed = result(10, FAIL, of=A)
    course.observe(failed)
    before = dict(course.healths)
    assert course.hear(replace(hearing, ref=C), at(13)) is False
    assert course.hear(replace(hearing, fingerprint="another"), at(13)) is False
    assert (course.healths, course.timeline.changes) == (before, [])
    assert course.hear(hearing, at(13)) is True
    found = heard(before[A], hearing, at(13), POLICY)
    assert found is not None
    assert course.healths == {A: hear(before[A], found, at(13)), B: GOOD_B}
    assert course.timeline.changes == [
        HealthChange(at=at(13), ref=A, before="up", after="down", result=failed.id)
    ]


def test_a_belief_is_told_in_a_word_or_two() -> None:
    assert health_word(GOOD_A, at(0), POLICY) == "up"
    assert health_word(Health(fingerprint=MARK), at(0), POLICY) == "unknown"
    limited = observed((10, Outcome.RATE_LIMITED), onto=GOOD_A)
    assert health_word(limited, at(12), POLICY) == "up"
    refusals = (Outcome.QUOTA_EXHAUSTED, Outcome.MODEL_MISSING, AUTH)
    refused = [(start + index, one) for start in (10, 30) for index, one in enumerate(refusals)]
    blocked = observed(*refused, (40, Outcome.RATE_LIMITED), onto=GOOD_A)
    assert health_word(blocked, at(42), POLICY) == "blocked: auth, model_missing, quota"


def test_the_first_entry_is_taken_as_it_is() -> None:
    for follow in (True, False):
        course = begun(follow=follow, active=B, stranded_since=at(-5))
        assert serves(course) == (B, at(-40), "fail_back")
        assert course.timeline.first == B
        assert course.timeline.turns == []
        assert course.timeline.strandings == [Stranding(since=at(-5))]
        assert situation(course).switches == PAST
        assert course.healths == {A: GOOD_A, B: GOOD_B}
        assert course.drift == []
    assert begun(active=None).situation(at(1)) is None


def test_a_day_that_tells_another_belief_shows_a_drift_and_is_believed() -> None:
    told = [Standing(ref=A, told=True, health=NEWER_A), Standing(ref=B, told=True, health=GOOD_B)]
    course = begun()
    course.adopt(entry(10, DAY, told), follow=True)
    assert course.drift == [(at(10), A)]
    assert course.healths[A] == NEWER_A
    untold = [replace(told[0], told=False, health=None), told[1]]
    for kind, follow, standings in ((DAY, True, untold), (DAY, False, told), (REIGN, True, told)):
        course = begun()
        course.adopt(entry(10, kind, standings), follow=follow)
        assert course.drift == []
    first = Course(Purpose.CHAT, POLICY, at(0), at(100))
    first.adopt(entry(0, DAY, told), follow=True)
    assert first.drift == []


@pytest.mark.parametrize("kind", [DAY, REIGN])
def test_freely_a_belief_goes_on_until_it_is_of_something_else(kind: EntryKind) -> None:
    course = begun(follow=False)
    course.adopt(entry(10, kind, [Standing(ref=A, told=True, health=NEWER_A), PLAIN[1]]), follow=False)
    assert course.healths == {A: GOOD_A, B: GOOD_B}
    course.adopt(entry(11, kind, [Standing(ref=A, told=True, health=REKEYED_A), PLAIN[1]]), follow=False)
    assert course.healths == {A: REKEYED_A, B: GOOD_B}


@pytest.mark.parametrize("follow", [True, False])
def test_a_change_tells_which_beliefs_begin_anew_or_end(follow: bool) -> None:
    course = begun(follow=follow)
    told = [PLAIN[0], Standing(ref=B, told=True), Standing(ref=C, told=True, health=GOOD_B)]
    course.adopt(entry(10, CHANGE, told), follow=follow)
    assert course.healths == {A: GOOD_A, C: GOOD_B}
    course.adopt(entry(11, CHANGE, [Standing(ref=A, told=True, health=NEWER_A)]), follow=follow)
    assert course.healths == {A: NEWER_A}
    assert list(situation(course).candidates) == [A]


def test_whoever_serves_freely_stays_a_candidate_whatever_the_record_wants() -> None:
    course = begun(follow=False)
    course.move(moved(5, A, B))
    course.adopt(entry(10, CHANGE, PLAIN[:1], preference=(A,)), follow=False)
    assert set(situation(course).candidates) == {A, B}
    assert situation(course).active == B
    assert course.healths == {A: GOOD_A, B: GOOD_B}
    seen = Standing(ref=B, maintenance=OUT)
    course.adopt(entry(11, CHANGE, [PLAIN[0], seen], preference=(A,)), follow=False)
    assert situation(course).candidates[B].maintenance == OUT
    alone = [Standing(ref=C)]
    course.adopt(entry(12, CHANGE, alone, active=C, preference=(C,), chosen=True), follow=False)
    assert set(situation(course).candidates) == {C}
    course.adopt(entry(12, CHANGE, PLAIN[:1], active=None, chosen=True), follow=False)
    course.adopt(entry(13, CHANGE, PLAIN[:1]), follow=False)
    assert set(situation(course).candidates) == {A}


def test_a_followed_reign_or_day_forgets_whom_it_does_not_name() -> None:
    course = begun()
    course.adopt(entry(10, REIGN, [Standing(ref=B)], active=B, preference=(B,)), follow=True)
    assert set(situation(course).candidates) == {B}


@pytest.mark.parametrize("kind", [REIGN, DAY])
def test_following_a_whole_entry_says_who_serves(kind: EntryKind) -> None:
    course = begun()
    later = (*PAST, Switch(at=at(8), left=A, onto=B))
    known: dict[str, Any] = {"active": B, "since": at(8), "rule": "call_for_help", "switches": later}
    course.adopt(entry(10, kind, stranded_since=at(9), **known), follow=True)
    assert serves(course) == (B, at(8), "call_for_help")
    assert situation(course).switches == later
    assert facts(course).stranded_since == at(9)
    (turn,) = course.timeline.turns
    assert (turn.at, turn.rule, turn.left, turn.onto) == (at(10), "call_for_help", A, B)
    course.adopt(entry(20, kind, active=B, since=at(8), rule="operator"), follow=True)
    assert serves(course) == (B, at(8), "operator")
    assert facts(course).stranded_since is None
    course.adopt(entry(30, kind, active=B, since=at(9)), follow=True)
    assert serves(course) == (B, at(9), "operator")


@pytest.mark.parametrize("kind", [REIGN, DAY, CHANGE])
def test_freely_what_the_record_moved_does_not_move_us(kind: EntryKind) -> None:
    course = begun(follow=False, stranded_since=at(-5))
    known: dict[str, Any] = {"active": B, "since": at(8), "rule": "fail_over", "switches": (), "paused": True}
    course.adopt(entry(10, kind, **known), follow=False)
    assert serves(course) == (A, at(-40), "fail_back")
    assert (facts(course).stranded_since, facts(course).paused) == (at(-5), True)
    assert situation(course).switches == PAST
    assert course.timeline.turns == []
    course.adopt(entry(20, kind, stranded_since=at(15)), follow=False)
    assert serves(course) == (A, at(-40), "fail_back")
    assert facts(course).stranded_since == at(-5)
    assert course.timeline.strandings == [Stranding(since=at(-5))]


def test_a_followed_change_leaves_who_serves_and_who_is_stranded_to_what_is_decided() -> None:
    course = begun(stranded_since=at(-5))
    course.adopt(entry(10, CHANGE, active=B), follow=True)
    assert serves(course) == (A, at(-40), "fail_back")
    course.adopt(entry(11, CHANGE), follow=True)
    assert facts(course).stranded_since == at(-5)
    assert situation(course).switches == PAST


@pytest.mark.parametrize("follow", [True, False])
def test_an_operators_choice_changes_who_serves(follow: bool) -> None:
    course = begun(follow=follow, stranded_since=at(-5))
    course.adopt(entry(10, CHANGE, active=B, chosen=True, chosen_at=at(9)), follow=follow)
    assert serves(course) == (B, at(10), "operator")
    assert course.timeline.turns == [
        Turn(at=at(10), rule="operator", left=A, onto=B, reason="an operator chose who serves")
    ]
    assert course.timeline.strandings == [Stranding(since=at(-5), until=at(10))]
    course.adopt(entry(20, CHANGE, active=None, chosen=True, standings=()), follow=follow)
    assert course.situation(at(21)) is None
    assert course.timeline.turns[1:] == [
        Turn(at=at(20), rule="operator", left=B, onto=None, reason="the purpose's row was deleted")
    ]


def test_a_row_that_is_deleted_or_written_again_is_nobodys_decision_but_it_counts() -> None:
    course = begun(follow=False)
    course.adopt(entry(10, CHANGE, active=None, standings=()), follow=False)
    assert facts(course).active is None
    course.adopt(entry(20, CHANGE, active=B), follow=False)
    assert serves(course) == (B, at(20), "operator")
    assert [(one.at, one.left, one.onto) for one in course.timeline.turns] == [
        (at(10), A, None),
        (at(20), None, B),
    ]


def test_freely_a_new_reign_finds_a_choice_only_where_an_operator_has_chosen() -> None:
    course = begun(follow=False, chosen_at=at(-60))
    found = entry(10, REIGN, active=B, chosen=True, chosen_at=at(-60))
    course.adopt(found, follow=False)
    assert facts(course).active == A
    course.adopt(entry(20, DAY, active=B, chosen_at=at(15)), follow=False)
    assert facts(course).active == A
    known: dict[str, Any] = {"active": B, "chosen_at": at(25), "since": at(25), "rule": "operator"}
    course.adopt(entry(30, REIGN, **known), follow=False)
    assert serves(course) == (B, at(25), "operator")


def test_a_move_is_made_and_ends_a_stranding() -> None:
    course = begun(*TOLD, Standing(ref=C), stranded_since=at(-5), active=C)
    turn = moved(5, C, B)
    course.move(turn)
    assert course.timeline.turns == [turn]
    assert serves(course) == (B, at(5), "fail_over")
    assert situation(course).switches == (*PAST, Switch(at=at(5), left=C, onto=B))
    assert set(situation(course).candidates) == {A, B}
    assert course.timeline.strandings == [Stranding(since=at(-5), until=at(5))]
    assert facts(course).stranded_since is None
    for nowhere in (moved(6, None, A), moved(6, B, None)):
        course.move(nowhere)
    assert course.timeline.turns == [turn]


def test_a_decision_is_done_as_it_says() -> None:
    course = begun()
    for action in (Action.KEEP, Action.QUALIFY):
        course.act(decided(action, B), at(4))
    assert (serves(course)[0], course.timeline.turns) == (A, [])
    course.act(decided(Action.MOVE, B), at(5))
    assert course.timeline.turns == [
        Turn(
            at=at(5),
            rule="fail_over",
            left=A,
            onto=B,
            reason="why",
            evidence=(ResultId("x"),),
            failure_began_at=at(3),
        )
    ]


def test_each_stranding_has_its_own_end() -> None:
    course = begun()
    course.strand(None, at(1))
    course.act(decided(Action.STRAND), at(5))
    course.strand(at(6), at(6), "another")
    assert facts(course).stranded_since == at(6)
    first = Stranding(since=at(5), reason="why", evidence=(ResultId("x"),))
    assert course.timeline.strandings == [first]
    course.act(decided(Action.RELIEVE), at(8))
    course.strand(None, at(9))
    course.act(decided(Action.STRAND), at(10))
    course.act(decided(Action.RELIEVE), at(12))
    assert course.timeline.strandings == [
        replace(first, until=at(8)),
        replace(first, since=at(10), until=at(12)),
    ]
    assert facts(course).stranded_since is None
