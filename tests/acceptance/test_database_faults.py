"""PostgreSQL killed, frozen and read-only, a bad disk, a killed daemon: no result lost, nothing moved."""

import asyncio
import json
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil

from monitor.domain.outcome import Outcome, ProbeResult, ResultId
from monitor.domain.provider import ProviderRef, ProviderType, Purpose
from monitor.domain.target import ProbeKind, TargetId
from monitor.storage.address import Address, connect
from monitor.storage.history import read_store_id
from monitor.storage.migrations import migrate
from monitor.storage.spool import Spool
from tests.application_rows import ApplicationRows
from tests.daemon import QUICK_POLICY, ROOT, RunningDaemon, running_daemon
from tests.fault_server import FaultServer

# Standbys are looked at as often as the one that serves; a second's results are a handful.
POLICY = QUICK_POLICY | {"DEEP_INTERVAL": "0.5", "STANDBY_INTERVAL": "0.5", "LIGHT_INTERVAL_LOCAL": "0.5"}
A_SECONDS_RESULTS = 2 * 2 * 2
# A daemon that ends cuts off what is under way: a light and a deep probe of each.
PROBES_AT_ONCE = 2 * 2


@dataclass
class OwnPostgres:
    """A PostgreSQL of the test's own, to be killed, frozen and started again."""

    folder: Path
    owner: asyncio.subprocess.Process | None = None
    postmaster: int = 0
    address: Address = field(default_factory=Address)

    async def start(self) -> None:
        self.owner = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.owner",
            str(self.folder),
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},
            stdout=asyncio.subprocess.PIPE,
        )
        assert self.owner.stdout is not None
        async with asyncio.timeout(60):
            while not (line := await self.owner.stdout.readline()).startswith(b"ready"):
                assert line, "the owner has ended"
        told = json.loads(line.removeprefix(b"ready"))
        self.postmaster = told["postmaster"]
        self.address = Address(host=told["host"], user="monitor", database="monitor")

    async def kill(self) -> None:
        """As the kernel's out-of-memory killer does, and its owner with it."""
        os.kill(self.postmaster, signal.SIGKILL)
        await self.end()

    async def end(self) -> None:
        owner, self.owner = self.owner, None
        if owner is not None and owner.returncode is None:
            owner.terminate()
            await owner.wait()

    def signal_all(self, number: int) -> None:
        postmaster = psutil.Process(self.postmaster)
        for process in (postmaster, *postmaster.children(recursive=True)):
            process.send_signal(number)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        opened = await connect(self.address, settings={"default_transaction_read_only": "off"})
        try:
            yield opened
        finally:
            await opened.close()

    async def set_read_only(self, read_only: bool) -> None:
        async with self.connection() as connection:
            word = "on" if read_only else "off"
            await connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {word}")
            await connection.execute("SELECT pg_reload_conf()")


@dataclass
class World:
    """Two providers, their database, and what a daemon on it is told."""

    postgres: OwnPostgres
    servers: tuple[FaultServer, FaultServer]
    data: Path
    env: dict[str, str]
    ids: tuple[str, str] = ("", "")

    @property
    def seen(self) -> int:
        """Probes that the providers saw: deep ones post, light ones look at the list of models."""
        return sum(len(server.seen) for server in self.servers)

    async def stored(self) -> tuple[int, int]:
        """Results in the database, and how many of them are different."""
        async with self.postgres.connection() as connection:
            row = await connection.fetchrow(
                "SELECT count(*) AS rows, count(DISTINCT id) AS ids FROM monitor.results"
            )
            return row["rows"], row["ids"]

    async def transitions(self) -> list[Any]:
        async with self.postgres.connection() as connection:
            return await ApplicationRows(connection).transitions()


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        servers = (
            await stack.enter_async_context(FaultServer()),
            await stack.enter_async_context(FaultServer()),
        )
        postgres = OwnPostgres(folder / "postgres")
        stack.push_async_callback(postgres.end)
        await postgres.start()
        data = folder / "data"
        env = {"DATABASE_URL": postgres.address.describe(), "MONITOR_DATA_DIR": str(data)}
        found = World(postgres, servers, data, env)
        async with postgres.connection() as connection:
            await prepare(connection, found)
        yield found


