"""Results summed by the hour and by the day: what is kept of them for longer than they are themselves."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from monitor.domain.histogram import Histogram
from monitor.domain.outcome import Outcome
from monitor.domain.target import ProbeKind
from monitor.domain.uptime import HOUR, Marks, reach_minutes, says

MOST = 2**62
"""More tokens than anybody uses; a provider may say any number."""


class Subject(NamedTuple):
    """What is probed and how, as its columns."""

    provider_type: str
    provider_id: int
    purpose: str
    kind: str


class Arrival(NamedTuple):
    """What a result adds to the sums.

    Attributes:
        subject: whose.
        outcome: as a word; one that this version does not know counts and says nothing.
        started_at: UTC: the hour, the day and the minute it belongs to.
        latency_seconds: None without an answer.
        ttft_seconds: likewise.
        tokens_in: None when not told.
        tokens_out: likewise.
        cost_usd: likewise.
        reach_seconds: for how long its word holds; None when it does not say.
    """

    subject: Subject
    outcome: str
    started_at: datetime
    latency_seconds: float | None = None
    ttft_seconds: float | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost_usd: float | None = None
    reach_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What can be added up of results.

    Attributes:
        counts: how many, by outcome.
        latency: of those that passed.
        ttft: of those that passed.
        tokens_in: of all that told.
        tokens_out: likewise.
        cost_usd: likewise.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    latency: Histogram = field(default_factory=Histogram)
    ttft: Histogram = field(default_factory=Histogram)
    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: float = 0.0

    def __add__(self, other: "Sums") -> "Sums":
        counts = dict(self.counts)
        for word, count in other.counts.items():
            counts[word] = counts.get(word, 0) + count
        return Sums(
            counts=counts,
            latency=self.latency.merge(other.latency),
            ttft=self.ttft.merge(other.ttft),
            tokens_in=min(self.tokens_in + other.tokens_in, MOST),
            tokens_out=min(self.tokens_out + other.tokens_out, MOST),
            cost_usd=self.cost_usd + other.cost_usd,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HourMarks:
    """What deep probes of an hour say of service.

    Attributes:
        marks: the minutes in which they passed and failed.
        passed: how many passed.
        failed: how many failed or were refused.
    """

    marks: Marks
    passed: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What some results add, by target and kind and by hour."""

    sums: Mapping[tuple[Subject, datetime], Sums]
    marks: Mapping[tuple[Subject, datetime], HourMarks]


def hour_of(at: datetime) -> datetime:
    """The hour that an instant lies in."""
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def gather(arrivals: Iterable[Arrival]) -> Gathered:
    """What some results add to the sums, and which minutes they mark; their order does not matter."""
    grouped: dict[tuple[Subject, datetime], list[Arrival]] = {}
    for one in arrivals:
        grouped.setdefault((one.subject, hour_of(one.started_at)), []).append(one)
    marks = {
        place: said
        for place, group in grouped.items()
        if place[0].kind == ProbeKind.DEEP and (said := _mark(place[1], group)) is not None
    }
    return Gathered(sums={place: _sum(group) for place, group in grouped.items()}, marks=marks)


def _sum(group: list[Arrival]) -> Sums:
    counts: dict[str, int] = {}
    for one in group:
        counts[one.outcome] = counts.get(one.outcome, 0) + 1
    passed = [one for one in group if one.outcome == Outcome.OK]
    return Sums(
        counts=counts,
        latency=Histogram.of(one.latency_seconds for one in passed if one.latency_seconds is not None),
        ttft=Histogram.of(one.ttft_seconds for one in passed if one.ttft_seconds is not None),
        tokens_in=min(sum(max(one.tokens_in or 0, 0) for one in group), MOST),
        tokens_out=min(sum(max(one.tokens_out or 0, 0) for one in group), MOST),
        cost_usd=math.fsum(
            one.cost_usd for one in group if one.cost_usd is not None and math.isfinite(one.cost_usd)
        ),
    )


_SAYS: Mapping[str, bool | None] = {str(outcome): says(outcome) for outcome in Outcome}


def _mark(hour: datetime, group: list[Arrival]) -> HourMarks | None:
    minutes = {True: 0, False: 0}
    counts = {True: 0, False: 0}
    reach = 0
    for one in group:
        service = _SAYS.get(one.outcome)
        if service is None:
            continue
        minutes[service] |= 1 << ((one.started_at - hour) * 60 // HOUR)
        counts[service] += 1
        reach = max(reach, reach_minutes(one.reach_seconds))
    if not any(counts.values()):
        return None
    marks = Marks(passed=minutes[True], failed=minutes[False], reach=reach)
    return HourMarks(marks=marks, passed=counts[True], failed=counts[False])
