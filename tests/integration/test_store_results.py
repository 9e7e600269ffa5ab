"""What is pending goes into the database once, whatever the database and the disk do meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import structlog

from monitor.domain.health import Health
from monitor.domain.observe import observe
from monitor.domain.outcome import Outcome, ProbeResult, ResultId
from monitor.domain.policy import Policy
from monitor.domain.provider import ProviderRef, ProviderType, Purpose
from monitor.domain.target import ProbeKind, TargetId
from monitor.jobs.beliefs import Beliefs
from monitor.jobs.pending import Pending
from monitor.jobs.spool_results import SpoolResults, drain_all
from monitor.jobs.store_results import StoreResults
from monitor.jobs.store_watch import StoreWatch
from monitor.metrics import Metrics
from monitor.storage.address import Address
from monitor.storage.history import read_store_id
from monitor.storage.leader import LeaderSession
from monitor.storage.spool import Spool

NOW = datetime.now(UTC).replace(microsecond=123457)
CHAT = TargetId(provider=ProviderRef(type=ProviderType.AI_SERVER, id=1), purpose=Purpose.CHAT)


def result(number: int, **changes: Any) -> ProbeResult:
    started = NOW + timedelta(milliseconds=number)
    plain = ProbeResult(
        id=ResultId(f"{number:032x}"),
        target=CHAT,
        fingerprint="f",
        kind=ProbeKind.DEEP,
        outcome=Outcome.OK,
        started_at=started,
        ended_at=started,
    )
    return replace(plain, **changes)


class World:
    """The jobs around one spool, as a daemon has them."""

    def __init__(self, session: LeaderSession, folder: Path, connection: Any) -> None:
        self.session = session
        self.connection = connection
        self.metrics = Metrics(version="0")
        self.told: list[str] = []
        self.beliefs = Beliefs(lambda _: Policy(), NOW)
        self.beliefs.healths[CHAT] = observe(Health(fingerprint="f"), result(1), Policy())
        self.watch = StoreWatch(
            self.metrics, lambda: self.told.append("failing"), lambda: self.told.append("back")
        )
        self.spool = Spool(folder, self.metrics.count_results_dropped, retry_seconds=0)
        self.pending = Pending(
            self.beliefs, self.metrics, lambda: NOW, spool=self.spool, watch=self.watch, most=5_000
        )
        self.store = StoreResults(self.beliefs, self.pending, self.metrics, lambda: NOW)
        self.spools = SpoolResults(self.pending, self.spool, self.metrics)

    async def open(self) -> None:
        assert await self.spool.open(await read_store_id(self.connection))

    def add(self, *results: ProbeResult) -> None:
        for one in results:
            self.pending.add(one)

    async def refuse_writes(self, refuse: bool) -> None:
        async with self.session.use() as connection:
            await connection.execute(f"SET default_transaction_read_only = {'on' if refuse else 'off'}")

    async def stored(self) -> list[int]:
        rows = await self.connection.fetch("SELECT id, started_at FROM monitor.results ORDER BY id")
        numbers = [row["id"].int for row in rows]
        assert [row["started_at"] for row in rows] == [result(number).started_at for number in numbers]
        return numbers

    def metric(self, name: str) -> float:
        for line in self.metrics.render().decode().splitlines():
            if line.startswith(f"llm_monitor_{name} "):
                return float(line.split()[1])
        raise AssertionError(name)


@pytest.fixture
async def world(database: Address, connection: Any, tmp_path: Path) -> AsyncIterator[World]:
    session = LeaderSession(database)
    await session.open()
    found = World(session, tmp_path, connection)
    await found.open()
    yield found
    await found.spool.close()
    await session.close()


async def test_results_and_beliefs_are_stored_together(world: World) -> None:
    world.add(result(1), result(2))
    world.pending.mark(CHAT)
    assert not world.pending.idle
    await world.store.flush(world.session)
    assert await world.stored() == [1, 2]
    assert await world.connection.fetchval("SELECT count(*) FROM monitor.healths") == 1
    assert (world.metric("results_pending"), world.metric("store_up"), world.pending.idle) == (0, 1, True)


async def test_a_read_only_database_gets_everything_once_when_it_is_writable(world: World) -> None:
    await world.refuse_writes(True)
    with structlog.testing.capture_logs() as logs:
        for number in range(0, 30, 10):
            world.add(*(result(one) for one in range(number, number + 10)))
            running = asyncio.create_task(world.store.run(world.session))
            await asyncio.sleep(0.1)
            running.cancel()
            assert await world.spools.keep(0)
    (line,) = [one for one in logs if one["event"] == "store_failing"]
    assert (line["during"], line["error"]) == ("results", "ReadOnlySQLTransactionError")
    assert (world.pending.behind, world.told) == (True, ["failing"])
    assert (world.metric("results_pending"), world.metric("store_up")) == (30, 0)
    assert not world.session.lost.is_set()

    await world.refuse_writes(False)
    world.add(result(30))
    await world.store.flush(world.session)
    assert world.told == ["failing", "back"]
    assert world.pending.behind, "the past is not stored yet"
    await drain_all(world.session, world.spool, world.metrics, 5)
    assert await world.stored() == list(range(31))
    world.pending.progressed()
    assert (world.metric("results_pending"), world.metric("store_up"), world.pending.behind) == (0, 1, False)
    assert world.metric("results_dropped_total") == 0


async def test_what_is_long_under_way_lies_on_disk_as_well_and_is_stored_once(world: World) -> None:
    world.add(result(1), result(2))
    async with world.connection.transaction():
        await world.connection.execute("LOCK TABLE monitor.results IN ACCESS EXCLUSIVE MODE")
        flush = asyncio.create_task(world.store.flush(world.session))
        await asyncio.sleep(0.05)
        world.add(result(3))
        assert await world.spools.keep(0)
        assert (world.spool.waiting, len(world.pending)) == (3, 3)
        # Whoever is killed here leaves all three to the next one.
    await flush
    assert await world.stored() == [1, 2]
    assert len(world.pending) == 1
    draining = asyncio.create_task(world.spools.drain(world.session))
    await asyncio.sleep(0.2)
    draining.cancel()
    assert await world.stored() == [1, 2, 3]
    assert (world.spool.waiting, world.pending.behind, world.metric("results_pending")) == (0, False, 0)


async def test_what_a_statement_timeout_gives_back_is_not_kept_twice(world: World) -> None:
    async with world.session.use() as connection:
        await connection.execute("SET statement_timeout = '300ms'")
    world.add(result(1), result(2))
    async with world.connection.transaction():
        await world.connection.execute("LOCK TABLE monitor.results IN ACCESS EXCLUSIVE MODE")
        flush = asyncio.create_task(world.store.flush(world.session))
        await asyncio.sleep(0.05)
        assert await world.spools.keep(0)
        with pytest.raises(asyncpg.QueryCanceledError):
            await flush
    assert (len(world.pending), world.pending.idle) == (2, True)
    assert not world.session.lost.is_set()
    await drain_all(world.session, world.spool, world.metrics, 5)
    assert await world.stored() == [1, 2]


@pytest.mark.parametrize(
    "poison",
    [
        {"id": ResultId("no uuid")},
        {"target": replace(CHAT, provider=replace(CHAT.provider, id=2**40))},
        {"cost_usd": "secret"},
    ],
)
async def test_one_row_that_cannot_be_stored_holds_up_nobody(world: World, poison: dict[str, Any]) -> None:
    bad = result(5, detail="secret", **poison)
    world.add(*(result(number) for number in range(5)), bad, *(result(number) for number in range(6, 10)))
    world.pending.mark(CHAT)
    with structlog.testing.capture_logs() as logs:
        await world.store.flush(world.session)
    assert await world.stored() == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert await world.connection.fetchval("SELECT count(*) FROM monitor.healths") == 1
    assert (world.metric("results_dropped_total"), world.metric("results_pending")) == (1, 0)
    assert [(one["event"], one["count"]) for one in logs] == [("results_refused", 1)]
    assert "secret" not in str(logs)
    assert not world.session.lost.is_set()


async def test_a_poisonous_row_on_disk_holds_up_nobody(world: World) -> None:
    bad = result(5, target=replace(CHAT, provider=replace(CHAT.provider, id=2**40)))
    assert await world.spool.add([result(4), bad, result(6)])
    await drain_all(world.session, world.spool, world.metrics, 5)
    assert await world.stored() == [4, 6]
    assert (world.spool.waiting, world.metric("results_dropped_total")) == (0, 1)


async def test_a_batch_that_was_stored_before_its_owner_died_is_stored_once(world: World) -> None:
    # Committed, and killed before it was removed from the disk.
    assert await world.spool.add([result(1), result(2)])
    world.add(result(1))
    await world.store.flush(world.session)
    await world.spool.close()
    await world.open()
    await drain_all(world.session, world.spool, world.metrics, 5)
    assert await world.stored() == [1, 2]


async def test_late_results_change_no_belief(world: World) -> None:
    world.pending.mark(CHAT)
    await world.store.flush(world.session)
    before = await world.connection.fetch("SELECT * FROM monitor.healths")
    late = NOW - timedelta(minutes=1)
    await world.spool.add([result(one, outcome=Outcome.TIMEOUT, started_at=late) for one in (3, 2, 1)])
    await drain_all(world.session, world.spool, world.metrics, 5)
    assert await world.connection.fetchval("SELECT count(*) FROM monitor.results") == 3
    assert await world.connection.fetch("SELECT * FROM monitor.healths") == before


async def test_who_no_longer_leads_leaves_its_results_and_no_beliefs(world: World) -> None:
    world.add(*(result(number) for number in range(10)))
    world.pending.mark(CHAT)
    await world.store.leave(world.session)
    assert await world.stored() == list(range(10))
    assert await world.connection.fetchval("SELECT count(*) FROM monitor.healths") == 0


async def test_without_a_disk_memory_holds_the_newest_and_counts_the_rest(world: World) -> None:
    await world.spool.close()
    world.add(*(result(number) for number in range(5_010)))
    assert not await world.spools.keep(0)
    assert (world.metric("results_pending"), world.metric("results_dropped_total")) == (5_000, 10)
    assert world.pending.behind
    while not world.pending.idle:
        await world.store.flush(world.session)
    assert await world.stored() == list(range(10, 5_010))


async def test_a_database_that_takes_nothing_is_not_up_before_it_times_out(world: World) -> None:
    world.add(result(1))
    await world.store.flush(world.session)
    assert (world.pending.unstored_seconds(), world.metric("store_up")) == (0, 1)
    spooling = asyncio.create_task(world.spools.run())
    async with world.connection.transaction():
        await world.connection.execute("LOCK TABLE monitor.results IN ACCESS EXCLUSIVE MODE")
        world.add(result(2))
        flush = asyncio.create_task(world.store.flush(world.session))
        await asyncio.sleep(2.6)
        assert (world.metric("store_up"), world.metric("results_pending"), world.told) == (0, 1, [])
        assert world.spool.waiting == 1
    await flush
    spooling.cancel()
    assert (world.metric("store_up"), world.pending.unstored_seconds(), await world.stored()) == (
        1,
        0,
        [1, 2],
    )


async def test_a_long_outage_is_stored_in_batches_and_within_the_bound(world: World, tmp_path: Path) -> None:
    small = Spool(tmp_path / "small", world.metrics.count_results_dropped, most_rows=4_500)
    await small.open("here")
    for start in range(0, 5_000, 1_000):
        await small.add([result(number) for number in range(start, start + 1_000)])
    assert await drain_all(world.session, small, world.metrics, 30) == 4_500
    assert await world.stored() == list(range(500, 5_000))
    assert world.metric("results_dropped_total") == 500
    await small.close()


async def test_what_waits_for_one_database_goes_into_no_other(world: World, connection: Any) -> None:
    store = await read_store_id(connection)
    assert store == await read_store_id(connection)
    await connection.execute("UPDATE monitor.migrations SET applied_at = now() WHERE number = 1")
    assert await read_store_id(connection) != store, "another database"
    await world.spool.add([result(1)])
    await world.open()
    assert await drain_all(world.session, world.spool, world.metrics, 5) == 0
    assert await world.stored() == []
    assert await world.spool.open(store)
    assert world.spool.waiting == 1
