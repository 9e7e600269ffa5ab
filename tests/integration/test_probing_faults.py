"""Every fault a provider can play, on every kind of route, becomes the outcome it must."""

import logging
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from monitor.domain.outcome import Outcome, ProbeResult
from monitor.domain.target import ProbeKind, Target
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

POLICY = short_policy()

# Fault, outcome, HTTP status. The same on every route, whatever litellm makes of it.
FAULTS = [
    ("hang_headers", Outcome.TIMEOUT, None),
    ("slow_first_token", Outcome.TIMEOUT, 200),
    ("hang_stream", Outcome.TIMEOUT, 200),
    ("reset", Outcome.UNREACHABLE, None),
    ("garbage", Outcome.BAD_RESPONSE, None),
    ("redirect", Outcome.BAD_RESPONSE, 307),
    ("cut_stream", Outcome.BAD_RESPONSE, 200),
    ("no_finish", Outcome.BAD_RESPONSE, 200),
    ("error_in_stream", Outcome.BAD_RESPONSE, 200),
    ("error_200", Outcome.BAD_RESPONSE, 200),
    ("empty_200", Outcome.BAD_RESPONSE, 200),
    ("empty_stream", Outcome.BAD_RESPONSE, 200),
    ("wrong_type", Outcome.BAD_RESPONSE, 200),
    ("endless", Outcome.BAD_RESPONSE, 200),
    ("reasoning_only", Outcome.OK, 200),
    ("429", Outcome.RATE_LIMITED, 429),
    ("429_quota", Outcome.QUOTA_EXHAUSTED, 429),
    ("402", Outcome.QUOTA_EXHAUSTED, 402),
    ("400_quota", Outcome.QUOTA_EXHAUSTED, 400),
    ("401", Outcome.AUTH_FAILED, 401),
    ("echo_key", Outcome.AUTH_FAILED, 401),
    ("403_json", Outcome.AUTH_FAILED, 403),
    ("403_html", Outcome.BAD_RESPONSE, 403),
    ("404_model", Outcome.MODEL_MISSING, 404),
    ("404_html", Outcome.BAD_RESPONSE, 404),
    ("400_model", Outcome.MODEL_MISSING, 400),
    ("400_other", Outcome.PROBE_INVALID, 400),
    ("500", Outcome.SERVER_ERROR, 500),
    ("503", Outcome.SERVER_ERROR, 503),
    ("503_loading", Outcome.STARTING, 503),
    ("529", Outcome.SERVER_ERROR, 529),
]
ROUTES = ["vllm", "ollama", "openrouter", "anthropic", "google", "cohere"]
SLOW = {"hang_headers", "slow_first_token", "hang_stream"}  # each waits for a deadline: two routes show it
CASES = [
    (route, *case)
    for case in FAULTS
    for route in ROUTES
    if not (case[0] in SLOW and route not in {"ollama", "anthropic"})
    if (route, case[0]) != ("cohere", "no_finish")  # a whole answer has no stream to end
]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def prober() -> AsyncIterator[Prober]:
    async with running_prober() as prober:
        yield prober


@pytest_asyncio.fixture(loop_scope="module")
async def server() -> AsyncIterator[FaultServer]:
    async with FaultServer() as server:
        yield server


def target_on(route: str, server: FaultServer) -> Target:
    model = "vendor/m1" if route == "openrouter" else "m1"
    if route in {"vllm", "ollama"}:
        return server_target(route, server.url, model=model)
    suffix = "/v1beta" if route == "google" else ""
    return provider_target(route, server.url + suffix, model=model)


def assert_no_key(result: ProbeResult, caplog: pytest.LogCaptureFixture) -> None:
    seen = f"{result!r} {caplog.text} " + " ".join(str(record.__dict__) for record in caplog.records)
    assert PLANTED_KEY not in seen
    assert PLANTED_KEY[:12] not in seen
    assert PLANTED_KEY[-8:] not in seen


@pytest.mark.parametrize("route", ROUTES)
async def test_a_healthy_answer_passes_with_its_figures(
    route: str, prober: Prober, server: FaultServer
) -> None:
    result = await prober.probe(target_on(route, server), ProbeKind.DEEP, POLICY)
    assert result.outcome is Outcome.OK, result.detail
    assert result.detail == ""
    assert result.model in server.models
    assert result.latency_seconds is not None
    if route == "cohere":
        assert result.ttft_seconds is None
    else:
        assert result.ttft_seconds is not None
        assert 0 < result.ttft_seconds <= result.latency_seconds
    assert (result.tokens_in, result.tokens_out) == (5, 2)
    assert [one.key for one in server.deep_requests] == [PLANTED_KEY]


@pytest.mark.parametrize(("route", "fault", "outcome", "status"), CASES)
async def test_a_fault_becomes_its_outcome_in_one_request(
    route: str,
    fault: str,
    outcome: Outcome,
    status: int | None,
    prober: Prober,
    server: FaultServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with FaultServer() as elsewhere:
        server.redirect_to = elsewhere.url
        server.play(fault)
        began = time.monotonic()
        result = await prober.probe(target_on(route, server), ProbeKind.DEEP, POLICY)
        assert (
            time.monotonic() - began < 0.6 + 0.5 + 1
        )  # first token, stall, and the second it may outlive them
        assert elsewhere.seen == []
    assert result.outcome is outcome, result.detail
    assert result.http_status == status
    assert len(server.deep_requests) == 1
    assert len(result.detail) <= 300
    assert (result.detail == "") == (outcome is Outcome.OK)
    assert_no_key(result, caplog)
