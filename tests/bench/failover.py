"""How long a purpose stays on a primary that was killed: real daemons, real time, the default policy."""

import asyncio
import random
from statistics import median
from typing import Any

from tests.application_rows import ApplicationRows
from tests.bench.daemon import database_of, starting_daemon
from tests.bench.figures import Figure
from tests.fault_server import FaultServer
from tests.postgres import DISK, open_folder

DAEMONS = 3
PURPOSES = ("chat", "embeddings", "reranking")
UP_SECONDS = 120.0
MOVED_SECONDS = 150.0
INTERVAL_SECONDS = 30.0
P50_AIM, WORST_AIM = 54.0, 80.0


async def measure() -> list[Figure]:
    """Kill the primaries of a few purposes at random places of their interval."""
    waits = [wait for found in await asyncio.gather(*(_waits() for _ in range(DAEMONS))) for wait in found]
    note = f"{len(waits)} kills, connections refused"
    return [
        Figure(
            name="primary killed to committed switch", median=median(waits), unit="s", most=P50_AIM, note=note
        ),
        Figure(name="the slowest of them", median=max(waits), unit="s", most=WORST_AIM, note=note),
    ]


async def _waits() -> list[float]:
    with open_folder(DISK) as folder:
        async with starting_daemon(folder) as daemon:
            await daemon.ready()
            # One connection answers one question at a time.
            turn = asyncio.Lock()
            async with database_of(folder) as connection:
                return await asyncio.gather(*(_wait(connection, turn, purpose) for purpose in PURPOSES))


async def _wait(connection: Any, turn: asyncio.Lock, purpose: str) -> float:
    async with FaultServer() as primary, FaultServer() as fallback:
        async with turn:
            rows = ApplicationRows(connection)
            flags = {f"use_for_{purpose}": True, "model_path": "m1"}
            first = await rows.add_server(f"{purpose} primary", "vllm", primary.url, **flags)
            second = await rows.add_server(f"{purpose} fallback", "vllm", fallback.url, **flags)
            await rows.set_active(purpose, first, second)
        query = "SELECT count(*) FROM monitor.healths WHERE purpose = $1 AND state = 'up'"
        await _until(connection, turn, query, 2, purpose, UP_SECONDS)
        await asyncio.sleep(random.uniform(0, INTERVAL_SECONDS))
        async with turn:
            killed_at = await connection.fetchval("SELECT clock_timestamp()")
        await primary.stop()
        query = "SELECT count(*) FROM monitor.transitions WHERE purpose = $1 AND rule = 'fail_over'"
        await _until(connection, turn, query, 1, purpose, MOVED_SECONDS)
        async with turn:
            query = "SELECT committed_at FROM monitor.transitions WHERE purpose = $1 AND rule = 'fail_over'"
            committed_at = await connection.fetchval(query, purpose)
        return float((committed_at - killed_at).total_seconds())


async def _until(
    connection: Any, turn: asyncio.Lock, query: str, count: int, purpose: str, seconds: float
) -> None:
    async with asyncio.timeout(seconds):
        while True:
            async with turn:
                if await connection.fetchval(query, purpose) >= count:
                    return
            await asyncio.sleep(0.2)
