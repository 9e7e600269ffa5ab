"""What became of recorded moves in a replay, and why."""

from dataclasses import fields, replace
from typing import Any

import pytest

from monitor.domain.comparison import PROBING, Fate, Figures, fates, figures, policy_changes, tell
from monitor.domain.course import Course
from monitor.domain.journal import Entry, EntryKind, Facts, Standing
from monitor.domain.outcome import Outcome, ResultId
from monitor.domain.policy import Policy, policy_record
from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.replay import Difference, Replayed, replay
from monitor.domain.reports import Hearing, Report, ReportOutcome
from monitor.domain.situation import Action, Decision, Rule, Switch
from monitor.domain.timeline import Sickness, Stranding, Timeline, Turn
from tests.unit.build import FAIL, MARK, OK, POLICY, A, B, C, at, every, observed, result, seconds

RECORD = policy_record(POLICY)
KEPT = frozenset({ResultId("one"), ResultId("two")})
MOVE = Turn(at=at(20), rule="fail_over", left=A, onto=B, evidence=(ResultId("one"), ResultId("two")))


def replayed(
    *reproduced: Turn, turns: tuple[Turn, ...] = (), differences: tuple[Difference, ...] = (), **changes: Any
) -> Replayed:
    course = Course(Purpose.CHAT, POLICY, at(10), at(100))
    course.timeline.turns += turns
    whole = Replayed(
        course=course,
        follows=True,
        differences=differences,
        reproduced=reproduced,
        decision=None,
        decided_at=None,
    )
    return replace(whole, **changes)


def decided(action: Action, to: ProviderRef | None = None) -> Decision:
    return Decision(action=action, rule=Rule.FAIL_OVER, to=to, reason="why")


def why_not(
    found: Replayed | None, turn: Turn = MOVE, then: dict[str, Any] = RECORD, kept: frozenset[ResultId] = KEPT
) -> str:
    (fate,) = fates([(turn, then)], found, POLICY, kept)
    assert fate.turn is turn
    assert not fate.reproduced
    return fate.why_not


def test_without_a_journal_nothing_is_reproduced() -> None:
    why = "nothing is noted of what decisions rested on before now"
    other = replace(MOVE, at=at(30))
    assert fates([(MOVE, RECORD), (other, RECORD)], None, POLICY, KEPT) == [
        Fate(turn=MOVE, reproduced=False, why_not=why),
        Fate(turn=other, reproduced=False, why_not=why),
    ]


def test_a_move_is_reproduced_at_its_instant_by_its_rule_onto_the_same_one() -> None:
    assert fates([(MOVE, RECORD)], replayed(MOVE), POLICY, KEPT) == [Fate(turn=MOVE, reproduced=True)]
    for change in ({"at": at(21)}, {"rule": "call_for_help"}, {"onto": C}):
        assert why_not(replayed(replace(MOVE, **change))) == "deciding again does not lead there"


def test_following_counts_what_was_decided_again_and_free_what_came_of_it() -> None:
    followed = replayed(MOVE)
    free = replayed(turns=(MOVE,), follows=False)
    assert [one.reproduced for one in fates([(MOVE, RECORD)], free, POLICY, KEPT)] == [True]
    assert why_not(replace(followed, follows=False)) == "deciding again does not lead there"
    assert why_not(replace(free, follows=True)) == "deciding again does not lead there"
    for change in ({"at": at(21)}, {"rule": "call_for_help"}, {"onto": C}):
        other = replace(MOVE, **change)
        assert why_not(replayed(turns=(other,), follows=False)) == "deciding again does not lead there"


def test_each_move_has_a_fate_of_its_own() -> None:
    back = Turn(at=at(60), rule="fail_back", left=B, onto=A)
    found = fates([(MOVE, RECORD), (back, RECORD)], replayed(back), POLICY, KEPT)
    assert [(one.turn, one.reproduced) for one in found] == [(MOVE, False), (back, True)]


def test_what_lies_before_the_journal_is_said_first() -> None:
    begun = "what it rested on besides results is noted only from 2026-03-01 12:00:10 on"
    early = replace(MOVE, at=at(9))
    assert why_not(replayed(), early, RECORD | {"fall": 9}, frozenset()) == begun
    assert why_not(replayed(), replace(MOVE, at=at(10))) == "deciding again does not lead there"


def test_results_that_are_gone_are_counted_before_the_policy_is_asked() -> None:
    gone = "1 of the 2 results it rests on are no longer kept"
    assert why_not(replayed(), MOVE, RECORD | {"fall": 9}, frozenset({ResultId("two")})) == gone


