"""Whoever dies, freezes or writes at whichever statement of a switch: the tables tell of each move once.

The daemons are processes whose probes cost nothing (`tests.instant_daemon`), and reach PostgreSQL through a
door that knows each statement (`tests.statement_proxy`). No server is preferred for long (`failback` is
manual), so that each death of the one that serves makes one more move.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from monitor.storage.address import Address, connect
from monitor.storage.embedded import EmbeddedServer
from monitor.storage.embedded_folder import Folder
from monitor.storage.embedded_processes import read_pid_file
from monitor.storage.errors import STORE_ERRORS
from tests import postgres
from tests.daemon import QUICK_POLICY, RunningDaemon, running_daemon
from tests.instant_daemon import PROBED, WEATHER
from tests.records_of_moves import RecordedMove, check_records
from tests.statement_proxy import COMMITTED, StatementProxy, statement_proxy

MOMENTS = (
    "lock_active",
    "savepoint",
    "find_missing_days",
    "insert_results",
    "release",
    "save_health",
    "is_enabled_server",
    "load_purpose_healths",
    "write_active",
    "advance_purpose",
    "fetch_results",
    "record_transition",
    "read_audit_types",
    "record_audit",
    "notify",
    "commit",
    "committed",
)
SERVERS = (1, 2, 3)
DEAD = "server_error"
LOST_SECONDS = 1.0
POLICY = QUICK_POLICY | {
    "DEEP_INTERVAL": "0.3",
    "STANDBY_INTERVAL": "0.3",
    "RECHECK_INTERVAL": "0.2",
    "DOWN_INTERVAL": "0.3",
    "STRANDED_INTERVAL": "0.2",
    "FALL_SPAN": "0.3",
    "RETURN_GAP": "0.5",
    "QUALIFICATION_RETRY": "0.5",
    "START_GRACE": "0.2",
    "SWITCH_LIMIT": "1000",
    "WINDOW_FAILURES": "20",
    "FAILBACK": "manual",
}


class World:
    """Three servers that may serve chat, daemons, and whoever looks at the tables.

    Attributes:
        sql: a connection of its own to the database, past the door.
        killed_at: when daemons were killed, Unix time.
    """

    def __init__(self, address: Address, proxy: StatementProxy, folder: Path, stack: AsyncExitStack) -> None:
        self.address = address
        self.proxy = proxy
        self.folder = folder
        self.stack = stack
        self.daemons: list[RunningDaemon] = []
        self.killed_at: list[float] = []
        self.moves = 0
        self.sql: Any = None

    def show(self, **outcomes: str) -> None:
        """What servers show from now on, as `s1="server_error"`; the others are well."""
        weather = {f"ai_server:{name[1:]}": outcome for name, outcome in outcomes.items()}
        fresh = self.folder / "fresh"
        fresh.write_text(json.dumps(weather))
        fresh.replace(self.folder / WEATHER)

    async def start_daemon(self) -> None:
        """One more; the first leads, the others stand by."""
        environment = {
            "DATABASE_URL": self.proxy.address.describe(),
            "WEATHER": str(self.folder),
        }
        self.daemons.append(
            await self.stack.enter_async_context(
                running_daemon(environment, policy=POLICY, module="tests.instant_daemon")
            )
        )

    async def look(self) -> None:
        """Connect past the door; again after the server has been away."""
        self.look_away()
        self.sql = await connect(self.address)

    def look_away(self) -> None:
        """Leave the database, whether or not it is there."""
        if self.sql is not None:
            self.sql.terminate()

    async def leader(self) -> RunningDaemon:
        """The daemon that leads, as soon as one does."""
        while True:
            for one in self.daemons:
                if one.process.returncode is None and one.events("leading"):
                    return one
            await asyncio.sleep(0.02)

    async def serving(self) -> int | None:
        found: int | None = await self.sql.fetchval("SELECT provider_id FROM active_providers")
        return found

    async def until(self, query: str, *arguments: object, seconds: float = 60) -> None:
        """Wait until a query says true."""
        deadline = time.monotonic() + seconds
        while not await self.sql.fetchval(query, *arguments):
            if time.monotonic() > deadline:
                raise AssertionError(f"{query} {arguments} never came true:\n{self.tail()}")
            await asyncio.sleep(0.02)

    def tail(self) -> str:
        """What the daemons said last."""
        return "\n".join("\n".join(one.raw[-125:]) for one in self.daemons[-3:])

    async def all_well(self) -> None:
        """Everybody answers, and is believed to."""
        self.show()
        await self.until(
            "SELECT count(*) = 3 FROM monitor.healths WHERE eligible"
            " AND last_outcome = 'ok' AND last_started_at > clock_timestamp() - interval '2 seconds'"
        )

    async def provoke(self, moment: str, act: Callable[[], Awaitable[None]]) -> int:
        """Let the one that serves die, and do something at a statement of the move that follows.

        Returns:
            The server that died. It stays dead.
        """
        for _ in range(5):
            await self.all_well()
            await self.leader()
            dying = await self.serving()
            assert dying is not None
            self.proxy.at(moment, act)
            self.show(**{f"s{dying}": DEAD})
            # A move whose results are stored already does not store them: then the next one has to.
            deadline = time.monotonic() + 30
            while not self.proxy.sprung and await self._still(dying):
                if time.monotonic() > deadline:
                    raise AssertionError(f"server {dying} was not left:\n{self.tail()}")
                await asyncio.sleep(0.01)
            # The row shows a commit a moment before its answer has come by.
            if self.proxy.sprung or moment == COMMITTED:
                await self.proxy.acted()
                return dying
            self.moves = len(await check_records(self.sql))
        raise AssertionError(f"no move came to {moment}: {self.proxy.seen}")

    async def _still(self, server: int) -> bool:
        try:
            async with asyncio.timeout(1):
                return await self.serving() == server
        except (TimeoutError, *STORE_ERRORS):
            return True  # the trap has sprung, and took the server with it

    async def new_moves(self) -> list[RecordedMove]:
        """Those since the last time, all the tables being true."""
        moves = await check_records(self.sql)
        new, self.moves = moves[self.moves :], len(moves)
        return new

    async def has_left(self, server: int) -> list[RecordedMove]:
        """Wait until it serves no longer; gives what happened."""
        await self.until("SELECT provider_id <> $1 FROM active_providers", server)
        return await self.new_moves()

    async def end(self) -> None:
        """Every result that was seen is stored once, but for a killed daemon's last second."""
        # A daemon that was cut off may not know it yet: what it holds would wait for its next start.
        now = await self.sql.fetchval("SELECT clock_timestamp()")
        await self.until("SELECT max(started_at) > $1 FROM monitor.results", now)
        for one in self.daemons:
            if one.process.returncode is None:
                await one.event("listening")
                code = await one.stop()
                assert code == 0, f"ended with {code}\n{self.tail()}"
            assert "Traceback" not in "\n".join(one.raw)
        stored = {row["id"].hex for row in await self.sql.fetch("SELECT id FROM monitor.results")}
        for line in (self.folder / PROBED).read_text().splitlines():
            id_, ended_at = line.split()
            if id_ not in stored:
                lost = [at for at in self.killed_at if 0 <= at - float(ended_at) + 0.1 <= LOST_SECONDS]
                assert lost, f"lost: {line}, killed at {self.killed_at}\n" + self.tail()
        await check_records(self.sql)


