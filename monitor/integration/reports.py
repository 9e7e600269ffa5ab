"""Report what an application's own requests show, without ever holding one of them up.

A report is an append to a list, from whatever thread, without a lock. The list goes to the database in the
loop that the pool belongs to: at once after the first failure, ten times a second at first, once a second in
a long outage. While all is well nothing is sent at all. What cannot be sent is dropped and counted, for the
daemon probes anyway.
"""

import asyncio
import os
import socket
import time
from collections import Counter, deque
from contextlib import suppress
from typing import Any, Final

import asyncpg
import structlog

from monitor.domain.provider import ProviderRef, ProviderType, Purpose
from monitor.domain.reports import ReportOutcome
from monitor.domain.target import TargetId
from monitor.integration.failures import outcome_of
from monitor.storage.errors import STORE_ERRORS
from monitor.storage.reports import MOST_AGE_SECONDS, ReportBatch, add_reports

FIRST_SECONDS: Final = 0.03  # from the first failure to its writing
SHORTEST_SECONDS: Final = 0.1  # from one writing to the next
LONGEST_SECONDS: Final = 1.0
SLACKENING: Final = 0.1  # the share of an outage that lies between two writings
WRITE_SECONDS: Final = 2.0  # for a connection, and for the statement
SAID_SECONDS: Final = 60.0
MOST_WAITING: Final = 10_000
MOST_TARGETS: Final = 200

log = structlog.get_logger()


class Reports:
    """The reports of one process.

    Attributes:
        dropped: requests whose report was lost.
        written: batches that stand in the database.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._loop: asyncio.AbstractEventLoop | None = getattr(pool, "_loop", None)
        self._waiting: deque[tuple[float, TargetId, ReportOutcome]] = deque(maxlen=MOST_WAITING)
        self._failed_at: dict[TargetId, float] = {}
        self._outage_at = self._last_at = float("-inf")
        self._awake = False
        self._closed = False
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._said_at, self._said = float("-inf"), 0
        self.dropped = 0
        self.written = 0

    def failure(self, target: TargetId, error: BaseException) -> None:
        """A request has failed; nothing is reported where the failure is the caller's own."""
        try:
            outcome = outcome_of(error)
        except Exception as fault:  # noqa: BLE001  # an exception's attributes may be anybody's code
            log.debug("report_unclear", error=type(fault).__name__)
            return
        if outcome is not None:
            self.add(target, outcome)

    def add(self, target: TargetId, outcome: ReportOutcome) -> None:
        """Take one report; from any thread, in microseconds, without an exception.

        A success counts only within a minute after a failure of the same target: it says nothing otherwise.
        """
        now = time.monotonic()
        if outcome is ReportOutcome.OK:
            failed_at = self._failed_at.get(target)
            if failed_at is None or now - failed_at > MOST_AGE_SECONDS:
                return
        elif len(self._failed_at) >= MOST_TARGETS and target not in self._failed_at:
            self.dropped += 1
            return
        else:
            if now - self._last_at > MOST_AGE_SECONDS:
                self._outage_at = now
            self._failed_at[target] = self._last_at = now
        if len(self._waiting) == MOST_WAITING:
            self.dropped += 1
        self._waiting.append((now, target, outcome))
        if not self._awake:
            self._awake = True
            self._wake()

    async def close(self) -> None:
        """Send what is left, for at most two seconds; nothing is taken any more."""
        self._closed = True
        with suppress(TimeoutError):
            async with asyncio.timeout(WRITE_SECONDS), self._turn:
                await self._flush()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _wake(self) -> None:
        if self._loop is not None and not self._closed:
            # It may have ended, and the application with it.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._start)
                return
        self._lose(len(self._waiting), "no event loop")
        self._waiting.clear()
        self._awake = False

    def _start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._write(), name="report requests")

    async def _write(self) -> None:
        """Write until there is nothing to write, with growing pauses."""
        await asyncio.sleep(FIRST_SECONDS)
        while True:
            async with self._turn:
                await self._flush()
            outage = time.monotonic() - self._outage_at
            await asyncio.sleep(min(max(SHORTEST_SECONDS, outage * SLACKENING), LONGEST_SECONDS))
            if not self._waiting:
                # Whoever adds one now sees that nobody is awake, or is seen by the second look.
                self._awake = False
                if not self._waiting:
                    return
                self._awake = True

    async def _flush(self) -> None:
        now = time.monotonic()
        taken = [self._waiting.popleft() for _ in range(len(self._waiting))]
        for target, failed_at in list(self._failed_at.items()):
            if now - failed_at > MOST_AGE_SECONDS:
                self._failed_at.pop(target, None)
        if not taken:
            return
        try:
            async with self._pool.acquire(timeout=WRITE_SECONDS) as connection:
                await add_reports(connection, self._batches(taken), timeout=WRITE_SECONDS)
        except asyncio.CancelledError:
            self._lose(len(taken), "closed")
            raise
        except Exception as error:
            if not isinstance(error, (*STORE_ERRORS, asyncpg.InterfaceError)):
                log.exception("reports_failed")
            self._lose(len(taken), type(error).__name__)
        else:
            self.written += 1

    def _batches(self, taken: list[tuple[float, TargetId, ReportOutcome]]) -> list[ReportBatch]:
        by_target: dict[TargetId, list[tuple[float, ReportOutcome]]] = {}
        for at, target, outcome in taken:
            by_target.setdefault(target, []).append((at, outcome))
        now, source = time.monotonic(), f"{socket.gethostname()}:{os.getpid()}"
        return [
            ReportBatch(
                target=target,
                source=source,
                via="library",
                ages_seconds=[now - at for at, _ in seen],
                outcomes=[outcome for _, outcome in seen],
                counts=Counter(outcome for _, outcome in seen),
            )
            for target, seen in by_target.items()
        ]

    def _lose(self, count: int, reason: str) -> None:
        self.dropped += count
        now = time.monotonic()
        if count and now - self._said_at >= SAID_SECONDS:
            log.warning("reports_dropped", count=self.dropped - self._said, reason=reason)
            self._said_at, self._said = now, self.dropped


def target_of(provider_type: object, provider_id: object, purpose: object) -> TargetId | None:
    """The target that these name, as they stand in a configuration or a request's metadata, or None."""
    if not (isinstance(provider_type, str) and isinstance(provider_id, int) and isinstance(purpose, str)):
        return None
    if provider_type not in _TYPES or purpose not in _PURPOSES:
        return None
    return TargetId(
        provider=ProviderRef(type=ProviderType(provider_type), id=provider_id), purpose=Purpose(purpose)
    )


_TYPES = frozenset(map(str, ProviderType))
_PURPOSES = frozenset(map(str, Purpose))
