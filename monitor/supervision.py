"""Lets the service manager see how the daemon fares, and restart it when it no longer turns."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from monitor.service_manager import ServiceManager

LOOK_SECONDS = 1.0
FIRST_LOOKS_SECONDS = 0.1
START_PATIENCE = timedelta(seconds=60)


class Supervised(Protocol):
    """The daemon, asked on its event loop."""

    def settled(self) -> bool:
        """Whether the start is over: it decides, stands by, or waits for a database that is away."""

    def turns(self) -> bool:
        """Whether its schedule turns, as far as it has one."""

    def standing(self) -> str:
        """One line for a person."""


class Supervision:
    """Looks at the daemon each second, on the daemon's own event loop: when that stands still, so does this.

    The watchdog is fed while the schedule turns, whatever the database does: a restart would not bring that
    back, and probes go on without it.
    """

    def __init__(
        self,
        manager: ServiceManager,
        daemon: Supervised,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._manager = manager
        self._daemon = daemon
        self._monotonic = monotonic
        self._ready = False
        self._told: str | None = None
        self._fed_at: float | None = None

    async def run(self) -> None:
        """Until cancelled."""
        longest = LOOK_SECONDS
        if self._manager.watchdog is not None:
            longest = min(longest, self._manager.watchdog.total_seconds() / 8)
        while True:
            self.look()
            await asyncio.sleep(longest if self._ready else min(longest, FIRST_LOOKS_SECONDS))

    def look(self) -> None:
        """Say what is new, and feed the watchdog when it is time."""
        line = self._daemon.standing()
        if not self._ready:
            if self._daemon.settled():
                self._ready = self._manager.ready(line)
            else:
                self._manager.still_starting(START_PATIENCE, line)
            self._told = line
        elif line != self._told and self._manager.status(line):
            self._told = line
        self._feed()

    def reloading(self) -> None:
        """New settings are being read, until `reloaded`."""
        if self._ready:
            self._manager.reloading()

    def reloaded(self) -> None:
        """They are in force, or refused."""
        if self._ready:
            self._told = line = self._daemon.standing()
            self._ready = self._manager.ready(line)

    def _feed(self) -> None:
        watchdog, now = self._manager.watchdog, self._monotonic()
        if watchdog is None or not self._daemon.turns():
            return
        # At half its patience, and at every look from then on until it could be said.
        due = self._fed_at is None or now - self._fed_at >= watchdog.total_seconds() / 2 - LOOK_SECONDS
        if due and self._manager.feed_watchdog():
            self._fed_at = now