@asynccontextmanager
async def world(address: Address, *, daemons: int = 1) -> AsyncIterator[World]:
    """Three servers on a database, and the daemons, one of which leads and believes in all three."""
    with postgres.open_folder() as folder:
        async with statement_proxy(address, folder) as proxy, AsyncExitStack() as stack:
            found = World(address, proxy, folder, stack)
            found.show()
            await found.start_daemon()
            await found.leader()
            await found.look()
            stack.callback(found.look_away)
            for server in SERVERS:
                await found.sql.execute(
                    "INSERT INTO ai_servers (name, server_type, base_url, model_path)"
                    " VALUES ($1, 'vllm', 'http://127.0.0.1:1', 'm')",
                    f"server {server}",
                )
            await found.sql.execute(
                "INSERT INTO monitor.preferences SELECT 'chat', id, 'ai_server', id FROM ai_servers"
            )
            await found.sql.execute(
                "INSERT INTO active_providers VALUES ('chat', 'ai_server', 1, 'ai_server', 2, 'operator')"
            )
            for _ in range(daemons - 1):
                await found.start_daemon()
            yield found


@asynccontextmanager
async def server_of_its_own() -> AsyncIterator[
    tuple[EmbeddedServer, Address, Callable[[], list[psutil.Process]]]
]:
    """A PostgreSQL that may be killed, its address, and its processes."""
    with postgres.open_folder() as folder:
        server = EmbeddedServer(folder / "data")
        address = await server.start()

        def processes() -> list[psutil.Process]:
            written = read_pid_file(Folder((folder / "data").resolve()).pid_file)
            assert written is not None
            master = psutil.Process(written.pid)
            return [master, *master.children(recursive=True)]

        try:
            yield server, address, processes
        finally:
            await server.stop()


