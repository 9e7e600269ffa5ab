"""What reporting costs a request, and how soon a killed primary is left while traffic reports."""

import asyncio
import random
import time
from statistics import median
from types import SimpleNamespace
from typing import Any

import httpx

from monitor.domain.provider import ProviderRef, ProviderType, Purpose
from monitor.domain.reports import ReportOutcome
from monitor.domain.target import TargetId
from monitor.integration.reports import Reports
from monitor.storage.embedded import attach
from tests.application_rows import ApplicationRows
from tests.bench.daemon import database_of, starting_daemon
from tests.bench.figures import Figure, percentile
from tests.fault_server import FaultServer
from tests.postgres import DISK, open_folder
from tests.traffic import ProviderProcess, provider_process, traffic

PURPOSES = ("chat", "embeddings")
KILLS = 4  # of each purpose: after more within an hour a candidate has to have been eligible for a while
UP_SECONDS, MOVED_SECONDS, BACK_SECONDS = 60.0, 150.0, 90.0
GRACE_SECONDS = 62.0
CALLS, ROUNDS = 5_000, 15
LEFT_AIM, COST_AIM = 3.0, 50.0


async def measure() -> list[Figure]:
    """The cost of one report, then kills under traffic with the default policy."""
    failure, success = _cost(failed=True), _cost(failed=False)
    waits = sorted(await _waits())
    print(f"primary killed under traffic -> left: {' '.join(f'{wait:.2f}' for wait in waits)} s")
    note = f"{len(waits)} kills at 20 requests/s; the default policy"
    return [
        Figure(
            name="report a failure", median=failure, unit="µs", most=COST_AIM, note="ten causes deep; a call"
        ),
        Figure(name="report a success", median=success, unit="µs", note="beside failures; a call"),
        Figure(
            name="killed under traffic -> left, p50", median=median(waits), unit="s", most=LEFT_AIM, note=note
        ),
        Figure(name="killed under traffic -> left, p90", median=percentile(waits, 0.9), unit="s", note=note),
        Figure(name="killed under traffic -> left, worst", median=waits[-1], unit="s", note=note),
    ]


def _cost(*, failed: bool) -> float:
    """The microseconds of a call, in the median of a few rounds."""
    target = TargetId(provider=ProviderRef(type=ProviderType.AI_SERVER, id=1), purpose=Purpose.CHAT)
    error: BaseException = httpx.ConnectError("refused")
    for _ in range(9):
        outer = RuntimeError("wrapped")
        outer.__cause__ = error
        error = outer
    costs = []
    for _ in range(ROUNDS):
        loop = asyncio.new_event_loop()
        reports = Reports(SimpleNamespace(_loop=loop))
        reports.failure(target, error)
        began = time.perf_counter()
        for _ in range(CALLS):
            if failed:
                reports.failure(target, error)
            else:
                reports.add(target, ReportOutcome.OK)
        costs.append((time.perf_counter() - began) / CALLS * 1e6)
        loop.close()
    return median(costs)


async def _waits() -> list[float]:
    with open_folder(DISK) as folder:
        async with starting_daemon(folder) as daemon:
            await daemon.ready()
            began = time.monotonic()
            address = attach(folder / "data")
            async with database_of(folder) as connection:
                turn = asyncio.Lock()
                async with traffic(address, per_second=20) as application:
                    found = await asyncio.gather(
                        *(_kill(connection, turn, application, purpose, began) for purpose in PURPOSES)
                    )
    return [wait for waits in found for wait in waits]


async def _kill(
    connection: Any, turn: asyncio.Lock, application: Any, purpose: str, began: float
) -> list[float]:
    waits = []
    async with provider_process() as primary, FaultServer() as fallback:
        async with turn:
            rows = ApplicationRows(connection)
            flags = {f"use_for_{purpose}": True, "model_path": "m1", "metadata": {"embedding_space": "one"}}
            first = await rows.add_server(f"{purpose} primary", "vllm", primary.url, **flags)
            second = await rows.add_server(f"{purpose} fallback", "vllm", fallback.url, **flags)
            await rows.set_active(purpose, first, second)
        await _until(connection, turn, _UP, 2, purpose, UP_SECONDS)
        # In the first minute after its start a daemon leaves nobody.
        await asyncio.sleep(max(0.0, GRACE_SECONDS - (time.monotonic() - began)))
        flow = asyncio.create_task(application.flow(purpose, 20))
        for number in range(1, KILLS + 1):
            await asyncio.sleep(random.uniform(2, 12))
            waits.append(await _left(connection, turn, primary, purpose, number))
            if number < KILLS:
                await _return(connection, turn, primary, first, second, purpose)
        flow.cancel()
        await asyncio.gather(flow, return_exceptions=True)
    return waits


async def _left(
    connection: Any, turn: asyncio.Lock, primary: ProviderProcess, purpose: str, number: int
) -> float:
    async with turn:
        killed_at = await connection.fetchval("SELECT clock_timestamp()")
    await primary.kill()
    await _until(connection, turn, _MOVES, number, purpose, MOVED_SECONDS)
    async with turn:
        committed_at = await connection.fetchval(
            "SELECT max(committed_at) FROM monitor.transitions WHERE purpose = $1 AND rule = 'fail_over'",
            purpose,
        )
    return float((committed_at - killed_at).total_seconds())


async def _return(
    connection: Any, turn: asyncio.Lock, primary: ProviderProcess, first: str, second: str, purpose: str
) -> None:
    """The primary serves again, by an operator's choice, as soon as it is believed up."""
    await primary.start()
    async with turn:
        await ApplicationRows(connection).set_active(purpose, first, second)
    await _until(connection, turn, _UP, 2, purpose, BACK_SECONDS)


_UP = "SELECT count(*) FROM monitor.healths WHERE purpose = $1 AND state = 'up'"
_MOVES = "SELECT count(*) FROM monitor.transitions WHERE purpose = $1 AND rule = 'fail_over'"


async def _until(
    connection: Any, turn: asyncio.Lock, query: str, count: int, purpose: str, seconds: float
) -> None:
    async with asyncio.timeout(seconds):
        while True:
            async with turn:
                if await connection.fetchval(query, purpose) >= count:
                    return
            await asyncio.sleep(0.05)
