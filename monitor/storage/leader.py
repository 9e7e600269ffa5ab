"""The one session that decides: it holds an advisory lock, and all the active daemon writes goes through it.

A daemon that has lost the lock has lost this session with it, so nothing that it still believes can be
written. The server ends a session that has been silent for 30 s (a frozen daemon), which hands the lock on.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from monitor.storage.address import Address, connect
from monitor.storage.errors import ENDED_ERRORS
from monitor.storage.queries import QUERIES

LEADER_LOCK = 0x6C6C6D6D6F6E
COMMAND_SECONDS = 8.0
SESSION = {
    "statement_timeout": "5s",
    "lock_timeout": "4s",
    "idle_session_timeout": "30s",
    "idle_in_transaction_session_timeout": "10s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}


class LeaderSession:
    """A session that leads, or waits to.

    Attributes:
        lost: set while there is no session: before it is opened, and once it has ended, by whichever side.
        leads: whether it holds the lock.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connection: Any = None
        self._turn = asyncio.Lock()
        self.lost = asyncio.Event()
        self.lost.set()
        self.leads = False

    async def open(self) -> None:
        """Connect; whatever asyncpg or the network raises is raised."""
        self._connection = await connect(self._address, settings=SESSION, command_timeout=COMMAND_SECONDS)
        self.lost.clear()
        self._connection.add_termination_listener(self._ended)

    async def try_lead(self) -> bool:
        """Take the lock if it is free."""
        async with self.use() as connection:
            self.leads = bool(await connection.fetchval(QUERIES["try_lead"], LEADER_LOCK))
        return self.leads

    async def read_clock(self) -> datetime:
        """The database's clock, UTC."""
        async with self.use() as connection:
            now: datetime = await connection.fetchval(QUERIES["read_clock"])
            return now

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Any]:
        """The session's connection, for one at a time."""
        async with self._turn:
            if self.lost.is_set():
                raise ConnectionError("the session with the database has ended")
            try:
                yield self._connection
            except ENDED_ERRORS:
                # TimeoutError is an OSError: a server that does not answer in time is as good as gone.
                self._connection.terminate()
                self._ended(self._connection)
                raise

    @asynccontextmanager
    async def rest(self, seconds: float) -> AsyncIterator[None]:
        """A pause in which nobody is in the middle of anything; after so many seconds it begins all the same.

        Whoever is cancelled inside a statement may leave a transaction half begun, and a connection on which
        nobody can begin another one.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._turn.acquire()
        except TimeoutError:
            yield
            return
        try:
            yield
        finally:
            self._turn.release()

    async def close(self) -> None:
        """End the session; the lock goes with it."""
        self.leads = False
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            connection.remove_termination_listener(self._ended)
            try:
                await connection.close(timeout=2)
            except (OSError, TimeoutError):
                connection.terminate()
        self.lost.set()

    def _ended(self, _connection: object) -> None:
        self.leads = False
        self.lost.set()
