"""Knows how late our own event loop was, so that we do not blame a provider for it."""

import asyncio
from collections import deque
from itertools import takewhile

PERIOD_SECONDS = 0.1
NOTICED_SECONDS = 0.05
KEPT = 512


class LoopDelay:
    """Samples the loop's lateness ten times a second."""

    def __init__(self) -> None:
        self._late: deque[tuple[float, float]] = deque(maxlen=KEPT)
        self._due = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to sample."""
        if self._task is None:
            self._due = asyncio.get_running_loop().time() + PERIOD_SECONDS
            self._task = asyncio.get_running_loop().create_task(self._sample())

    async def stop(self) -> None:
        """End sampling."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None

    def late_since(self, since: float) -> float:
        """How late the loop was in all, seconds, since that loop time; a sample overdue right now counts.

        In all, because a loop with too much to do is late by a little in every turn, and a probe that takes
        many turns ends as late as by one long stop.
        """
        now = asyncio.get_running_loop().time()
        overdue = max(now - self._due, 0.0) if self._task is not None else 0.0
        recent = takewhile(lambda sample: sample[0] >= since, reversed(self._late))
        return min(overdue + sum(late for _, late in recent), now - since)

    async def _sample(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._due = loop.time() + PERIOD_SECONDS
            await asyncio.sleep(PERIOD_SECONDS)
            now = loop.time()
            if now - self._due > NOTICED_SECONDS:
                self._late.append((now, now - self._due))
