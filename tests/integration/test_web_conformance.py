"""Requests that the daemon's OpenAPI document allows, and ones it does not, with an administrator's token."""

import asyncio
import sys
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from monitor.domain.access import TokenRole
from monitor.doors import Doors
from monitor.keyring import Keyring, generate
from monitor.metrics import Metrics
from monitor.settings import Settings
from monitor.storage.address import Address
from monitor.storage.tokens import create_token
from monitor.web.throttle import Throttle
from tests.daemon import free_port
from tests.still_daemon import StillDaemon

SEED = "20260304"
EXAMPLES = "4"
SECONDS = 170
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "ignored_auth",
)
LEFT_OUT = "/stream$|/logout$|/test$|/models$"
"""What never ends, and what asks the addresses that it was given."""


def doors(folder: Path) -> Doors:
    settings = Settings(data_dir=folder, port=free_port())
    return Doors(settings, StillDaemon(), Metrics(version="1"), lambda: datetime.now(UTC))


async def test_no_request_meets_an_error_of_ours_or_one_that_is_not_documented(
    database: Address, connection: Any, tmp_path: Path
) -> None:
    made = await create_token(connection, name="t", role=TokenRole.ADMIN, lifetime=None, by="x")
    await connection.execute(
        "INSERT INTO ai_servers (name, server_type, base_url) VALUES ('gpu', 'vllm', 'http://127.0.0.1:1')"
    )
    opened = doors(tmp_path)
    # Every wrong token meets an empty bucket: what is asked here is whether it is refused.
    opened._entrance.throttle = Throttle(map(float, count(0, 60)).__next__)
    await opened.open()
    try:
        await opened.database_found(database, Keyring(generate()))
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("schemathesis")),
            *("run", f"{opened.url}/api/v1/openapi.json"),
            *("--header", f"Authorization: Bearer {made.text}", "--seed", SEED),
            *(
                "--phases",
                "examples,coverage,fuzzing",
                "--max-examples",
                EXAMPLES,
                "--generation-database",
                "none",
                "--no-color",
            ),
            *("--checks", ",".join(CHECKS), "--continue-on-failure", "--suppress-health-check", "all"),
            *("--exclude-path-regex", LEFT_OUT, "--warnings", "off"),
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
    finally:
        await opened.close()
    assert process.returncode == 0, output.decode()[-6000:]
