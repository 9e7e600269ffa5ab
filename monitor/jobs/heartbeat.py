"""Say in the database that this daemon lives, and what it does."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from monitor.jobs.pending import Pending
from monitor.storage.daemons import DaemonRow, Role, beat
from monitor.storage.errors import STORE_ERRORS
from monitor.storage.leader import LeaderSession

EVERY_SECONDS = 5.0


class Heartbeat:
    """Also keeps the session from looking idle: one that is silent for long is ended by the server."""

    def __init__(
        self,
        identity: DaemonRow,
        pending: Pending | None = None,
        *,
        key_ids: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        """Beat.

        Args:
            identity: of this daemon.
            pending: of the one that decides: a beat shows whether the database takes what is written.
            key_ids: which encryption keys this daemon opens with now.
        """
        self._identity = identity
        self._pending = pending
        self._key_ids = key_ids

    async def beat(self, session: LeaderSession, role: Role) -> None:
        """Once.

        Raises:
            STORE_ERRORS: the database did not answer.
        """
        async with session.use() as connection:
            await beat(connection, replace(self._identity, role=role, key_ids=self._key_ids()))

    async def run(self, session: LeaderSession) -> None:
        """As the one that decides, until the session ends."""
        while not session.lost.is_set():
            try:
                await self.beat(session, "active")
            except STORE_ERRORS as error:
                if self._pending is not None:
                    self._pending.watch.failed(error, "heartbeat")
            else:
                # A beat is small: it may pass where results do not.
                if self._pending is not None and self._pending.idle:
                    self._pending.watch.worked()
            await asyncio.sleep(EVERY_SECONDS)
