"""The library behind a real pgbouncer in transaction mode, where LISTEN is heard by nobody."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from pwd import getpwuid
from types import SimpleNamespace
from typing import Any

import asyncpg
from structlog.testing import capture_logs

from monitor.integration import LLMProviderIntegration
from monitor.storage.address import Address
from tests.application_rows import ApplicationRows
from tests.daemon import free_port
from tests.system.packages import installed

CONFIG = """
[databases]
{database} = host={socket} dbname={database} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
logfile = {folder}/log
"""
SEEN_WITHIN_SECONDS = 2.0 + 1.0


def hand_over(folder: Path, socket: Path) -> str:
    """Give a folder to the account that owns the socket's; its name."""
    owner = getpwuid(socket.stat().st_uid)
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    return owner.pw_name


@asynccontextmanager
async def pgbouncer(upstream: Address, folder: Path) -> AsyncIterator[int]:
    """One in front of a server on a unix socket; gives its port."""
    assert upstream.host is not None
    port = free_port()
    config = folder / "pgbouncer.ini"
    config.write_text(
        CONFIG.format(
            database=upstream.database, socket=upstream.host, user=upstream.user, port=port, folder=folder
        )
    )
    # It refuses root, and the socket is open to the server's own account.
    account = hand_over(folder, Path(upstream.host))
    process = await asyncio.create_subprocess_exec(
        await asyncio.to_thread(installed, "pgbouncer"), "-q", "-u", account, str(config)
    )
    try:
        async with asyncio.timeout(20):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    assert process.returncode is None, (folder / "log").read_text()
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    break
        yield port
    finally:
        process.terminate()
        await process.wait()


async def test_behind_pgbouncer_it_polls_and_sees_a_promotion_within_two_seconds(
    database: Address, connection: Any, open_folder: Path
) -> None:
    rows = ApplicationRows(connection)
    for name in ("one", "two"):
        await rows.add_server(name, "vllm", "http://127.0.0.1:9", model_path="m")
    await rows.set_active("chat", "ai_server:1", "ai_server:2")
    async with pgbouncer(database, open_folder) as port:
        pool = await asyncpg.create_pool(
            host="127.0.0.1",
            port=port,
            user="application",
            database=database.database,
            statement_cache_size=0,
            min_size=1,
            max_size=4,
        )
        integration = LLMProviderIntegration(SimpleNamespace(pool=pool, keyring=None))
        with capture_logs() as lines:
            async with asyncio.timeout(20):
                while integration._watch.mode != "polling":
                    assert await integration.get_active_llm_provider("chat") is not None
                    await asyncio.sleep(0.02)
        said = [line["reason"] for line in lines if line["event"] == "providers_polled"]
        assert said == ["a connection pooler stands before the database"]
        for wanted in ("two", "one", "two"):
            order = ("ai_server:2", "ai_server:1")
            await rows.set_active("chat", *(order if wanted == "two" else reversed(order)))
            loop = asyncio.get_running_loop()
            promoted_at = loop.time()
            while True:
                found = await integration.get_active_llm_provider("chat")
                assert found is not None
                if found.provider_name == wanted:
                    break
                assert loop.time() - promoted_at < SEEN_WITHIN_SECONDS
                await asyncio.sleep(0.02)
        assert found is not None
        fallback = await integration.get_fallback_provider(found)
        assert fallback is not None
        assert fallback.provider_name == "one"
        async with asyncio.timeout(5):
            await pool.close()
