"""Requests that the OpenAPI document allows, and ones it does not, against the mounted routes."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from monitor.integration import LLMConfigManager
from monitor.storage.address import Address, connect
from monitor.web import WebServer
from tests.application_schema import ENCRYPTION_KEY, make, pool_of
from tests.managed import application

SEED = "20260304"
EXAMPLES = "8"
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "use_after_free",
)
SECONDS = 150


@asynccontextmanager
async def served(address: Address) -> AsyncIterator[str]:
    connection = await connect(address)
    await make(connection, "varchar")
    await connection.close()
    async with pool_of(address, "text") as pool:
        manager = LLMConfigManager(pool, ENCRYPTION_KEY)
        await manager.initialize_defaults()
        server = WebServer(application(manager), "127.0.0.1", 0)
        await server.start()
        try:
            yield f"http://127.0.0.1:{server.port}"
        finally:
            await server.stop()


async def test_no_request_meets_an_error_of_ours_or_one_that_is_not_documented(
    empty_database: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENROUTER_API_KEY", raising=False)
    async with served(empty_database) as url:
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("schemathesis")),
            *("run", f"{url}/openapi.json", "--header", "x-admin: alice", "--seed", SEED),
            *("--max-examples", EXAMPLES, "--generation-database", "none", "--no-color"),
            *("--checks", ",".join(CHECKS), "--continue-on-failure", "--suppress-health-check", "all"),
            *("--exclude-path-regex", "/test$", "--warnings", "off"),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(SECONDS):
                output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert process.returncode == 0, output.decode()[-6000:]
