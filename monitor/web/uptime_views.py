"""What the reading routes answer about uptime: spans, and days."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated

from pydantic import BaseModel, Field

from monitor.domain.outcome import Outcome
from monitor.domain.provider import Purpose
from monitor.domain.target import TargetId
from monitor.domain.uptime import Uptime
from monitor.storage.rollups import Day
from monitor.storage.uptime import SPANS, Sums

NO_SUMS = Sums(*[(0,) * len(SPANS)] * 4)


@dataclass(slots=True, kw_only=True)
class UptimeView:
    """For how long it was up within a span, as far as is known."""

    share: Annotated[
        float | None,
        Field(
            description="Of the time that is covered, 0 to 1; null when nothing is known.", examples=[0.9987]
        ),
    ]
    passed: Annotated[int, Field(description="Deep probes; those of the span's first hour count whole.")]
    failed: Annotated[
        int, Field(description="Failures and refusals; what says nothing of service is not counted.")
    ]
    covered_seconds: Annotated[
        int,
        Field(
            description="How much of it is known, by whole minutes: not all of it while the target is new."
        ),
    ]


class SpanView(BaseModel):
    """For how long somebody served a purpose within a span, as far as is known."""

    share: float | None = Field(
        description="Of the time that is covered, 0 to 1; null when nothing is known.", examples=[0.9998]
    )
    covered_seconds: int


class DayView(BaseModel):
    """One UTC day of a provider in one purpose, by deep probes."""

    date: date
    share: float | None = Field(description="Of the time that is covered; null when nothing is known.")
    up_seconds: int
    down_seconds: int
    unknown_seconds: int = Field(description="Of the day as far as it has begun.")
    outcomes: dict[Outcome, int]
    latency_p50_seconds: float | None = Field(description="Of probes that passed; errs by 5 % at most.")
    latency_p95_seconds: float | None
    ttft_p50_seconds: float | None
    ttft_p95_seconds: float | None
    tokens_in: int
    tokens_out: int
    cost_usd: float


class TargetDaysView(BaseModel):
    """The days of a provider in one purpose, oldest first; days without data are left out."""

    purpose: Purpose | None
    days: list[DayView]


class DaysView(BaseModel):
    """A provider by the day."""

    as_of: datetime
    targets: list[TargetDaysView]


def view_uptimes(sums: Sums) -> dict[str, UptimeView]:
    """A target's uptime over each span."""
    return {
        name: UptimeView(
            share=up / (up + down) if up + down else None,
            passed=passed,
            failed=failed,
            covered_seconds=60 * (up + down),
        )
        for name, up, down, passed, failed in zip(SPANS, *sums, strict=True)
    }


def view_span(uptime: Uptime) -> SpanView:
    """A purpose's uptime over a span."""
    return SpanView(share=uptime.share, covered_seconds=_seconds(uptime.known))


def view_days(now: datetime, days: Mapping[TargetId, Sequence[Day]]) -> DaysView:
    """A provider by the day."""
    return DaysView(
        as_of=now,
        targets=[
            TargetDaysView(purpose=target.purpose, days=[_day(one) for one in known])
            for target, known in days.items()
        ],
    )


def _day(day: Day) -> DayView:
    return DayView(
        date=day.date,
        share=day.uptime.share,
        up_seconds=_seconds(day.uptime.up),
        down_seconds=_seconds(day.uptime.down),
        unknown_seconds=_seconds(day.uptime.unknown),
        outcomes=dict(day.counts),
        latency_p50_seconds=day.latency.quantile(0.5),
        latency_p95_seconds=day.latency.quantile(0.95),
        ttft_p50_seconds=day.ttft.quantile(0.5),
        ttft_p95_seconds=day.ttft.quantile(0.95),
        tokens_in=day.tokens_in,
        tokens_out=day.tokens_out,
        cost_usd=day.cost_usd,
    )


def _seconds(span: timedelta) -> int:
    return round(span.total_seconds())
