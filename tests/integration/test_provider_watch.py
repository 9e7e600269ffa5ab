"""How long an answer may be relied on when nothing is heard any more; and what the import brings along."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from monitor.integration import DatabaseAway, LLMProviderIntegration, watch
from monitor.storage.address import Address, create_pool
from tests.application_rows import ApplicationRows
from tests.daemon import ROOT
from tests.freezing_proxy import freezing_proxy

OLDEST_SECONDS = 10.0
LATE_SECONDS = 1.0  # of a busy machine


async def listening(integration: LLMProviderIntegration) -> None:
    async with asyncio.timeout(10):
        while True:
            await integration.get_active_llm_provider("chat")
            if integration._watch.mode == "listening":
                return
            await asyncio.sleep(0.01)


async def two_servers(connection: Any) -> None:
    rows = ApplicationRows(connection)
    for name in ("one", "two"):
        await rows.add_server(name, "vllm", "http://127.0.0.1:9", model_path="m")
    await rows.set_active("chat", "ai_server:1", "ai_server:2")


async def test_a_half_open_listening_connection_hides_nothing_for_longer_than_ten_seconds(
    database: Address, connection: Any, open_folder: Path
) -> None:
    await two_servers(connection)
    async with freezing_proxy(database, open_folder) as proxy:
        pool = await create_pool(proxy.address, min_size=1, max_size=3)
        integration = LLMProviderIntegration(SimpleNamespace(pool=pool, keyring=None))
        await listening(integration)
        loop = asyncio.get_running_loop()
        assert proxy.freeze(b'LISTEN "monitor_active') == 1
        await ApplicationRows(connection).set_active("chat", "ai_server:2", "ai_server:1")
        promoted_at = loop.time()
        while True:
            found = await integration.get_active_llm_provider("chat")
            assert found is not None
            if found.provider_name == "two":
                break
            assert loop.time() - promoted_at < OLDEST_SECONDS + LATE_SECONDS
            await asyncio.sleep(0.05)
        await integration.close()
        pool.terminate()


async def test_a_database_that_hangs_is_an_error_once_the_answer_is_ten_seconds_old(
    database: Address, connection: Any, open_folder: Path
) -> None:
    await two_servers(connection)
    async with freezing_proxy(database, open_folder) as proxy:
        pool = await create_pool(proxy.address, min_size=1, max_size=3)
        integration = LLMProviderIntegration(SimpleNamespace(pool=pool, keyring=None))
        await listening(integration)
        first = await integration.get_active_llm_provider("chat")
        while (again := await integration.get_active_llm_provider("chat")) is not first:
            first = again  # word of the rows that were just written may still come
            await asyncio.sleep(0.1)
        loop = asyncio.get_running_loop()
        proxy.freeze()
        frozen_at = loop.time()
        served = 0

        async def use() -> None:
            nonlocal served
            while True:
                assert await integration.get_active_llm_provider("chat") is not None
                assert loop.time() - frozen_at < OLDEST_SECONDS + LATE_SECONDS
                served += 1
                await asyncio.sleep(0.05)

        with pytest.raises(DatabaseAway, match="database is away"):
            await use()
        assert served > 1
        assert loop.time() - frozen_at < OLDEST_SECONDS + 7  # and whoever asks does not wait for ever
        await integration.close()
        pool.terminate()


async def test_behind_a_pooler_it_polls_and_says_so(
    database: Address, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pooler is played: it tells another process number than the server's, as they all do."""

    async def pooled(_connection: Any, **_: Any) -> bool:
        return True

    monkeypatch.setattr(watch, "is_pooled", pooled)
    await two_servers(connection)
    pool = await create_pool(database, min_size=1, max_size=3)
    integration = LLMProviderIntegration(SimpleNamespace(pool=pool, keyring=None))
    loop = asyncio.get_running_loop()
    with capture_logs() as lines:
        async with asyncio.timeout(10):
            while integration._watch.mode != "polling":
                await integration.get_active_llm_provider("chat")
                await asyncio.sleep(0.01)
    assert [line["reason"] for line in lines if line["event"] == "providers_polled"] == [
        "a connection pooler stands before the database"
    ]
    # The connection went back: the application may have all of them.
    held = [await asyncio.wait_for(pool.acquire(), 5) for _ in range(2)]
    for one in held:
        await pool.release(one)
    kept = await integration.get_active_llm_provider("chat")
    assert await integration.get_active_llm_provider("chat") is kept
    await ApplicationRows(connection).set_active("chat", "ai_server:2")
    promoted_at = loop.time()
    while True:
        found = await integration.get_active_llm_provider("chat")
        assert found is not None
        if found.provider_name == "two":
            break
        assert loop.time() - promoted_at < watch.POLL_SECONDS + LATE_SECONDS
        await asyncio.sleep(0.05)
    await integration.close()
    await pool.close()


def test_the_import_brings_nothing_heavy_along() -> None:
    program = "import json, sys, monitor.integration; print(json.dumps(sorted(sys.modules)))"
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    loaded = {name.partition(".")[0] for name in json.loads(found.stdout)}
    assert not loaded & {"litellm", "openai", "apscheduler", "prometheus_client"}
