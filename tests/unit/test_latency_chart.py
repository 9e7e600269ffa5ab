"""Latencies drawn as blocks above an axis of time."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from rich.cells import cell_len

from monitor.cli.latency_chart import (
    ASCII,
    BLOCKS,
    FIGURES,
    Series,
    Service,
    chart,
    divide,
    figure,
    services,
)
from monitor.domain.histogram import Histogram
from monitor.domain.provider import ProviderRef
from monitor.domain.timeline import Turn
from tests.unit.build import A, B

HOUR = timedelta(hours=1)
UNTIL = datetime(2026, 3, 10, 12, 30, tzinfo=UTC)


def hour(ago: int) -> datetime:
    return UNTIL.replace(minute=0) - ago * HOUR


def series(ref: ProviderRef, name: str | None, *measured: tuple[int, float]) -> Series:
    return Series(
        provider=ref, name=name, hours=[(hour(ago), Histogram.of([value])) for ago, value in measured]
    )


def serving(ref: ProviderRef, since: float, until: float | None = None) -> Service:
    return Service(
        provider=ref, since=UNTIL - since * HOUR, until=None if until is None else UNTIL - until * HOUR
    )


def drawn(
    found: Sequence[Series],
    served: Sequence[Service] = (),
    *,
    hours: float = 12,
    width: int = 80,
    unicode: bool = True,
) -> list[str]:
    lines = chart(found, served, UNTIL - hours * HOUR, UNTIL, width, drawn=unicode)
    return [line.plain for line in lines]


def bars(line: str, name: str = "one (ai_server:1)") -> str:
    return line[len(name) + len(FIGURES) :]


def test_the_highest_fills_its_cell_and_the_others_stand_in_proportion() -> None:
    flat = series(A, "one", *((ago, 0.5) for ago in range(4, 12)), (2, 1.0), (1, 2.0))
    _, p50, p95, axis = drawn([flat])
    assert p50.startswith("one (ai_server:1)  p50  0.506-1.92 s  ")
    assert p95.startswith(" " * len("one (ai_server:1)") + "  p95  0.506-1.92 s  ")
    assert bars(p50) == "   " + "▃▃▃" * 8 + "   " + "▅▅▅" + "███" + "   "
    assert axis.split() == ["00:00", "03:00", "06:00", "09:00"]
    assert axis.index("03:00") == len("one (ai_server:1)") + len(FIGURES) + 3 * 3


def test_an_hour_without_data_is_a_gap() -> None:
    (_, p50, *_) = drawn([series(A, "one", (11, 1.0), (9, 1.0))], width=60)
    assert bars(p50) == " █ █         "


def test_each_line_has_its_own_height_and_its_figures() -> None:
    quick, slow = series(A, "one", (2, 0.1), (1, 0.3)), series(B, "two", (2, 10.0), (1, 30.0))
    _, first, _, second, *_ = drawn([quick, slow], hours=3)
    assert re.search(r"p50  0\.\d\d\d-0\.\d\d\d s ", first)
    assert re.search(r"p50  \d+\.\d+-\d\d\.\d s ", second)
    assert bars(first) == bars(second)


def test_switches_stand_above_the_time_they_happened_at() -> None:
    one, two = series(A, "one", (11, 1.0), (1, 1.0)), series(B, "two", (5, 1.0))
    served = [serving(A, 12), serving(B, 6.2, 2), serving(A, 2), serving(B, 1.9), serving(A, 0.2)]
    *_, marks, axis = drawn([one, two], served, width=60)
    left = len("one (ai_server:1)") + len(FIGURES)
    assert marks.startswith("switches")
    grid = divide(UNTIL - 12 * HOUR, UNTIL, 60 - left)
    by_column = marks[left:].ljust(grid.columns)
    assert {place: sign for place, sign in enumerate(by_column) if sign != " "} == {6: "▲", 10: "2", 12: "▲"}
    assert axis[left:].startswith("00:00")


def test_where_it_served_it_is_drawn_brighter() -> None:
    one = series(A, "one", *((ago, 1.0) for ago in range(12)))
    lines = chart([one], [serving(A, 12, 8), serving(B, 8)], UNTIL - 12 * HOUR, UNTIL, 60)
    bright = [span for span in lines[1].spans if "bold" in str(span.style)]
    left = len("one (ai_server:1)") + len(FIGURES)
    assert sum(span.end - span.start for span in bright) == 5
    assert min(span.start for span in bright) == left


@pytest.mark.parametrize("unicode", [True, False])
def test_every_line_fits_whatever_the_span_and_the_width(*, unicode: bool) -> None:
    for hours in (0.1, 1, 7, 24, 24 * 7, 24 * 30, 24 * 365):
        measured = [(ago, 0.1 + ago % 7) for ago in range(0, int(hours) + 1, 1 + int(hours) // 100)]
        found = [series(A, "模型-" * 9, *measured), series(B, None, *measured)]
        for width in (20, 40, 60, 80, 120, 300):
            lines = drawn(
                found, [serving(A, hours), serving(B, 0.05)], hours=hours, width=width, unicode=unicode
            )
            assert max(map(cell_len, lines)) <= width
            assert unicode or all(line.isascii() for line in lines)


def test_without_blocks_it_is_drawn_in_ascii() -> None:
    one = series(A, "one", (2, 0.5), (1, 2.0))
    lines = drawn([one], unicode=False)
    assert set(bars(lines[1])) - {" "} <= set(ASCII)
    assert set(bars(drawn([one])[1])) - {" "} <= set(BLOCKS)


def test_many_providers_get_one_line_each() -> None:
    found = [series(A, f"n{number}", (1, 1.0)) for number in range(5)]
    lines = drawn(found)
    assert len([line for line in lines if " p50 " in line]) == 5
    assert not [line for line in lines if " p95 " in line]


def test_nothing_measured_is_no_chart_and_one_without_data_no_line() -> None:
    assert drawn([series(A, "one")]) == []
    lines = drawn([series(A, "one"), series(B, "two", (1, 1.0))])
    assert not any(line.startswith("one") for line in lines)


@pytest.mark.parametrize(
    ("hours", "cells", "step", "columns"),
    [(12, 40, 1, 13), (48, 40, 2, 25), (24 * 7, 40, 6, 29), (24 * 30, 40, 24, 31), (24 * 30, 100, 8, 91)],
)
def test_a_column_is_a_round_number_of_hours(hours: int, cells: int, step: int, columns: int) -> None:
    grid = divide(UNTIL - hours * HOUR, UNTIL, cells)
    assert (grid.step // HOUR, grid.columns) == (step, columns)
    assert grid.begin.hour % min(step, 24) == 0
    assert grid.begin <= UNTIL - hours * HOUR < grid.begin + grid.step
    assert grid.column(UNTIL) == columns - 1


def test_hours_of_one_column_are_merged_exactly() -> None:
    measured = [(ago, 0.2 if ago % 2 else 0.4) for ago in range(13, 24 * 30)]  # whole days
    (_, p50, p95, *_) = drawn([series(A, "one", *measured)], hours=24 * 30)
    day = Histogram.of([0.2, 0.4] * 12)
    for line, share in ((p50, 0.5), (p95, 0.95)):
        value = day.quantile(share)
        assert value is not None
        assert f"{figure(value)} s" in line


def turn(ago: float, left: ProviderRef | None, onto: ProviderRef | None) -> Turn:
    return Turn(
        at=UNTIL - ago * HOUR,
        rule="fail_over",
        left=left,
        onto=onto,
        reason="",
        evidence=(),
        failure_began_at=None,
    )


def test_who_served_is_told_by_moves_and_by_who_serves_now() -> None:
    since = UNTIL - 12 * HOUR
    assert services([], A, since, UNTIL) == [serving(A, 12)]
    assert services([], None, since, UNTIL) == []
    assert services([turn(20, A, B)], A, since, UNTIL) == [serving(B, 12)]
    assert services([turn(5, A, B)], B, since, UNTIL) == [serving(A, 12, 5), serving(B, 5)]
    assert services([turn(20, B, A), turn(5, None, None), turn(2, None, B)], B, since, UNTIL) == [
        serving(A, 12, 5),
        serving(B, 2),
    ]


def test_a_duration_is_told_in_three_digits() -> None:
    assert [figure(one) for one in (0.0456, 0.5, 1.234, 45.67, 123.4)] == [
        "0.046",
        "0.500",
        "1.23",
        "45.7",
        "123",
    ]