async def prepare(connection: Any, found: World) -> None:
    await migrate(connection)
    rows = ApplicationRows(connection)
    one, two = [
        await rows.add_server(name, "openai-compatible", server.url, model_path="m1")
        for name, server in zip(("first", "second"), found.servers, strict=True)
    ]
    await rows.set_active("chat", one, two)
    found.ids = (one, two)


async def both_up(daemon: RunningDaemon, found: World) -> None:
    await daemon.ready()
    for id_ in found.ids:
        await daemon.event("health_changed", target=f"{id_}/chat", after="up")


async def answers(daemon: RunningDaemon, path: str, status: int) -> bool:
    return (await daemon.get(path))[0] == status


async def pending(daemon: RunningDaemon) -> float:
    return await daemon.metric("llm_monitor_results_pending") or 0.0


async def shows(daemon: RunningDaemon, seconds: float = 60, *, up: int, waiting: int | None = None) -> None:
    """Wait for `store_up`, and for so many results that wait, or more; 0: no more than a second brings."""

    async def is_shown() -> bool:
        if await daemon.metric("llm_monitor_store_up") != up:
            return False
        count = await pending(daemon)
        return waiting is None or (count >= waiting if waiting else count <= A_SECONDS_RESULTS)

    await daemon.until(is_shown, f"store_up {up} and {waiting} pending", seconds)


async def test_nothing_is_lost_doubled_or_moved_while_the_database_is_away(open_folder: Path) -> None:
    async with world(open_folder) as found, running_daemon(found.env, policy=POLICY) as daemon:
        await both_up(daemon, found)
        await shows(daemon, up=1)

        await found.postgres.kill()
        await shows(daemon, up=0, waiting=12)
        assert (await daemon.get("/healthz"))[0] == 200
        await daemon.until(lambda: answers(daemon, "/readyz", 503), "/readyz 503")
        await found.postgres.start()
        await shows(daemon, up=1, waiting=0)

        found.postgres.signal_all(signal.SIGSTOP)
        await shows(daemon, up=0, waiting=20)
        found.postgres.signal_all(signal.SIGCONT)
        await shows(daemon, up=1, waiting=0)

        await found.postgres.set_read_only(True)
        await shows(daemon, up=0)
        found.servers[0].play("500")
        await daemon.event("health_changed", target=f"{found.ids[0]}/chat", after="down")
        await shows(daemon, up=0, waiting=20)
        assert (await found.transitions(), daemon.events("active_provider_changed")) == ([], [])
        assert len(daemon.events("store_failing")) <= 2, "one a minute"
        await found.postgres.set_read_only(False)
        await daemon.event("active_provider_changed", rule="fail_over")
        await check_all_stored(daemon, found)
        assert await daemon.stop() == 0
        await check_move(found)
        assert len(daemon.events("results_lost") + daemon.events("not_everything_stored")) == 0


async def check_all_stored(daemon: RunningDaemon, found: World) -> None:
    """There is an instant at which all that was ever seen is stored, once; after a loss there is none."""
    async with found.postgres.connection() as connection:
        query = "SELECT count(*), count(DISTINCT id) FROM monitor.results"

        async def are_stored() -> bool:
            rows, different = await connection.fetchrow(query)
            return bool(rows == different == found.seen)

        await daemon.until(are_stored, "all results in the database")


async def check_move(found: World) -> None:
    """One move, on a failure and a pass that were seen after the store was writable again."""
    (move,) = await found.transitions()
    async with found.postgres.connection() as connection:
        began = await connection.fetchval(
            "SELECT max(at) FROM monitor.journal WHERE kind = 'reign' AND at <= $1", move["decided_at"]
        )
        fresh = await connection.fetch(
            "SELECT provider_id, outcome FROM monitor.results"
            " WHERE kind = 'deep' AND started_at > $1 AND ended_at <= $2",
            began,
            move["decided_at"],
        )
        kept = await connection.fetchval(
            "SELECT count(*) FROM monitor.results WHERE id = ANY($1::uuid[])",
            [one["id"] for one in move["evidence"]],
        )
    one, two = (int(id_.partition(":")[2]) for id_ in found.ids)
    assert {(one, "server_error"), (two, "ok")} <= {tuple(row) for row in fresh}
    assert len(move["evidence"]) == kept >= 4


