"""Keep partitions ready ahead of time, and drop those whose results have expired."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from monitor.storage.arrivals import Retention, prune_rollups
from monitor.storage.errors import STORE_ERRORS
from monitor.storage.journal import prune_journal
from monitor.storage.keys import forget_keys_of_deleted_rows
from monitor.storage.leader import LeaderSession
from monitor.storage.maintenance import prune_maintenance
from monitor.storage.partitions import ensure_partitions, prune
from monitor.storage.reports import prune_reports

log = structlog.get_logger()

EVERY_SECONDS = 3600.0
JOURNAL_KEPT = timedelta(days=90)
REPORTS_KEPT = timedelta(days=1)
"""What was decided on stands in the journal and with the moves; the rest is for a person who looks soon."""
MAINTENANCE_KEPT = timedelta(days=7)


class Prune:
    """Once an hour, and at the start.

    Attributes:
        keep: how long results and their sums are kept; a change counts from the next hour on.
    """

    def __init__(self, keep: Retention, now: Callable[[], datetime]) -> None:
        self.keep = keep
        self._now = now

    async def run(self, session: LeaderSession) -> None:
        """Tend the partitions until the session ends."""
        while not session.lost.is_set():
            try:
                async with session.use() as connection:
                    await ensure_partitions(connection, self._now())
                    dropped = await prune(connection, self._now(), keep=self.keep.results)
                    await forget_keys_of_deleted_rows(connection)
                    await prune_journal(connection, self._now() - JOURNAL_KEPT)
                    await prune_rollups(connection, self._now(), self.keep)
                    await prune_reports(connection, self._now() - REPORTS_KEPT)
                    await prune_maintenance(connection, self._now() - MAINTENANCE_KEPT)
                if dropped:
                    log.info("results_pruned", partitions=dropped)
            except STORE_ERRORS as error:
                log.warning("results_not_pruned", error=type(error).__name__)
            await asyncio.sleep(EVERY_SECONDS)
