"""Knows how long what was read of the database may still be relied on."""

import asyncio
from typing import Any, Final, Literal

import structlog

from monitor.storage.errors import STORE_ERRORS
from monitor.storage.listener import CONFIGURATION_CHANNEL, Listener
from monitor.storage.purposes import ACTIVE_CHANNEL
from monitor.storage.served import is_pooled

PROOF_SECONDS: Final = 10.0  # so old may the last sign of life of the listening connection be
HEARTBEAT_SECONDS: Final = 5.0
POLL_SECONDS: Final = 2.0
RELOAD_SECONDS: Final = 30.0  # what no notification tells: a health, a usage column
LOOK_SECONDS: Final = 0.25
ANSWER_SECONDS: Final = 3.0
RETRY_SECONDS: Final = 1.0

log = structlog.get_logger()

Mode = Literal["starting", "listening", "polling"]


class Watch:
    """Hears of every change on one connection of the application's pool, and says what it did not hear.

    Attributes:
        epoch: counts the changes; what was read in an earlier one is void.
    """

    def __init__(self, pool: Any, *, heartbeat_seconds: float = HEARTBEAT_SECONDS) -> None:
        self._pool = pool
        self._listener = Listener(
            pool,
            (CONFIGURATION_CHANNEL, ACTIVE_CHANNEL),
            lambda *_: self.void(),
            self.void,
            heartbeat_seconds=heartbeat_seconds,
        )
        self._proved_at = float("-inf")
        self._polls = False
        self._task: asyncio.Task[None] | None = None
        self.epoch = 0

    @property
    def mode(self) -> Mode:
        """Whether notifications arrive."""
        if self._polls:
            return "polling"
        return "listening" if self._listener.connected else "starting"

    def start(self) -> None:
        """Begin to listen, in the running loop; again does nothing."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="provider watch")

    async def stop(self) -> None:
        """Give the connection back."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def void(self) -> None:
        """Whatever was read so far, or is being read, is void."""
        self.epoch += 1

    def is_fresh(self, epoch: int, read_at: float, now: float) -> bool:
        """Whether something may be used without asking again.

        Args:
            epoch: in which it was read.
            read_at: the loop's time at which its reading began.
            now: the loop's time.
        """
        if epoch != self.epoch:
            return False
        heard_at = self._listener.heard_at
        if heard_at is not None and now - heard_at < PROOF_SECONDS:
            self._proved_at = heard_at
            return now - read_at < RELOAD_SECONDS
        return now - read_at < POLL_SECONDS

    def is_tolerable(self, epoch: int, read_at: float, now: float) -> bool:
        """Whether something may be used while the database cannot be asked: it was true seconds ago."""
        if self._listener.heard_at is not None:
            self._proved_at = self._listener.heard_at
        return epoch == self.epoch and now - max(read_at, self._proved_at) < PROOF_SECONDS

    async def _run(self) -> None:
        listens = asyncio.create_task(self._listen(), name="provider listener")
        try:
            # An application that closes its pool waits for every connection of it, ours too.
            while not self._pool.is_closing() and not listens.done():
                await asyncio.wait({listens}, timeout=LOOK_SECONDS)
        finally:
            listens.cancel()
            await asyncio.gather(listens, return_exceptions=True)

    async def _listen(self) -> None:
        if self._pool.get_max_size() < 2:
            return self._poll("the pool has a single connection, which the application needs")
        while True:
            try:
                async with self._pool.acquire(timeout=ANSWER_SECONDS) as connection:
                    pooled = await is_pooled(connection, timeout=ANSWER_SECONDS)
                break
            except STORE_ERRORS as error:
                log.debug("provider_watch_waits", error=type(error).__name__)
            await asyncio.sleep(RETRY_SECONDS)
        if pooled:
            return self._poll("a connection pooler stands before the database")
        try:
            await self._listener.run()
        except Exception:
            log.exception("provider_watch_failed")
            self._poll("the listening connection failed")

    def _poll(self, reason: str) -> None:
        self._polls = True
        log.info("providers_polled", reason=reason, every_seconds=POLL_SECONDS)