async def test_the_moments_are_all_statements_of_a_move(database: Address) -> None:
    async with world(database) as found:
        dying = await found.provoke("insert_results", nothing)
        await found.has_left(dying)
        seen = dict.fromkeys(found.proxy.seen)
        seen.pop("add_journal", None)  # only when something was noted within the last half second
        assert (*seen, "committed") == MOMENTS
        await found.end()


async def nothing() -> None:
    """Only look."""


async def test_a_daemon_killed_between_any_two_statements_is_followed_by_its_standby(
    postgres_server: Address,
) -> None:
    """Half of the statements in each of two worlds, at the same time."""
    await asyncio.gather(*(_kill_daemons(postgres_server, MOMENTS[half::2]) for half in (0, 1)))


async def _kill_daemons(server: Address, moments: Sequence[str]) -> None:
    database = await postgres.clone(server)
    async with world(database, daemons=3) as found:
        for moment in moments:
            leader = await found.leader()

            async def kill(leader: RunningDaemon = leader) -> None:
                leader.process.kill()
                await leader.process.wait()
                found.killed_at.append(time.time())

            dying = await found.provoke(moment, kill)
            await found.start_daemon()
            (move,) = await found.has_left(dying)
            assert move.automatic, moment
            assert move.left == f"ai_server:{dying}"
        assert len(found.killed_at) == len(moments)
        await found.end()
    await postgres.drop(database)


async def test_a_daemon_told_to_stop_in_a_switch_leaves_with_everything_stored(database: Address) -> None:
    moments = ("lock_active", "write_active", "commit")
    async with world(database, daemons=1 + len(moments)) as found:
        for moment in moments:
            leader = await found.leader()

            async def stop(leader: RunningDaemon = leader) -> None:
                leader.process.terminate()
                await leader.event("stopping")

            dying = await found.provoke(moment, stop)
            assert await leader.stop() == 0
            assert not leader.events("not_everything_stored")
            assert not leader.events("results_lost")
            (move,) = await found.has_left(dying)
            assert move.automatic, moment
        await found.end()


async def test_postgresql_killed_at_any_statement_commits_the_move_or_none_of_it() -> None:
    """Half of the statements in each of two worlds, at the same time."""
    await asyncio.gather(_kill_postgresql(MOMENTS[0::2]), _kill_postgresql(MOMENTS[1::2]))


async def _kill_postgresql(moments: Sequence[str]) -> None:
    async with server_of_its_own() as (server, address, processes), world(address) as found:

        async def kill() -> None:
            master, *others = processes()
            for process in (master, *others):
                process.kill()
            await postgres.until_gone(master.pid)

        for moment in moments:
            dying = await found.provoke(moment, kill)
            await server.start()
            await found.look()
            (move,) = await found.has_left(dying)
            assert move.automatic, moment
            assert move.left == f"ai_server:{dying}"
        await found.end()


async def test_postgresql_restarted_in_a_switch_commits_the_move_or_none_of_it() -> None:
    async with server_of_its_own() as (server, address, _), world(address) as found:
        for moment in ("write_active", "commit", "committed"):
            dying = await found.provoke(moment, server.stop)
            await server.start()
            await found.look()
            (move,) = await found.has_left(dying)
            assert move.automatic, moment
        await found.end()


async def test_postgresql_frozen_in_a_switch_commits_the_move_or_none_of_it() -> None:
    """For longer than a daemon waits; the two worlds freeze at the same time."""
    await asyncio.gather(_freeze("write_active"), _freeze("commit"))


async def _freeze(moment: str) -> None:
    async with server_of_its_own() as (_, address, processes), world(address) as found:
        frozen: list[psutil.Process] = []

        async def freeze() -> None:
            frozen.extend(processes())
            for process in frozen:
                process.suspend()

        daemon = await found.leader()
        try:
            dying = await found.provoke(moment, freeze)
            await daemon.event("database_session_lost", 20)
            assert await daemon.metric("llm_monitor_store_up") == 0
        finally:
            for process in frozen:
                process.resume()
        await found.look()
        (move,) = await found.has_left(dying)
        assert move.left == f"ai_server:{dying}"
        await daemon.ready()

        async def shows_the_move() -> bool:
            return await daemon.metric("llm_monitor_active_generation") == move.generation

        await daemon.until(shows_the_move, "the move's generation in the metrics")
        await found.all_well()
        await found.end()


