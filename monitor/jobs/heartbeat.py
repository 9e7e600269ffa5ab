"""Say in the database that this daemon lives, and what it does."""

import asyncio
from dataclasses import replace

import structlog

from monitor.storage.daemons import DaemonRow, Role, beat
from monitor.storage.errors import STORE_ERRORS
from monitor.storage.leader import LeaderSession

log = structlog.get_logger()

EVERY_SECONDS = 5.0


class Heartbeat:
    """Also keeps the session from looking idle: one that is silent for long is ended by the server."""

    def __init__(self, identity: DaemonRow) -> None:
        self._identity = identity

    async def beat(self, session: LeaderSession, role: Role) -> None:
        """Once.

        Raises:
            STORE_ERRORS: the database did not answer.
        """
        async with session.use() as connection:
            await beat(connection, replace(self._identity, role=role))

    async def run(self, session: LeaderSession) -> None:
        """As the one that decides, until the session ends."""
        while not session.lost.is_set():
            try:
                await self.beat(session, "active")
            except STORE_ERRORS as error:
                log.warning("heartbeat_failed", error=type(error).__name__)
            await asyncio.sleep(EVERY_SECONDS)
