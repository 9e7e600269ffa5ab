"""What it costs an application to ask who serves, and how soon it sees a promotion."""

import asyncio
import time
from statistics import median
from types import SimpleNamespace
from typing import Any

from monitor.integration import LLMProviderIntegration
from monitor.storage.address import connect, create_pool
from tests import postgres
from tests.application_rows import ApplicationRows
from tests.bench.figures import Figure, percentile

WARM_CALLS, WARM_ROUNDS = 20_000, 15
COLD_CALLS = 300
PROMOTIONS = 200
WARM_AIM, SEEN_AIM = 5.0, 50.0

_PROMOTE = (
    "UPDATE active_providers SET provider_id = CASE provider_id WHEN 1 THEN 2 ELSE 1 END"
    " WHERE purpose = 'chat' RETURNING provider_id"
)


async def measure() -> list[Figure]:
    """Warm and cold answers, then promotions committed by somebody else."""
    # Starting and stopping the server runs a loop of its own.
    running = postgres.running_server()
    address = (await asyncio.to_thread(running.__enter__)).with_database(postgres.TEMPLATE)
    try:
        other = await connect(address)
        await _fill(other)
        pool = await create_pool(address, min_size=2, max_size=4)
        integration = LLMProviderIntegration(SimpleNamespace(pool=pool, keyring=None))
        await _listening(integration)
        warm = [await _warm(integration) for _ in range(WARM_ROUNDS)]
        cold = [await _cold(integration) for _ in range(COLD_CALLS)]
        bare = [await _bare(pool) for _ in range(COLD_CALLS)]
        seen = [await _promote(other, integration) for _ in range(PROMOTIONS)]
        await integration.close()
        await pool.close()
        await other.close()
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)
    return [
        Figure(
            name="who serves, warm", median=median(warm), unit="µs", most=WARM_AIM, note="no query; a call"
        ),
        Figure(
            name="who serves, cold",
            median=median(cold),
            baseline=median(bare),
            unit="ms",
            note="one statement; bare: SELECT 1 on the same pool",
        ),
        Figure(
            name="promotion committed -> seen, p50",
            median=median(seen),
            unit="ms",
            most=SEEN_AIM,
            note=f"{PROMOTIONS} promotions; the application asks without a pause",
        ),
        Figure(name="promotion committed -> seen, p99", median=percentile(seen, 0.99), unit="ms"),
    ]


async def _fill(connection: Any) -> None:
    rows = ApplicationRows(connection)
    for name in ("one", "two"):
        await rows.add_server(name, "vllm", f"http://127.0.0.1:9/{name}", model_path="m")
    await rows.set_active("chat", "ai_server:1", "ai_server:2")


async def _listening(integration: LLMProviderIntegration) -> None:
    async with asyncio.timeout(30):
        while True:
            await integration.get_active_llm_provider("chat")
            if integration._watch.mode == "listening":
                return
            await asyncio.sleep(0.01)


async def _warm(integration: LLMProviderIntegration) -> float:
    await integration.get_active_llm_provider("chat")
    began = time.perf_counter()
    for _ in range(WARM_CALLS):
        await integration.get_active_llm_provider("chat")
    return (time.perf_counter() - began) / WARM_CALLS * 1e6


async def _cold(integration: LLMProviderIntegration) -> float:
    integration.clear_cache()
    began = time.perf_counter()
    await integration.get_active_llm_provider("chat")
    return (time.perf_counter() - began) * 1e3


async def _bare(pool: Any) -> float:
    began = time.perf_counter()
    async with pool.acquire() as connection:
        await connection.fetchval("SELECT 1")
    return (time.perf_counter() - began) * 1e3


async def _promote(other: Any, integration: LLMProviderIntegration) -> float:
    """From the commit, as its author learns of it, until the library answers with the new one."""
    wanted: int = await other.fetchval(_PROMOTE)
    committed = time.perf_counter()
    async with asyncio.timeout(30):
        while True:
            found = await integration.get_active_llm_provider("chat")
            if found is not None and found.provider_id == wanted:
                return (time.perf_counter() - committed) * 1e3
            await asyncio.sleep(0)
