"""A daemon lives through a bad day, and everything that it decided is decided again from its record."""

import signal
from datetime import datetime
from typing import Any

from monitor.storage.address import Address
from tests.acceptance.test_failover import add_server, serving, set_active
from tests.command_line import Answer, environment, llm_monitor
from tests.daemon import QUICK_POLICY, RunningDaemon, running_daemon
from tests.fault_server import FaultServer
from tests.targets import PLANTED_KEY

POLICY = {f"MONITOR_POLICY_{name}": value for name, value in QUICK_POLICY.items()}


async def moved(daemon: RunningDaemon, connection: Any, rule: str, onto: int) -> None:
    """Wait for a move, and see it where the application looks."""
    await daemon.event("active_provider_changed", seconds=40, rule=rule)
    assert await serving(connection) == onto


async def fit(daemon: RunningDaemon, connection: Any, *ids: int) -> None:
    """Wait until the purpose may be moved onto these."""

    async def stored() -> bool:
        rows = await connection.fetch(
            "SELECT provider_id FROM monitor.healths WHERE purpose = 'chat' AND eligible"
        )
        return {row[0] for row in rows} >= set(ids)

    await daemon.until(stored, f"{ids} eligible")


async def test_what_a_daemon_decided_is_decided_again_exactly(database: Address, connection: Any) -> None:
    env = {"DATABASE_URL": database.describe()}

    async def ask(*arguments: str) -> Answer:
        return await llm_monitor(*arguments, env=environment(database, **POLICY))

    async with FaultServer() as primary, FaultServer() as fallback:
        one = await add_server(connection, "primary", primary.url, model_path="m1", api_key=PLANTED_KEY)
        two = await add_server(connection, "fallback", fallback.url, model_path="m1", api_key=PLANTED_KEY)
        await set_active(connection, "chat", one, two)
        async with running_daemon(env) as daemon:
            await daemon.ready()
            await fit(daemon, connection, one, two)
            primary.play("500")
            await moved(daemon, connection, "fail_over", two)
            at_the_fallback: datetime = await connection.fetchval("SELECT clock_timestamp()")
            primary.play(None)
            await moved(daemon, connection, "fail_back", one)
            primary.play("500")
            fallback.play("500")
            await daemon.event("purpose_stranded", purpose="chat", seconds=30)
            # Killed in the midst of it: its successor goes on from what is stored.
            await daemon.stop(signal.SIGKILL)
        primary.play(None)
        fallback.play(None)
        async with running_daemon(env) as daemon:
            await daemon.ready()
            await daemon.event("purpose_relieved", purpose="chat", seconds=30)
            await connection.execute(
                "UPDATE active_providers SET provider_id = $1, fallback_provider_id = $2", two, one
            )
            await daemon.event("operator_chose", purpose="chat")
            await fit(daemon, connection, one, two)
            await connection.execute("UPDATE ai_servers SET enabled = FALSE WHERE id = $1", two)
            await moved(daemon, connection, "fail_over", one)
            await connection.execute("UPDATE ai_servers SET enabled = TRUE WHERE id = $1", two)
            await moved(daemon, connection, "fail_back", two)

            replayed = await ask("replay", "chat", "--since", "1h", "--json")
            assert replayed.code == 0, replayed
            rules = [(move["rule"], move["reproduced"]) for move in replayed.json["moves"]]
            assert rules == [(rule, True) for rule in ("fail_over", "fail_back", "fail_over", "fail_back")]
            assert replayed.json["differences"] == []
            assert replayed.json["replayed"] == replayed.json["recorded"]
            assert replayed.json["recorded"]["switches"] == 4
            assert replayed.json["recorded"]["stranded_seconds"] > 0
            assert replayed.json["recorded"]["sick_seconds"] > 1
            assert "4 of 4 recorded moves are decided again alike" in (await ask("replay", "chat")).out

            other = await ask("replay", "chat", "--since", "1h", "--set", "failback=never", "--json")
            assert other.code == 0
            assert [move["reproduced"] for move in other.json["moves"]][:2] == [True, False]
            assert "failback was auto and is never" in other.json["policy"]
            assert "fail_back" not in [move["rule"] for move in other.json["only_replayed"]]
            without = await llm_monitor(
                "replay", "chat", env=environment(database, **POLICY, MONITOR_POLICY_FALL="9")
            )
            assert without.code == 1
            assert "fall was 3 and is 9" in without.out
            assert (await ask("replay", "chat", "--set", "fal=2")).refused().endswith("did you mean fall?")

            history = await ask("history", "chat")
            assert history.code == 0
            said = [line["what"] for line in (await ask("history", "chat", "--json")).json["events"]]
            for word in ("adopted", "fail_over", "fail_back", "stranded", "operator", "gone", "back"):
                assert word in said, history
            assert f"an operator chose fallback (ai_server:{two})" in history.out
            assert f"fallback (ai_server:{two}) was deleted or disabled" in history.out
            assert "server_error" in history.out

            now = await ask("explain", "chat")
            assert now.code == 0
            assert f"fallback (ai_server:{two}) serves since" in now.out
            assert "by the rule fail_back" in now.out
            assert "3 more failures of fallback" in now.out
            assert f"then primary (ai_server:{one}) takes over once it passes a probe" in now.out
            then = await ask("explain", "chat", "--at", at_the_fallback.isoformat(), "--json")
            assert then.json["active"] == {"provider": f"ai_server:{two}", "name": "fallback"}
            assert then.json["rule"] == "fail_over"
            assert len(then.json["evidence"]) >= 4
            standing = {one["name"]: one for one in then.json["candidates"]}
            assert standing["primary"]["health"] == "down"
            assert standing["primary"]["obstacle"] == "is down"
            assert standing["fallback"]["serves"]
            assert any(sentence.startswith("fail_back: primary") for sentence in then.json["next"])
            before = await ask("explain", "chat", "--at", "2020-01-01")
            assert "nothing is noted" in before.refused()
            assert await daemon.stop() == 0

    kept = await connection.fetchval("SELECT string_agg(detail::text, '') FROM monitor.journal")
    assert PLANTED_KEY not in kept
