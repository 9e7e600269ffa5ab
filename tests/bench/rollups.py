"""What sums cost: noting a result for them, summing it, and reading 90 days of a thousand targets."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from statistics import median
from typing import Any
from uuid import uuid4

from monitor.domain.outcome import Outcome, ProbeResult, ResultId
from monitor.domain.provider import ProviderRef, ProviderType, Purpose
from monitor.domain.target import ProbeKind, TargetId
from monitor.storage.address import connect
from monitor.storage.arrivals import roll_up
from monitor.storage.record import read_clock
from monitor.storage.results import insert_results
from monitor.storage.rollups import read_days
from monitor.storage.uptime import read_purpose_uptimes, read_uptimes
from tests import postgres
from tests.bench.figures import Figure

TARGETS, DAYS, PAGE = 1_000, 90, 50
BATCH, ROUNDS = 1_000, 9
READ_AIM, HELD_AIM, NOTED_AIM = 100.0, 50.0, 1.2
# Every hour and day as rolling up leaves them: 58 minutes up and two down, histograms of thirty buckets.
# $1 days, $2 targets, $3 the hour that begins after them
SEED = (
    """
    INSERT INTO monitor.totals
    SELECT 'api_key', id, 'chat', 58 * hours, 2 * hours, 12 * hours, hours
    FROM generate_series(1, $2::int) AS id, (SELECT 24 * $1::int AS hours, $3::timestamptz) AS one
    """,
    """
    INSERT INTO monitor.uptime_hours
    SELECT $3::timestamptz - interval '1 hour' * ($1::int * 24 - hour), 'api_key', id, 'chat', 0, 0,
           4 * ((1::bigint << 58) - 1), 3, 12, 1, 15, 0, 58 * hour, 2 * hour, 12 * hour, hour
    FROM generate_series(0, $1::int * 24 - 1) AS hour, generate_series(1, $2::int) AS id
    """,
    """
    INSERT INTO monitor.uptime_days
    SELECT ($3::timestamptz AT TIME ZONE 'UTC')::date - day, 'api_key', id, 'chat', 1392, 48, 288, 24
    FROM generate_series(1, $1::int) AS day, generate_series(1, $2::int) AS id
    """,
    """
    INSERT INTO monitor.days
    SELECT ($3::timestamptz AT TIME ZONE 'UTC')::date - day, 'api_key', id, 'chat', 'deep',
           '{"ok": 288, "timeout": 24}', packed, packed, 3000, 2000, 0.1
    FROM generate_series(1, $1::int) AS day, generate_series(1, $2::int) AS id,
         (
             SELECT array_agg(number) AS packed
             FROM generate_series(60, 89) AS bucket, unnest(ARRAY[bucket, 9]) AS number
         ) AS one
    """,
)


async def measure() -> list[Figure]:
    """On a server of its own, in a database that holds 90 days of a thousand targets."""
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        # The server's helper runs a loop of its own while it starts and stops.
        address = await loop.run_in_executor(None, stack.enter_context, postgres.running_server())
        try:
            return await _measure(await connect(await postgres.clone(address)))
        finally:
            await loop.run_in_executor(None, stack.close)


async def _measure(connection: Any) -> list[Figure]:
    now = await read_clock(connection)
    for statement in SEED:
        hour = now.replace(minute=0, second=0, microsecond=0)
        await connection.execute(statement, DAYS, TARGETS, hour, timeout=300)
    await connection.execute("VACUUM ANALYZE", timeout=300)
    refs = [ProviderRef(type=ProviderType.API_KEY, id=number) for number in range(1, PAGE + 1)]
    figures = [
        *await _read(f"uptimes of {TARGETS} targets", lambda: read_uptimes(connection, now)),
        *await _read(f"uptimes of {PAGE}", lambda: read_uptimes(connection, now, refs)),
        *await _read("uptimes of purposes", lambda: read_purpose_uptimes(connection, now)),
        *await _read(f"{DAYS} days of one", lambda: read_days(connection, now, DAYS, refs[:1])),
        *await _store(connection, now),
    ]
    await connection.close()
    return figures


async def _read(name: str, read: Callable[[], Awaitable[Any]]) -> list[Figure]:
    await read()
    took = []
    async with _held() as held:
        for _ in range(ROUNDS):
            began = time.perf_counter()
            await read()
            took.append((time.perf_counter() - began) * 1000)
    note = f"{DAYS} days behind them"
    return [
        Figure(name=f"read {name}", median=median(took), unit="ms", most=READ_AIM, note=note),
        Figure(name=f"read {name}: loop late", median=max(held), unit="ms", most=HELD_AIM, note="the worst"),
    ]


async def _store(connection: Any, now: datetime) -> list[Figure]:
    rng = random.Random(1)
    plain: list[float] = []
    noted: list[float] = []
    summed: list[float] = []
    for _ in range(ROUNDS):
        for word, took in (("DISABLE", plain), ("ENABLE", noted)):
            await connection.execute(f"ALTER TABLE monitor.results {word} TRIGGER results_noted")
            batch = [_result(rng, now) for _ in range(BATCH)]
            began = time.perf_counter()
            await insert_results(connection, batch)
            took.append((time.perf_counter() - began) * 1000)
        began = time.perf_counter()
        await roll_up(connection, now)
        summed.append((time.perf_counter() - began) * 1000)
    ratios = [with_note / without for with_note, without in zip(noted, plain, strict=True)]
    return [
        Figure(
            name=f"store {BATCH} results, noted for sums",
            median=median(ratios) * median(plain),
            baseline=median(plain),
            unit="ms",
            most=NOTED_AIM,
            note="beside the same without",
        ),
        Figure(name=f"sum {BATCH} results of as many targets", median=median(summed), unit="ms"),
    ]


def _result(rng: random.Random, now: datetime) -> ProbeResult:
    at = now - timedelta(seconds=rng.random() * 60)
    return ProbeResult(
        id=ResultId(uuid4().hex),
        target=TargetId(
            provider=ProviderRef(type=ProviderType.API_KEY, id=rng.randint(1, TARGETS)), purpose=Purpose.CHAT
        ),
        fingerprint="f" * 16,
        kind=ProbeKind.DEEP if rng.random() < 0.2 else ProbeKind.LIGHT,
        outcome=Outcome.OK if rng.random() < 0.98 else Outcome.TIMEOUT,
        started_at=at,
        ended_at=at + timedelta(seconds=1),
        latency_seconds=rng.lognormvariate(-1, 0.5),
        tokens_in=9,
        tokens_out=3,
        cost_usd=1e-5,
        reach=timedelta(seconds=920),
    )


@asynccontextmanager
async def _held() -> AsyncIterator[Sequence[float]]:
    """How late the loop was, in milliseconds, each time it was looked at."""
    late = [0.0]

    async def look() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.002)
            late.append((time.perf_counter() - began - 0.002) * 1000)

    task = asyncio.create_task(look())
    try:
        yield late
    finally:
        task.cancel()
