"""Small pictures as SVG paths: the days of an uptime, the hours of a latency; each with its words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from monitor.web.page.words import age, counted, listed, seconds, share

BAR_WIDTH, BAR_GAP, BARS_HEIGHT, STUB = 4, 2, 28, 5
CHART_WIDTH, CHART_HEIGHT = 480, 80
LEAST_SHOWN = 0.25
"""The part of a bar that a trouble takes at least: one minute of a day would be seen by nobody."""

_DAY, _MINUTE = timedelta(days=1), timedelta(minutes=1)


class DayParts(NamedTuple):
    """A day: for how many minutes of it something was up, down, and not known."""

    up: int
    down: int
    unknown: int

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
        calm: how many days had nothing to tell.
        trouble: on how many something was down.
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
    calm: int
    trouble: int
    unseen: int

    @property
    def days(self) -> list[tuple[date, DayParts]]:
        """Those with data, the oldest first; read from the code, because bars are kept and seldom told."""
        found, place = [], 0
        for word in self.code.split(" "):
            parts, _, times = word.partition("*")
            for _ in range(int(times or 1)):
                if parts != "-":
                    found.append((self.first + place * _DAY, DayParts(*map(int, parts.split(",")))))
                place += 1
        return found

    @property
    def known(self) -> tuple[DayRow, ...]:
        """The days with data, the newest first."""
        return tuple(_row(day, parts) for day, parts in reversed(self.days))

    @property
    def troubled(self) -> tuple[DayRow, ...]:
        """Those on which something was down."""
        return self.last_troubled(len(self.days))

    def last_troubled(self, most: int = 10) -> tuple[DayRow, ...]:
        """The last of them."""
        down = [one for one in self.days if one[1].down] if self.trouble else []
        return tuple(_row(day, parts) for day, parts in reversed(down[-most:]))


def draw_days(found: Mapping[date, DayParts], today: date, count: int = 90) -> Bars:
    """The last days as bars.

    Args:
        found: days with data; those without are unknown.
        today: the last one, of which not all has passed.
        count: how many.
    """
    days = _last_days(today, count)
    seen: list[tuple[date, DayParts]] = []
    rest, down, codes, whole = [], [], [], []
    for n, day in enumerate(days):
        x, parts = n * (BAR_WIDTH + BAR_GAP), found.get(day)
        if parts is None or parts.up + parts.down == 0:
            codes.append("-")
            whole.append("unknown")
            continue
        seen.append((day, parts))
        codes.append(f"{parts.up},{parts.down},{parts.unknown}")
        whole.append("" if parts.down else "up")
        if parts.down:
            share_down = parts.down / (parts.up + parts.down)
            top = round(BARS_HEIGHT * max(share_down, LEAST_SHOWN), 1)
            down.append(_bar(x, 0, top))
            if top + 1.5 < BARS_HEIGHT and parts.up:
                rest.append(_bar(x, top + 1.5, BARS_HEIGHT))
    troubled = sum(1 for _, parts in seen if parts.down)
    unseen = count - len(seen)
    return Bars(
        width=count * (BAR_WIDTH + BAR_GAP) - BAR_GAP,
        height=BARS_HEIGHT,
        stub=STUB,
        up=_dashes(whole, "up", BARS_HEIGHT / 2),
        rest="".join(rest),
        down="".join(down),
        unknown=_dashes(whole, "unknown", BARS_HEIGHT - STUB / 2),
        label=_days_in_words(count, troubled, unseen),
        first=days[0],
        code=" ".join(one if times == 1 else f"{one}*{times}" for one, times in _repeats(codes)),
        calm=len(seen) - troubled,
        trouble=troubled,
        unseen=unseen,
    )


class HourPoint(NamedTuple):
    """An hour, numbered from 1970 on: its typical and slow value, and time to the first token, in seconds."""

    hour: int
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
    begin = until.timestamp() / 3600 - hours
    shown = [one for one in points if one.hour >= begin - 1]
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


def _places(run: Sequence[HourPoint], begin: float, hours: int) -> list[float]:
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


def _row(day: date, parts: DayParts) -> DayRow:
    return DayRow(
        date=day,
        share=share(parts.share),
        down=age(parts.down * _MINUTE) if parts.down else "",
        unknown=age(parts.unknown * _MINUTE) if parts.unknown else "",
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
        if runs and one.hour - runs[-1][-1].hour <= 1:
            runs[-1].append(one)
        else:
            runs.append([one])
    return runs


def _place(hour: int, begin: float, hours: int) -> float:
    return min(max((hour + 0.5 - begin) / hours, 0.0), 1.0) * CHART_WIDTH


@lru_cache(maxsize=4)
def _last_days(today: date, count: int) -> tuple[date, ...]:
    return tuple(today - (count - 1 - n) * _DAY for n in range(count))


def _height(value: float, top: float) -> float:
    return CHART_HEIGHT - 2 - (CHART_HEIGHT - 8) * value / top
