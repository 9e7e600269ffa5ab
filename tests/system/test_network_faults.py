"""What only a network can do: packets vanish, a firewall refuses, nobody knows a name, a cable is out."""

import os
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from monitor.storage.address import Address
from tests.application_rows import ApplicationRows
from tests.daemon import QUICK_POLICY, RunningDaemon, running_daemon
from tests.providers import LlmockServer
from tests.system.network import FarMachine, far_machine, install_tools

POLICY = QUICK_POLICY | {
    "DEEP_INTERVAL": "1.5",
    "STANDBY_INTERVAL": "1.5",
    "FIRST_TOKEN_TIMEOUT": "2",
    "STALL_TIMEOUT": "1.5",
    "TIMEOUT": "2.2",
}
MODEL = "gpt-4o-mini"


@pytest.fixture
def machine() -> Iterator[FarMachine]:
    if os.geteuid() != 0:
        pytest.skip("only root can make a network: lost packets and pulled cables stay untested")
    install_tools()
    with far_machine(3) as made:
        yield made


@pytest.mark.timeout(240)
async def test_every_way_a_network_fails_is_a_failure_and_its_end_is_noticed(
    machine: FarMachine, database: Address, connection: Any
) -> None:
    rows = ApplicationRows(connection)
    async with AsyncExitStack() as stack:
        providers: dict[str, str] = {}
        for name, address in zip(("dropped", "rejected", "sound"), machine.addresses, strict=True):
            server = await stack.enter_async_context(LlmockServer(host=address, through=machine.inside))
            providers[name] = await _add(rows, name, server.url)
        providers["nameless"] = await _add(rows, "nameless", "http://nobody.invalid:8080")
        await rows.set_active("chat", providers["dropped"], providers["sound"])
        daemon = await stack.enter_async_context(
            running_daemon({"DATABASE_URL": database.describe()}, policy=POLICY)
        )
        await daemon.ready()
        await _until(daemon, rows, providers, dropped="up", rejected="up", sound="up", nameless="down")
        assert await rows.outcomes(providers["nameless"]) == {"unreachable"}

        await machine.filter(machine.addresses[0], "DROP")
        await machine.filter(machine.addresses[1], "REJECT", "--reject-with", "tcp-reset")
        await _until(daemon, rows, providers, dropped="down", rejected="down", sound="up")
        await daemon.event("active_provider_changed", 20, rule="fail_over")
        assert await rows.serving() == providers["sound"]
        # A connection that stood goes silent; a new one is never made.
        assert await rows.outcomes(providers["dropped"]) <= {"ok", "timeout", "unreachable"}
        assert await rows.outcomes(providers["rejected"]) == {"ok", "unreachable"}
        assert await rows.outcomes(providers["sound"]) == {"ok"}

        await machine.unfilter()
        await _until(daemon, rows, providers, dropped="up", rejected="up", sound="up")
        await daemon.event("active_provider_changed", rule="fail_back")

        await machine.unplug()
        await _until(daemon, rows, providers, dropped="down", rejected="down", sound="down")
        await daemon.event("purpose_stranded", 20)
        await machine.plug()
        await _until(daemon, rows, providers, dropped="up", rejected="up", sound="up")

        async def is_served() -> bool:
            return await daemon.metric('llm_monitor_purpose_stranded{purpose="chat"}') == 0

        await daemon.until(is_served, "the end of the alarm, whoever answered first")
        assert await daemon.stop() == 0


async def _add(rows: ApplicationRows, name: str, url: str) -> str:
    return await rows.add_server(name, "openai-compatible", url, model_path=MODEL, use_for_chat=True)


async def _until(
    daemon: RunningDaemon, rows: ApplicationRows, providers: dict[str, str], **states: str
) -> None:
    async def all_are() -> bool:
        healths = {name: await rows.health(providers[name]) for name in states}
        return all(one is not None and one["state"] == states[name] for name, one in healths.items())

    await daemon.until(all_are, str(states))
