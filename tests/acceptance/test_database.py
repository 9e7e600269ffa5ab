"""Our own PostgreSQL outlives a killed daemon, a stopped one leaves nothing, and a database may be away."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from monitor.storage.address import Address, connect
from monitor.storage.embedded import EmbeddedServer
from tests.application_rows import ApplicationRows
from tests.daemon import RunningDaemon, running_daemon
from tests.fault_server import FaultServer

END_SECONDS = 10.0


def embedded_address(folder: Path) -> Address:
    """Where a daemon with this data folder keeps its records."""
    return Address(host=str(folder / "socket"), port=5432, user="monitor", database="monitor")


@asynccontextmanager
async def rows_in(address: Address) -> AsyncIterator[ApplicationRows]:
    connection: Any = await connect(address)
    try:
        yield ApplicationRows(connection)
    finally:
        await connection.close()


async def test_our_own_postgresql_survives_kill_9_with_its_data(open_folder: Path) -> None:
    folder = open_folder / "data"
    environment = {"MONITOR_DATA_DIR": str(folder)}
    async with FaultServer() as server:
        async with running_daemon(environment) as daemon:
            await daemon.ready()
            async with rows_in(embedded_address(folder)) as rows:
                one = await rows.add_server("one", "vllm", server.url, model_path="m1")
                await rows.set_active("chat", one)
                await daemon.event("health_changed", target=f"{one}/chat", after="up")
                await _until_results(daemon, rows, one, 3)
                kept = len(await rows.results(one))
            assert await daemon.stop(signal.SIGKILL) == -signal.SIGKILL

        async with running_daemon(environment) as daemon:
            await daemon.ready()
            async with rows_in(embedded_address(folder)) as rows:
                assert await rows.serving() == one
                assert len(await rows.results(one)) >= kept
                await _until_results(daemon, rows, one, kept + 1)
            assert daemon.events("migrated") == [], "nothing is made anew"
            assert daemon.events("purpose_adopted") == []

            family = psutil.Process(daemon.process.pid).children(recursive=True)
            assert any("postgres" in child.name() for child in family)
            began = asyncio.get_running_loop().time()
            assert await daemon.stop() == 0
            assert asyncio.get_running_loop().time() - began < END_SECONDS
            assert [child for child in family if child.is_running()] == [], "it leaves no process"


async def test_sigint_ends_it_as_cleanly(open_folder: Path) -> None:
    async with running_daemon({"MONITOR_DATA_DIR": str(open_folder / "data")}) as daemon:
        await daemon.ready()
        family = psutil.Process(daemon.process.pid).children(recursive=True)
        assert await daemon.stop(signal.SIGINT, END_SECONDS) == 0
        assert [child for child in family if child.is_running()] == []
        assert "Traceback" not in "\n".join(daemon.raw)


async def test_one_that_hangs_is_left_in_time(open_folder: Path) -> None:
    async with running_daemon({"MONITOR_DATA_DIR": str(open_folder / "data")}) as daemon:
        await daemon.ready()
        family = psutil.Process(daemon.process.pid).children(recursive=True)
        hung = [child for child in family if "postgres" in child.name()]
        for child in hung:
            child.suspend()
        try:
            assert await daemon.stop(signal.SIGTERM, END_SECONDS) == 0
        finally:
            for child in hung:
                if child.is_running():
                    child.kill()
    assert daemon.events("not_everything_stored")


@pytest.mark.timeout(180)
async def test_a_database_that_is_away_is_waited_for_and_nothing_is_lost(open_folder: Path) -> None:
    folder = open_folder / "data"
    database = EmbeddedServer(folder)
    address = await database.start()
    await database.stop()
    try:
        async with (
            FaultServer() as first,
            FaultServer() as second,
            running_daemon({"DATABASE_URL": address.describe()}) as daemon,
        ):
            await daemon.event("database_away")
            status, reasons = await daemon.get("/readyz")
            assert status == 503
            assert "database" in reasons
            await asyncio.sleep(4)
            assert len(daemon.events("database_away")) == 1, "one line a minute, however often it is tried"

            await database.start()
            await daemon.ready()
            async with rows_in(address) as rows:
                one = await rows.add_server("one", "vllm", first.url, model_path="m1")
                two = await rows.add_server("two", "vllm", second.url, model_path="m1")
                await rows.set_active("chat", one, two)
                for provider in (one, two):
                    await daemon.event("health_changed", target=f"{provider}/chat", after="up")
                await _until_results(daemon, rows, one, 2)

            await database.stop()
            await daemon.until(lambda: bool(daemon.events("database_session_lost")), "word of the loss")
            first.play("500")
            await daemon.event("health_changed", target=f"{one}/chat", after="down")
            status, _ = await daemon.get("/readyz")
            assert status == 503
            assert await daemon.metric("llm_monitor_store_up") == 0
            assert (await daemon.metric("llm_monitor_results_pending") or 0) >= 3
            # Down, and a fallback at hand: but no move without a record of it.
            await asyncio.sleep(2)
            assert daemon.events("active_provider_changed") == []

            await database.start()
            await daemon.ready()
            await daemon.event("active_provider_changed", rule="fail_over")
            async with rows_in(address) as rows:
                assert await rows.serving() == two
                shown = [row["outcome"] for row in await rows.results(one)]
                assert shown.count("server_error") >= 4, "those of the outage, and one since then at least"
            assert (await daemon.metric("llm_monitor_results_dropped_total") or 0) == 0
            assert await daemon.stop() == 0
    finally:
        await database.stop()


async def _until_results(daemon: RunningDaemon, rows: ApplicationRows, provider: str, count: int) -> None:
    async def are_stored() -> bool:
        return len(await rows.results(provider)) >= count

    await daemon.until(are_stored, f"{count} stored results of {provider}")


async def test_it_is_not_ready_while_it_reads_its_records_again(database: Address) -> None:
    """A session that is back is no daemon that decides yet."""
    async with rows_in(database) as rows, running_daemon({"DATABASE_URL": database.describe()}) as daemon:
        await daemon.ready()
        holding: Any = await connect(database)
        try:
            async with holding.transaction():
                await holding.execute("LOCK TABLE monitor.purposes IN ACCESS EXCLUSIVE MODE")
                ended = await rows.connection.fetchval(
                    "SELECT count(pg_terminate_backend(pid)) FROM (SELECT DISTINCT pid FROM pg_locks "
                    "WHERE locktype = 'advisory' AND granted AND database = "
                    "(SELECT oid FROM pg_database WHERE datname = current_database())) AS leader"
                )
                assert ended == 1
                await daemon.event("database_session_lost")
                query = (
                    "SELECT count(*) FROM pg_locks "
                    "WHERE NOT granted AND relation = 'monitor.purposes'::regclass"
                )

                async def reads() -> bool:
                    return bool(await rows.connection.fetchval(query))

                await daemon.until(reads, "the new session reads its records")
                status, text = await daemon.get("/readyz")
                assert status == 503, text
                assert "records" in text
        finally:
            await holding.close()
        await daemon.ready()
