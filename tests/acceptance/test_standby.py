"""A second daemon on the same database waits, probes nothing, and takes over when the first goes."""

import signal
from typing import Any

import pytest

from monitor.storage.address import Address
from tests.application_rows import ApplicationRows
from tests.daemon import RunningDaemon, running_daemon
from tests.fault_server import FaultServer

TAKEN_OVER_SECONDS = 15.0
"""At once; a leader that was merely frozen would be waited for for 30 s."""


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
async def test_a_standby_waits_and_takes_over(
    end: signal.Signals, database: Address, connection: Any
) -> None:
    rows, environment = ApplicationRows(connection), {"DATABASE_URL": database.describe()}
    async with FaultServer() as server:
        one = await rows.add_server("one", "vllm", server.url, model_path="m1")
        await rows.set_active("chat", one)
        async with running_daemon(environment) as first, running_daemon(environment) as second:
            leader, standby = await _tell_apart(first, second)
            await leader.event("health_changed", target=f"{one}/chat", after="up")
            status, reasons = await standby.get("/readyz")
            assert status == 503
            assert "standby" in reasons
            assert (await standby.get("/healthz"))[0] == 200, "it is alive all the same"
            _, metrics = await standby.get("/metrics")
            assert "llm_monitor_probes_total" not in metrics

            async def has_its_store() -> bool:
                return await standby.metric("llm_monitor_store_up") == 1

            await standby.until(has_its_store, "a store that is up, or an alert would call for it")
            assert standby.events("target_started") == []
            assert await _roles(connection) == ["active", "standby"]

            code = await leader.stop(end)
            assert code == (0 if end is signal.SIGTERM else -signal.SIGKILL)
            asked = len(server.seen)
            await standby.ready(TAKEN_OVER_SECONDS)
            await standby.until(lambda: len(server.seen) > asked, "probes of the one that took over")
            assert (await standby.get("/readyz"))[0] == 200
            assert "active" in await _roles(connection)
            # What the first believed is not forgotten.
            assert standby.events("purpose_adopted") == []
            assert await standby.stop() == 0


async def _tell_apart(first: RunningDaemon, second: RunningDaemon) -> tuple[RunningDaemon, RunningDaemon]:
    """Which of the two leads; whichever was quicker."""

    def decided() -> bool:
        return any(one.events("leading") for one in (first, second)) and any(
            one.events("standing_by") for one in (first, second)
        )

    await first.until(decided, "one that leads and one that stands by")
    return (first, second) if first.events("leading") else (second, first)


async def _roles(connection: Any) -> list[str]:
    return [row["role"] for row in await connection.fetch("SELECT role FROM monitor.daemons ORDER BY role")]
