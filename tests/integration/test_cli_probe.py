"""`llm-monitor probe` and `verify` over a real database and a provider that plays faults."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from monitor.keyring import Keyring, generate
from monitor.storage.address import Address
from tests.application_rows import ApplicationRows
from tests.command_line import environment, llm_monitor
from tests.fault_server import FaultServer
from tests.targets import PLANTED_KEY

KEY = generate()
SEALED = Keyring(KEY).seal(PLANTED_KEY).text


@pytest.fixture
async def provider() -> AsyncIterator[FaultServer]:
    """A provider that accepts the planted key alone."""
    async with FaultServer(keys={PLANTED_KEY}) as server:
        yield server


@pytest.fixture
def rows(connection: Any) -> ApplicationRows:
    """The application's tables."""
    return ApplicationRows(connection)


async def test_probe_tells_a_good_answer_and_records_nothing(
    database: Address, connection: Any, rows: ApplicationRows, provider: FaultServer
) -> None:
    ref = await rows.add_key(
        "openai", SEALED, enabled=False, metadata={"base_url": provider.url, "model": "m1"}
    )
    answer = await llm_monitor("probe", ref, "--json", env=environment(database, BYOK_ENCRYPTION_KEY=KEY))
    assert answer.code == 0
    told = answer.json
    assert (told["outcome"], told["purpose"], told["kind"], told["model"]) == ("ok", "chat", "deep", "m1")
    assert told["latency_seconds"] > 0
    assert told["ttft_seconds"] > 0
    assert {one.key for one in provider.deep_requests} == {PLANTED_KEY}
    assert await connection.fetchval("SELECT count(*) FROM monitor.results") == 0
    assert await connection.fetchval("SELECT count(*) FROM monitor.healths") == 0


async def test_probe_tells_a_failure_in_words_and_never_the_key(
    database: Address, rows: ApplicationRows, provider: FaultServer
) -> None:
    provider.play("echo_key")
    ref = await rows.add_server("own", "vllm", provider.url, api_key=PLANTED_KEY, model_path="m1")
    answer = await llm_monitor("probe", ref, env=environment(database))
    assert answer.code == 1
    assert f"{ref} (own), chat, deep probe" in answer.out
    assert "****" in answer.out


async def test_a_light_probe_makes_no_request_that_costs(
    database: Address, rows: ApplicationRows, provider: FaultServer
) -> None:
    ref = await rows.add_server("own", "vllm", provider.url, api_key=PLANTED_KEY, model_path="m1")
    answer = await llm_monitor("probe", ref, "--kind", "light", env=environment(database))
    assert (answer.code, provider.deep_requests) == (0, [])


async def test_what_can_not_be_probed_is_a_refusal(database: Address, rows: ApplicationRows) -> None:
    bad = await rows.add_server("bad", "vlm", "http://127.0.0.1:1")
    sealed = await rows.add_key("openai", SEALED)
    env = environment(database)
    assert "known are: ai_server:" in (await llm_monitor("probe", "api_key:77", env=env)).refused()
    with_key = environment(database, BYOK_ENCRYPTION_KEY=KEY)
    assert "server_type is unknown" in (await llm_monitor("probe", bad, env=with_key)).refused()
    reranking = await llm_monitor("probe", sealed, "--purpose", "reranking", env=with_key)
    assert "serves no reranking" in reranking.refused()
    assert "BYOK_ENCRYPTION_KEY is not set" in (await llm_monitor("probe", sealed, env=env)).refused()


