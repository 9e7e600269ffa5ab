"""Store what was seen, in batches, within a second of its end."""

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import structlog

from monitor.domain.outcome import ProbeResult
from monitor.domain.provider import ProviderRef, ProviderType
from monitor.domain.target import TargetId
from monitor.jobs.beliefs import Beliefs
from monitor.metrics import Metrics
from monitor.storage.errors import STORE_ERRORS
from monitor.storage.healths import StoredHealth, save_healths
from monitor.storage.leader import LeaderSession
from monitor.storage.providers import write_server_health
from monitor.storage.references import save_reference
from monitor.storage.results import insert_results

log = structlog.get_logger()

FLUSH_SECONDS = 0.4
BATCH = 2_000
MOST_PENDING = 100_000
SAID_SECONDS = 60.0
CHECKED_EVERY = timedelta(seconds=60)


class Pending:
    """Results and beliefs that are not stored yet; results are bounded, the oldest go first."""

    def __init__(self, beliefs: Beliefs, metrics: Metrics, now: Callable[[], datetime]) -> None:
        self._beliefs = beliefs
        self._metrics = metrics
        self._now = now
        self._results: deque[ProbeResult] = deque()
        self._dirty: set[TargetId] = set()
        self._vectors: dict[tuple[ProviderRef, str], tuple[float, ...]] = {}
        self.arrived = asyncio.Event()

    def __len__(self) -> int:
        return len(self._results)

    def add(self, result: ProbeResult) -> None:
        """Keep one more result."""
        self._results.append(result)
        self._bound()
        self.arrived.set()

    def mark(self, target: TargetId) -> None:
        """A belief has changed."""
        self._dirty.add(target)
        self.arrived.set()

    def add_vector(self, ref: ProviderRef, fingerprint: str, vector: tuple[float, ...]) -> None:
        """Keep an embedder's vector."""
        self._vectors[ref, fingerprint] = vector
        self.arrived.set()

    def take(self) -> "Batch":
        """Everything that waits, up to a batch of results; whoever takes it stores it or gives it back."""
        self.arrived.clear()
        results = [self._results.popleft() for _ in range(min(BATCH, len(self._results)))]
        if self._results:
            self.arrived.set()
        targets = [id_ for id_ in self._dirty if id_ in self._beliefs.healths]
        self._dirty.clear()
        vectors, self._vectors = self._vectors, {}
        now = self._now()
        return Batch(results, [self._beliefs.stored(id_, now) for id_ in targets], vectors)

    def give_back(self, batch: "Batch") -> None:
        """A batch that could not be stored; results keep their order, beliefs are read anew next time."""
        self._results.extendleft(reversed(batch.results))
        self._dirty.update(one.target for one in batch.healths)
        self._vectors = batch.vectors | self._vectors
        self._bound()
        self.arrived.set()

    def _bound(self) -> None:
        dropped = max(len(self._results) - MOST_PENDING, 0)
        for _ in range(dropped):
            self._results.popleft()
        if dropped:
            self._metrics.count_results_dropped(dropped)
        self._metrics.set_results_pending(len(self._results))


class Batch:
    """What is stored together."""

    def __init__(
        self,
        results: list[ProbeResult],
        healths: list[StoredHealth],
        vectors: dict[tuple[ProviderRef, str], tuple[float, ...]],
    ) -> None:
        self.results = results
        self.healths = healths
        self.vectors = vectors

    def __bool__(self) -> bool:
        return bool(self.results or self.healths or self.vectors)


class StoreResults:
    """Writes what is pending as long as this daemon leads."""

    def __init__(
        self, beliefs: Beliefs, pending: Pending, metrics: Metrics, now: Callable[[], datetime]
    ) -> None:
        self._beliefs = beliefs
        self._pending = pending
        self._metrics = metrics
        self._now = now
        self._written: dict[int, tuple[str, datetime]] = {}

    async def run(self, session: LeaderSession) -> None:
        """Flush until the session ends; whatever could not be stored stays pending."""
        loop = asyncio.get_running_loop()
        said_at = -SAID_SECONDS
        while not session.lost.is_set():
            await self._pending.arrived.wait()
            try:
                await self.flush(session)
            except STORE_ERRORS as error:
                if loop.time() - said_at >= SAID_SECONDS:
                    said_at = loop.time()
                    log.warning("results_not_stored", pending=len(self._pending), error=type(error).__name__)
                await asyncio.sleep(1)
            await asyncio.sleep(FLUSH_SECONDS)

    async def flush(self, session: LeaderSession) -> None:
        """Store one batch.

        Raises:
            STORE_ERRORS: the database did not take it; the batch is pending again.
        """
        async with session.use() as connection:
            batch = self._pending.take()
            if not batch:
                return
            try:
                async with connection.transaction():
                    await insert_results(connection, batch.results)
                    await save_healths(connection, batch.healths)
                    for (ref, fingerprint), vector in batch.vectors.items():
                        await save_reference(connection, ref, fingerprint, vector)
            except BaseException:
                self._pending.give_back(batch)
                self._metrics.set_store_up(False)
                raise
            self._metrics.set_store_up(True)
            self._metrics.set_results_pending(len(self._pending))
            await self._tell_application(connection, batch)

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
