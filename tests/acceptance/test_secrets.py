"""A key that the provider itself shouts back is nowhere in what the daemon says, stores or shows."""

import asyncio
import json
import re
import secrets
from contextlib import AsyncExitStack, suppress
from typing import Any

import aiohttp
import psutil
import pytest
from cryptography.fernet import Fernet

from monitor.domain.access import TokenRole
from monitor.keyring import Keyring
from monitor.storage.address import Address
from monitor.storage.tokens import create_token
from tests.application_rows import ApplicationRows
from tests.daemon import QUICK_POLICY, RunningDaemon, running_daemon
from tests.fault_answers import FAULT_ANSWERS
from tests.fault_server import TRANSPORT_FAULTS, FaultServer

POLICY = QUICK_POLICY | {"FIRST_TOKEN_TIMEOUT": "2", "STALL_TIMEOUT": "1", "TIMEOUT": "2"}
FAULTS = sorted(TRANSPORT_FAULTS | FAULT_ANSWERS.keys())
CONFIG, MONITOR = "/api/v1/llm-config", "/api/v1/monitor"
# Routes on which litellm builds its own texts, with the prefix that their addresses need.
VENDORS = {
    "openai": "/v1",
    "anthropic": "",
    "google": "/v1beta",
    "cohere": "",
    "groq": "/v1",
    "deepseek": "",
    "openrouter": "/v1",
    "mistral": "/v1",
}


def unmistakable_key() -> str:
    """A key of the usual look whose every part is found again."""
    return f"sk-{secrets.token_hex(24)}"


@pytest.mark.timeout(300)
async def test_a_planted_key_is_found_nowhere(database: Address, connection: Any) -> None:
    rows, secret = ApplicationRows(connection), Fernet.generate_key().decode()
    keyring, hosted, plain = Keyring(secret), unmistakable_key(), unmistakable_key()
    async with AsyncExitStack() as stack:
        elsewhere = await stack.enter_async_context(FaultServer())
        servers = []
        for number, fault in enumerate(FAULTS):
            server = await stack.enter_async_context(FaultServer())
            server.redirect_to = f"{elsewhere.url}/{hosted}"
            server.play(fault, scope="all")
            servers.append(server)
            kind = ("openai-compatible", "vllm", "ollama", "llamacpp")[number % 4]
            await rows.add_server(fault, kind, server.url, model_path="m1", api_key=plain, use_for_chat=True)
        shouting = await stack.enter_async_context(FaultServer())
        shouting.play("echo_key", scope="all")
        keys = [
            await rows.add_key(
                vendor,
                keyring.seal(hosted).text,
                metadata={"base_url": shouting.url + prefix, "model": "m1"},
            )
            for vendor, prefix in VENDORS.items()
        ]
        # Who serves and who stands in are candidates; the rest is made so by hand.
        await rows.set_active("chat", keys[0], keys[1])
        await connection.executemany(
            "INSERT INTO monitor.preferences (purpose, position, provider_type, provider_id)"
            " VALUES ('chat', $1, 'api_key', $2)",
            [(place, int(key.partition(":")[2])) for place, key in enumerate(keys)],
        )
        environment = {
            "DATABASE_URL": database.describe(),
            "BYOK_ENCRYPTION_KEY": secret,
            "MONITOR_LOG_LEVEL": "debug",
        }
        daemon = await stack.enter_async_context(running_daemon(environment, policy=POLICY))
        await daemon.ready()
        token = (await create_token(connection, name="t", role=TokenRole.ADMIN, lifetime=None, by="t")).text
        children: dict[str, str] = {}
        watch = asyncio.create_task(_watch_children(daemon.process.pid, children))
        for key in keys:
            await daemon.event("block_began", target=f"{key}/chat", block="auth")
        await _until_all_probed(daemon, connection, len(FAULTS) + len(keys))
        await asyncio.sleep(3)

        # The keys did travel, or this would prove nothing.
        assert {one.key for one in shouting.seen} == {hosted}
        assert plain in {one.key for server in servers for one in server.seen}
        assert elsewhere.seen == []

        typed = unmistakable_key()
        answers = await _use_the_api(daemon, token, typed, shouting.url)
        found = answers | children | await _everything(daemon, connection)
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        assert any("monitor.probing.child" in text for text in children.values())
        assert typed in {one.key for one in shouting.seen}, "it was probed with what was typed"
        code = await daemon.stop()
        found["output"] = "\n".join(daemon.raw)
        assert code == 0
        for where, text in found.items():
            for planted in (hosted, plain, secret, typed, token):
                for part in (planted, planted[:14], planted[-12:]):
                    assert part not in text, f"a part of a key in {where}"
        assert len(found["output"]) > 2000


