"""An operator overrules a running daemon, one command each; what it then decided is decided again exactly."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from monitor.storage.address import Address
from tests.acceptance.test_failover import add_server, serving, set_active
from tests.acceptance.test_replay import fit
from tests.command_line import Answer, environment, llm_monitor
from tests.daemon import PATIENCE_SECONDS, QUICK_POLICY, RunningDaemon, running_daemon
from tests.fault_server import FaultServer

POLICY = {f"MONITOR_POLICY_{name}": value for name, value in QUICK_POLICY.items()}


HEARD_SECONDS = 10.0
"""At once, by a notice; without one it would take 15 s."""


class Duty:
    """A daemon over two servers, and the person on duty beside it."""

    def __init__(self, database: Address, connection: Any, daemon: RunningDaemon) -> None:
        self.database = database
        self.connection = connection
        self.daemon = daemon

    async def ask(self, *arguments: str, code: int = 0) -> Answer:
        answer = await llm_monitor(*arguments, env=environment(self.database, **POLICY))
        assert answer.code == code, answer
        return answer

    async def serves(self, wanted: int, seconds: float = PATIENCE_SECONDS) -> None:
        async def does() -> bool:
            return await serving(self.connection) == wanted

        await self.daemon.until(does, f"ai_server:{wanted} serves", seconds)

    async def taken(self) -> None:
        """Wait until the daemon has taken up everything that was done."""

        async def none_left() -> bool:
            left = await self.connection.fetchval(
                "SELECT count(*) FROM monitor.purposes WHERE act > act_taken"
            )
            return bool(left == 0)

        await self.daemon.until(none_left, "the acts are taken up", HEARD_SECONDS)

    async def probed(self, server: int, times: int) -> None:
        """Wait until a server has been probed so many times more."""

        async def count() -> int:
            found: int = await self.connection.fetchval(
                "SELECT count(*) FROM monitor.results WHERE provider_id = $1 AND kind = 'deep'", server
            )
            return found

        begin = await count()

        async def enough() -> bool:
            return await count() >= begin + times

        await self.daemon.until(enough, f"{times} probes of ai_server:{server}")

    async def metric(self, name: str, wanted: float) -> None:
        async def shows() -> bool:
            return await self.daemon.metric(f"llm_monitor_{name}") == wanted

        await self.daemon.until(shows, f"{name} {wanted}")

    async def replays(self, moves: int) -> None:
        replayed = await self.ask("replay", "chat", "--since", "1h", "--json")
        assert replayed.json["differences"] == []
        assert [one["reproduced"] for one in replayed.json["moves"]] == [True] * moves


@asynccontextmanager
async def on_duty(
    database: Address, connection: Any, primary: FaultServer, fallback: FaultServer
) -> AsyncIterator[Duty]:
    one = await add_server(connection, "primary", primary.url, model_path="m1")
    two = await add_server(connection, "fallback", fallback.url, model_path="m1")
    await set_active(connection, "chat", one, two)
    async with running_daemon({"DATABASE_URL": database.describe()}) as daemon:
        await daemon.ready()
        await fit(daemon, connection, one, two)
        yield Duty(database, connection, daemon)
        assert await daemon.stop() == 0


async def test_a_promotion_holds_the_return_until_it_is_taken_off(database: Address, connection: Any) -> None:
    async with (
        FaultServer() as primary,
        FaultServer() as fallback,
        on_duty(database, connection, primary, fallback) as duty,
    ):
        said = await duty.ask("promote", "chat", "fallback", "--reason", "a quiet night")
        assert not said.err
        assert await serving(connection) == 2
        await duty.taken()
        # Far longer than the hold: the preferred one is fit, and nothing returns.
        await duty.probed(1, 8)
        assert await serving(connection) == 2
        assert "promotion holds the return" in (await duty.ask("explain", "chat")).out
        status = (await duty.ask("status", "--json")).json["purposes"][0]
        assert (status["rule"], status["held"]) == ("promote", True)

        # One that is promoted and fails is left all the same, and stays left: the return is held.
        fallback.play("500")
        await duty.serves(1)
        await duty.ask("promote", "chat", "fallback", code=1)
        fallback.play(None)
        await fit(duty.daemon, connection, 1, 2)

        await duty.ask("candidates", "chat", "fallback", "primary")
        await duty.taken()
        await duty.probed(2, 4)
        assert await serving(connection) == 1
        await duty.ask("unpin", "chat")
        await duty.serves(2)
        moves = await connection.fetch("SELECT rule, to_provider_id FROM monitor.transitions ORDER BY id")
        assert [tuple(one) for one in moves] == [("promote", 2), ("fail_over", 1), ("fail_back", 2)]
        await duty.replays(2)

        history = (await duty.ask("history", "chat")).out
        assert "promoted fallback (ai_server:2) over primary (ai_server:1)" in history
        assert "a quiet night" in history
        assert "set the order" in history


async def test_a_pin_holds_while_the_pinned_one_is_dead_and_ends_by_itself(
    database: Address, connection: Any
) -> None:
    async with (
        FaultServer() as primary,
        FaultServer() as fallback,
        on_duty(database, connection, primary, fallback) as duty,
    ):
        await duty.ask("pin", "chat", "primary")
        await duty.metric('purpose_pinned{purpose="chat"}', 1)
        primary.play("500")
        alarm = await duty.daemon.event("pinned_one_unfit", purpose="chat")
        assert "although it" in alarm["reason"]
        await duty.daemon.event("health_changed", target="ai_server:1/chat", after="down")
        status = await duty.ask("status", code=1)
        assert "chat is pinned to ai_server:1 (primary), which is not fit to serve" in status.out
        assert await serving(connection) == 1
        assert await connection.fetchval("SELECT count(*) FROM monitor.transitions") == 0
        await duty.ask("pin", "chat", "primary", "--for", "4s", "--force")
        # Nobody does anything more: the end is noticed, and what was held back happens.
        await duty.serves(2)
        await duty.metric('purpose_pinned{purpose="chat"}', 0)
        moved = await connection.fetchrow("SELECT rule, decided_at FROM monitor.transitions")
        ended = await connection.fetchval("SELECT pinned_until FROM monitor.purposes")
        assert moved["rule"] == "fail_over"
        assert (moved["decided_at"] - ended).total_seconds() >= 0
        await duty.replays(1)


async def test_nothing_moves_while_a_purpose_is_paused(database: Address, connection: Any) -> None:
    async with (
        FaultServer() as primary,
        FaultServer() as fallback,
        on_duty(database, connection, primary, fallback) as duty,
    ):
        await duty.ask("pause", "chat", "--reason", "we move the rack")
        await duty.metric('purpose_paused{purpose="chat"}', 1)
        primary.play("500")
        await duty.daemon.event("health_changed", target="ai_server:1/chat", after="down")
        await duty.probed(1, 4)
        assert await serving(connection) == 1
        assert "paused" in (await duty.ask("status", code=1)).out
        await duty.ask("resume", "chat")
        await duty.serves(2)
        await duty.metric('purpose_paused{purpose="chat"}', 0)
        await duty.replays(1)


@pytest.mark.parametrize("ends", ["by itself", "by hand"])
async def test_a_maintenance_is_begun_and_ended_and_the_purpose_returns(
    database: Address, connection: Any, ends: str
) -> None:
    async with (
        FaultServer() as primary,
        FaultServer() as fallback,
        on_duty(database, connection, primary, fallback) as duty,
    ):
        begin = await connection.fetchval("SELECT (clock_timestamp() + '6 seconds')::text")
        end = ("--for", "8s") if ends == "by itself" else ()
        await duty.ask("maintenance", "primary", "--from", begin.replace(" ", "T"), *end)
        await duty.serves(2)
        await duty.daemon.event("maintenance_began", provider="ai_server:1")
        moved = await connection.fetchrow(
            "SELECT rule, reason, decided_at >= $1::text::timestamptz FROM monitor.transitions", begin
        )
        assert tuple(moved) == ("fail_over", "ai_server:1 is in maintenance", True)
        _, metrics = await duty.daemon.get("/metrics")
        away = [
            line for line in metrics.splitlines() if 'block="maintenance"' in line and line.endswith(" 1")
        ]
        assert len(away) == 1
        assert 'provider_id="1"' in away[0]
        status = await duty.ask("status")
        assert "maintenance" in status.out
        await duty.probed(1, 2)
        if ends == "by hand":
            await duty.ask("maintenance", "primary", "--end")
        await duty.daemon.event("maintenance_ended", provider="ai_server:1")
        ended = await connection.fetchval("SELECT ends_at FROM monitor.maintenance")
        await duty.serves(1)
        back = await connection.fetchrow("SELECT rule, decided_at FROM monitor.transitions ORDER BY id DESC")
        assert back["rule"] == "fail_back"
        assert (back["decided_at"] - ended).total_seconds() >= 3
        await duty.replays(2)
        history = (await duty.ask("history", "chat")).out
        assert "an operator took primary (ai_server:1) out of service from" in history


async def test_what_is_done_while_no_daemon_lives_is_taken_up_by_the_next(
    database: Address, connection: Any
) -> None:
    async with FaultServer() as primary, FaultServer() as fallback:
        async with on_duty(database, connection, primary, fallback) as duty:
            primary.play("500")
            await duty.serves(2)
            primary.play(None)
        alone = environment(database, **POLICY)
        for line in ("promote chat primary --force", "pause chat", "maintenance fallback"):
            answer = await llm_monitor(*line.split(), env=alone)
            assert answer.code == 0, answer
            assert "no daemon acts" in answer.err
        assert await serving(connection) == 1
        async with running_daemon({"DATABASE_URL": database.describe()}) as daemon:
            await daemon.ready()
            acted = await daemon.event("operator_acted", purpose="chat")
            assert (acted["paused"], acted["active"]) == (True, "ai_server:1")
            await daemon.event("maintenance_began", provider="ai_server:2")
            again = Duty(database, connection, daemon)
            await again.probed(1, 3)
            assert await serving(connection) == 1
            await again.replays(1)
            assert await daemon.stop() == 0
