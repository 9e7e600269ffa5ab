"""Uptimes, days and hours as the page shows them: spans in words, bars and small charts."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import accumulate
from math import ceil

from monitor.domain.histogram import bucket_seconds
from monitor.domain.provider import Purpose
from monitor.domain.target import TargetId
from monitor.domain.uptime import HOUR, MINUTE, SPANS, Uptime
from monitor.storage.drawn import HOURS, Drawn
from monitor.storage.uptime import day_begin
from monitor.web.page.charts import CHART_WIDTH, Bars, Chart, DayParts, HourPoint, draw_days, draw_hours
from monitor.web.page.views import Span
from monitor.web.page.words import age, share

MINUTES_A_DAY = 24 * 60
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAMES = {"24h": "24 h", "7d": "7 d", "30d": "30 d", "90d": "90 d"}
PIXEL = HOURS * HOUR / CHART_WIDTH
"""So much later a chart looks otherwise by a pixel; until then a drawn one will do."""

KEPT_DRAWN = 256
"""Pictures that are kept: of so many targets, as long as nothing new is known of them."""

ALMOST_ALL = 0.95
"""Less of a span than this is known: then it says of how much it tells."""


def target_spans(drawn: Drawn, target: TargetId) -> tuple[Span, ...]:
    """A target's uptimes; empty when nothing is known."""
    return _spans(drawn.uptimes.get(target, {}))


def purpose_spans(drawn: Drawn, purpose: Purpose) -> tuple[Span, ...]:
    """For how long somebody served a purpose."""
    return _spans(drawn.purpose_uptimes.get(purpose, {}))


def target_bars(drawn: Drawn, target: TargetId) -> Bars | None:
    """A target by the day; None when nothing is known."""
    found = drawn.days.get(target)
    if found is None:
        return None
    return _bars(tuple(zip(found.days, found.up, found.down, strict=True)), *_today(drawn.as_of))


def purpose_bars(drawn: Drawn, purpose: Purpose) -> Bars | None:
    """A purpose by the day; None when nothing is known."""
    days = drawn.purpose_days.get(purpose)
    if not days:
        return None
    minutes = ((one.date, one.uptime.up // MINUTE, one.uptime.down // MINUTE) for one in days)
    return _bars(tuple(minutes), *_today(drawn.as_of))


def target_chart(drawn: Drawn, target: TargetId) -> Chart | None:
    """A target's latency by the hour, and its time to the first token; None without data."""
    found = drawn.hours.get(target)
    # The right edge goes on by whole pixels.
    return None if found is None else _chart(found, drawn.as_of + (_EPOCH - drawn.as_of) % PIXEL)


def _spans(uptimes: Mapping[str, Uptime]) -> tuple[Span, ...]:
    found: list[Span] = []
    told = timedelta(0)
    for word, span in SPANS.items():
        uptime = uptimes.get(word, Uptime())
        # A longer span of which no more is known would say the same once more.
        if uptime.known <= told:
            continue
        told = uptime.known
        note = f"of {age(told)}" if told < span * ALMOST_ALL else ""
        found.append(Span(name=_NAMES[word], share=share(uptime.share), note=note))
    return tuple(found)


def _today(now: datetime) -> tuple[date, int]:
    """The day, and how many minutes of it have begun."""
    midnight = day_begin(now)
    return midnight.date(), (now - midnight) // MINUTE + 1


@lru_cache(maxsize=KEPT_DRAWN)
def _bars(days: tuple[tuple[date, int, int], ...], today: date, minutes: int) -> Bars:
    found = {}
    for day, up, down in days:
        begun = MINUTES_A_DAY if day < today else minutes
        found[day] = DayParts(up, down, max(begun - up - down, 0))
    return draw_days(found, today)


@lru_cache(maxsize=KEPT_DRAWN)
def _chart(hours: str, until: datetime) -> Chart | None:
    return draw_hours(list(_points(hours)), until)


def _points(hours: str) -> Iterable[HourPoint]:
    for one in hours.split(";"):
        hour, latency, ttft = one.split(":")
        if latency:
            p50, p95 = quantiles(latency, (0.5, 0.95))
            yield HourPoint(int(hour), p50, p95, quantiles(ttft, (0.5,))[0] if ttft else None)


def quantiles(packed: str, wanted: Sequence[float]) -> list[float]:
    """As `Histogram.quantile` has them, without unpacking: a page wants thousands."""
    numbers = packed.split(",")
    counts = list(accumulate(map(int, numbers[1::2])))
    ranks = [max(1, ceil(q * counts[-1])) for q in wanted]
    return [bucket_seconds(int(numbers[2 * bisect_left(counts, rank)])) for rank in ranks]
