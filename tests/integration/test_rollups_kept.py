"""How long sums are kept, what was there before they were, and the job that makes them."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog
import structlog.testing

from monitor.domain.outcome import Outcome, ProbeResult, ResultId
from monitor.domain.provider import ProviderRef, ProviderType, Purpose
from monitor.domain.rollup import hour_of
from monitor.domain.target import ProbeKind, TargetId
from monitor.jobs.roll_up import RollUp
from monitor.storage.address import Address, connect
from monitor.storage.arrivals import Retention, prune_rollups, roll_up
from monitor.storage.leader import LeaderSession
from monitor.storage.migrations import load_migrations
from monitor.storage.queries import QUERIES
from monitor.storage.results import insert_results
from monitor.storage.rollups import read_days, read_hours
from monitor.storage.uptime import read_purpose_uptimes, read_uptimes

END = datetime(2026, 3, 2, 5, tzinfo=UTC)
TARGETS = [
    TargetId(provider=ProviderRef(type=ProviderType.API_KEY, id=1), purpose=Purpose.CHAT),
    TargetId(provider=ProviderRef(type=ProviderType.AI_SERVER, id=1), purpose=Purpose.CHAT),
]


async def until(holds: Callable[[], bool]) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 10
    while not holds():
        assert loop.time() < deadline
        await asyncio.sleep(0.02)


def at_hour(offset: timedelta, outcome: Outcome = Outcome.OK) -> ProbeResult:
    return ProbeResult(
        id=ResultId(uuid4().hex),
        target=TARGETS[0],
        fingerprint="f",
        kind=ProbeKind.DEEP,
        outcome=outcome,
        started_at=END + offset,
        ended_at=END + offset,
    )


async def test_what_has_expired_goes_and_what_is_newer_counts_on(connection: Any) -> None:
    keep = Retention(results=timedelta(days=1), hourly=timedelta(days=2), daily=timedelta(days=20))
    ago = [timedelta(minutes=-10), timedelta(days=-1), timedelta(days=-10), timedelta(days=-30)]
    await insert_results(connection, [at_hour(one) for one in ago])
    await roll_up(connection, END)
    await prune_rollups(connection, END, keep)
    target = TARGETS[0]
    hours = (await read_hours(connection, END - timedelta(days=100), END + timedelta(hours=1)))[target]
    assert min(hour.hour for hour in hours) >= END - keep.hourly
    days = (await read_days(connection, END, days=100))[target]
    assert len({day.date for day in days}) == 3
    uptimes = (await read_uptimes(connection, END))[target]
    assert uptimes["7d"].up == uptimes["90d"].up == timedelta(minutes=11 + 16)
    # One that comes now, for an hour that is not kept, counts for its day; of a day that is not, for nothing.
    await insert_results(connection, [at_hour(timedelta(days=-10)), at_hour(timedelta(days=-30))])
    await roll_up(connection, END, keep)
    assert (await read_days(connection, END, days=100))[target][0].counts == {Outcome.OK: 2}
    assert (await read_uptimes(connection, END))[target] == uptimes
    # Long after the last probe nothing of it is left.
    much_later = END + timedelta(days=30)
    await prune_rollups(connection, much_later, keep)
    assert await read_days(connection, much_later, days=100) == {}
    assert await connection.fetchval("SELECT count(*) FROM monitor.totals") == 0


async def test_results_of_before_are_summed_by_the_migration(empty_database: Address) -> None:
    connection = await connect(empty_database)
    try:
        for migration in load_migrations():
            if migration.number == 9:
                await write_without_reach(connection, at_hour(timedelta(hours=-3)))
                await connection.execute(
                    "INSERT INTO monitor.result_hours"
                    " (hour, provider_type, provider_id, purpose, outcome, count)"
                    " VALUES ($1, 'api_key', 1, 'chat', 'timeout', 7)",
                    hour_of(END - timedelta(days=20)),
                )
            if migration.number == 1:
                await connection.execute(QUERIES["create_schema"])
                await connection.execute(QUERIES["create_ledger"])
            await connection.execute(migration.script)
        await roll_up(connection, END)
        old, new = (await read_days(connection, END))[TARGETS[0]]
        assert (old.counts, old.uptime.share) == ({Outcome.TIMEOUT: 7}, None)
        assert (new.counts, new.uptime.up) == ({Outcome.OK: 1}, timedelta(minutes=16))
        ((hour, *_),) = (
            await read_hours(connection, END - timedelta(days=21), END - timedelta(days=19))
        ).values()
        assert hour.counts == {Outcome.TIMEOUT: 7}
        await insert_results(connection, [at_hour(timedelta(hours=-1))])
        assert await connection.fetchval("SELECT sum(count) FROM monitor.result_hours") == 8, (
            "counted no more"
        )
    finally:
        await connection.close()


async def write_without_reach(connection: Any, result: ProbeResult) -> None:
    await connection.execute("SELECT monitor.ensure_partition($1)", result.started_at.date())
    await connection.execute(
        "INSERT INTO monitor.results (id, started_at, ended_at, provider_type, provider_id, purpose, kind,"
        " outcome, fingerprint) VALUES ($1, $2, $2, 'api_key', 1, 'chat', 'deep', 'ok', 'f')",
        UUID(result.id),
        result.started_at,
    )


async def test_the_job_rolls_up_whatever_there_is_and_survives_a_database_that_refuses(
    database: Address, connection: Any
) -> None:
    session = LeaderSession(database)
    await session.open()
    job = RollUp(Retention(), lambda: END)
    try:
        many = [replace(at_hour(timedelta(minutes=-one)), target=TARGETS[one % 2]) for one in range(700)]
        await insert_results(connection, many)
        await connection.execute("ALTER TABLE monitor.hours RENAME TO elsewhere")
        with structlog.testing.capture_logs() as logs:
            task = asyncio.create_task(job.run(session))
            await until(lambda: any(one["event"] == "results_not_summed" for one in logs))
            task.cancel()
        await connection.execute("ALTER TABLE monitor.elsewhere RENAME TO hours")
        await job.roll_up(session)
        uptimes = await read_uptimes(connection, END)
        assert [uptimes[target]["24h"].passed for target in TARGETS] == [350, 350]
        assert await connection.fetchval("SELECT count(*) FROM monitor.arrivals") == 0
    finally:
        await session.close()


async def test_nobody_serves_a_purpose_whose_row_was_deleted(connection: Any) -> None:
    await connection.execute(
        "INSERT INTO monitor.transitions (purpose, generation, rule, to_provider_type, to_provider_id,"
        " decided_at, policy, evidence) VALUES ('chat', 1, 'adopted', 'api_key', 1, $1, '{}', '[]')",
        END - timedelta(hours=3),
    )
    await connection.execute(
        "INSERT INTO monitor.purposes (purpose, updated_at) VALUES ('chat', $1)", END - timedelta(minutes=60)
    )
    await insert_results(connection, [at_hour(timedelta(minutes=-minute)) for minute in range(0, 300, 10)])
    await roll_up(connection, END)
    uptime = (await read_purpose_uptimes(connection, END))[Purpose.CHAT]["24h"]
    assert (uptime.up, uptime.down) == (timedelta(hours=2), timedelta(0))
