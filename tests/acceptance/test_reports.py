"""Two signals: an outage that traffic sees is left at once, and loud reports alone move nothing."""

import asyncio
from typing import Any

import httpx
import pytest

from monitor.storage.address import Address
from tests.acceptance.test_failover import add_server, serving, set_active
from tests.acceptance.test_replay import fit
from tests.command_line import environment, llm_monitor
from tests.daemon import running_daemon
from tests.fault_server import FaultServer
from tests.traffic import provider_process, traffic

POLICY = {"START_GRACE": "1"}
"""The default, but that nobody has to wait for a minute after the start."""
LITELLM_WARNS = pytest.mark.filterwarnings("ignore::Warning")


@LITELLM_WARNS
async def test_a_killed_primary_is_left_on_its_traffics_word_and_one_probe(
    database: Address, connection: Any
) -> None:
    env = {"DATABASE_URL": database.describe()}

    async def ask(*arguments: str) -> str:
        variables = {f"MONITOR_POLICY_{name}": value for name, value in POLICY.items()}
        answer = await llm_monitor(*arguments, env=environment(database, **variables))
        assert answer.code == 0, answer
        return answer.out

    async with provider_process() as primary, FaultServer() as fallback:
        one = await add_server(connection, "primary", primary.url, model_path="m1")
        two = await add_server(connection, "fallback", fallback.url, model_path="m1")
        await set_active(connection, "chat", one, two)
        async with running_daemon(env, policy=POLICY) as daemon:
            await daemon.ready()
            await fit(daemon, connection, one, two)
            await asyncio.sleep(1.2)  # the start's grace
            async with traffic(database, "chat") as application:
                await daemon.until(lambda: application.seen["passed"] > 5, "traffic")
                assert await connection.fetchval("SELECT count(*) FROM monitor.reports") == 0
                await primary.kill()
                await daemon.event("active_provider_changed", rule="fail_over", seconds=25)
                assert await serving(connection) == two
                failed = application.seen["failed"]
                passed = application.seen["passed"]
                await daemon.until(lambda: application.seen["passed"] > passed + 5, "traffic moved on")
            assert failed >= 5
            assert daemon.events("requests_fail")
            row = await connection.fetchrow("SELECT rule, reason, evidence FROM monitor.transitions")
            evidence = {str(one["kind"]): one for one in row["evidence"] if one["kind"] == "reports"}
            probes = [(one["provider_id"], one["outcome"]) for one in row["evidence"] if "id" in one]
            assert probes == [(one, "unreachable"), (two, "ok")]
            assert evidence["reports"]["failures"] >= 5
            assert evidence["reports"]["outcomes"] == {"unreachable": evidence["reports"]["failures"]}
            assert "requests failed" in row["reason"]
            assert "reported: " in await ask("history", "chat")
            assert "reported: " in await ask("explain", "chat")
            await daemon.stop()
        replayed = await ask("replay", "chat", "--since", "1h")
        assert "fail_over" in replayed


async def test_one_client_moves_nothing_however_loudly_it_reports(database: Address, connection: Any) -> None:
    env = {"DATABASE_URL": database.describe()}
    policy = {**POLICY, "RECHECK_INTERVAL": "2"}
    async with FaultServer() as primary, FaultServer() as fallback:
        one = await add_server(connection, "primary", primary.url, model_path="m1")
        two = await add_server(connection, "fallback", fallback.url, model_path="m1")
        await set_active(connection, "chat", one, two)
        async with running_daemon(env, policy=policy) as daemon:
            await daemon.ready()
            await fit(daemon, connection, one, two)
            async with traffic(database) as application:
                config = await application.integration.get_active_llm_provider("chat")
                assert config is not None
                before, told = len(primary.deep_requests), 0
                began = asyncio.get_running_loop().time()
                while asyncio.get_running_loop().time() - began < 8:
                    for _ in range(50):
                        application.integration.report_failure(config, httpx.ConnectError("no route"))
                    told += 50
                    await asyncio.sleep(0.02)
                took = asyncio.get_running_loop().time() - began
            assert told > 3000
            # Those brought forward, one of the interval of 30 s, and one that had begun before.
            assert 2 <= len(primary.deep_requests) - before <= took / 2 + 3
            assert await serving(connection) == one
            assert await connection.fetchval("SELECT count(*) FROM monitor.transitions") == 0
            assert (
                await connection.fetchval("SELECT state FROM monitor.healths WHERE provider_id = $1", one)
                == "up"
            )
            assert await connection.fetchval("SELECT count(*) FROM monitor.reports") < took * 10
            assert not daemon.events("health_changed")[2:]
            await daemon.stop()
