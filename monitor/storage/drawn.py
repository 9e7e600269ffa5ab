"""What a page draws of the past: days and hours of some providers, a row each, as they were read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.target import ProbeKind, TargetId
from monitor.domain.uptime import HOUR, Uptime
from monitor.storage.columns import NO_PURPOSE, target_in
from monitor.storage.queries import QUERIES
from monitor.storage.rollups import DAYS, PurposeDay, read_purpose_days
from monitor.storage.uptime import day_begin, read_purpose_uptimes, read_uptimes

HOURS = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnDays:
    """A target's days with data, the oldest first, and its minutes up and down on each."""

    days: Sequence[date]
    up: Sequence[int]
    down: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Everything that is drawn; what nothing is known of is left out.

    Attributes:
        as_of: by the database's clock.
        uptimes: of targets, by span.
        days: of targets.
        hours: of targets, those with data as one text, the oldest first: whoever draws unpacks it. An hour is
            `HOUR:LATENCY:TTFT`, parted by `;`: its number since 1970, and its histograms, bucket and count by
            turns, parted by commas.
        purpose_uptimes: whether somebody served, by span.
        purpose_days: the same by the day.
    """

    as_of: datetime
    uptimes: Mapping[TargetId, Mapping[str, Uptime]]
    days: Mapping[TargetId, DrawnDays]
    hours: Mapping[TargetId, str]
    purpose_uptimes: Mapping[Purpose, Mapping[str, Uptime]]
    purpose_days: Mapping[Purpose, Sequence[PurposeDay]]


async def read_drawn(
    connection: Any, now: datetime, targets: Sequence[tuple[ProviderRef, Purpose | None]], *, purposes: bool
) -> Drawn:
    """Read what is drawn.

    Args:
        connection: one of ours, in a transaction that sees one snapshot.
        now: the database's clock.
        targets: of providers.
        purposes: the purposes too.
    """
    columns = (
        [str(ref.type) for ref, _ in targets],
        [ref.id for ref, _ in targets],
        [str(purpose or NO_PURPOSE) for _, purpose in targets],
    )
    since = day_begin(now).date() - timedelta(days=DAYS - 1)
    days = await connection.fetch(QUERIES["page_days"], *columns, since)
    hours = await connection.fetch(
        QUERIES["page_hours"], *columns, str(ProbeKind.DEEP), now - HOURS * HOUR - HOUR
    )
    refs = list({ref: None for ref, _ in targets})
    return Drawn(
        as_of=now,
        uptimes=await read_uptimes(connection, now, refs) if refs else {},
        days={target_in(row): DrawnDays(days=row["days"], up=row["up"], down=row["down"]) for row in days},
        hours={target_in(row): row["hours"] for row in hours},
        purpose_uptimes=await read_purpose_uptimes(connection, now) if purposes else {},
        purpose_days=await read_purpose_days(connection, now) if purposes else {},
    )
