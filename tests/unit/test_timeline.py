"""Who served when, how long nobody did, and how much of it was bad."""

from monitor.domain.outcome import Outcome
from monitor.domain.provider import ProviderRef
from monitor.domain.timeline import Sickness, Stranding, Timeline, Turn, sicknesses
from tests.unit.build import FAIL, A, B, C, at, result, seconds


def turn(when: float, onto: ProviderRef | None) -> Turn:
    return Turn(at=at(when), rule="fail_over", left=None, onto=onto)


def test_service_is_told_within_the_span_and_without_what_lasted_no_time() -> None:
    course = Timeline(begin=at(0), until=at(100), first=A)
    course.turns += [turn(20, B), turn(20, C), turn(60, None)]
    whole = [(at(0), at(20), A), (at(20), at(60), C), (at(60), at(100), None)]
    assert course.serving(at(-10)) == whole
    assert course.serving(at(30)) == [(at(30), at(60), C), whole[-1]]
    assert course.serving(at(60)) == whole[-1:]
    assert course.serving(at(100)) == []


def test_a_clock_that_was_set_back_gives_no_service_of_negative_length() -> None:
    course = Timeline(begin=at(0), until=at(100), first=A)
    course.turns += [turn(60, B), turn(50, C)]
    assert course.serving(at(0)) == [(at(0), at(60), A), (at(50), at(100), C)]


def test_time_stranded_is_counted_within_the_span_and_up_to_its_end() -> None:
    course = Timeline(begin=at(0), until=at(100), first=A)
    course.strandings += [Stranding(since=at(10), until=at(15)), Stranding(since=at(90))]
    assert course.stranded(at(0)) == seconds(5 + 10)
    assert course.stranded(at(12)) == seconds(3 + 10)
    assert course.stranded(at(40)) == seconds(10)
    assert course.stranded(at(95)) == seconds(5)


def test_one_that_fails_to_the_end_is_sick_to_the_end_and_no_verdict_makes_nobody_sick() -> None:
    seen = [
        result(0, Outcome.INDETERMINATE, of=C),
        result(10, FAIL, of=B),
        result(10, FAIL, of=A),
        result(20, Outcome.AUTH_FAILED, of=A),
        result(30, of=A),
        result(40, of=C),
        result(50, of=B),
        result(60, FAIL, of=B),
        result(60, FAIL, of=A),
    ]
    assert sicknesses(seen, at(100)) == [
        Sickness(ref=A, since=at(10), until=at(31)),
        Sickness(ref=B, since=at(10), until=at(51)),
        Sickness(ref=A, since=at(60), until=at(100)),
        Sickness(ref=B, since=at(60), until=at(100)),
    ]


def test_time_on_a_sick_one_is_counted_while_that_one_serves() -> None:
    course = Timeline(begin=at(0), until=at(100), first=A)
    course.turns += [turn(50, B)]
    sick = [
        Sickness(ref=A, since=at(-20), until=at(5)),
        Sickness(ref=A, since=at(40), until=at(70)),
        Sickness(ref=B, since=at(10), until=at(20)),
        Sickness(ref=B, since=at(90), until=at(100)),
    ]
    assert course.on_sick(at(0), sick) == seconds(5 + 10 + 10)
    assert course.on_sick(at(45), sick) == seconds(5 + 10)