async def _use_the_api(daemon: RunningDaemon, token: str, key: str, provider: str) -> dict[str, str]:
    """What every path answers, and what writes with a key in them do, right or wrong."""
    found: dict[str, str] = {}

    async def ask(method: str, path: str, expected: int | None = None, **options: Any) -> Any:
        timeout = aiohttp.ClientTimeout(total=60)
        async with session.request(method, daemon.url + path, timeout=timeout, **options) as answer:
            text = await answer.text()
            found[f"{method} {path} {len(found)}"] = f"{text} {answer.headers}"
            assert answer.status < 500, (path, text)
            assert expected is None or answer.status == expected, (path, text)
            return json.loads(text) if text and answer.content_type == "application/json" else None

    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
        server = {"name": "typed", "server_type": "vllm", "base_url": provider, "model_path": "m1"}
        servers, keys = f"{CONFIG}/servers", f"{CONFIG}/api-keys"
        made = await ask("POST", servers, 201, json=server | {"api_key": key, "enabled": False})
        hosted = {"provider": "openai", "key_name": "typed", "metadata": {"base_url": f"{provider}/v1"}}
        other = await ask("POST", keys, 201, json=hosted | {"api_key": key, "enabled": False})
        await ask("PUT", f"{keys}/{other['id']}", 200, json={"api_key": key})
        for path in (f"{servers}/{made['id']}", f"{keys}/{other['id']}"):
            await ask("POST", f"{path}/test", 200)  # disabled: a process of its own probes it
        await ask("GET", f"{servers}/{made['id']}/models", 200)
        # Everything in which somebody may put a key by mistake.
        for wrong in (
            {"api_key": [key]},
            {"api_key": {"key": key}},
            {"api_key": f"{key}\n{key}"},
            {"name": {"key": key}},
            {"base_url": f"http://user:{key}@host"},
            {"base_url": key},
            {"server_type": key},
            {"metadata": key},
            {"enabled": key},
            {key: key},
        ):
            await ask("POST", servers, json=server | wrong)
            await ask("PUT", f"{servers}/{made['id']}", json=wrong)
            await ask("POST", keys, json=hosted | wrong)
        await ask("POST", servers, json=server | {"api_key": key})
        await ask("POST", servers, data=f'{{"api_key": "{key}"')
        await ask("POST", f"{MONITOR}/session", json={"token": key})
        await ask(
            "POST", f"{CONFIG}/active", json={"purpose": key, "provider_type": "ai_server", "provider_id": 1}
        )
        await ask("GET", f"{CONFIG}/active/{'x' * 8}")
        await ask("GET", f"{MONITOR}/providers", headers={"Authorization": f"Bearer {key}"})
        document = await ask("GET", "/api/v1/openapi.json", 200)
        names = {
            "provider_type": "api_key",
            "provider_id": "1",
            "type": "api_key",
            "id": "1",
            "purpose": "chat",
        }
        for path, methods in document["paths"].items():
            if "get" in methods and not path.endswith("/stream"):
                await ask("GET", re.sub(r"{(\w+)}", lambda match: names.get(match[1], "1"), path))
        async with session.get(f"{daemon.url}{MONITOR}/stream") as stream:
            assert stream.status == 200
            found["stream"] = (await stream.content.readany()).decode()
    return found


async def _watch_children(pid: int, found: dict[str, str]) -> None:
    """Arguments and environment of every process that ever was one of the daemon's."""
    while True:
        for child in psutil.Process(pid).children(recursive=True):
            with suppress(psutil.Error):
                found[f"child {child.pid}"] = f"{child.cmdline()} {child.environ()}"
        await asyncio.sleep(0.02)


async def _until_all_probed(daemon: RunningDaemon, connection: Any, count: int) -> None:
    async def are_probed() -> bool:
        probed: int = await connection.fetchval(
            "SELECT count(DISTINCT (provider_type, provider_id)) FROM monitor.results WHERE kind = 'deep'"
        )
        return probed == count

    await daemon.until(are_probed, "a deep probe of everybody")


async def _everything(daemon: RunningDaemon, connection: Any) -> dict[str, str]:
    """All that somebody may read, by where it is; the columns that hold keys apart."""
    found = {path: (await daemon.get(path))[1] for path in ("/metrics", "/readyz", "/healthz", "/")}
    tables = await connection.fetch(
        "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables"
        " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    )
    for table in tables:
        dumped = await connection.fetch(
            f"SELECT to_jsonb(one) - 'api_key' AS row FROM {table['name']} AS one"
        )
        found[table["name"]] = json.dumps([row["row"] for row in dumped])
    assert "monitor.results" in found
    process = psutil.Process(daemon.process.pid)
    # Its own environment is where an operator puts the encryption key; nobody else is handed it.
    found["arguments"] = " ".join(process.cmdline())
    for child in process.children(recursive=True):
        found[f"arguments of {child.pid}"] = " ".join(child.cmdline())
        found[f"environment of {child.pid}"] = json.dumps(child.environ())
    return found