async def test_an_operators_update_at_any_statement_stands(database: Address) -> None:
    async with world(database) as found:
        other = await connect(database)
        for moment in MOMENTS:
            # Neither the one that dies nor the one that would follow it, the most preferred other.
            chosen = await found.sql.fetchval(
                "SELECT provider_id FROM monitor.preferences WHERE provider_id <> $1"
                " ORDER BY position OFFSET 1",
                await found.serving(),
            )
            edits: list[asyncio.Task[Any]] = []

            async def choose(chosen: int = chosen, edits: list[asyncio.Task[Any]] = edits) -> None:
                statement = "UPDATE active_providers SET provider_id = $1, updated_by = 'operator'"
                edits.append(asyncio.create_task(other.execute(statement, chosen)))
                await asyncio.sleep(0.05)  # it is done, or waits for the row

            dying = await found.provoke(moment, choose)
            assert await edits[0] == "UPDATE 1"
            await found.until("SELECT provider_id = $1 AND rule = 'operator' FROM monitor.purposes", chosen)
            await asyncio.sleep(0.1)
            moves = await found.new_moves()
            assert moves[-1].rule == "operator", (moment, moves)
            assert [one.left for one in moves[:1]] == [f"ai_server:{dying}"]
            assert len(moves) <= 2
            assert await found.serving() == chosen
        await other.close()
        await found.end()


@pytest.mark.parametrize("moment", ["lock_active", "commit"])
async def test_a_purpose_deleted_in_a_switch_stays_deleted_until_somebody_inserts_it(
    database: Address, moment: str
) -> None:
    async with world(database) as found:
        other = await connect(database)
        deletions: list[asyncio.Task[Any]] = []

        async def delete() -> None:
            deletions.append(asyncio.create_task(other.execute("DELETE FROM active_providers")))
            await asyncio.sleep(0.05)

        dying = await found.provoke(moment, delete)
        assert await deletions[0] == "DELETE 1"
        await found.until("SELECT provider_id IS NULL FROM monitor.purposes")
        await asyncio.sleep(1)
        assert await found.serving() is None
        assert len(await found.new_moves()) <= 1

        await other.execute("INSERT INTO active_providers VALUES ('chat', 'ai_server', $1)", dying)
        chosen, *later = await found.has_left(dying)
        assert (chosen.rule, chosen.left, chosen.to) == ("operator", None, f"ai_server:{dying}")
        assert all(one.automatic for one in later)
        await other.close()
        await found.end()


async def test_two_that_die_one_after_the_other_are_left_for_the_third_and_the_first_to_answer_serves(
    database: Address,
) -> None:
    async with world(database) as found:

        async def the_second_too() -> None:
            found.show(s1=DEAD, s2=DEAD)

        assert await found.provoke("write_active", the_second_too) == 1
        await found.until("SELECT provider_id = 3 FROM active_providers")
        found.show(s1=DEAD, s2=DEAD, s3=DEAD)
        await found.until("SELECT stranded_since IS NOT NULL FROM monitor.purposes")
        found.show(s1=DEAD, s3=DEAD)
        await found.until("SELECT provider_id = 2 FROM active_providers")
        moves = await found.new_moves()
        assert [(one.rule, one.to[-1]) for one in moves] == [
            ("fail_over", "2"),
            ("fail_over", "3"),
            ("call_for_help", "2"),
        ]
        await found.end()


@pytest.mark.parametrize("moment", ["is_enabled_server", "write_active", "committed"])
async def test_the_one_moved_onto_is_deleted_in_that_moment(database: Address, moment: str) -> None:
    async with world(database) as found:

        async def delete() -> None:
            await found.sql.execute("DELETE FROM ai_servers WHERE id = 2")

        assert await found.provoke(moment, delete) == 1
        await found.until("SELECT provider_id = 3 FROM active_providers")
        moves = await found.new_moves()
        assert [one.to[-1] for one in moves] == (["3"] if moment == "is_enabled_server" else ["2", "3"])
        await found.end()
