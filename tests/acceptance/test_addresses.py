"""A metadata service's address is refused by the API, named where a row holds it, and allowed on request."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from monitor.domain.access import TokenRole
from monitor.storage.address import Address
from monitor.storage.tokens import create_token
from tests.application_rows import ApplicationRows
from tests.daemon import RunningDaemon, running_daemon

ADDRESS = "http://0xa9fea9fe/latest"


async def post(daemon: RunningDaemon, token: str, name: str) -> tuple[int, str]:
    server = {"name": name, "server_type": "vllm", "base_url": ADDRESS, "enabled": False}
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
        session.post(f"{daemon.url}/api/v1/llm-config/servers", json=server) as answer,
    ):
        return answer.status, await answer.text()


@pytest.mark.timeout(120)
async def test_a_metadata_address_is_refused_until_an_operator_allows_it(
    database: Address, connection: Any, tmp_path: Path
) -> None:
    token = (await create_token(connection, name="t", role=TokenRole.ADMIN, lifetime=None, by="t")).text
    row = await ApplicationRows(connection).add_server("old", "vllm", ADDRESS, model_path="m1")
    environment = {"DATABASE_URL": database.describe()}
    async with running_daemon(environment) as daemon:
        await daemon.ready()
        told = await daemon.event("configuration_problem", subject=row)
        assert "base_url is link-local or a cloud's metadata service" in told["problem"]
        status, text = await post(daemon, token, "new")
        assert status == 422
        assert "MONITOR_ALLOW_METADATA_ADDRESSES" in text
        assert await daemon.stop() == 0
    config = tmp_path / "monitor.toml"
    config.write_text("allow_metadata_addresses = true\n")
    async with running_daemon(environment, "--config", str(config)) as daemon:
        await daemon.ready()
        await daemon.event("target_started", target=f"{row}/none")
        assert not daemon.events("configuration_problem")
        assert (await post(daemon, token, "new"))[0] == 201
