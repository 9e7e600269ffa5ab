"""Results and journal in the order in which their daemons saw them, clocks set back or not."""

from monitor.domain.journal import Entry, EntryKind
from monitor.domain.moments import Moment, moments, reigns
from tests.unit.build import at, result


def entry(when: float, kind: EntryKind = EntryKind.CHANGE) -> Entry:
    return Entry(at=at(when), kind=kind)


def reign(when: float) -> Entry:
    return entry(when, EntryKind.REIGN)


def told(found: list[Moment]) -> list[tuple[int, float, int, int]]:
    """Reign, second, how many results and entries."""
    return [
        (one.reign, (one.at - at(0)).total_seconds(), len(one.results), len(one.entries)) for one in found
    ]


def test_a_reign_lasts_until_the_next_one_begins() -> None:
    entries = [reign(0), entry(1), entry(2, EntryKind.DAY), reign(3), entry(4), reign(5)]
    assert reigns(entries) == [0, 0, 0, 1, 1, 2]


def test_a_journal_that_begins_in_the_midst_of_a_reign_begins_the_first() -> None:
    assert reigns([entry(0, EntryKind.DAY), entry(1), reign(2)]) == [0, 0, 1]
    assert reigns([]) == []


def test_what_has_one_instant_is_one_moment() -> None:
    seen = [result(9), result(19)]
    found = moments([reign(0), entry(10), entry(10)], seen, [at(10), at(15)])
    assert told(found) == [(0, 0, 0, 1), (0, 10, 1, 2), (0, 15, 0, 0), (0, 20, 1, 0)]
    assert found[1].results == (seen[0],)
    assert [one.kind for one in found[1].entries] == [EntryKind.CHANGE] * 2


def test_what_ended_with_the_beginning_of_a_reign_is_of_the_one_before() -> None:
    found = moments([reign(10), reign(30)], [result(4), result(9), result(20), result(29), result(30)], [])
    assert told(found) == [(0, 10, 0, 1), (0, 21, 1, 0), (0, 30, 1, 0), (1, 30, 0, 1), (1, 31, 1, 0)]


def test_what_was_decided_at_the_beginning_of_a_reign_is_of_that_reign() -> None:
    found = moments([reign(10), reign(30)], [], [at(9), at(10), at(30)])
    assert told(found) == [(0, 10, 0, 1), (1, 30, 0, 1)]
    assert told(moments([reign(10)], [], [at(9), at(12)])) == [(0, 10, 0, 1), (0, 12, 0, 0)]


def test_reigns_stay_in_their_order_when_the_clock_is_set_back() -> None:
    entries = [reign(100), reign(200), entry(210), reign(50), reign(60), entry(65)]
    found = moments(entries, [result(39), result(52), result(61), result(250)], [at(40), at(55)])
    assert told(found) == [
        (0, 100, 0, 1),
        (1, 200, 0, 1),
        (1, 210, 0, 1),
        (2, 50, 0, 1),
        (2, 53, 1, 0),
        (2, 55, 0, 0),
        (3, 60, 0, 1),
        (3, 62, 1, 0),
        (3, 65, 0, 1),
        (3, 251, 1, 0),
    ]


def test_a_clock_that_is_set_back_again_and_again_leaves_later_results_to_the_last_reign() -> None:
    entries = [reign(0), reign(400), reign(300), reign(200), reign(50)]
    found = moments(entries, [result(39), result(59)], [at(60)])
    assert [one for one in told(found) if one[3] == 0] == [(0, 40, 1, 0), (4, 60, 1, 0)]
