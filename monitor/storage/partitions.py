"""The days of `monitor.results`: made before they are needed, dropped whole when they have expired."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import asyncpg
import structlog

from monitor.storage.queries import QUERIES

DAYS_AHEAD = 2
KEEP = timedelta(days=14)

log = structlog.get_logger()


async def ensure_partitions(connection: Any, now: datetime) -> list[date]:
    """Make the partitions of today and the next two UTC days; returns the days that were missing."""
    today = now.astimezone(UTC).date()
    return await ensure_days(connection, (today + timedelta(days=ahead) for ahead in range(DAYS_AHEAD + 1)))


async def ensure_days(connection: Any, days: Iterable[date]) -> list[date]:
    """Make the partitions of these days, whoever else does the same now; returns those that were missing."""
    missing = [row["day"] for row in await connection.fetch(QUERIES["find_missing_days"], sorted(set(days)))]
    return [day for day in missing if await connection.fetchval(QUERIES["ensure_partition"], day)]


async def prune(connection: Any, now: datetime, keep: timedelta = KEEP) -> list[str]:
    """Drop the partitions whose every result is older than `keep`.

    One that somebody reads for long is left for the next time.

    Args:
        connection: outside of a transaction.
        now: UTC.
        keep: how long results are kept.

    Returns:
        Names of the partitions dropped.
    """
    dropped = []
    for row in await connection.fetch(QUERIES["list_partitions"]):
        name: str = row["name"]
        if _end(name) > now - keep:
            continue
        try:
            async with connection.transaction():
                await connection.execute(QUERIES["limit_lock_wait"])
                await connection.execute(QUERIES["lock_prune"])
                await connection.execute(QUERIES["drop_partition"].format(name=name))
        except asyncpg.LockNotAvailableError:
            log.info("partition_in_use", partition=name)
        else:
            dropped.append(name)
    return dropped


def _end(name: str) -> datetime:
    day = date.fromisoformat(name.removeprefix("results_"))
    return datetime.combine(day, time(), UTC) + timedelta(days=1)
