"""The example in docs/example-app, run as it tells its reader to, beside the real daemon."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from monitor.keyring import generate
from monitor.storage.address import Address
from tests.acceptance.test_failover import add_server, serving, set_active
from tests.daemon import ROOT, free_port, running_daemon
from tests.fault_server import FaultServer

FOLDER = ROOT / "docs" / "example-app"
START_SECONDS = 60
PASSWORD = "correct horse"
ADMIN = {"Authorization": aiohttp.encode_basic_auth("operator", PASSWORD)}


@asynccontextmanager
async def example(database: Address, key: str, log: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """The application under uvicorn, and a session that speaks to it."""
    port = free_port()
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "uvicorn",
            "app:app",
            "--port",
            str(port),
            cwd=FOLDER,
            env={
                "PATH": os.environ["PATH"],
                "HOME": os.environ.get("HOME", "/"),
                "PYTHONPATH": str(ROOT),
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                "DATABASE_URL": database.describe(),
                "BYOK_ENCRYPTION_KEY": key,
                "ADMIN_PASSWORD": PASSWORD,
            },
            stdout=output,
            stderr=output,
        )
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            await _answers(session, process, log)
            yield session
        process.terminate()
        async with asyncio.timeout(15):
            assert await process.wait() in (0, -15)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_the_example_follows_a_failover(database: Address, connection: Any, tmp_path: Path) -> None:
    key, log = generate(), tmp_path / "example.log"
    async with FaultServer() as primary, FaultServer() as fallback:
        one = await add_server(connection, "primary", primary.url, model_path="m1", use_for_chat=True)
        two = await add_server(connection, "fallback", fallback.url, model_path="m1", use_for_chat=True)
        await set_active(connection, "chat", one, two)
        settings = {"DATABASE_URL": database.describe(), "BYOK_ENCRYPTION_KEY": key}
        async with running_daemon(settings) as daemon, example(database, key, log) as app:
            await daemon.ready()
            await daemon.event("health_changed", target=f"ai_server:{one}/chat", after="up")
            await daemon.event("health_changed", target=f"ai_server:{two}/chat", after="up")
            assert (await _get(app, "/ask?question=Hello"))["provider"] == "primary"
            assert await _get(app, "/where") == {"provider": "primary", "own_server": True}

            primary.play("500")
            surely = await _get(app, "/ask-surely?question=Hello")
            assert surely["provider"] == "fallback", "one request did not wait for a decision"
            async with app.get("/ask?question=Hello") as answer:
                assert answer.status in (200, 500), "an error is the caller's until the switch"
            await daemon.event("active_provider_changed")
            assert await serving(connection) == two
            await daemon.until(lambda: _asks(app, "fallback"), "the library's fallback", 5)


async def test_the_examples_management_wants_its_own_administrator(
    database: Address, connection: Any, tmp_path: Path
) -> None:
    log = tmp_path / "example.log"
    async with FaultServer() as server, example(database, generate(), log) as app:
        path = "/api/v1/llm-config/servers"
        row = {
            "name": "new",
            "server_type": "openai-compatible",
            "base_url": server.url,
            "api_key": "sk-plant-7",
        }
        async with app.post(path, json=row) as refused:
            assert refused.status == 401
        async with app.post(path, json=row, headers=ADMIN) as created:
            assert created.status == 201, await created.text()
            assert "sk-plant-7" not in await created.text()
        listed = await _get(app, path, headers=ADMIN)
        assert [one["name"] for one in listed] == ["new"]
        stored = await connection.fetchval("SELECT api_key FROM ai_servers WHERE name = 'new'")
        assert stored.startswith("gAAAAA")
    assert "sk-plant-7" not in _text(log)


async def _answers(session: aiohttp.ClientSession, process: asyncio.subprocess.Process, log: Path) -> None:
    async with asyncio.timeout(START_SECONDS):
        while True:
            assert process.returncode is None, _text(log)
            try:
                async with session.get("/openapi.json") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.1)


def _text(log: Path) -> str:
    return log.read_text(encoding="utf-8")


async def _asks(session: aiohttp.ClientSession, provider: str) -> bool:
    found: bool = (await _get(session, "/ask?question=Hello"))["provider"] == provider
    return found


async def _get(session: aiohttp.ClientSession, path: str, headers: dict[str, str] | None = None) -> Any:
    async with session.get(path, headers=headers) as answer:
        text = await answer.text()
        assert answer.status == 200, text
        return json.loads(text)
