"""Latencies of a span as lines of blocks above one axis of time, one provider below the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rich.cells import cell_len
from rich.text import Text

from monitor.cli.console import plain
from monitor.cli.layout import fit
from monitor.domain.histogram import Histogram
from monitor.domain.provider import ProviderRef
from monitor.domain.timeline import Turn

BLOCKS, ASCII = "▁▂▃▄▅▆▇█", ".:-=+*#@"
MARK, ASCII_MARK = "▲", "^"
STEPS = (1, 2, 3, 4, 6, 8, 12, 24, 48, 96, 168, 336, 720)
MOST_CELLS = 4
MOST_WITH_SLOW = 4
LONGEST_LABEL = 28
LEAST_BARS = 12
FIGURES = "  p50  0.000-0.000 s  "
_HOUR = timedelta(hours=1)
_ORIGIN = datetime(2024, 1, 1, tzinfo=UTC)  # a Monday


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A span in which somebody served; `until` is None while it lasts."""

    provider: ProviderRef
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One provider's latencies.

    Attributes:
        provider: whose.
        name: the operator's; None when it was deleted.
        hours: begin of each hour with data, and what was measured in it.
    """

    provider: ProviderRef
    name: str | None
    hours: Sequence[tuple[datetime, Histogram]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """How a span of time is divided into columns.

    Attributes:
        begin: of the first column.
        step: how long one column is.
        columns: how many.
        cells: how many cells each takes.
    """

    begin: datetime
    step: timedelta
    columns: int
    cells: int

    def column(self, moment: datetime) -> int | None:
        """The column of an instant; None outside."""
        place = (moment - self.begin) // self.step
        return place if 0 <= place < self.columns else None


def services(
    turns: Sequence[Turn], active: ProviderRef | None, since: datetime, until: datetime
) -> list[Service]:
    """Who served when within a span, oldest first.

    Args:
        turns: of the span, oldest first; one before it may be among them.
        active: who serves now.
        since: the span's begin.
        until: its end.
    """
    before = [one for one in turns if one.at <= since]
    within = [one for one in turns if since < one.at <= until]
    first = before[-1].onto if before else within[0].left if within else active
    bounds = [since, *(one.at for one in within), until]
    who = [first, *(one.onto for one in within)]
    return [
        Service(provider=ref, since=begin, until=None if end == until else end)
        for ref, begin, end in zip(who, bounds, bounds[1:], strict=False)
        if ref is not None
    ]


def divide(since: datetime, until: datetime, cells: int) -> Grid:
    """Columns of whole hours, at most one a cell; several cells each where there is room.

    Args:
        since: the span's begin.
        until: its end.
        cells: the room.
    """
    for hours in STEPS:
        step = hours * _HOUR
        begin = _ORIGIN + (since - _ORIGIN) // step * step
        columns = max(-((begin - until) // step), 1)
        if columns <= cells:
            break
    columns = min(columns, cells)
    return Grid(begin=begin, step=step, columns=columns, cells=min(cells // columns, MOST_CELLS))


def chart(
    series: Sequence[Series],
    served: Sequence[Service],
    since: datetime,
    until: datetime,
    width: int,
    *,
    drawn: bool = True,
) -> list[Text]:
    """The chart, line by line; nothing where nothing was measured.

    Args:
        series: the providers, in order.
        served: who served when, oldest first; where one served it is drawn brighter.
        since: the span's begin.
        until: its end.
        width: of the terminal.
        drawn: whether it shows more than ASCII.
    """
    labels = [
        fit(f"{plain(one.name or 'deleted')} ({one.provider})", LONGEST_LABEL, drawn=drawn).rstrip()
        for one in series
    ]
    left = max([cell_len("switches"), *map(cell_len, labels)])
    grid = divide(since, until, max(width - left - len(FIGURES), LEAST_BARS))
    shares = (("p50", 0.5), ("p95", 0.95)) if len(series) <= MOST_WITH_SLOW else (("p50", 0.5),)
    step, begin = span_words(grid), f"{since.astimezone(UTC):%Y-%m-%d %H:%M}"
    lines = [Text(f"latency per {step} since {begin} UTC; each line from 0 to its highest", "dim")]
    for one, label in zip(series, labels, strict=True):
        merged = _merge(one, grid)
        for number, (name, share) in enumerate(shares):
            values = [found.quantile(share) for found in merged]
            known = [value for value in values if value is not None]
            if not known:
                break
            figures = f"{figure(min(known))}-{figure(max(known))} s"
            head = f"{fit('' if number else label, left, drawn=drawn)}  {name}  {figures}".ljust(
                left + len(FIGURES)
            )
            lines.append(Text(head).append_text(_bars(values, _serving(one, served, grid), grid, drawn)))
    if len(lines) == 1:
        return []
    indent = " " * (left + len(FIGURES))
    switches = [one.since for one in served[1:]]
    if switches:
        lines.append(Text("switches".ljust(len(indent)) + _marks(switches, grid, drawn).rstrip()))
    lines.append(Text(indent + _axis(grid).rstrip(), "dim"))
    for line in lines:
        line.truncate(width, overflow="crop")
    return lines


def figure(seconds: float) -> str:
    """A duration in three digits."""
    digits = 3 if seconds < 1 else 2 if seconds < 10 else 1 if seconds < 100 else 0
    return f"{seconds:.{digits}f}"


def span_words(grid: Grid) -> str:
    """How long one column is, in words."""
    hours = grid.step // _HOUR
    return f"{hours} h" if hours % 24 else f"{hours // 24} d"


def _merge(one: Series, grid: Grid) -> list[Histogram]:
    merged = [Histogram() for _ in range(grid.columns)]
    for hour, found in one.hours:
        place = grid.column(hour)
        if place is not None:
            merged[place] = merged[place].merge(found)
    return merged


def _bars(values: Sequence[float | None], serving: Sequence[bool], grid: Grid, drawn: bool) -> Text:
    """One block a value, from zero to the highest of them; a gap where there is none."""
    signs = BLOCKS if drawn else ASCII
    highest = max(value for value in values if value is not None)
    bars = Text()
    for value, bright in zip(values, serving, strict=True):
        if value is None:
            sign = " "
        else:
            level = -int(-value * len(signs) // highest) if highest else 1
            sign = signs[min(max(level, 1), len(signs)) - 1]
        bars.append(sign * grid.cells, "bold cyan" if bright else "")
    return bars


def _serving(one: Series, served: Sequence[Service], grid: Grid) -> list[bool]:
    found = [False] * grid.columns
    for span in served:
        if span.provider != one.provider:
            continue
        for place in range(grid.columns):
            begin = grid.begin + place * grid.step
            if begin + grid.step > span.since and (span.until is None or begin < span.until):
                found[place] = True
    return found


def _marks(switches: Sequence[datetime], grid: Grid, drawn: bool) -> str:
    """A mark in each column with a switch, a number in one with several."""
    counts = [0] * grid.columns
    for moment in switches:
        place = grid.column(moment)
        if place is not None:
            counts[place] += 1
    one = MARK if drawn else ASCII_MARK
    signs = [
        " " if not count else one if count == 1 else str(count) if count < 10 else "+" for count in counts
    ]
    return "".join(sign.ljust(grid.cells) for sign in signs)


def _axis(grid: Grid) -> str:
    """When: at the first column, and wherever a day or a round hour begins and there is room."""
    line = ""
    by_day = grid.columns * grid.step > timedelta(days=3)
    for place in range(grid.columns):
        at = grid.begin + place * grid.step
        due = at.hour == 0 if by_day else at.hour % 3 == 0
        if place and not due:
            continue
        label = f"{at:%b} {at.day}" if by_day else f"{at:%H:%M}"
        at_cell = place * grid.cells
        room = at_cell >= len(line) + 2 if line else True
        if room and at_cell + len(label) <= grid.columns * grid.cells:
            line = line.ljust(at_cell) + label
    return line
