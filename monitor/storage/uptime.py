"""How often a target passed, from counts by the hour; and single results a page at a time."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from monitor.domain.outcome import VOTES, ProbeResult, Vote
from monitor.domain.provider import ProviderRef, ProviderType, Purpose
from monitor.domain.target import ProbeKind, TargetId
from monitor.storage.queries import QUERIES
from monitor.storage.results import NO_PURPOSE, read_result

HOURS_KEPT = timedelta(days=90)
SPANS = {"24h": timedelta(days=1), "7d": timedelta(days=7), "30d": timedelta(days=30)}

_PASSED = [str(one) for one, vote in VOTES.items() if vote is Vote.PASS]
_FAILED = [str(one) for one, vote in VOTES.items() if vote in (Vote.FAILURE, Vote.BLOCK)]
_COLUMNS = {"24h": "day", "7d": "week", "30d": "month"}
_FIRST = UUID(int=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Uptime:
    """How a target fared over a span.

    Attributes:
        passed: deep probes that passed.
        failed: those that failed or were refused; what says nothing of service (busy, limited) is left out.
        since: from when on results are counted: the span's begin, or that of the target's first hour in it.
    """

    passed: int
    failed: int
    since: datetime

    @property
    def share(self) -> float | None:
        """The share that passed; None when nothing was counted."""
        counted = self.passed + self.failed
        return self.passed / counted if counted else None


async def read_uptimes(connection: Any, now: datetime) -> dict[TargetId, Mapping[str, Uptime]]:
    """The uptime of every target over each of `SPANS`, in one query of bounded cost.

    Args:
        connection: any of ours.
        now: the database's clock.
    """
    found: dict[TargetId, Mapping[str, Uptime]] = {}
    for row in await connection.fetch(QUERIES["read_uptimes"], _PASSED, _FAILED):
        target = TargetId(
            provider=ProviderRef(type=ProviderType(row["provider_type"]), id=row["provider_id"]),
            purpose=None if row["purpose"] == NO_PURPOSE else Purpose(row["purpose"]),
        )
        found[target] = {
            name: Uptime(
                passed=row[f"{_COLUMNS[name]}_passed"],
                failed=row[f"{_COLUMNS[name]}_failed"],
                since=max(row["since"], now - span),
            )
            for name, span in SPANS.items()
        }
    return found


async def prune_hours(connection: Any, now: datetime) -> None:
    """Drop counts that are older than any uptime reaches."""
    await connection.execute(QUERIES["prune_hours"], now - HOURS_KEPT)


async def page_results(
    connection: Any,
    ref: ProviderRef,
    *,
    before: datetime,
    before_id: UUID = _FIRST,
    purpose: Purpose | None = None,
    kind: ProbeKind | None = None,
    limit: int,
) -> list[ProbeResult]:
    """A provider's results that began before an instant, newest first.

    Args:
        connection: any of ours.
        ref: whose.
        before: the instant.
        before_id: of those that began at that very instant, only the ones before this.
        purpose: only of this one; None for all.
        kind: only of this one; None for both.
        limit: how many at most.
    """
    purposes = [str(purpose)] if purpose is not None else [NO_PURPOSE, *map(str, Purpose)]
    wanted = None if kind is None else str(kind)
    rows = await connection.fetch(
        QUERIES["page_results"], str(ref.type), ref.id, purposes, wanted, before, before_id, limit
    )
    return [read_result(row) for row in rows]


async def oldest_of_purpose(connection: Any, purpose: Purpose) -> datetime | None:
    """Since when anything is recorded of a purpose."""
    at: datetime | None = await connection.fetchval(QUERIES["oldest_of_purpose"], str(purpose))
    return at