async def test_verify_passes_what_works_and_proves_it_with_a_request(
    database: Address, rows: ApplicationRows, provider: FaultServer
) -> None:
    one = await rows.add_server("own", "vllm", provider.url, api_key=PLANTED_KEY, model_path="m1")
    two = await rows.add_key("openai", SEALED)
    await rows.set_active("chat", one, two)
    env = environment(database, BYOK_ENCRYPTION_KEY=KEY, PYTHONIOENCODING="ascii")
    answer = await llm_monitor("verify", "--inference", env=env)
    assert answer.code == 0, answer
    assert "FAIL" not in answer.out
    assert f"ok   active: {one} (own) is enabled and its row can be read" in answer.out
    called = f"model=m1 custom_llm_provider=hosted_vllm api_base={provider.url}/v1 api_key=****"
    assert f"ok   active: litellm is called with {called}" in answer.out
    assert "ok   fallback: its key opens" in answer.out
    assert "ok   inference: a usable answer in" in answer.out
    assert len(provider.deep_requests) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE ai_servers SET enabled = false", "active: ai_server:1 (own) is disabled"),
        ("UPDATE ai_servers SET base_url = 'nowhere'", "base_url has to begin with http://"),
        ("DELETE FROM ai_servers", "active: ai_server:1: there is no such row"),
        ("UPDATE llm_api_keys SET enabled = false", "fallback: api_key:1 (openai/main) is disabled"),
        ("UPDATE active_providers SET fallback_provider_type = NULL", "no fallback"),
        (
            "UPDATE active_providers SET fallback_provider_type = 'ai_server'",
            "it is the active provider itself",
        ),
        ("DELETE FROM active_providers", "no purpose has an active provider"),
    ],
)
async def test_verify_names_what_would_fail(
    database: Address, connection: Any, rows: ApplicationRows, change: str, words: str
) -> None:
    one = await rows.add_server("own", "vllm", "http://127.0.0.1:1", model_path="m1")
    two = await rows.add_key("openai", SEALED)
    await rows.set_active("chat", one, two)
    await connection.execute(change)
    answer = await llm_monitor("verify", env=environment(database, BYOK_ENCRYPTION_KEY=KEY))
    assert answer.code == 1
    assert [words in line for line in answer.out.splitlines() if "✗" in line].count(True) == 1


async def test_verify_fails_for_one_key_that_does_not_open(database: Address, rows: ApplicationRows) -> None:
    one = await rows.add_key("openai", SEALED)
    two = await rows.add_key("groq", Keyring(generate()).seal(PLANTED_KEY).text)
    await rows.set_active("chat", one, two)
    answer = await llm_monitor("verify", "chat", env=environment(database, BYOK_ENCRYPTION_KEY=KEY))
    assert answer.code == 1
    assert "✗ fallback: the stored key opens with neither" in answer.out
    told = await llm_monitor("verify", "--json", env=environment(database, BYOK_ENCRYPTION_KEY=KEY))
    [chat] = told.json["purposes"]
    assert (told.code, chat["purpose"], chat["passed"]) == (1, "chat", False)
    [bad] = [check for check in chat["checks"] if check["good"] is False]
    assert bad["text"].startswith("fallback: the stored key opens with neither")


async def test_verify_does_not_let_embeddings_change_their_space(
    database: Address, rows: ApplicationRows
) -> None:
    one = await rows.add_server(
        "a", "vllm", "http://127.0.0.1:1", model_path="m", metadata={"embedding_space": "x"}
    )
    two = await rows.add_server(
        "b", "vllm", "http://127.0.0.1:2", model_path="m", metadata={"embedding_space": "y"}
    )
    await rows.set_active("embeddings", one, two)
    answer = await llm_monitor("verify", "embeddings", env=environment(database))
    assert answer.code == 1
    assert "✗ fallback: its vectors stand in another space" in answer.out
    await rows.change(two, metadata={"embedding_space": "x"})
    assert (await llm_monitor("verify", "embeddings", env=environment(database))).code == 0


async def test_verify_fails_for_a_purpose_without_a_provider(database: Address) -> None:
    answer = await llm_monitor("verify", "reranking", env=environment(database))
    assert answer.code == 1
    assert "✗ no active provider: write a row for reranking into active_providers" in answer.out
