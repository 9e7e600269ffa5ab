"""Whatever is written into the application's tables is followed at once, and a bad row is told of."""

import asyncio
from typing import Any

from monitor.storage.address import Address
from tests.application_rows import ApplicationRows
from tests.daemon import running_daemon
from tests.fault_server import FaultServer

FOLLOWED_SECONDS = 5.0
"""The promise is 2 s; without a notice it would take 15 s."""


async def test_rows_are_followed_as_they_change(database: Address, connection: Any) -> None:
    rows = ApplicationRows(connection)
    async with (
        FaultServer() as first,
        FaultServer() as second,
        running_daemon({"DATABASE_URL": database.describe()}) as daemon,
    ):
        await daemon.ready()
        server = await rows.add_server("one", "vllm", first.url, model_path="m1")
        # Without a purpose it is only looked at.
        await daemon.event("target_started", FOLLOWED_SECONDS, target=f"{server}/none")
        await rows.change(server, use_for_chat=True, use_for_embeddings=True)
        for purpose in ("chat", "embeddings"):
            await daemon.event("target_started", FOLLOWED_SECONDS, target=f"{server}/{purpose}")
            await daemon.event("health_changed", target=f"{server}/{purpose}", after="up")
        await daemon.event("target_stopped", FOLLOWED_SECONDS, target=f"{server}/none")

        await rows.change(server, base_url=second.url)
        await daemon.event("target_changed", FOLLOWED_SECONDS, target=f"{server}/chat")
        await daemon.until(lambda: bool(second.deep_requests), "a probe of the new address", FOLLOWED_SECONDS)
        await asyncio.sleep(0.5)  # what was under way when the row changed
        asked = len(first.seen)

        await rows.change(server, use_for_embeddings=False)
        await daemon.event("target_stopped", FOLLOWED_SECONDS, target=f"{server}/embeddings")
        await rows.change(server, enabled=False)
        await daemon.event("target_stopped", FOLLOWED_SECONDS, target=f"{server}/chat")
        _, metrics = await daemon.get("/metrics")
        assert "llm_monitor_provider_health{" not in metrics, "its series go with it"
        await asyncio.sleep(0.5)
        asked_second = len(second.seen)
        await asyncio.sleep(2.5)
        assert (len(first.seen), len(second.seen)) == (asked, asked_second), "nobody is asked any more"

        await rows.change(server, enabled=True)
        await daemon.until(
            lambda: len(second.seen) > asked_second, "a probe of the enabled one", FOLLOWED_SECONDS
        )
        await rows.delete(server)
        await daemon.until(
            lambda: (
                len([one for one in daemon.events("target_stopped") if one["target"] == f"{server}/chat"])
                == 2
            ),
            "the end of the deleted one",
            FOLLOWED_SECONDS,
        )
        assert await daemon.stop() == 0


async def test_an_operators_choice_by_sql_is_a_preference_at_once(database: Address, connection: Any) -> None:
    rows = ApplicationRows(connection)
    async with (
        FaultServer() as first,
        FaultServer() as second,
        running_daemon({"DATABASE_URL": database.describe()}) as daemon,
    ):
        one = await rows.add_server("one", "vllm", first.url, model_path="m1")
        two = await rows.add_server("two", "vllm", second.url, model_path="m1")
        await rows.set_active("chat", one, two)
        await daemon.ready()
        for provider in (one, two):
            await daemon.event("health_changed", target=f"{provider}/chat", after="up")
        await rows.set_active("chat", two, one)
        await daemon.event("operator_chose", FOLLOWED_SECONDS, purpose="chat")

        async def is_exported() -> bool:
            _, metrics = await daemon.get("/metrics")
            (sample,) = [
                line for line in metrics.splitlines() if line.startswith("llm_monitor_active_provider{")
            ]
            return f'provider_id="{two.partition(":")[2]}"' in sample

        await daemon.until(is_exported, "the choice in /metrics", FOLLOWED_SECONDS)
        # And it stays: the old order is no reason to return.
        await asyncio.sleep(5)
        assert await rows.serving() == two
        assert [row["rule"] for row in await rows.transitions() if row["rule"] == "fail_back"] == []


async def test_bad_rows_are_told_of_once_and_harm_nobody_else(database: Address, connection: Any) -> None:
    rows = ApplicationRows(connection)
    async with (
        FaultServer() as server,
        running_daemon({"DATABASE_URL": database.describe()}) as daemon,
    ):
        await daemon.ready()
        sound = await rows.add_server("sound", "vllm", server.url, model_path="m1", use_for_chat=True)
        bad = {
            await rows.add_server("no address", "vllm", "nonsense", use_for_chat=True): "base_url",
            await rows.add_server("credentials", "vllm", "http://me:hush-4711@127.0.0.1"): "credentials",
            await rows.add_server("unheard of", "mainframe", server.url): "server_type",
            await rows.add_server("list", "vllm", server.url, metadata=["x"]): "metadata is a list",
            await rows.add_server(
                "typing error", "vllm", server.url, metadata={"probe": {"intervall_seconds": 3}}
            ): "did you mean interval_seconds?",
            await rows.add_key("nobody", "gAAAAAxx"): "provider",
        }

        async def all_are_told() -> bool:
            return await daemon.metric("llm_monitor_config_problems") == len(bad)

        await daemon.until(all_are_told, "every problem in /metrics", FOLLOWED_SECONDS * 2)
        stored = {
            row["subject"]: row["message"]
            for row in await connection.fetch("SELECT subject, message FROM monitor.problems")
        }
        assert stored.keys() == bad.keys()
        for subject, word in bad.items():
            assert word in stored[subject]
            lines = [one for one in daemon.events("configuration_problem") if one["subject"] == subject]
            assert len(lines) == 1, "one line when it appears"
            assert word in lines[0]["problem"]
        assert "hush-4711" not in "\n".join(daemon.raw) + str(stored)
        await daemon.event("health_changed", target=f"{sound}/chat", after="up")

        for subject in bad:
            if subject.startswith("ai_server"):
                await rows.change(subject, base_url=server.url, server_type="vllm", metadata={})
            else:
                await rows.delete(subject)
        for subject in bad:
            await daemon.event("configuration_problem_solved", FOLLOWED_SECONDS, subject=subject)

        async def all_are_gone() -> bool:
            told = await connection.fetchval("SELECT count(*) FROM monitor.problems")
            return told == 0 and await daemon.metric("llm_monitor_config_problems") == 0

        await daemon.until(all_are_gone, "no problem left", FOLLOWED_SECONDS)
        assert len(daemon.events("configuration_problem_solved")) == len(bad), "one line when it goes"
        assert await daemon.stop() == 0
