"""Ends a probe in time, whatever the library beneath does with a cancellation."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass

GRACE_SECONDS = 0.3


class CancelledFromWithinError(Exception):
    """The work ended in a cancellation that nobody asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The times of one probe, in seconds: until connected, to the first token, between tokens, in all."""

    connect: float
    first_token: float
    stall: float
    whole: float


class Deadline:
    """When a probe ends: at its first token's time, then at each stall's, at the latest at the whole's."""

    def __init__(self, limits: Limits) -> None:
        now = asyncio.get_running_loop().time()
        self.limits = limits
        self.started = now
        self.progressed = False
        self._end = now + limits.whole
        self.at = min(now + limits.first_token, self._end)

    def progress(self) -> None:
        """A token came."""
        self.progressed = True
        self.at = min(asyncio.get_running_loop().time() + self.limits.stall, self._end)


async def run_until(work: Coroutine[object, object, None], deadline: Deadline) -> bool:
    """Whether the work ended before its deadline did.

    Work that does not heed its cancellation within the grace is left behind; nobody notices its end. The
    caller's own cancellation is passed on. What the work raises is raised.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    try:
        while not task.done():
            remaining = deadline.at - loop.time()
            if remaining <= 0:
                await _end(task)
                return False
            await asyncio.wait({task}, timeout=remaining)
    except asyncio.CancelledError:
        await _end(task)
        raise
    if task.cancelled():
        raise CancelledFromWithinError("a library cancelled the probe it was making")
    task.result()
    return True


async def _end(task: "asyncio.Task[None]") -> None:
    task.add_done_callback(_retrieve)
    task.cancel()
    await asyncio.wait({task}, timeout=GRACE_SECONDS)


def _retrieve(task: "asyncio.Task[None]") -> None:
    # An exception that nobody asked for would be logged with its text, and that may hold a key.
    if not task.cancelled():
        task.exception()
