"""Store what was seen, in batches, within a second of its end."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import structlog

from monitor.domain.provider import ProviderType
from monitor.jobs.beliefs import Beliefs
from monitor.jobs.pending import BATCH, Batch, Pending
from monitor.jobs.spool_results import LEAST_BATCH, tell_refused
from monitor.metrics import Metrics
from monitor.storage.errors import REFUSED_ERRORS, STORE_ERRORS
from monitor.storage.healths import save_healths
from monitor.storage.history import store_history
from monitor.storage.leader import LeaderSession
from monitor.storage.providers import write_server_health
from monitor.storage.references import save_reference
from monitor.storage.results import insert_results

log = structlog.get_logger()

FLUSH_SECONDS = 0.4
AFTER_FAILURE_SECONDS = 1.0
CHECKED_EVERY = timedelta(seconds=60)


class StoreResults:
    """Writes what is pending as long as this daemon leads."""

    def __init__(
        self, beliefs: Beliefs, pending: Pending, metrics: Metrics, now: Callable[[], datetime]
    ) -> None:
        self._beliefs = beliefs
        self._pending = pending
        self._metrics = metrics
        self._now = now
        self._most = BATCH
        self._written: dict[int, tuple[str, datetime]] = {}

    async def run(self, session: LeaderSession) -> None:
        """Flush until the session ends; whatever could not be stored stays pending."""
        while not session.lost.is_set():
            await self._pending.arrived.wait()
            try:
                await self.flush(session)
            except STORE_ERRORS as error:
                self._pending.watch.failed(error, "results")
                # A server that is slow takes fewer within its time.
                self._most = max(self._most // 4, LEAST_BATCH)
                await asyncio.sleep(AFTER_FAILURE_SECONDS)
            else:
                self._most = min(self._most * 2, BATCH)
            await asyncio.sleep(FLUSH_SECONDS)

    async def flush(self, session: LeaderSession) -> None:
        """Store one batch.

        Raises:
            STORE_ERRORS: the database did not take it; the batch is pending again.
        """
        async with session.use() as connection:
            batch = self._pending.take(self._most)
            if not batch:
                return
            try:
                try:
                    await self._store(connection, batch)
                except REFUSED_ERRORS:
                    await self._store_what_it_takes(connection, batch)
            except BaseException:
                self._pending.give_back(batch)
                raise
            self._pending.stored(batch)
            await self._tell_application(connection, batch)

    async def leave(self, session: LeaderSession) -> None:
        """Store results alone: another daemon leads, and its beliefs are the ones that count.

        Raises:
            STORE_ERRORS: the database did not take them; they are pending again.
        """
        async with session.use() as connection:
            while (batch := self._pending.take()).waiting:
                try:
                    refused = await store_history(connection, batch.results)
                except BaseException:
                    self._pending.give_back(batch)
                    raise
                self._pending.stored(batch)
                tell_refused(refused, self._metrics)

    async def _store(self, connection: Any, batch: Batch) -> None:
        async with connection.transaction():
            await insert_results(connection, batch.results)
            await save_healths(connection, batch.healths)
            for (ref, fingerprint), vector in batch.vectors.items():
                await save_reference(connection, ref, fingerprint, vector)

    async def _store_what_it_takes(self, connection: Any, batch: Batch) -> None:
        # One row that can't be stored must not hold up all the others, now and at every repetition.
        refused = await store_history(connection, batch.results)
        for health in batch.healths:
            try:
                await save_healths(connection, [health])
            except REFUSED_ERRORS as error:
                log.warning("health_refused", target=str(health.target), error=type(error).__name__)
        for (ref, fingerprint), vector in batch.vectors.items():
            try:
                await save_reference(connection, ref, fingerprint, vector)
            except REFUSED_ERRORS as error:
                log.warning("vector_refused", provider=str(ref), error=type(error).__name__)
        tell_refused(refused, self._metrics)

    async def _tell_application(self, connection: Any, batch: Batch) -> None:
        # In statements of their own: a row that the application holds locked must not hold up our records.
        now = self._now()
        for ref in {one.target.provider for one in batch.healths}:
            if ref.type is not ProviderType.AI_SERVER:
                continue
            status = str(self._beliefs.provider_status(ref, now))
            before = self._written.get(ref.id)
            if before is not None and before[0] == status and now - before[1] < CHECKED_EVERY:
                continue
            if await write_server_health(connection, ref.id, status, now):
                self._written[ref.id] = (status, now)
