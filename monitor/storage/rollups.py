"""What is kept of results by the hour and by the day."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from monitor.domain.histogram import Histogram
from monitor.domain.outcome import Outcome
from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.target import ProbeKind, TargetId
from monitor.domain.uptime import HOUR, MINUTE, Uptime, minutes_begun
from monitor.storage.columns import ref_columns, target_in
from monitor.storage.paced import paced
from monitor.storage.queries import QUERIES
from monitor.storage.uptime import day_begin, read_purpose, uptime_of

DAYS = 90
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A target's UTC day.

    Attributes:
        date: which.
        uptime: of the day as far as it has begun.
        counts: probes by what they showed.
        latency: of probes that passed.
        ttft: of probes that passed, to the first token.
        tokens_in: used by probes.
        tokens_out: likewise.
        cost_usd: spent by probes.
    """

    date: date
    uptime: Uptime
    counts: Mapping[Outcome, int]
    latency: Histogram
    ttft: Histogram
    tokens_in: int
    tokens_out: int
    cost_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """A target's hour; `hour` is its begin, the rest as in `Day`."""

    hour: datetime
    uptime: Uptime
    counts: Mapping[Outcome, int]
    latency: Histogram
    ttft: Histogram
    tokens_in: int
    tokens_out: int
    cost_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PurposeDay:
    """For how long of a UTC day, as far as it has begun, the one that served a purpose was up."""

    date: date
    uptime: Uptime


async def read_days(
    connection: Any,
    now: datetime,
    days: int = DAYS,
    refs: Sequence[ProviderRef] | None = None,
    kind: ProbeKind = ProbeKind.DEEP,
) -> dict[TargetId, tuple[Day, ...]]:
    """The last days of targets, oldest first; a day without data is left out, and so is a target without one.

    Args:
        connection: any of ours.
        now: the database's clock.
        days: how many, today included.
        refs: only of these providers; None for all, which are many rows.
        kind: of these probes; uptime is of deep ones, whichever are asked for.
    """
    today = now.astimezone(UTC).date()
    rows = await connection.fetch(
        QUERIES["read_days"], today - timedelta(days=days - 1), today, str(kind), *ref_columns(refs)
    )
    found: dict[TargetId, list[Day]] = {}
    async for row in paced(rows):
        day: date = row["day"]
        begun = min(now - datetime.combine(day, time(), UTC), _DAY)
        uptime = uptime_of(row["up"], row["down"], _whole(begun), row["passed"], row["failed"])
        found.setdefault(target_in(row), []).append(Day(date=day, uptime=uptime, **_sums(row)))
    return {target: tuple(known) for target, known in found.items()}


async def read_hours(
    connection: Any,
    since: datetime,
    until: datetime,
    refs: Sequence[ProviderRef] | None = None,
    kind: ProbeKind = ProbeKind.DEEP,
) -> dict[TargetId, tuple[Hour, ...]]:
    """Hours of targets that begin within a span, oldest first; hours without data are left out.

    Args:
        connection: any of ours.
        since: the first hour begins then or later.
        until: the last one begins before this; of one that lasts then, what has begun counts.
        refs: only of these providers; None for all.
        kind: of these probes; uptime is of deep ones, whichever are asked for.
    """
    rows = await connection.fetch(QUERIES["read_hours"], since, until, str(kind), *ref_columns(refs))
    found: dict[TargetId, list[Hour]] = {}
    async for row in paced(rows):
        hour: datetime = row["hour"]
        begun = minutes_begun(hour, until) * MINUTE
        uptime = uptime_of(row["up"], row["down"], min(begun, HOUR), row["passed"], row["failed"])
        found.setdefault(target_in(row), []).append(Hour(hour=hour, uptime=uptime, **_sums(row)))
    return {target: tuple(known) for target, known in found.items()}


async def read_purpose_days(
    connection: Any, now: datetime, days: int = DAYS
) -> dict[Purpose, tuple[PurposeDay, ...]]:
    """The last days of every purpose, oldest first; days of which nothing is known are left out."""
    since = day_begin(now) - (days - 1) * _DAY
    found: dict[Purpose, list[PurposeDay]] = {}
    for row in await connection.fetch(QUERIES["read_purpose_days"], since, now + MINUTE):
        purpose = read_purpose(row["purpose"])
        if purpose is None:
            continue
        begun = min(now - datetime.combine(row["day"], time(), UTC), _DAY)
        uptime = uptime_of(row["up"], row["down"], _whole(begun))
        found.setdefault(purpose, []).append(PurposeDay(date=row["day"], uptime=uptime))
    return {purpose: tuple(known) for purpose, known in found.items()}


def _whole(begun: timedelta) -> timedelta:
    """A minute that has begun counts whole, as it does in what is up and down."""
    return min(-(-begun // MINUTE) * MINUTE, _DAY)


def _sums(row: Any) -> dict[str, Any]:
    counts = (row["counts"] or {}).items()
    return {
        "counts": {_OUTCOMES[word]: count for word, count in counts if word in _OUTCOMES},
        "latency": Histogram.unpack(row["latency"] or ()),
        "ttft": Histogram.unpack(row["ttft"] or ()),
        "tokens_in": row["tokens_in"] or 0,
        "tokens_out": row["tokens_out"] or 0,
        "cost_usd": row["cost_usd"] or 0.0,
    }


_OUTCOMES = {str(outcome): outcome for outcome in Outcome}
