"""The open routes, asked over HTTP at the server that the daemon runs."""

import asyncio
import gzip
import json
import logging
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp
import pytest
import pytest_asyncio
import structlog
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_plain

from monitor.domain.catalog import CatalogEntry
from monitor.domain.outcome import Outcome, ProbeResult, ResultId
from monitor.domain.target import (
    Network,
    ProbeKind,
    ProbeSettings,
    ProviderRef,
    ProviderType,
    Purpose,
    Target,
    TargetId,
)
from monitor.metrics import Metrics
from monitor.web import Role, WebServer, create_app, create_open_app
from tests.still_daemon import StillDaemon

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PATHS = ["/", "/metrics", "/healthz", "/readyz", "/api/v1/llm-config/health"]
OPENMETRICS = {"Accept": "application/openmetrics-text;version=1.0.0"}


@dataclass
class Daemon(StillDaemon):
    """A daemon that says what a test wants it to."""

    its_role: Role = "active"
    broken: bool = False

    def role(self) -> Role:
        if self.broken:
            raise RuntimeError("a defect with sk-secret in its text")
        return super().role()


@pytest.fixture
def daemon() -> Daemon:
    return Daemon()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(version="1.2.3")


@pytest_asyncio.fixture
async def client(daemon: Daemon, metrics: Metrics) -> AsyncIterator[aiohttp.ClientSession]:
    server = WebServer(create_app(daemon, metrics), "127.0.0.1", 0)
    await server.start()
    try:
        async with aiohttp.ClientSession(
            f"http://127.0.0.1:{server.port}", auto_decompress=False, headers={"Accept-Encoding": "identity"}
        ) as session:
            yield session
    finally:
        await server.stop()


def _target(number: int) -> Target:
    ref = ProviderRef(type=ProviderType.AI_SERVER, id=number)
    return Target(
        id=TargetId(provider=ref, purpose=Purpose.CHAT),
        name=f"server {number}",
        provider="vllm",
        entry=CatalogEntry(name="vllm", type=ProviderType.AI_SERVER, litellm_providers={}, models={}),
        base_url="http://127.0.0.1:1",
        model=None,
        model_named=False,
        key=None,
        network=Network.LOOPBACK,
        probe=ProbeSettings(),
        fingerprint="f",
    )


def _count(metrics: Metrics, target: Target) -> None:
    result = ProbeResult(
        id=ResultId("0"),
        target=target.id,
        fingerprint=target.fingerprint,
        kind=ProbeKind.DEEP,
        outcome=Outcome.OK,
        started_at=NOW,
        ended_at=NOW,
        latency_seconds=0.2,
        ttft_seconds=0.1,
    )
    metrics.observe_probe(target, result)


async def test_the_event_loop_turns(client: aiohttp.ClientSession) -> None:
    async with client.get("/healthz") as response:
        assert (response.status, await response.json()) == (200, {"status": "ok"})
        assert response.headers["cache-control"] == "no-store"
        assert "server" not in response.headers


@pytest.mark.parametrize(
    ("role", "reasons", "status", "answer"),
    [
        ("active", [], 200, {"status": "ready", "role": "active"}),
        (
            "active",
            ["the database does not answer"],
            503,
            {"status": "not ready", "role": "active", "reasons": ["the database does not answer"]},
        ),
        (
            "standby",
            [],
            503,
            {"status": "not ready", "role": "standby", "reasons": ["standby: another daemon holds the lock"]},
        ),
        (
            "starting",
            ["the schema is not current"],
            503,
            {
                "status": "not ready",
                "role": "starting",
                "reasons": ["starting: no probe is scheduled yet", "the schema is not current"],
            },
        ),
    ],
)
async def test_readiness_says_why_not(
    client: aiohttp.ClientSession, daemon: Daemon, role: Role, reasons: list[str], status: int, answer: object
) -> None:
    daemon.its_role, daemon.reasons = role, reasons
    async with client.get("/readyz") as response:
        assert (response.status, await response.json()) == (status, answer)


@pytest.mark.parametrize(
    ("healths", "status"),
    [
        ({}, "unknown"),
        ({Purpose.CHAT: "healthy", Purpose.RERANKING: "healthy"}, "healthy"),
        ({Purpose.CHAT: "healthy", Purpose.RERANKING: "unknown"}, "unknown"),
        ({Purpose.CHAT: "unknown", Purpose.RERANKING: "degraded"}, "degraded"),
        ({Purpose.CHAT: "down", Purpose.RERANKING: "degraded"}, "down"),
    ],
)
async def test_the_health_of_purposes_is_told_without_names(
    client: aiohttp.ClientSession, daemon: Daemon, healths: dict[Purpose, str], status: str
) -> None:
    daemon.healths = healths
    async with client.get("/api/v1/llm-config/health") as response:
        assert response.status == 200
        assert await response.json() == {"status": status, "service": "llm-monitor", "purposes": healths}


