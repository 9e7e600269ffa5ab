"""A key that the provider itself shouts back is nowhere in what the daemon says, stores or shows."""

import asyncio
import json
import secrets
from contextlib import AsyncExitStack
from typing import Any

import psutil
import pytest
from cryptography.fernet import Fernet

from monitor.keyring import Keyring
from monitor.storage.address import Address
from tests.application_rows import ApplicationRows
from tests.daemon import QUICK_POLICY, RunningDaemon, running_daemon
from tests.fault_server import FaultServer

POLICY = QUICK_POLICY | {"FIRST_TOKEN_TIMEOUT": "2", "STALL_TIMEOUT": "1", "TIMEOUT": "2"}
FAULTS = (
    *("echo_key", "redirect", "401", "403_html", "400_other", "404_model", "429_quota", "500", "error_200"),
    *("garbage", "cut_stream", "error_in_stream", "hang_headers", "wrong_type", "reset", "503_loading"),
)
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


@pytest.mark.timeout(180)
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
        for key in keys:
            await daemon.event("block_began", 40, target=f"{key}/chat", block="auth")
        await _until_all_probed(daemon, connection, len(FAULTS) + len(keys))
        await asyncio.sleep(3)

        # The keys did travel, or this would prove nothing.
        assert {one.key for one in shouting.seen} == {hosted}
        assert plain in {one.key for server in servers for one in server.seen}
        assert elsewhere.seen == []

        found = await _everything(daemon, connection)
        code = await daemon.stop()
        found["output"] = "\n".join(daemon.raw)
        assert code == 0
        for where, text in found.items():
            for planted in (hosted, plain, secret):
                for part in (planted, planted[:14], planted[-12:]):
                    assert part not in text, f"a part of a key in {where}"
        assert len(found["output"]) > 2000


async def _until_all_probed(daemon: RunningDaemon, connection: Any, count: int) -> None:
    async def are_probed() -> bool:
        probed: int = await connection.fetchval(
            "SELECT count(DISTINCT (provider_type, provider_id)) FROM monitor.results WHERE kind = 'deep'"
        )
        return probed == count

    await daemon.until(are_probed, 40, "a deep probe of everybody")


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
