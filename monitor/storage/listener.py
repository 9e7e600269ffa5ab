"""Hears NOTIFY on a connection of its own, and knows when it may have missed one."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
import structlog

from monitor.storage.address import Address, connect
from monitor.storage.errors import STORE_ERRORS
from monitor.storage.queries import QUERIES

CONFIGURATION_CHANNEL = "monitor_config"
HEALTH_CHANNEL = "monitor_health"

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 10.0

log = structlog.get_logger()


class Listener:
    """Calls back for every notification, and after every connection: what came before was not heard."""

    def __init__(
        self,
        source: Address | asyncpg.Pool,
        channels: Sequence[str],
        on_notify: Callable[[str, str], None],
        on_reconnect: Callable[[], None],
        *,
        heartbeat_seconds: float = 5.0,
    ) -> None:
        """Listens once `run` runs.

        Args:
            source: the database, or a pool of which one connection is kept for as long as `run` runs.
            channels: what to listen to.
            on_notify: given channel and payload, in the event loop.
            on_reconnect: the first connection counts too; read everything anew.
            heartbeat_seconds: how often the connection has to prove that it is alive.
        """
        self._source = source
        self._channels = tuple(channels)
        self._on_notify = on_notify
        self._on_reconnect = on_reconnect
        self._heartbeat_seconds = heartbeat_seconds
        self._heard_at: float | None = None

    @property
    def connected(self) -> bool:
        """Whether notifications arrive, as far as is known."""
        return self._heard_at is not None

    @property
    def heard_at(self) -> float | None:
        """The loop's time at which the last proof that was answered was asked for; None without a connection.

        Whatever was committed before that instant has been heard.
        """
        return self._heard_at

    async def run(self) -> None:
        """Listen until cancelled; a connection that is lost is made again."""
        pause, said = _FIRST_PAUSE_SECONDS, False
        while True:
            try:
                async with self._connection() as connection:
                    pause, said = _FIRST_PAUSE_SECONDS, False
                    await self._listen(connection)
            except STORE_ERRORS as error:
                if said:
                    log.debug("listener_disconnected", error=type(error).__name__, again_in_seconds=pause)
                else:
                    log.warning("listener_disconnected", error=type(error).__name__, again_in_seconds=pause)
                said = True
            finally:
                self._heard_at = None
            _end_if_cancelled()
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - daemons shall not return at once
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def _listen(self, connection: Any) -> None:
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()

        def end(_: object) -> None:
            ended.set()

        connection.add_termination_listener(end)
        try:
            for channel in self._channels:
                await connection.add_listener(channel, self._hear)
            self._heard_at = loop.time()
            self._on_reconnect()
            while not ended.is_set():
                asked_at = loop.time()
                await connection.fetchval(QUERIES["prove_alive"], timeout=self._heartbeat_seconds)
                self._heard_at = asked_at
                # Not wait_for: it forgets that it was cancelled when the connection ends in the same moment.
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._heartbeat_seconds):
                        await ended.wait()
            raise ConnectionResetError("the server ended the connection")
        finally:
            await self._unlisten(connection, end)

    async def _unlisten(self, connection: Any, end: Callable[[object], None]) -> None:
        # A pool must get its connection back without listeners; a half-open one would only hang once more.
        try:
            connection.remove_termination_listener(end)
            for channel in self._channels:
                async with asyncio.timeout(1):
                    await connection.remove_listener(channel, self._hear)
        except STORE_ERRORS:
            connection.terminate()

    def _hear(self, _connection: object, _pid: int, channel: str, payload: str) -> None:
        self._on_notify(channel, payload)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        if not isinstance(self._source, Address):
            async with self._source.acquire() as connection:
                yield connection
            return
        connection = await connect(self._source)
        try:
            yield connection
        finally:
            connection.terminate()


def _end_if_cancelled() -> None:
    # What a dying connection raises may take the place of the word that told us to end.
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
