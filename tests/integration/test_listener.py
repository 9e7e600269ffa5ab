"""The listener ends when it is told to, whatever happens to its connection at that moment."""

import asyncio
from typing import Any

import asyncpg
import pytest

from monitor.storage.address import Address
from monitor.storage.listener import Listener


@pytest.mark.parametrize("turns", range(5))
async def test_it_ends_when_it_is_cancelled_as_its_connection_ends(
    database: Address, connection: Any, turns: int
) -> None:
    """PostgreSQL that dies ends the session that leads as well, so that both happen at once.

    Args:
        database: a database.
        connection: another connection to it.
        turns: of the event loop between the one and the other.
    """
    opened: list[Any] = []

    async def keep(raw: Any) -> None:
        opened.append(raw)

    listening = asyncio.Event()
    async with asyncpg.create_pool(**database.arguments(), min_size=1, max_size=1, init=keep) as pool:
        listener = Listener(pool, ["channel"], lambda *_: None, listening.set)
        runs = asyncio.create_task(listener.run())
        await listening.wait()
        await asyncio.sleep(0.05)
        ended = asyncio.Event()
        opened[0].add_termination_listener(lambda _: ended.set())
        await connection.execute("SELECT pg_terminate_backend($1)", opened[0].get_server_pid())
        await ended.wait()
        for _ in range(turns):
            await asyncio.sleep(0)
        runs.cancel()
        done, _ = await asyncio.wait({runs}, timeout=2)
        runs.cancel()
        pool.terminate()
        assert runs in done, "it goes on as if nobody had told it to end"
        assert runs.cancelled()
