"""How a purpose stood at an instant, by what was noted and recorded of it."""

from dataclasses import replace
from datetime import datetime

from monitor.domain.course import Course
from monitor.domain.journal import Entry, EntryKind, Facts, Standing
from monitor.domain.outcome import ResultId
from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.retrace import retrace
from monitor.domain.timeline import Stranding, Turn
from tests.unit.build import POLICY, A, B, C, at

REIGN, DAY, CHANGE = EntryKind.REIGN, EntryKind.DAY, EntryKind.CHANGE


def noted(when: float, kind: EntryKind = CHANGE, active: ProviderRef | None = A) -> Entry:
    standings = tuple(Standing(ref=ref) for ref in (A, B, C))
    facts = Facts(active=active, preference=(A, B, C), standings=standings, deciding_since=at(0))
    return Entry(at=at(when), kind=kind, facts=facts)


def word(when: float, kind: EntryKind) -> Entry:
    return Entry(at=at(when), kind=kind, reason="all are down", evidence=(ResultId("x"),))


def move(when: float, left: ProviderRef, onto: ProviderRef) -> Turn:
    return Turn(at=at(when), rule="fail_over", left=left, onto=onto)


def traced(*steps: Entry | Turn, until: float = 100) -> Course:
    entries = [one for one in steps if isinstance(one, Entry)]
    moves = [one for one in steps if isinstance(one, Turn)]
    course = retrace(Purpose.CHAT, POLICY, entries, moves, at(until))
    assert course is not None
    return course


def serving(course: Course) -> ProviderRef | None:
    assert course.facts is not None
    return course.facts.active


def turns(course: Course) -> list[tuple[datetime, ProviderRef | None]]:
    return [(one.at, one.onto) for one in course.timeline.turns]


def test_of_what_nothing_is_noted_nothing_is_known() -> None:
    assert retrace(Purpose.CHAT, POLICY, [], [move(10, A, B)], at(100)) is None
    assert retrace(Purpose.CHAT, POLICY, [noted(50, REIGN)], [], at(49)) is None
    assert serving(traced(noted(50, REIGN), until=50)) == A


def test_the_situation_of_that_instant_is_the_purposes_own() -> None:
    course = traced(noted(5, REIGN), move(10, A, B))
    found = course.situation(at(100))
    assert found is not None
    assert (found.purpose, found.active, found.preference) == (Purpose.CHAT, B, (A, B, C))
    assert (course.timeline.begin, course.timeline.until) == (at(5), at(100))


def test_each_whole_entry_and_each_move_says_who_serves() -> None:
    steps = (noted(0, REIGN), move(10, A, B), noted(20, DAY, active=B), move(30, B, C))
    for until, expected in ((9, A), (10, B), (29, B), (30, C)):
        assert serving(traced(*steps, until=until)) == expected
    assert (at(10), B) in turns(traced(*steps))


def test_a_daemon_that_begins_to_decide_tells_who_serves_whatever_was_followed() -> None:
    assert serving(traced(noted(0, REIGN), move(10, A, B), noted(20, REIGN, active=C))) == C


def test_a_day_tells_who_serves_though_its_move_is_not_recorded() -> None:
    assert serving(traced(noted(0, REIGN), noted(20, DAY, active=C))) == C


def test_an_operators_choice_is_followed() -> None:
    change = noted(20, CHANGE, active=C)
    assert change.facts is not None
    chosen = replace(change, facts=replace(change.facts, chosen=True))
    assert serving(traced(noted(0, REIGN), chosen)) == C
    assert serving(traced(noted(0, REIGN), change)) == A


def test_what_was_noted_at_one_instant_is_followed_in_its_order() -> None:
    course = traced(noted(0, REIGN), word(10, EntryKind.STRANDED), word(10, EntryKind.RELIEVED))
    assert [one.until for one in course.timeline.strandings] == [at(10)]
    assert serving(traced(noted(0, REIGN), noted(20, DAY, active=C), noted(20, DAY, active=B))) == B


def test_what_stood_before_the_first_entry_is_left_out() -> None:
    course = traced(move(-10, C, A), noted(0, REIGN))
    assert (at(-10), A) not in turns(course)
    assert (at(0), B) in turns(traced(move(0, A, B), noted(0, REIGN)))


def test_a_change_is_followed_before_the_move_that_rests_on_it() -> None:
    """They stand at the same instant, and what was noted first has not served longest."""
    assert serving(traced(move(10, A, B), noted(0, REIGN), noted(10, CHANGE, active=A))) == B


def test_a_stranding_lasts_until_its_relief() -> None:
    course = traced(noted(0, REIGN), word(10, EntryKind.STRANDED))
    span = Stranding(since=at(10), reason="all are down", evidence=(ResultId("x"),))
    assert course.facts is not None
    assert (course.facts.stranded_since, course.timeline.strandings) == (at(10), [span])
    course = traced(noted(0, REIGN), word(10, EntryKind.STRANDED), word(20, EntryKind.RELIEVED))
    assert course.facts is not None
    assert course.facts.stranded_since is None
    assert [one.until for one in course.timeline.strandings] == [at(20)]


def test_what_says_nothing_of_who_serves_changes_nothing() -> None:
    plain = traced(noted(0, REIGN))
    for kind in (EntryKind.AWAY, EntryKind.SETTLED, EntryKind.REPORTED):
        course = traced(noted(0, REIGN), word(10, kind))
        assert (course.facts, course.timeline) == (plain.facts, plain.timeline)
