"""Lay on disk what could not be stored within a second, and store it when the database is back."""

import asyncio

import structlog

from monitor.domain.outcome import ProbeResult
from monitor.jobs.pending import BATCH, Pending, Place
from monitor.metrics import Metrics
from monitor.storage.errors import STORE_ERRORS
from monitor.storage.history import store_history
from monitor.storage.leader import LeaderSession
from monitor.storage.spool import Spool

log = structlog.get_logger()

LOOK_SECONDS = 0.2
OLD_SECONDS = 0.5
STALLED_SECONDS = 2.0
DRAIN_SECONDS = 0.5
AFTER_FAILURE_SECONDS = 2.0
LEAST_BATCH = 50


class SpoolResults:
    """From memory to disk as long as the daemon probes; from disk to the database while a session leads."""

    def __init__(self, pending: Pending, spool: Spool, metrics: Metrics) -> None:
        self._pending = pending
        self._spool = spool
        self._metrics = metrics

    async def run(self) -> None:
        """Keep what grows old, with or without a session, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self._pending.unstored_seconds() > STALLED_SECONDS:
                self._pending.watch.stalled()
            await self.keep(OLD_SECONDS)

    async def keep(self, older_than_seconds: float) -> bool:
        """Lay results on disk; False when some of that age are left in memory alone."""
        while waiting := self._pending.older_than(older_than_seconds, BATCH):
            self._pending.put(waiting, Place.UNDER_WAY)
            kept = False
            try:
                kept = await self._spool.add([one.result for one in waiting])
            finally:
                self._pending.put(waiting, Place.ON_DISK if kept else Place.NOWHERE)
            if not kept:
                return False
        return True

    async def drain(self, session: LeaderSession) -> None:
        """Store what lies on disk, the oldest first, until the session ends."""
        most, stored, outage = BATCH, 0, True
        while not session.lost.is_set():
            await self._spool.remove(self._pending.take_copies())
            try:
                count = await drain_batch(session, self._spool, self._metrics, most)
            except STORE_ERRORS as error:
                self._pending.watch.failed(error, "spool")
                most, outage = max(most // 4, LEAST_BATCH), True
                await asyncio.sleep(AFTER_FAILURE_SECONDS)
                continue
            stored += count
            most = min(most * 2, BATCH)
            if count:
                self._pending.progressed()
                continue
            if stored:
                # A busy moment is no news; what an outage left is.
                (log.info if outage else log.debug)("spooled_results_stored", count=stored)
                stored, outage = 0, False
            await asyncio.sleep(DRAIN_SECONDS)


async def drain_batch(session: LeaderSession, spool: Spool, metrics: Metrics, most: int = BATCH) -> int:
    """Store the oldest results of the spool, and only then remove them.

    Args:
        session: of this daemon, whether it leads or not: results are history, they change no belief.
        spool: whose.
        metrics: told what had to be dropped.
        most: how many at most.

    Returns:
        How many it took off the disk, or tried to.

    Raises:
        STORE_ERRORS: the database did not take them; they stay where they are.
    """
    if not spool.waiting:
        return 0
    results = await spool.oldest(most)
    if results:
        async with session.use() as connection:
            refused = await store_history(connection, results)
        await spool.remove([one.id for one in results])
        tell_refused(refused, metrics)
    return len(results)


async def drain_all(session: LeaderSession, spool: Spool, metrics: Metrics, seconds: float) -> int:
    """Store what lies on disk, for so long at most.

    Raises:
        STORE_ERRORS: the database did not take it.
    """
    loop = asyncio.get_running_loop()
    stored, deadline = 0, loop.time() + seconds
    while loop.time() < deadline and (count := await drain_batch(session, spool, metrics)):
        stored += count
    if stored:
        log.info("spooled_results_stored", count=stored)
    return stored


def tell_refused(refused: list[ProbeResult], metrics: Metrics) -> None:
    """Say which results are dropped because no repetition would store them; never what they hold."""
    if refused:
        metrics.count_results_dropped(len(refused))
        log.error("results_refused", count=len(refused), ids=[one.id for one in refused[:5]])
