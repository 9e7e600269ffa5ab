"""Two real llama.cpp servers: one dies, hangs and comes back, and the application's table follows."""

from typing import Any

import pytest

from monitor.storage.address import Address
from tests.application_rows import ApplicationRows
from tests.daemon import QUICK_POLICY, RunningDaemon, running_daemon
from tests.llama_server import MODEL_NAME
from tests.providers import LlamaServer

# A real model takes its time, on a busy machine above all.
POLICY = QUICK_POLICY | {
    "DEEP_INTERVAL": "5",
    "STANDBY_INTERVAL": "5",
    "DOWN_INTERVAL": "2",
    "CONNECT_TIMEOUT": "2",
    "FIRST_TOKEN_TIMEOUT": "4",
    "TIMEOUT": "4.8",
    "HOLD": "1",
}


async def until_serving(daemon: RunningDaemon, rows: ApplicationRows, provider: str, seconds: float) -> None:
    async def serves() -> bool:
        return await rows.serving() == provider

    await daemon.until(serves, f"{provider} to serve", seconds)


@pytest.mark.timeout(240)
async def test_a_llamacpp_server_that_dies_or_hangs_is_left_and_returned_to(
    database: Address, connection: Any
) -> None:
    rows = ApplicationRows(connection)
    async with LlamaServer() as primary, LlamaServer() as fallback:
        # The first names no model: its only one is found in its list. The second is told in another manner.
        one = await rows.add_server("primary", "llamacpp", primary.url, use_for_chat=True)
        two = await rows.add_server(
            "fallback", "openai-compatible", f"{fallback.url}/v1/", model_path=MODEL_NAME, use_for_chat=True
        )
        await rows.set_active("chat", one, two)
        async with running_daemon({"DATABASE_URL": database.describe()}, policy=POLICY) as daemon:
            await daemon.ready()
            for provider in (one, two):
                await daemon.event("health_changed", seconds=40, target=f"{provider}/chat", after="up")
            await _both_are_recorded(daemon, rows, connection, one, two)

            await primary.kill()
            await until_serving(daemon, rows, two, 40)
            assert await rows.outcomes(one) - {"starting"} == {"ok", "unreachable"}
            await _move_is_recorded(daemon, rows, connection, one, two)

            await primary.start()
            await until_serving(daemon, rows, one, 40)

            primary.freeze()
            await until_serving(daemon, rows, two, 60)
            # It accepts connections and says nothing, about its slots neither: that is dead, not busy.
            # And while it loaded its model, it may have said so.
            assert await rows.outcomes(one) - {"starting"} == {"ok", "unreachable", "timeout"}
            primary.thaw()
            await until_serving(daemon, rows, one, 60)

            moves = [(row["rule"], row["to_name"]) for row in await rows.transitions()]
            assert moves == [("fail_over", "fallback"), ("fail_back", "primary")] * 2
            assert await daemon.stop() == 0


async def _both_are_recorded(
    daemon: RunningDaemon, rows: ApplicationRows, connection: Any, one: str, two: str
) -> None:
    async def stored() -> bool:
        words = await connection.fetch("SELECT health_status FROM ai_servers")
        return {row["health_status"] for row in words} == {"healthy"} and all(
            [await rows.outcomes(provider, kind) for provider in (one, two) for kind in ("deep", "light")]
        )

    await daemon.until(stored, "healthy in the application's table, and results of both kinds")
    for provider in (one, two):
        first = (await rows.results(provider))[0]
        assert first["outcome"] == "ok"
        assert first["model"] == MODEL_NAME
        assert 0 < first["ttft_seconds"] <= first["latency_seconds"] < 4.8
        assert await rows.outcomes(provider, "light") == {"ok"}
        kind, _, number = provider.partition(":")
        labels = f'provider_type="{kind}",provider_id="{number}"'
        assert await daemon.metric(f"llm_monitor_probe_ttft_seconds_sum{{{labels}") is not None
    # llama.cpp tells its tokens when asked; what is only "compatible" is not asked.
    first = (await rows.results(one))[0]
    assert first["tokens_in"] > 0
    assert 0 < first["tokens_out"] <= 8


async def _move_is_recorded(
    daemon: RunningDaemon, rows: ApplicationRows, connection: Any, one: str, two: str
) -> None:
    (move,) = await rows.transitions()
    assert (move["rule"], move["from_name"], move["to_name"]) == ("fail_over", "primary", "fallback")
    assert move["failure_began_at"] <= move["decided_at"] <= move["committed_at"]
    shown = [one["outcome"] for one in move["evidence"]]
    assert shown.count("unreachable") >= 3, "three failures of the one that was left"
    assert "ok" in shown, "and the pass of the one that serves now"
    (audit,) = await connection.fetch("SELECT * FROM llm_config_audit")
    assert (audit["action"], audit["user_id"]) == ("promote", "monitor")
    assert await connection.fetchval("SELECT fallback_provider_id FROM active_providers") == int(
        one.partition(":")[2]
    )

    async def counted() -> bool:
        return await daemon.metric('llm_monitor_transitions_total{purpose="chat",rule="fail_over"}') == 1

    await daemon.until(counted, "the move in /metrics")
    assert await daemon.metric('llm_monitor_failover_seconds_count{purpose="chat"}') == 1
    _, metrics = await daemon.get("/metrics")
    assert f'provider_id="{two.partition(":")[2]}"' in next(
        line for line in metrics.splitlines() if line.startswith("llm_monitor_active_provider{")
    )
