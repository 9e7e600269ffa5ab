"""What applications report of their own requests, as rows: written by them, read once by who decides.

Only ages travel, never instants: an application's clock may be minutes off, the database's is the one that
both sides share.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from monitor.domain.provider import Purpose
from monitor.domain.reports import MOST_KEPT, Report, ReportOutcome
from monitor.domain.target import TargetId
from monitor.storage.purposes import read_ref
from monitor.storage.queries import QUERIES

REPORTS_CHANNEL = "monitor_reports"
MOST_AGE_SECONDS = 60.0
MOST_ROWS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportBatch:
    """What one process has seen of one target since it last wrote.

    Attributes:
        target: the provider in a purpose.
        source: the process, as a person may find it.
        via: `library` or `http`.
        ages_seconds: of the newest requests, how long ago each ended; the oldest first.
        outcomes: what those showed, in the same order.
        counts: all requests by what they showed, those included of which no more is told.
    """

    target: TargetId
    source: str
    via: str
    ages_seconds: Sequence[float]
    outcomes: Sequence[ReportOutcome]
    counts: Mapping[ReportOutcome, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRow:
    """One row as it is read.

    Attributes:
        id: counts the rows; one that is committed late may have a smaller one than others.
        target: the provider in a purpose; None where the row names what we do not know.
        reports: oldest first.
    """

    id: int
    target: TargetId | None
    reports: tuple[Report, ...]


async def add_reports(
    connection: Any, batches: Iterable[ReportBatch], *, timeout: float | None = None
) -> None:
    """Write batches, one statement for all; who decides is notified.

    Args:
        connection: an application's, with whatever codecs, or ours.
        batches: as many as there are targets.
        timeout: in seconds, or None.
    """
    rows = [
        {
            "provider_type": str(one.target.provider.type),
            "provider_id": one.target.provider.id,
            "purpose": str(one.target.purpose),
            "source": one.source[:200],
            "via": one.via,
            "ages": [round(min(max(age, 0.0), MOST_AGE_SECONDS), 3) for age in one.ages_seconds[-MOST_KEPT:]],
            "outcomes": [str(outcome) for outcome in one.outcomes[-MOST_KEPT:]],
            "counts": {str(outcome): count for outcome, count in one.counts.items()},
        }
        for one in batches
    ]
    if rows:
        await connection.execute(QUERIES["add_reports"], json.dumps(rows), timeout=timeout)


async def last_report(connection: Any) -> int:
    """The id of the newest row; 0 when there is none."""
    return int(await connection.fetchval(QUERIES["last_report"]))


async def load_reports(connection: Any, after: int, missing: Iterable[int], now: datetime) -> list[ReportRow]:
    """New rows in the order of their ids, at most `MOST_ROWS`.

    Args:
        connection: ours.
        after: the greatest id that has been read.
        missing: smaller ids that were not there yet.
        now: by the clock of whoever reads.
    """
    return [
        _read(row, now)
        for row in await connection.fetch(QUERIES["load_reports"], after, list(missing), MOST_ROWS)
    ]


async def prune_reports(connection: Any, before: datetime) -> None:
    """Drop what is older."""
    await connection.execute(QUERIES["prune_reports"], before)


def _read(row: Any, now: datetime) -> ReportRow:
    provider, purpose, words = (
        read_ref(row["provider_type"], row["provider_id"]),
        row["purpose"],
        set(ReportOutcome),
    )
    known = provider is not None and purpose in set(Purpose)
    received_at = now - timedelta(seconds=max(row["waited_seconds"], 0.0))
    return ReportRow(
        id=row["id"],
        target=TargetId(provider=provider, purpose=Purpose(purpose)) if provider and known else None,
        reports=tuple(
            Report(
                at=received_at - timedelta(seconds=age),
                outcome=ReportOutcome(outcome),
                source=row["source"],
            )
            for age, outcome in zip(row["ages_seconds"], row["outcomes"], strict=False)
            if outcome in words
        ),
    )
