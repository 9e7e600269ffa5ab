"""Purposes, addresses, models and keys on the way to a deep probe."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio

from monitor.domain.outcome import Outcome
from monitor.domain.provider import Purpose
from monitor.domain.target import ProbeKind, ProbeSettings
from monitor.probing.prober import Prober
from tests.fault_server import FaultServer
from tests.targets import (
    LITELLM_WARNS,
    PLANTED_KEY,
    provider_target,
    running_prober,
    server_target,
    short_policy,
)

pytestmark = [pytest.mark.asyncio(loop_scope="module"), *LITELLM_WARNS]

DEEP, LIGHT = ProbeKind.DEEP, ProbeKind.LIGHT
POLICY = short_policy(2.0)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def prober() -> AsyncIterator[Prober]:
    async with running_prober() as prober:
        yield prober


@pytest_asyncio.fixture(loop_scope="module")
async def server() -> AsyncIterator[FaultServer]:
    async with FaultServer() as server:
        yield server


@pytest.mark.parametrize("provider", ["vllm", "ollama", "llamacpp", "openai-compatible"])
async def test_servers_embed_with_our_client(provider: str, prober: Prober, server: FaultServer) -> None:
    target = server_target(provider, server.url, purpose=Purpose.EMBEDDINGS)
    result = await prober.probe(target, DEEP, POLICY)
    assert result.outcome is Outcome.OK, result.detail
    assert result.readings.embedding == (0.6, 0.8, 0.0)
    assert (result.tokens_in, result.tokens_out, result.ttft_seconds) == (9, None, None)
    assert len(server.deep_requests) == 1


@pytest.mark.parametrize(
    "provider", ["openrouter", "openai", "google", "cohere", "together", "fireworks", "mistral"]
)
async def test_providers_embed_with_our_client(provider: str, prober: Prober, server: FaultServer) -> None:
    target = provider_target(provider, server.url, model="vendor/m1", purpose=Purpose.EMBEDDINGS)
    result = await prober.probe(target, DEEP, POLICY)
    assert result.outcome is Outcome.OK, result.detail
    assert result.readings.embedding == (0.6, 0.8, 0.0)
    assert [one.key for one in server.deep_requests] == [PLANTED_KEY]


@pytest.mark.parametrize("provider", ["vllm", "llamacpp", "openai-compatible"])
async def test_servers_rerank_with_our_client(provider: str, prober: Prober, server: FaultServer) -> None:
    result = await prober.probe(server_target(provider, server.url, purpose=Purpose.RERANKING), DEEP, POLICY)
    assert result.outcome is Outcome.OK, result.detail
    assert len(server.deep_requests) == 1


@pytest.mark.parametrize("provider", ["cohere", "together", "fireworks"])
async def test_providers_rerank_with_our_client(provider: str, prober: Prober, server: FaultServer) -> None:
    target = provider_target(provider, server.url, purpose=Purpose.RERANKING)
    result = await prober.probe(target, DEEP, POLICY)
    assert result.outcome is Outcome.OK, result.detail
    assert [one.key for one in server.deep_requests] == [PLANTED_KEY]


@pytest.mark.parametrize("purpose", [Purpose.EMBEDDINGS, Purpose.RERANKING])
@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("hang_headers", Outcome.TIMEOUT),
        ("reset", Outcome.UNREACHABLE),
        ("401", Outcome.AUTH_FAILED),
        ("429_quota", Outcome.QUOTA_EXHAUSTED),
        ("404_model", Outcome.MODEL_MISSING),
        ("500", Outcome.SERVER_ERROR),
        ("empty_200", Outcome.BAD_RESPONSE),
        ("error_200", Outcome.BAD_RESPONSE),
        ("wrong_type", Outcome.BAD_RESPONSE),
    ],
)
async def test_the_other_purposes_fail_alike(
    purpose: Purpose, fault: str, outcome: Outcome, prober: Prober, server: FaultServer
) -> None:
    server.play(fault)
    result = await prober.probe(
        server_target("vllm", server.url, purpose=purpose), DEEP, short_policy(whole=1.0)
    )
    assert result.outcome is outcome, result.detail
    assert len(server.deep_requests) == 1


@pytest.mark.parametrize(
    "provider", ["groq", "mistral", "deepseek", "xai", "together", "fireworks", "openai"]
)
async def test_every_other_chat_route_reaches_its_target_alone(
    provider: str, prober: Prober, server: FaultServer
) -> None:
    result = await prober.probe(provider_target(provider, server.url, model="vendor/m1"), DEEP, POLICY)
    assert result.outcome is Outcome.OK, result.detail
    (asked,) = server.deep_requests
    assert asked.key == PLANTED_KEY
    assert str(asked.model).endswith("vendor/m1")


@pytest.mark.parametrize("written", ["", "/", "/v1", "/v1/"])
@pytest.mark.parametrize("provider", ["vllm", "ollama", "llamacpp", "openai-compatible"])
async def test_an_address_works_however_it_is_written(
    provider: str, written: str, prober: Prober, server: FaultServer
) -> None:
    target = server_target(provider, server.url + written)
    for kind in (DEEP, LIGHT):
        result = await prober.probe(target, kind, POLICY)
        assert result.outcome is Outcome.OK, result.detail


async def test_the_only_model_a_server_lists_is_asked_and_asked_again_after_a_404(
    prober: Prober, server: FaultServer
) -> None:
    server.models = ["first"]
    target = server_target("vllm", server.url, model=None, model_named=False)
    assert (await prober.probe(target, DEEP, POLICY)).model == "first"
    server.models = ["second"]
    gone = await prober.probe(target, DEEP, POLICY)
    assert (gone.outcome, gone.model) == (Outcome.PROBE_INVALID, "first")
    found = await prober.probe(target, DEEP, POLICY)
    assert (found.outcome, found.model) == (Outcome.OK, "second")


async def test_without_a_model_the_operator_is_told_to_name_one(prober: Prober, server: FaultServer) -> None:
    server.models = ["a", "b"]
    target = server_target("openai-compatible", server.url, model=None, model_named=False)
    result = await prober.probe(target, DEEP, POLICY)
    assert result.outcome is Outcome.PROBE_INVALID
    assert "metadata.model" in result.detail
    assert server.deep_requests == []


async def test_a_server_that_refuses_its_list_is_told_as_what_it_does(
    prober: Prober, server: FaultServer
) -> None:
    server.keys = {"another"}
    target = server_target("openai-compatible", server.url, model=None, model_named=False)
    assert (await prober.probe(target, DEEP, POLICY)).outcome is Outcome.AUTH_FAILED


async def test_the_model_to_probe_comes_before_the_one_that_is_served(
    prober: Prober, server: FaultServer
) -> None:
    server.models = ["m1", "probe-me"]
    target = server_target("vllm", server.url, probe=ProbeSettings(model="probe-me"))
    assert (await prober.probe(target, DEEP, POLICY)).model == "probe-me"


async def test_an_open_server_never_gets_a_key_of_the_environment(
    prober: Prober, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "HOSTED_VLLM_API_KEY", "OLLAMA_API_KEY", "OPENAI_LIKE_API_KEY"):
        monkeypatch.setenv(name, "sk-of-the-environment")
    for provider in ("vllm", "ollama", "llamacpp", "openai-compatible"):
        for kind in (DEEP, LIGHT):
            result = await prober.probe(server_target(provider, server.url, key=None), kind, POLICY)
            assert result.outcome is Outcome.OK, result.detail
    assert {one.key for one in server.seen} <= {None, "none"}


async def test_a_provider_without_its_key_or_its_purpose_is_not_called(
    prober: Prober, server: FaultServer
) -> None:
    keyless = await prober.probe(provider_target("openai", server.url, key=None), DEEP, POLICY)
    unserved = provider_target("anthropic", server.url, purpose=Purpose.RERANKING)
    assert keyless.outcome is Outcome.PROBE_INVALID
    assert (await prober.probe(unserved, DEEP, POLICY)).outcome is Outcome.PROBE_INVALID
    assert server.seen == []


async def test_a_model_that_is_not_loaded_gets_the_time_to_load(prober: Prober, server: FaultServer) -> None:
    server.play("slow_first_token", seconds=0.9)
    policy = short_policy(0.6)
    target = server_target("ollama", server.url)
    assert (await prober.probe(target, DEEP, policy)).outcome is Outcome.TIMEOUT
    server.loaded = []
    result = await prober.probe(target, DEEP, policy)
    assert result.outcome is Outcome.OK, result.detail
    assert result.ttft_seconds is not None
    assert result.ttft_seconds > 0.8


@pytest.mark.parametrize(("fault", "least", "most"), [("429_seconds", 7, 7), ("429_date", 80, 90)])
@pytest.mark.parametrize("provider", ["openai", "anthropic", "openrouter"])
async def test_the_wait_that_a_provider_asks_for_is_told(
    provider: str, fault: str, least: float, most: float, prober: Prober, server: FaultServer
) -> None:
    server.play(fault)
    result = await prober.probe(provider_target(provider, server.url, model="vendor/m1"), DEEP, POLICY)
    assert result.outcome is Outcome.RATE_LIMITED
    assert result.retry_after is not None
    assert least <= result.retry_after.total_seconds() <= most
    server.play("429")
    result = await prober.probe(provider_target(provider, server.url, model="vendor/m1"), DEEP, POLICY)
    assert (result.outcome, result.retry_after) == (Outcome.RATE_LIMITED, None)


async def test_a_rows_own_timeout_counts(prober: Prober, server: FaultServer) -> None:
    server.play("hang_headers")
    target = server_target("vllm", server.url, probe=ProbeSettings(timeout=timedelta(seconds=0.4)))
    result = await prober.probe(target, DEEP, POLICY)
    assert result.outcome is Outcome.TIMEOUT
    assert result.ended_at - result.started_at < timedelta(seconds=1.4)


@pytest.mark.parametrize("provider", ["vllm", "llamacpp"])
async def test_a_server_whose_counters_move_is_busy_and_not_down(
    provider: str, prober: Prober, server: FaultServer
) -> None:
    server.play("hang_headers")
    target = server_target(provider, server.url)
    assert (await prober.probe(target, DEEP, short_policy(0.6))).outcome is Outcome.TIMEOUT
    server.busy = True
    result = await prober.probe(target, DEEP, short_policy(0.6))
    assert result.outcome is Outcome.BUSY, result.detail
    assert result.ended_at - result.started_at < timedelta(seconds=1.6)


async def test_a_price_is_told_where_it_is_known_and_nowhere_else(
    prober: Prober, server: FaultServer
) -> None:
    server.models = ["claude-haiku-4-5", "m1"]
    priced = provider_target("anthropic", server.url, model="claude-haiku-4-5")
    assert (await prober.probe(priced, DEEP, POLICY)).cost_usd == pytest.approx(5 * 1e-6 + 2 * 5e-6)
    assert (await prober.probe(provider_target("anthropic", server.url), DEEP, POLICY)).cost_usd is None
    own = server_target("openai-compatible", server.url, model="claude-haiku-4-5")
    assert (await prober.probe(own, DEEP, POLICY)).cost_usd is None