async def test_a_daemon_that_is_killed_in_an_outage_loses_a_second_at_most(open_folder: Path) -> None:
    async with world(open_folder) as found:
        async with running_daemon(found.env, policy=POLICY) as daemon:
            await both_up(daemon, found)
            await found.postgres.kill()
            await shows(daemon, up=0, waiting=24)
            await daemon.stop(signal.SIGKILL)
        seen = found.seen
        async with running_daemon(found.env, policy=POLICY) as daemon:
            await daemon.event("database_away")
            await found.postgres.start()
            told = await daemon.event("spooled_results_stored")
            await daemon.ready()
            assert told["count"] >= 24 - A_SECONDS_RESULTS
            await both_up(daemon, found)
            await shows(daemon, up=1, waiting=0)
            assert await daemon.stop() == 0
        rows, different = await found.stored()
        assert rows == different
        assert seen < found.seen
        assert found.seen - A_SECONDS_RESULTS <= rows <= found.seen
        async with found.postgres.connection() as connection:
            assert await ApplicationRows(connection).transitions() == []


async def test_a_daemon_that_stands_by_stores_what_its_folder_still_holds(
    database: Address, connection: Any, open_folder: Path
) -> None:
    env = {"DATABASE_URL": database.describe()}
    async with running_daemon(env) as leader:
        await leader.ready()
        began = datetime.now(UTC) - timedelta(hours=1)
        target = TargetId(provider=ProviderRef(type=ProviderType.AI_SERVER, id=7), purpose=Purpose.CHAT)
        left = [
            ProbeResult(
                id=ResultId(uuid4().hex),
                target=target,
                fingerprint="f",
                kind=ProbeKind.DEEP,
                outcome=Outcome.TIMEOUT,
                started_at=began + timedelta(seconds=number),
                ended_at=began + timedelta(seconds=number),
            )
            for number in range(2_500)
        ]
        spool = Spool(open_folder, lambda _: None, retry_seconds=0)
        await spool.open(await read_store_id(connection))
        assert await spool.add(left)
        await spool.close()
        async with running_daemon(env | {"MONITOR_DATA_DIR": str(open_folder)}) as standby:
            await standby.event("standing_by")

            async def all_are_stored() -> bool:
                rows = await connection.fetch("SELECT id, started_at FROM monitor.results")
                return {(row["id"].hex, row["started_at"]) for row in rows} == {
                    (one.id, one.started_at) for one in left
                }

            await standby.until(all_are_stored, "2,500 results")
            assert await connection.fetchval("SELECT count(*) FROM monitor.healths") == 0
            # Then the folder is free for whoever needs it.
            await standby.until(lambda: spool.open("here"), "the lock")
            await spool.close()
            assert await standby.stop() == 0
        assert await leader.stop() == 0


async def test_a_bad_disk_under_the_spool_costs_nothing_as_long_as_memory_lasts(open_folder: Path) -> None:
    async with world(open_folder) as found:
        found.data.mkdir(mode=0o755)
        (found.data / "spool.sqlite3").write_bytes(b"left over from something else\n" * 1000)
        async with running_daemon(found.env, policy=POLICY) as daemon:
            await both_up(daemon, found)
            assert len(daemon.events("spool_corrupt")) == 1
            assert (found.data / "spool.corrupt").stat().st_size == 30_000

            limits = resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (8192, limits[1]))
            await found.postgres.kill()
            await daemon.event("spool_unavailable")
            await shows(daemon, up=0, waiting=20)
            resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, limits)
            await daemon.event("spool_works_again")
            assert len(daemon.events("spool_unavailable")) == 1
            assert await daemon.metric("llm_monitor_results_dropped_total") == 0
            # Told to end while the database is still away: all that is left lies on the disk.
            assert await daemon.stop() == 0
            assert daemon.events("results_lost") == []
        await found.postgres.start()
        async with running_daemon(found.env, policy=POLICY) as daemon:
            await daemon.ready()
            await daemon.event("spooled_results_stored")
            assert await daemon.stop() == 0
        rows, different = await found.stored()
        assert rows == different
        assert 0 <= found.seen - rows <= 2 * PROBES_AT_ONCE
