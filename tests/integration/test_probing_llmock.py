"""The catalog's routes against the APIs as other people play them."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from monitor.domain.outcome import Outcome
from monitor.domain.policy import Policy
from monitor.domain.provider import Purpose
from monitor.domain.target import ProbeKind, Target
from monitor.probing.prober import Prober
from tests.providers import LlmockServer, failing
from tests.targets import LITELLM_WARNS, provider_target, running_prober

pytestmark = [pytest.mark.asyncio(loop_scope="module"), *LITELLM_WARNS]

DEEP, LIGHT = ProbeKind.DEEP, ProbeKind.LIGHT
ROUTES = [
    ("openai", "/v1", "gpt-4o-mini"),
    ("anthropic", "/anthropic", "claude-haiku-4-5"),
    ("google", "/gemini/v1beta", "gemini-2.5-flash"),
    ("cohere", "/cohere", "command-r7b-12-2024"),
    ("mistral", "/mistral/v1", "ministral-3b-latest"),
    ("together", "/together/v1", "openai/gpt-oss-120b"),
    ("groq", "/groq/openai/v1", "openai/gpt-oss-20b"),
    ("xai", "/xai/v1", "grok-4.20-non-reasoning"),
]
LISTING = [route for route in ROUTES if route[0] != "cohere"]  # llmock has no list of Cohere's models


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def prober() -> AsyncIterator[Prober]:
    async with running_prober() as prober:
        yield prober


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def llmock() -> AsyncIterator[LlmockServer]:
    async with LlmockServer() as server:
        yield server


def on(llmock: LlmockServer, route: tuple[str, str, str], purpose: Purpose = Purpose.CHAT) -> Target:
    provider, path, model = route
    return provider_target(provider, llmock.url + path, model=model, purpose=purpose)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: str(route[0]))
async def test_a_chat_passes(route: tuple[str, str, str], prober: Prober, llmock: LlmockServer) -> None:
    result = await prober.probe(on(llmock, route), DEEP, Policy())
    assert result.outcome is Outcome.OK, result.detail
    assert (result.ttft_seconds is None) == (route[0] == "cohere")


@pytest.mark.parametrize(
    "route", [one for one in ROUTES if one[0] != "cohere"], ids=lambda route: str(route[0])
)
async def test_a_light_probe_passes(
    route: tuple[str, str, str], prober: Prober, llmock: LlmockServer
) -> None:
    result = await prober.probe(on(llmock, route), LIGHT, Policy())
    assert result.outcome is Outcome.OK, result.detail


async def test_an_embedding_passes(prober: Prober, llmock: LlmockServer) -> None:
    route = ("openai", "/v1", "text-embedding-3-small")
    result = await prober.probe(on(llmock, route, Purpose.EMBEDDINGS), DEEP, Policy())
    assert result.outcome is Outcome.OK, result.detail
    assert result.readings.embedding is not None
    assert result.cost_usd is not None


@pytest.mark.parametrize(("status", "outcome"), [(500, Outcome.SERVER_ERROR), (429, Outcome.RATE_LIMITED)])
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: str(route[0]))
async def test_a_scripted_refusal_is_told_apart(
    route: tuple[str, str, str], status: int, outcome: Outcome, prober: Prober, llmock: LlmockServer
) -> None:
    await llmock.script(failing(status, "*"))
    try:
        result = await prober.probe(on(llmock, route), DEEP, Policy())
    finally:
        await llmock.unscript()
    assert result.outcome is outcome, result.detail


@pytest.mark.parametrize(
    "route",
    [one for one in ROUTES if one[0] in {"openai", "anthropic", "google"}],
    ids=lambda route: str(route[0]),
)
async def test_a_truncated_stream_is_no_answer(
    route: tuple[str, str, str], prober: Prober, llmock: LlmockServer
) -> None:
    await llmock.script({"type": "stream_fault", "kind": "truncate", "after_chunks": 2, "times": None})
    try:
        result = await prober.probe(on(llmock, route), DEEP, Policy())
    finally:
        await llmock.unscript()
    assert result.outcome is Outcome.BAD_RESPONSE, result