async def test_the_index_lists_what_there_is(client: aiohttp.ClientSession) -> None:
    async with client.get("/") as response:
        text = await response.text()
    assert [line.split()[0] for line in text.splitlines() if line.startswith("/")] == PATHS[1:]
    for path in PATHS:
        async with client.get(path) as response:
            assert response.status == 200, path


async def test_the_open_routes_may_have_an_address_of_their_own(daemon: Daemon, metrics: Metrics) -> None:
    server = WebServer(create_open_app(daemon, metrics), "0.0.0.0", 0)
    await server.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
            for path in PATHS:
                async with session.get(path, headers={"Host": "prometheus-sees-us-as.example"}) as response:
                    assert response.status == 200, path
    finally:
        await server.stop()


async def test_head_has_no_body(client: aiohttp.ClientSession) -> None:
    for path in PATHS:
        async with client.head(path) as response:
            assert response.status == 200, path
            assert int(response.headers["content-length"]) > 0, path
            assert await response.read() == b""
    async with client.get("/healthz") as response:  # the connection is in step
        assert response.status == 200


async def test_any_other_path_is_not_found(client: aiohttp.ClientSession) -> None:
    for path in ("/nothing", "/metrics/", "/docs", "/redoc", "/openapi.json"):
        async with client.get(path, allow_redirects=False) as response:
            assert (response.status, await response.json()) == (404, {"detail": "Not Found"}), path


async def test_nothing_is_written_through_an_open_route(client: aiohttp.ClientSession) -> None:
    async with client.post("/readyz", json={}) as response:
        assert (response.status, await response.json()) == (405, {"detail": "Method Not Allowed"})


async def test_metrics_read_back_in_the_format_asked_for(
    client: aiohttp.ClientSession, metrics: Metrics
) -> None:
    _count(metrics, _target(1))
    async with client.get("/metrics") as response:
        assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        plain = {family.name for family in read_plain(await response.text())}
    async with client.get("/metrics", headers=OPENMETRICS) as response:
        assert (
            response.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
        )
        text = await response.text()
    openmetrics = {family.name for family in read_openmetrics(text)}  # type: ignore[no-untyped-call]
    assert {"llm_monitor_probes", "llm_monitor_probe_ttft_seconds"} <= plain & openmetrics


async def test_metrics_are_compressed_for_those_who_ask(
    client: aiohttp.ClientSession, metrics: Metrics
) -> None:
    for number in range(200):
        _count(metrics, _target(number))
    async with client.get("/metrics", headers={"Accept-Encoding": "deflate, gzip;q=1.0"}) as response:
        assert response.headers["content-encoding"] == "gzip"
        packed = await response.read()
    page = gzip.decompress(packed)
    assert page.count(b"llm_monitor_probes_total{") == 200
    assert len(packed) < len(page) / 10
    async with client.get("/metrics", headers={"Accept-Encoding": "gzip;q=0"}) as response:
        assert "content-encoding" not in response.headers
        assert (await response.read()).count(b"llm_monitor_probes_total{") == 200


async def test_a_page_is_written_once_a_second(client: aiohttp.ClientSession, metrics: Metrics) -> None:
    async def probes() -> int:
        async with client.get("/metrics") as response:
            return (await response.text()).count("llm_monitor_probes_total{")

    _count(metrics, _target(1))
    assert await asyncio.gather(*[probes() for _ in range(5)]) == [1] * 5
    _count(metrics, _target(2))
    assert await probes() == 1
    await asyncio.sleep(1.1)
    assert await probes() == 2


async def test_a_scraper_that_hangs_up_spoils_no_other_page(
    client: aiohttp.ClientSession, metrics: Metrics
) -> None:
    for number in range(2_000):
        _count(metrics, _target(number))

    async def ask() -> None:
        await client.get("/metrics")

    hasty = asyncio.create_task(ask())
    await asyncio.sleep(0.01)
    hasty.cancel()
    async with client.get("/metrics") as response:
        assert (await response.read()).count(b"llm_monitor_probes_total{") == 2_000


async def test_metrics_answer_while_every_thread_of_the_loop_hangs(client: aiohttp.ClientSession) -> None:
    """A DNS server that hangs takes the event loop's own threads."""
    release = threading.Event()
    hung = [asyncio.get_running_loop().run_in_executor(None, release.wait, 30) for _ in range(64)]
    try:
        async with asyncio.timeout(5), client.get("/metrics") as response:
            assert response.status == 200
    finally:
        release.set()
        await asyncio.gather(*hung)


async def test_a_defect_is_told_to_the_operator_once_and_to_no_caller(
    client: aiohttp.ClientSession, daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    daemon.broken = True
    with structlog.testing.capture_logs() as events, caplog.at_level(logging.DEBUG, "uvicorn"):
        async with client.get("/readyz") as response:
            assert (response.status, json.loads(await response.read())) == (
                500,
                {"detail": "Internal server error"},
            )
    [event] = events
    assert (event["event"], event["method"], event["path"]) == ("http_request_failed", "GET", "/readyz")
    assert event["exc_info"]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    async with client.get("/healthz") as response:
        assert response.status == 200
