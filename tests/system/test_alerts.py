"""An outage of a real daemon: from its probes to the message that wakes somebody, and to its end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from monitor.storage.address import Address
from tests.acceptance.test_failover import add_server, set_active
from tests.daemon import running_daemon
from tests.fault_server import FaultServer
from tests.system.prometheus import (
    Alertmanager,
    Prometheus,
    configuration,
    running_alertmanager,
    running_prometheus,
    until,
)
from tests.system.quick_rules import quick_routes, quick_rules

DIVISOR = 30
OUTAGE_SECONDS = 60
CONSEQUENCES = {"LLMProviderDown", "LLMErrorBudgetBurning"}


class Receiver:
    """A webhook; `heard` holds what was sent to it: the path, and the group as Alertmanager writes it."""

    def __init__(self) -> None:
        self.url = ""
        self.heard: list[tuple[str, dict[str, Any]]] = []

    async def take(self, request: web.Request) -> web.Response:
        self.heard.append((request.path, await request.json()))
        return web.Response()

    def alerts(self, path: str, name: str, status: str) -> list[dict[str, Any]]:
        """Alerts of a name and a status that came to a path."""
        return [
            alert
            for where, group in self.heard
            for alert in group["alerts"]
            if (where, alert["labels"]["alertname"], alert["status"]) == (path, name, status)
        ]


@asynccontextmanager
async def listening() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/{tail:.*}", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        receiver.url = f"http://{host}:{port}"
        yield receiver
    finally:
        await runner.cleanup()


def told_of(receiver: Receiver) -> set[tuple[str, str]]:
    """Every alert that somebody was told of, by name and path."""
    return {
        (alert["labels"]["alertname"], path) for path, group in receiver.heard for alert in group["alerts"]
    }


async def firing(prometheus: Prometheus) -> set[str]:
    return {one["labels"]["alertname"] for one in await prometheus.alerts() if one["state"] == "firing"}


async def suppressed(alertmanager: Alertmanager) -> dict[str, list[str]]:
    """Names of alerts that are not told, by what inhibits them."""
    found = await alertmanager.alerts()
    names = {one["fingerprint"]: one["labels"]["alertname"] for one in found}
    return {
        one["labels"]["alertname"]: [names[source] for source in one["status"]["inhibitedBy"]]
        for one in found
        if one["status"]["state"] == "suppressed"
    }


async def test_a_stranded_purpose_wakes_somebody_by_name_and_tells_when_it_is_over(
    database: Address, connection: Any, tmp_path: Path
) -> None:
    rules = await asyncio.to_thread(quick_rules, tmp_path, DIVISOR)
    async with FaultServer() as primary, FaultServer() as fallback, listening() as receiver:
        one = await add_server(connection, "gpu-1", primary.url, model_path="m1")
        two = await add_server(connection, "gpu-2", fallback.url, model_path="m1")
        await set_active(connection, "chat", one, two)
        routes = await asyncio.to_thread(quick_routes, receiver.url, DIVISOR)
        async with AsyncExitStack() as stack:
            daemon = await stack.enter_async_context(running_daemon({"DATABASE_URL": database.describe()}))
            for id_ in (one, two):
                await daemon.event("health_changed", target=f"ai_server:{id_}/chat", after="up", seconds=30)
            alertmanager = await stack.enter_async_context(running_alertmanager(routes, tmp_path))
            scraped = [daemon.url.removeprefix("http://")]
            config = configuration(scraped, rules=rules, alertmanager=alertmanager.url)
            prometheus = await stack.enter_async_context(running_prometheus(config, tmp_path))

            async def serves() -> bool:
                found = await prometheus.query("purpose:llm_monitor_serving:max")
                return [one["value"] for one in found] == [1]

            async def quiet() -> bool:
                return not await firing(prometheus)

            await until(serves, 30, "that chat is served")
            assert [rule["name"] for rule in await prometheus.rules() if rule["health"] == "err"] == []
            # Before its first scrape, some seconds after its start, Prometheus sees no daemon.
            await until(quiet, 30, "that nothing fires")
            assert {name for name, _ in told_of(receiver)} <= {"LLMMonitorAbsent"}

            primary.play("500")
            fallback.play("500")
            await daemon.event("purpose_stranded", seconds=30)

            async def woken() -> list[dict[str, Any]]:
                return receiver.alerts("/night", "LLMPurposeStranded", "firing")

            told = (await until(woken, OUTAGE_SECONDS, "a message about the stranded purpose"))[0]
            assert told["annotations"]["summary"] == "Nobody is fit to serve chat; gpu-1 is still named"
            assert told["annotations"]["runbook_url"].endswith("/runbooks/purpose-stranded.md")
            assert told["labels"] | {"severity": "critical", "name": "gpu-1"} == told["labels"]
            assert told["labels"] | {"provider_type": "ai_server", "provider_id": str(one)} == told["labels"]

            async def inhibited() -> bool:
                return (await suppressed(alertmanager)).keys() >= CONSEQUENCES

            await until(inhibited, OUTAGE_SECONDS, "inhibition of what follows from it")
            for name in CONSEQUENCES:
                assert set((await suppressed(alertmanager))[name]) <= {
                    "LLMPurposeStranded",
                    "LLMErrorBudgetBurning",
                }
                for path in ("/night", "/day", "/log"):
                    assert receiver.alerts(path, name, "firing") == []

            primary.play(None)
            await daemon.event("purpose_relieved", seconds=30)

            async def over() -> list[dict[str, Any]]:
                return receiver.alerts("/night", "LLMPurposeStranded", "resolved")

            ended = (await until(over, OUTAGE_SECONDS, "a message that it is over"))[0]
            assert ended["labels"] == told["labels"]
            assert [rule["name"] for rule in await prometheus.rules() if rule["health"] == "err"] == []
