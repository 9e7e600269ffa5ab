"""Probes that an application asks for, without litellm in its own process."""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from monitor.domain.outcome import Outcome
from monitor.domain.provider import ProviderRef
from monitor.integration import LLMProviderIntegration, probes
from monitor.keyring import Keyring, generate
from monitor.storage.address import Address
from tests.application_rows import ApplicationRows
from tests.daemon import running_daemon
from tests.fault_server import FaultServer
from tests.targets import PLANTED_KEY

SLOW = {"DEEP_INTERVAL": "600", "STANDBY_INTERVAL": "600", "RECHECK_INTERVAL": "600", "FALL_SPAN": "600"}
"""Nothing is probed but at the start and when somebody asks."""


@pytest.fixture
def rows(connection: Any) -> ApplicationRows:
    return ApplicationRows(connection)


@pytest.fixture
def manager(pool: Any) -> SimpleNamespace:
    return SimpleNamespace(pool=pool, keyring=Keyring(generate()))


def ref(name: str) -> ProviderRef:
    return ProviderRef.parse(name)


def children() -> Iterator[Path]:
    """Our own processes that probe."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                words = (folder / "cmdline").read_bytes()
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == os.getpid() and b"monitor.probing.child" in words:
                yield folder


async def test_without_a_daemon_a_process_of_its_own_probes(
    manager: SimpleNamespace, rows: ApplicationRows
) -> None:
    async with FaultServer(keys={PLANTED_KEY}) as server:
        good = await rows.add_server(
            "good", "openai-compatible", server.url, model_path="m1", api_key=PLANTED_KEY, use_for_chat=True
        )
        bad = await rows.add_server(
            "bad", "openai-compatible", server.url, model_path="m1", api_key="sk-wrong-key-55", enabled=False
        )
        await rows.change(bad, use_for_chat=True)
        found = await probes.test_row(manager, ref(good))
        assert (found.success, found.outcome) == (True, Outcome.OK), found.message
        assert "a usable answer from m1" in found.message
        assert server.deep_requests[0].key == PLANTED_KEY
        found = await probes.test_row(manager, ref(bad))
        assert (found.success, found.outcome) == (False, Outcome.AUTH_FAILED)
        assert "the key is refused" in found.message
        assert "sk-wrong" not in found.message
    assert (
        await probes.test_row(manager, ref("ai_server:99"))
    ).message == "ai_server:99: there is no such row"


async def test_a_hosted_key_is_really_tried(manager: SimpleNamespace, rows: ApplicationRows) -> None:
    """OpenRouter gives its list of models to anybody: that would be no test of a key."""
    async with FaultServer(keys={PLANTED_KEY}) as server:
        place = {"base_url": f"{server.url}/api/v1", "model": "vendor/m1"}
        good = await rows.add_key("openrouter", manager.keyring.seal(PLANTED_KEY).text, metadata=place)
        bad = await rows.add_key(
            "openrouter", manager.keyring.seal("sk-or-wrong-1234567").text, key_name="bad", metadata=place
        )
        closed = await rows.add_key("openai", Keyring(generate()).seal("x").text)
        nameless = await rows.add_key(
            "together", manager.keyring.seal(PLANTED_KEY).text, metadata={"base_url": f"{server.url}/v1"}
        )
        assert (await probes.test_row(manager, ref(good))).success
        found = await probes.test_row(manager, ref(bad))
        assert (found.success, found.outcome) == (False, Outcome.AUTH_FAILED)
        found = await probes.test_row(manager, ref(closed))
        assert (found.success, found.outcome) == (False, Outcome.AUTH_FAILED)
        assert "MONITOR_OLD_ENCRYPTION_KEYS" in found.message
        assert nameless


async def test_the_key_is_in_no_argument_and_no_environment_and_nothing_stays(
    manager: SimpleNamespace, rows: ApplicationRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment-1")
    monkeypatch.setenv("BYOK_ENCRYPTION_KEY", generate())
    async with FaultServer() as server:
        server.play("hang_headers", scope="all")
        one = await rows.add_server(
            "one", "openai-compatible", server.url, model_path="m1", api_key=PLANTED_KEY, use_for_chat=True
        )
        asking = asyncio.create_task(probes.test_row(manager, ref(one)))
        async with asyncio.timeout(60):
            while not server.seen:  # noqa: ASYNC110 - another process does it
                await asyncio.sleep(0.05)
        (child,) = children()
        shown = (child / "cmdline").read_bytes() + (child / "environ").read_bytes()
        for secret in (PLANTED_KEY, "sk-of-the-environment-1", os.environ["BYOK_ENCRYPTION_KEY"]):
            assert secret.encode() not in shown
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert not list(children())


async def test_the_daemon_probes_what_it_is_asked_to(
    manager: SimpleNamespace, rows: ApplicationRows, database: Address
) -> None:
    async with FaultServer() as server:
        one = await rows.add_server(
            "one", "openai-compatible", server.url, model_path="m1", use_for_chat=True
        )
        two = await rows.add_server("two", "openai-compatible", server.url, model_path="m1")
        await rows.set_active("chat", one)
        async with running_daemon({"DATABASE_URL": database.describe()}, policy=SLOW) as daemon:
            await daemon.ready()
            await daemon.event("health_changed", target=f"{one}/chat", after="up", seconds=60)
            integration = LLMProviderIntegration(manager)
            config = await integration.get_active_llm_provider("chat")
            assert config is not None
            server.play("500")
            asked = len(server.deep_requests)
            success, message = await integration.test_provider(config)
            assert not success
            assert "error of its own" in message
            assert len(server.deep_requests) == asked + 1
            # It counts like any other.
            outcomes = [row["outcome"] for row in await rows.results(one)]
            assert outcomes[-1] == "server_error"
            server.play(None)
            together = await asyncio.gather(*(integration.test_provider(config) for _ in range(6)))
            assert [success for success, _ in together] == [True] * 6
            assert len(server.deep_requests) <= asked + 3
            # A server without a use has a light target: the free check answers.
            found = await probes.test_row(manager, ref(two))
            assert found.success
            assert "free check" in found.message
            for word in (
                "{",
                "[]",
                '{"provider": "x"}',
                json.dumps({"provider": "ai_server:99", "purpose": "chat"}),
            ):
                await rows.connection.execute("SELECT pg_notify('monitor_probe', $1)", word)
            assert (await integration.test_provider(config))[0]
            assert not list(children())
            await integration.close()


async def test_the_list_of_models(manager: SimpleNamespace, rows: ApplicationRows) -> None:
    async with FaultServer(models=["a", "b"], keys={PLANTED_KEY}) as server:
        one = await rows.add_server("one", "vllm", server.url, api_key=PLANTED_KEY)
        two = await rows.add_server("two", "vllm", server.url, api_key="wrong")
        three = await rows.add_server("three", "vllm", "http://127.0.0.1:1")
        four = await rows.add_server("four", "vllm", "ftp://127.0.0.1:1")
        assert await probes.list_models(manager, ref(one).id) == ["a", "b"]
        for other in (two, three, four):
            assert await probes.list_models(manager, ref(other).id) == []
        assert await probes.list_models(manager, 99) == []


async def test_the_model_of_a_server_that_names_none(manager: SimpleNamespace, rows: ApplicationRows) -> None:
    async with FaultServer(models=["the-only-one"]) as server:
        one = await rows.add_server("one", "llamacpp", server.url)
        await rows.set_active("chat", one)
        integration = LLMProviderIntegration(manager)
        config = await integration.get_active_llm_provider("chat")
        assert config is not None
        assert config.to_litellm_config()["model"] == "openai/the-only-one"
        await server.stop()
        integration.clear_cache()
        config = await integration.get_active_llm_provider("chat")
        assert config is not None
        assert config.to_litellm_config()["model"] is None
        assert config.to_litellm_config(model="x")["model"] == "openai/x"
        await integration.close()
