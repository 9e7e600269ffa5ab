"""Daemons, problems and the listener."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from monitor.storage.address import Address, connect
from monitor.storage.daemons import DaemonRow, beat, forget_daemon, forget_silent_daemons, list_daemons
from monitor.storage.listener import Listener
from monitor.storage.problems import list_problems, replace_problems

DAEMON = DaemonRow(
    instance=UUID(int=1),
    host="h",
    pid=7,
    version="0.1",
    role="standby",
    listen="127.0.0.1:9780",
    started_at=datetime(2026, 3, 4, tzinfo=UTC),
)


async def test_daemons_are_known_by_their_heartbeat(connection: Any) -> None:
    await beat(connection, DAEMON)
    await beat(connection, replace(DAEMON, role="active"))
    await beat(connection, replace(DAEMON, instance=UUID(int=2)))
    first, second = await list_daemons(connection)
    assert replace(first, silent=timedelta(0)) == replace(DAEMON, role="active")
    assert second.instance == UUID(int=2)
    assert timedelta(0) <= first.silent < timedelta(seconds=10)
    await forget_daemon(connection, UUID(int=1))
    assert [one.instance for one in await list_daemons(connection)] == [UUID(int=2)]
    await connection.execute("UPDATE monitor.daemons SET heartbeat_at = heartbeat_at - interval '1 hour'")
    await beat(connection, replace(DAEMON, instance=uuid4()))
    await forget_silent_daemons(connection, timedelta(minutes=30))
    assert len(await list_daemons(connection)) == 1


async def test_a_problem_that_stays_keeps_its_time(connection: Any) -> None:
    await replace_problems(connection, {"ai_server:1": "no URL", "ai_server:2": "no type"})
    before = {one.subject: one for one in await list_problems(connection)}
    await replace_problems(connection, {"ai_server:1": "no URL at all", "api_key:1": "unknown provider"})
    after = {one.subject: one for one in await list_problems(connection)}
    assert set(after) == {"ai_server:1", "api_key:1"}
    assert after["ai_server:1"].since == before["ai_server:1"].since
    assert after["ai_server:1"].message == "no URL at all"
    await replace_problems(connection, {})
    assert await list_problems(connection) == []


class Ears:
    """A running listener and what it told."""

    def __init__(self, source: Any) -> None:
        self.words: list[tuple[str, str]] = []
        self.connections = 0
        self.listener = Listener(source, ["monitor_config"], self._word, self._made, heartbeat_seconds=0.2)

    def _word(self, channel: str, payload: str) -> None:
        self.words.append((channel, payload))

    def _made(self) -> None:
        self.connections += 1


@asynccontextmanager
async def listening(source: Any) -> AsyncIterator[Ears]:
    ears = Ears(source)
    running = asyncio.create_task(ears.listener.run())
    try:
        await until(lambda: ears.connections == 1)
        yield ears
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.01)


async def test_a_listener_hears_and_returns_after_its_connection_was_ended(
    database: Address, connection: Any
) -> None:
    async with listening(database) as ears:
        await connection.execute("NOTIFY monitor_config, 'a'")
        await until(lambda: ears.words == [("monitor_config", "a")])
        assert ears.listener.connected
        ended = await connection.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
        assert ended == 1
        await until(lambda: ears.connections == 2)
        await connection.execute("NOTIFY monitor_config, 'b'")
        await until(lambda: ears.words[-1] == ("monitor_config", "b"))
    assert not ears.listener.connected


async def test_a_half_open_connection_is_noticed(database: Address) -> None:
    """A relay that stops relaying without closing looks like a cable that was pulled."""
    frozen = asyncio.Event()
    writers: list[asyncio.StreamWriter] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_unix_connection(f"{database.host}/.s.PGSQL.5432")
        writers.extend([writer, up_writer])
        muted = not frozen.is_set()

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                if not (frozen.is_set() and muted):
                    sink.write(data)

        pumps = [asyncio.create_task(pump(reader, up_writer)), asyncio.create_task(pump(up_reader, writer))]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for task in pumps:
            task.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        writer.close()
        up_writer.close()

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    through = Address(host="127.0.0.1", port=port, user="monitor", database=database.database)
    async with listening(through) as ears:
        frozen.set()
        await until(lambda: ears.connections == 2)
    server.close()
    await until(lambda: all(writer.is_closing() for writer in writers))


async def test_a_listener_borrows_from_a_pool_and_gives_back_clean(pool: Any) -> None:
    async with listening(pool) as ears:
        await pool.execute("NOTIFY monitor_config, 'a'")
        await until(lambda: len(ears.words) == 1)
    assert pool.get_idle_size() == pool.get_size()


async def test_a_listener_waits_for_a_database_that_is_away() -> None:
    ears = Ears(Address(host="127.0.0.1", port=1, user="nobody", database="none"))
    running = asyncio.create_task(ears.listener.run())
    await asyncio.sleep(0.5)
    assert not running.done()
    assert not ears.listener.connected
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_connections_speak_utc_and_json(database: Address) -> None:
    connection = await connect(database, settings={"statement_timeout": "5s"})
    assert await connection.fetchval("SHOW timezone") == "UTC"
    assert await connection.fetchval("SHOW application_name") == "llm-monitor"
    assert await connection.fetchval("SHOW statement_timeout") == "5s"
    assert await connection.fetchval("SELECT $1::jsonb", {"a": [1, None]}) == {"a": [1, None]}
    await connection.close()
