"""Small pictures as SVG paths: the days of an uptime, the hours of a latency; each with its words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby

from monitor.web.page.words import age, counted, listed, seconds, share

BAR_WIDTH, BAR_GAP, BARS_HEIGHT, STUB = 4, 2, 28, 5
CHART_WIDTH, CHART_HEIGHT = 480, 80
LEAST_SHOWN = 0.25
"""The part of a bar that a trouble takes at least: one minute of a day would be seen by nobody."""

_DAY, _MINUTE = timedelta(days=1), timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class DayParts:
    """A day: how much of it something was up, down, and not known."""

    date: date
    up: timedelta
    down: timedelta
    unknown: timedelta

    @property
    def share(self) -> float | None:
        """The share of the known time that was up; None when nothing is known."""
        known = self.up + self.down
        return self.up / known if known else None


@dataclass(frozen=True, slots=True, kw_only=True)
class DayRow:
    """A day in a table."""

    date: date
    share: str
    down: str
    unknown: str
    seen: bool
    trouble: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """A bar a day, the oldest first.

    A day that was up is a whole bar; the part that was down hangs from its top, apart and in another colour;
    a day without data is a stub. Days alike in a row are one dashed line as thick as they are high: of ninety
    days of fifty providers that is a tenth of the page.

    Attributes:
        width: of the picture.
        height: of the picture.
        stub: how high a day without data is.
        up: the line of the days that were up.
        rest: the path of what was up of the others.
        down: the path of what was down.
        unknown: the line of the days without data.
        label: the picture in words.
        first: the first day.
        code: each day's minutes `up,down,unknown`, separated by blanks; `-` for a day without data; `*5`
            after it when five in a row are the same.
        rows: the days in words, the newest first.
        calm: how many days had nothing to tell.
        unseen: how many had no data.
    """

    width: int
    height: int
    stub: int
    up: str
    rest: str
    down: str
    unknown: str
    label: str
    first: date
    code: str
    rows: tuple[DayRow, ...]
    calm: int
    unseen: int

    @property
    def known(self) -> tuple[DayRow, ...]:
        """The days with data."""
        return tuple(row for row in self.rows if row.seen)

    @property
    def troubled(self) -> tuple[DayRow, ...]:
        """The days on which something was down."""
        return tuple(row for row in self.rows if row.trouble)


def draw_days(found: Mapping[date, DayParts], today: date, count: int = 90) -> Bars:
    """The last days as bars.

    Args:
        found: days with data; those without are unknown.
        today: the last one, of which not all has passed.
        count: how many.
    """
    days = [today - (count - 1 - n) * _DAY for n in range(count)]
    rest, down, codes, whole = [], [], [], []
    for n, day in enumerate(days):
        x, parts = n * (BAR_WIDTH + BAR_GAP), found.get(day)
        if parts is None or parts.share is None:
            codes.append("-")
            whole.append("unknown")
            continue
        codes.append(",".join(str(one // _MINUTE) for one in (parts.up, parts.down, parts.unknown)))
        whole.append("" if parts.down > timedelta(0) else "up")
        if parts.down > timedelta(0):
            top = round(BARS_HEIGHT * max(1 - parts.share, LEAST_SHOWN), 1)
            down.append(_bar(x, 0, top))
            if top + 1.5 < BARS_HEIGHT and parts.up > timedelta(0):
                rest.append(_bar(x, top + 1.5, BARS_HEIGHT))
    rows = tuple(_row(day, found.get(day)) for day in reversed(days))
    troubled = [row for row in rows if row.trouble]
    unseen = codes.count("-")
    return Bars(
        width=count * (BAR_WIDTH + BAR_GAP) - BAR_GAP,
        height=BARS_HEIGHT,
        stub=STUB,
        up=_dashes(whole, "up", BARS_HEIGHT / 2),
        rest="".join(rest),
        down="".join(down),
        unknown=_dashes(whole, "unknown", BARS_HEIGHT - STUB / 2),
        label=_days_in_words(count, len(troubled), unseen),
        first=days[0],
        code=" ".join(one if times == 1 else f"{one}*{times}" for one, times in _repeats(codes)),
        rows=rows,
        calm=count - len(troubled) - unseen,
        unseen=unseen,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HourPoint:
    """An hour's typical and slow value, and the typical time to the first token, in seconds."""

    hour: datetime
    p50: float
    p95: float
    first: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Latencies of the last hours: a line for the typical one, a band up to the slow one.

    Attributes:
        width: of the picture.
        height: of the picture.
        line: the path of p50; hours without data are gaps.
        band: the path between p50 and p95.
        first: the path of the time to the first token; empty where there is none.
        top: the value at the upper edge.
        hours: how many are shown.
        label: the picture in words.
    """

    width: int
    height: int
    line: str
    band: str
    first: str
    top: str
    hours: int
    label: str


def draw_hours(points: Sequence[HourPoint], until: datetime, hours: int = 48) -> Chart | None:
    """The last hours as lines with a band; None without a point.

    Args:
        points: hours with data, the oldest first.
        until: the right edge.
        hours: how many.
    """
    begin = until - hours * timedelta(hours=1)
    shown = [one for one in points if one.hour >= begin - timedelta(hours=1)]
    if not shown:
        return None
    top = max(one.p95 for one in shown) or 0.001
    line, band, first = [], [], []
    for run in _runs(shown):
        places = _places(run, begin, hours)
        typical = _path(places, [one.p50 for one in run], top)
        slow = _path(places, [one.p95 for one in run], top)
        line.append(f"M{'L'.join(typical)}")
        band.append(f"M{'L'.join(slow)}L{'L'.join(reversed(typical))}Z")
    for run in _runs([one for one in shown if one.first is not None]):
        early = [one.first for one in run if one.first is not None]
        first.append(f"M{'L'.join(_path(_places(run, begin, hours), early, top))}")
    return Chart(
        width=CHART_WIDTH,
        height=CHART_HEIGHT,
        line="".join(line),
        band="".join(band),
        first="".join(first),
        top=seconds(top),
        hours=hours,
        label=_hours_in_words(shown, hours, top),
    )


def _hours_in_words(shown: Sequence[HourPoint], hours: int, top: float) -> str:
    typical = [one.p50 for one in shown]
    early = [one.first for one in shown if one.first is not None]
    words = (
        f"Latency of the last {hours} hours: typically {_range(typical)}, slowest twentieth up to "
        f"{seconds(top)}; last {seconds(typical[-1])}"
    )
    return f"{words}. First token typically after {_range(early)}" if early else words


def _range(values: Sequence[float]) -> str:
    least, most = seconds(min(values)), seconds(max(values))
    return least if least == most else f"{least} to {most}"


def _places(run: Sequence[HourPoint], begin: datetime, hours: int) -> list[float]:
    """Where a run of hours is drawn; a single hour is a dash, which a point would not be."""
    places = [_place(one.hour, begin, hours) for one in run]
    return places if len(run) > 1 else [places[0] - 3, places[0] + 3]


def _path(places: Sequence[float], values: Sequence[float], top: float) -> list[str]:
    shown = values if len(values) > 1 else [values[0], values[0]]
    return [f"{x:.0f} {_height(value, top):.0f}" for x, value in zip(places, shown, strict=True)]


def _repeats(words: Sequence[str]) -> list[tuple[str, int]]:
    return [(word, len(list(same))) for word, same in groupby(words)]


def _dashes(words: Sequence[str], wanted: str, y: float) -> str:
    """A line through each run of bars that are alike; its dashes begin anew each time."""
    path, place = [], 0
    for word, times in _repeats(words):
        if word == wanted:
            length = times * (BAR_WIDTH + BAR_GAP) - BAR_GAP
            path.append(f"M{place * (BAR_WIDTH + BAR_GAP)} {y:g}h{length}")
        place += times
    return "".join(path)


def _bar(x: float, top: float, bottom: float) -> str:
    return f"M{x} {top:g}h{BAR_WIDTH}V{bottom:g}h-{BAR_WIDTH}z"


def _row(day: date, parts: DayParts | None) -> DayRow:
    if parts is None or parts.share is None:
        return DayRow(date=day, share="unknown", down="", unknown="all day", seen=False, trouble=False)
    nothing = timedelta(0)
    return DayRow(
        date=day,
        share=share(parts.share),
        down=age(parts.down) if parts.down > nothing else "",
        unknown=age(parts.unknown) if parts.unknown >= timedelta(minutes=1) else "",
        seen=True,
        trouble=parts.down > nothing,
    )


def _days_in_words(count: int, troubled: int, unseen: int) -> str:
    if unseen == count:
        return f"The last {count} days: nothing is known"
    told = [f"{counted(troubled, 'day')} with trouble" if troubled else "no trouble"]
    told += [f"{counted(unseen, 'day')} without data"] if unseen else []
    return f"The last {count} days: {listed(told)}"


def _runs(points: Sequence[HourPoint]) -> list[list[HourPoint]]:
    """Cut where an hour is missing."""
    runs: list[list[HourPoint]] = []
    for one in points:
        if runs and one.hour - runs[-1][-1].hour <= timedelta(hours=1):
            runs[-1].append(one)
        else:
            runs.append([one])
    return runs


def _place(hour: datetime, begin: datetime, hours: int) -> float:
    share_passed = (hour + timedelta(minutes=30) - begin) / (hours * timedelta(hours=1))
    return min(max(share_passed, 0.0), 1.0) * CHART_WIDTH


def _height(value: float, top: float) -> float:
    return CHART_HEIGHT - 2 - (CHART_HEIGHT - 8) * value / top
