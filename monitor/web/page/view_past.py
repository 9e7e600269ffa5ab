"""Uptimes, days and hours as the page shows them: spans in words, bars and small charts."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import accumulate
from math import ceil

from monitor.domain.histogram import bucket_seconds
from monitor.domain.provider import Purpose
from monitor.domain.target import TargetId
from monitor.domain.uptime import MINUTE, SPANS, Uptime
from monitor.storage.drawn import Drawn, DrawnHours
from monitor.storage.uptime import day_begin
from monitor.web.page.charts import Bars, Chart, DayParts, HourPoint, draw_days, draw_hours
from monitor.web.page.views import Span
from monitor.web.page.words import age, share

MINUTES_A_DAY = 24 * 60
_NAMES = {"24h": "24 h", "7d": "7 d", "30d": "30 d", "90d": "90 d"}
ALMOST_ALL = 0.95
"""Less of a span than this is known: then it says of how much it tells."""


def target_spans(drawn: Drawn, target: TargetId) -> tuple[Span, ...]:
    """A target's uptimes; empty when nothing is known."""
    return _spans(drawn.uptimes.get(target, {}))


def purpose_spans(drawn: Drawn, purpose: Purpose) -> tuple[Span, ...]:
    """For how long somebody served a purpose."""
    return _spans(drawn.purpose_uptimes.get(purpose, {}))


def target_bars(drawn: Drawn, target: TargetId, now: datetime) -> Bars | None:
    """A target by the day; None when nothing is known."""
    found = drawn.days.get(target)
    if found is None:
        return None
    return _bars(zip(found.days, found.up, found.down, strict=True), now)


def purpose_bars(drawn: Drawn, purpose: Purpose, now: datetime) -> Bars | None:
    """A purpose by the day; None when nothing is known."""
    days = drawn.purpose_days.get(purpose)
    if not days:
        return None
    return _bars(((one.date, one.uptime.up // MINUTE, one.uptime.down // MINUTE) for one in days), now)


def target_chart(drawn: Drawn, target: TargetId, now: datetime) -> Chart | None:
    """A target's latency by the hour, and its time to the first token; None without data."""
    found = drawn.hours.get(target)
    return None if found is None else draw_hours(list(_points(found)), now)


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


def _bars(days: Iterable[tuple[date, int, int]], now: datetime) -> Bars:
    found, midnight = {}, day_begin(now)
    today = midnight.date()
    for day, up, down in days:
        begun = MINUTES_A_DAY if day < today else (now - midnight) // MINUTE + 1
        found[day] = DayParts(up, down, max(begun - up - down, 0))
    return draw_days(found, today)


def _points(found: DrawnHours) -> Iterable[HourPoint]:
    for hour, latency, ttft in zip(found.hours, found.latency, found.ttft, strict=True):
        if latency:
            p50, p95 = quantiles(latency, (0.5, 0.95))
            yield HourPoint(hour, p50, p95, quantiles(ttft, (0.5,))[0] if ttft else None)


def quantiles(packed: str, wanted: Sequence[float]) -> list[float]:
    """As `Histogram.quantile` has them, without unpacking: a page wants thousands."""
    numbers = [int(one) for one in packed.split(",")]
    places, counts = numbers[::2], list(accumulate(numbers[1::2]))
    return [bucket_seconds(places[bisect_left(counts, max(1, ceil(q * counts[-1])))]) for q in wanted]
