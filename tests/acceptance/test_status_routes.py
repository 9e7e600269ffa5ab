"""What the HTTP door says of a failover, beside what the command line says."""

from typing import Any

import aiohttp

from monitor.domain.access import TokenRole
from monitor.storage.address import Address
from monitor.storage.tokens import create_token
from tests.acceptance.test_failover import add_server, set_active
from tests.command_line import environment, llm_monitor
from tests.daemon import running_daemon
from tests.fault_server import FaultServer


async def test_a_failover_is_told_as_the_command_line_tells_it(database: Address, connection: Any) -> None:
    made = await create_token(connection, name="t", role=TokenRole.VIEWER, lifetime=None, by="x")
    async with FaultServer() as primary, FaultServer() as fallback:
        one = await add_server(connection, "primary", primary.url, model_path="m1")
        two = await add_server(connection, "fallback", fallback.url, model_path="m1")
        await set_active(connection, "chat", one, two)
        async with running_daemon({"DATABASE_URL": database.describe()}) as daemon:
            await daemon.ready()
            for id_ in (one, two):
                await daemon.event("health_changed", target=f"ai_server:{id_}/chat", after="up")
            headers = {"authorization": f"Bearer {made.text}"}
            async with aiohttp.ClientSession(daemon.url, headers=headers) as session:

                async def get(path: str) -> Any:
                    async with session.get(f"/api/v1/monitor{path}") as answer:
                        assert answer.status == 200
                        return await answer.json()

                async def stored() -> bool:
                    return bool((await get("/purposes/chat"))["health"] == "healthy")

                await daemon.until(stored, "the belief")
                calm = await get("/purposes/chat")
                assert (calm["active"]["provider"], calm["decision"]["rule"]) == (f"ai_server:{one}", "hold")

                primary.play("500")
                await daemon.event("active_provider_changed", rule="fail_over")
                shown = await get("/purposes/chat")
                explained = await llm_monitor("explain", "chat", "--json", env=environment(database))
                told = explained.json
                for name in ("active", "rule", "reason", "since"):
                    assert str(shown[name]).replace("Z", "+00:00") == str(told[name]), name
                assert shown["evidence"] == told["evidence"]
                assert (shown["rule"], shown["generation"], shown["health"]) == ("fail_over", 2, "healthy")
                for here, there in zip(shown["candidates"], told["candidates"], strict=True):
                    same = ("provider", "name", "place", "serves", "eligible")
                    assert [here[name] for name in same] == [there[name] for name in same]
                assert [one["eligible"] for one in shown["candidates"]] == [False, True]

                happened = await get("/purposes/chat/events")
                assert [one["what"] for one in happened["events"]] == ["fail_over", "adopted"]
                assert happened["events"][0]["results"] == shown["evidence"]
                page = await get("/purposes/chat/events?limit=1")
                assert [one["what"] for one in page["events"]] == ["fail_over"]
                rest = await get(f"/purposes/chat/events?before={page['next_before']}")
                assert [one["what"] for one in rest["events"]] == ["adopted"]
                assert rest["next_before"] is None

                providers = {one["provider"]: one for one in (await get("/providers"))["providers"]}
                assert providers[f"ai_server:{two}"]["serves"] == ["chat"]
                target = providers[f"ai_server:{one}"]["targets"][0]
                assert target["state"] == "down"

                async def summed() -> bool:
                    days = [
                        day
                        for target in (await get(f"/providers/ai_server/{one}/days"))["targets"]
                        for day in target["days"]
                    ]
                    failed = sum(day["outcomes"].get("server_error", 0) for day in days)
                    return bool(failed >= 3 and sum(day["down_seconds"] for day in days) >= 60)

                await daemon.until(summed, "the failures in the sums")
                # What was believed holds in the sums as long as the belief does.
                holds = await connection.fetchval(
                    "SELECT max(reach_seconds) FROM monitor.results WHERE provider_id = $1 AND outcome = 'ok'"
                    " AND kind = 'deep'",
                    one,
                )
                assert 8 <= holds < 12, (
                    "three intervals of a second, six for the timeout, and the probe itself"
                )
                served = (await get("/purposes/chat"))["uptime"]["24h"]
                assert served["share"] is not None
                assert served["covered_seconds"] >= 60