def test_another_policy_is_named_before_what_it_decides() -> None:
    found = replayed(differences=(Difference(at=at(20), recorded=MOVE, decided=None),))
    then = RECORD | {"fall": 9, "rise": 4}
    assert why_not(found, then=then) == "the policy is another: fall was 9 and is 3, rise was 4 and is 2"
    assert policy_changes({"fall": 9, "gone": 1}, POLICY) == ["fall was 9 and is 3"]


def test_the_first_difference_of_its_instant_is_the_reason() -> None:
    found = replayed(
        differences=(
            Difference(at=at(19), recorded=None, decided=decided(Action.STRAND)),
            Difference(at=at(20), recorded=MOVE, decided=None),
            Difference(at=at(20), recorded=None, decided=decided(Action.RELIEVE)),
        )
    )
    assert why_not(found) == "fail_over onto ai_server:2 is recorded, but nothing was to be decided then"


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        (None, "nothing was to be decided then"),
        (decided(Action.MOVE, C), "deciding again moves onto ai_server:3 (fail_over: why)"),
        (decided(Action.QUALIFY, C), "deciding again probes ai_server:3 first (fail_over: why)"),
        (decided(Action.STRAND), "deciding again calls for help (fail_over: why)"),
        (decided(Action.RELIEVE), "deciding again withdraws the call for help (fail_over: why)"),
        (decided(Action.KEEP), "deciding again keeps who serves (fail_over: why)"),
    ],
)
def test_a_difference_is_told_from_both_sides(decision: Decision | None, said: str) -> None:
    stranded = Entry(at=at(20), kind=EntryKind.STRANDED)
    for recorded, words in (
        (None, "nothing is recorded"),
        (MOVE, "fail_over onto ai_server:2 is recorded"),
        (stranded, "stranded is recorded"),
    ):
        assert tell(Difference(at=at(20), recorded=recorded, decided=decision)) == f"{words}, but {said}"


def test_figures_count_the_automatic_moves_of_the_span_alone() -> None:
    course = Timeline(begin=at(0), until=at(100), first=A)
    for when, rule in ((10, "fail_over"), (20, "fail_back"), (30, "operator"), (40, "fail_over")):
        course.turns.append(Turn(at=at(when), rule=rule, left=A, onto=A))
    course.strandings.append(Stranding(since=at(15), until=at(22)))
    sick = [Sickness(ref=A, since=at(90), until=at(95))]
    assert figures(course, at(20), ["fail_over", "fail_back"], sick) == Figures(
        switches=2, stranded=seconds(2), on_sick=seconds(5)
    )


def test_what_only_says_when_and_how_is_probed_is_asked_by_no_replay_and_everything_else_is() -> None:
    asked: set[str] = set()

    class Watched(Policy):
        __slots__ = ()

        def __getattribute__(self, name: str) -> Any:
            asked.add(name)
            return super().__getattribute__(name)

    healths = {ref: observed(*every(30, [OK] * 3, begin=-90), of=ref) for ref in (A, B)}
    begun = Facts(
        active=A,
        preference=(A, B),
        standings=tuple(Standing(ref=ref, told=True, health=healths[ref]) for ref in (A, B)),
        deciding_since=at(-1000),
        switches=(Switch(at=at(-70), left=B, onto=A),),
    )
    results = [
        *(result(when, Outcome.RATE_LIMITED, of=A) for when in (2, 4)),
        *(result(when, Outcome.AUTH_FAILED, of=B) for when in (5, 5.5)),
        result(7, Outcome.STARTING, of=B),
        result(9, of=B),
        *(result(when, FAIL, of=A) for when in (10, 20, 45)),
        result(47, FAIL, of=B),
        result(50, of=B),
        *(result(when, of=A) for when in (60, 70, 800)),
    ]
    # Failed requests that the probe began too long before, and one failed among twenty.
    late = [Report(at=at(31), outcome=ReportOutcome.TIMEOUT)] * 5
    mixed = [*[Report(at=at(31), outcome=ReportOutcome.OK)] * 19, late[0]]
    hearings = [
        Hearing(ref=A, fingerprint=MARK, reports=tuple(reports), deciding_since=at(-1000))
        for reports in (late, mixed)
    ]
    entries = [
        Entry(at=at(0), kind=EntryKind.REIGN, facts=begun),
        *(Entry(at=at(32), kind=EntryKind.REPORTED, hearing=one) for one in hearings),
    ]
    found = replay(Purpose.CHAT, Watched(), entries, results, at(1000))
    assert found is not None
    assert [turn.onto for turn in found.course.timeline.turns] == [B, A]
    known = {one.name for one in fields(Policy)}
    assert known >= PROBING
    assert asked & known == known - PROBING
