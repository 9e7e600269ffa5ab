"""The grid: every slot in its place, whoever asks and whenever."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import nextafter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.domain.grid import Grid, jitter, next_slot, phase

MICROSECOND = timedelta(microseconds=1)
START = datetime(2026, 3, 1, tzinfo=UTC)

BIRTH, END = datetime(1990, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
instants = st.timedeltas(timedelta(0), END - BIRTH).map(lambda since: BIRTH + since)
intervals = st.timedeltas(timedelta(milliseconds=1), timedelta(days=2))
jitters = st.floats(0, 0.5, exclude_max=True)
grids = st.builds(
    Grid, name=st.text("abc:/12", min_size=1), interval=intervals, jitter=jitters, anchor=st.none() | instants
)


def times(grid: Grid, start: datetime, end: datetime) -> list[datetime]:
    found = []
    at = start
    while (at := next_slot(grid, at).at) <= end:
        found.append(at)
    return found


@pytest.mark.parametrize("strays", [0.0, 0.1, 0.49])
@pytest.mark.parametrize("seconds", [10, 30, 300, 3600])
def test_a_day_holds_exactly_its_slots(seconds: int, strays: float) -> None:
    for name in ("api_key:1/chat", "ai_server:2/embeddings"):
        grid = Grid(name=name, interval=timedelta(seconds=seconds), jitter=strays)
        first = next_slot(grid, START)
        last = next_slot(grid, START + timedelta(days=1))
        assert last.number - first.number == pytest.approx(86400 / seconds, abs=1)
        plain = Grid(name=name, interval=timedelta(seconds=seconds))
        assert len(times(plain, START, START + timedelta(days=1))) == 86400 // seconds


@given(grids, instants)
def test_slots_do_not_drift(grid: Grid, after: datetime) -> None:
    first = next_slot(grid, after)
    point = first.at - jitter(grid, first.number)
    slot = first
    for _ in range(20):
        slot = next_slot(grid, slot.at)
        assert slot.at - jitter(grid, slot.number) == point + (slot.number - first.number) * grid.interval


@pytest.mark.parametrize("seconds", [7, 11])
def test_without_an_anchor_slots_are_counted_from_1970_by_the_jobs_own_phase(seconds: int) -> None:
    grid = Grid(name="api_key:1/chat", interval=timedelta(seconds=seconds))
    slot = next_slot(grid, START)
    origin = datetime(1970, 1, 1, tzinfo=UTC) + phase(grid.name, grid.interval)
    assert slot.at == origin + slot.number * grid.interval


@given(grids, instants)
def test_slots_follow_one_another_without_a_gap(grid: Grid, after: datetime) -> None:
    slots = [next_slot(grid, after)]
    for _ in range(20):
        slots.append(next_slot(grid, slots[-1].at))
    assert slots[0].at > after
    for slot, following in pairwise(slots):
        assert following.number == slot.number + 1
        assert following.at > slot.at


@given(grids, instants, st.floats(0, 1, exclude_max=True))
def test_the_next_slot_is_the_same_whenever_it_is_asked_for(
    grid: Grid, after: datetime, share: float
) -> None:
    slot = next_slot(grid, after)
    between = min(after + (slot.at - after) * share, slot.at - MICROSECOND)
    assert next_slot(grid, between) == slot
    assert next_slot(grid, slot.at - MICROSECOND) == slot
    assert next_slot(grid, slot.at).number == slot.number + 1


@given(grids, instants, instants)
def test_a_later_question_has_no_earlier_answer(grid: Grid, one: datetime, other: datetime) -> None:
    early, late = sorted([one, other])
    assert next_slot(grid, early).at <= next_slot(grid, late).at


@given(grids, instants)
def test_jitter_stays_within_its_share(grid: Grid, after: datetime) -> None:
    slot = next_slot(grid, after)
    assert abs(jitter(grid, slot.number)) <= grid.interval * grid.jitter + MICROSECOND


def test_jitter_uses_its_whole_share_evenly() -> None:
    grid = Grid(name="api_key:1/chat", interval=timedelta(seconds=100), jitter=0.1)
    strays = [jitter(grid, number).total_seconds() for number in range(2000)]
    assert min(strays) < -9.9
    assert max(strays) > 9.9
    assert abs(sum(strays) / len(strays)) < 0.5
    assert strays == [jitter(grid, number).total_seconds() for number in range(2000)]


@pytest.mark.parametrize("anchor", [None, START])
def test_a_slot_strays_to_every_microsecond_of_its_share_and_to_no_other(anchor: datetime | None) -> None:
    grid = Grid(name="job", interval=5 * MICROSECOND, jitter=0.4, anchor=anchor)
    strays = {jitter(grid, number) for number in range(1, 200)}
    assert strays == {step * MICROSECOND for step in range(-2, 3)}


def test_only_an_anchor_keeps_slot_0_from_straying() -> None:
    free = [Grid(name=f"job {n}", interval=timedelta(seconds=10), jitter=0.4) for n in range(9)]
    assert all(jitter(grid, 0) for grid in free)
    assert not any(jitter(replace(grid, anchor=START), 0) for grid in free)


@pytest.mark.parametrize("seconds", [0.000001, 0.000002, 0.000003, 30, 86_400, 100_000_000.000001])
def test_the_largest_jitter_keeps_the_slots_in_their_order(seconds: float) -> None:
    grid = Grid(name="job", interval=timedelta(seconds=seconds), jitter=nextafter(0.5, 0))
    for number in range(100):
        assert 2 * abs(jitter(grid, number)) < grid.interval


@given(st.text("abc:/12"), intervals)
def test_a_phase_lies_within_its_interval(name: str, interval: timedelta) -> None:
    assert timedelta(0) <= phase(name, interval) < interval


def test_phases_spread_a_thousand_jobs_evenly() -> None:
    seconds = [phase(f"ai_server:{n}/chat", timedelta(seconds=10)).total_seconds() for n in range(1000)]
    for tenth in range(10):
        assert 60 < sum(tenth <= second < tenth + 1 for second in seconds) < 140


@given(st.builds(Grid, name=st.just("job"), interval=intervals, jitter=jitters, anchor=instants))
def test_an_anchor_is_the_first_slot_exactly(grid: Grid) -> None:
    assert grid.anchor is not None
    for before in (MICROSECOND, timedelta(days=3000)):
        slot = next_slot(grid, grid.anchor - before)
        assert (slot.number, slot.at) == (0, grid.anchor)
    assert next_slot(grid, grid.anchor).number == 1


def test_a_gap_of_a_century_is_one_step() -> None:
    grid = Grid(name="job", interval=timedelta(milliseconds=1), jitter=0.4, anchor=START)
    late = START + timedelta(days=36500)
    assert timedelta(0) < next_slot(grid, late).at - late < timedelta(milliseconds=2)


@pytest.mark.parametrize(
    ("seconds", "strays", "word"),
    [(0, 0, "interval"), (-1, 0, "interval"), (1, 0.5, "jitter"), (1, -0.1, "jitter")],
)
def test_a_grid_that_makes_no_sense_is_refused(seconds: float, strays: float, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Grid(name="job", interval=timedelta(seconds=seconds), jitter=strays)
