"""The reading routes, asked over HTTP at the doors that the daemon opens."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from monitor.domain.access import TokenRole
from monitor.domain.outcome import Outcome, ProbeResult, ResultId
from monitor.domain.provider import ProviderRef, ProviderType, Purpose
from monitor.domain.target import ProbeKind, TargetId
from monitor.doors import Doors
from monitor.metrics import Metrics
from monitor.settings import Settings
from monitor.storage.address import Address
from monitor.storage.arrivals import roll_up
from monitor.storage.record import read_clock
from monitor.storage.results import insert_results
from monitor.storage.tokens import create_token, revoke_token
from monitor.web import routes_status
from monitor.web.status_views import view_providers
from tests.daemon import free_port
from tests.still_daemon import StillDaemon

A = ProviderRef(type=ProviderType.AI_SERVER, id=1)


class Asker:
    def __init__(self, session: aiohttp.ClientSession, doors: Doors) -> None:
        self.session = session
        self.doors = doors

    async def get(self, path: str) -> tuple[int, Any]:
        async with self.session.get(f"/api/v1/monitor{path}") as answer:
            return answer.status, await answer.json()


@pytest.fixture
async def asker(database: Address, connection: Any, tmp_path: Any) -> AsyncIterator[Asker]:
    made = await create_token(connection, name="t", role=TokenRole.VIEWER, lifetime=None, by="x")
    clock = await read_clock(connection)
    settings = Settings(data_dir=tmp_path, port=free_port())
    doors = Doors(settings, StillDaemon(), Metrics(version="1"), lambda: clock)
    await doors.open()
    try:
        await doors.database_found(database, None)
        headers = {"authorization": f"Bearer {made.text}"}
        async with aiohttp.ClientSession(doors.url, headers=headers) as session:
            yield Asker(session, doors)
    finally:
        await doors.close()


async def put_server(connection: Any, name: str = "gpu") -> None:
    await connection.execute(
        "INSERT INTO ai_servers (name, server_type, base_url, use_for_chat)"
        " VALUES ($1, 'vllm', 'http://x', true)",
        name,
    )


async def put_results(
    connection: Any, *outcomes: Outcome, ago: timedelta, kind: ProbeKind = ProbeKind.DEEP
) -> None:
    now = await read_clock(connection)
    first = ProbeResult(
        id=ResultId(uuid4().hex),
        target=TargetId(provider=A, purpose=Purpose.CHAT),
        fingerprint="f",
        kind=kind,
        outcome=Outcome.OK,
        started_at=now - ago,
        ended_at=now - ago,
        latency_seconds=0.25,
    )
    await insert_results(
        connection,
        [
            replace(
                first,
                id=ResultId(uuid4().hex),
                outcome=one,
                started_at=first.started_at + n * timedelta(seconds=1),
            )
            for n, one in enumerate(outcomes)
        ],
    )


async def put_health(connection: Any, state: str = "up") -> None:
    await connection.execute(
        "INSERT INTO monitor.healths (provider_type, provider_id, purpose, fingerprint, state, eligible,"
        " application_status, health) VALUES ('ai_server', 1, 'chat', 'f', $1, true, 'healthy', '{}')"
        " ON CONFLICT (provider_type, provider_id, purpose) DO UPDATE SET state = excluded.state",
        state,
    )


async def test_uptime_is_by_time_as_far_as_is_known(connection: Any, asker: Asker) -> None:
    await put_server(connection)
    await put_health(connection)
    ok, bad = Outcome.OK, Outcome.TIMEOUT
    await put_results(connection, ok, ok, ok, Outcome.BUSY, Outcome.RATE_LIMITED, ago=timedelta(hours=2))
    await put_results(connection, bad, Outcome.AUTH_FAILED, ago=timedelta(days=3))
    await put_results(connection, bad, bad, bad, ago=timedelta(hours=1), kind=ProbeKind.LIGHT)
    await roll_up(connection, await read_clock(connection))
    status, answer = await asker.get("/providers")
    assert status == 200
    provider = answer["providers"][0]
    assert (provider["provider"], provider["name"], provider["kind"]) == ("ai_server:1", "gpu", "vllm")
    uptime = provider["targets"][0]["uptime"]
    assert (uptime["24h"]["share"], uptime["24h"]["passed"], uptime["24h"]["failed"]) == (1.0, 3, 0)
    assert (uptime["7d"]["passed"], uptime["7d"]["failed"]) == (3, 2)
    # A word holds for 15 minutes more where results do not say how long.
    assert uptime["24h"]["covered_seconds"] in (960, 1020)
    assert 1920 <= uptime["7d"]["covered_seconds"] <= 2040
    assert uptime["7d"]["share"] == pytest.approx(0.5, abs=0.02)
    assert uptime["7d"] == uptime["30d"] == uptime["90d"]


async def test_the_collector_rests_while_the_list_is_made(
    connection: Any, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put_server(connection)
    working: list[bool] = []

    def view(*arguments: Any) -> bytes:
        working.append(gc.isenabled())
        return view_providers(*arguments)

    monkeypatch.setattr(routes_status, "view_providers", view)
    assert (await asker.get("/providers"))[0] == 200
    assert working == [False]
    assert gc.isenabled()


async def test_days_tell_time_and_probes(connection: Any, asker: Asker) -> None:
    await put_server(connection)
    await put_results(connection, Outcome.OK, Outcome.TIMEOUT, ago=timedelta(days=3))
    await put_results(connection, Outcome.OK, ago=timedelta(days=100))
    await roll_up(connection, await read_clock(connection))
    status, answer = await asker.get("/providers/ai_server/1/days")
    assert status == 200
    (target,) = answer["targets"]
    assert target["purpose"] == "chat"
    counts: dict[str, int] = {}
    for day in target["days"]:
        assert day["up_seconds"] + day["down_seconds"] + day["unknown_seconds"] == 86_400
        for word, count in day["outcomes"].items():
            counts[word] = counts.get(word, 0) + count
    assert counts == {"ok": 1, "timeout": 1}
    assert sum(day["down_seconds"] for day in target["days"]) >= 60
    assert target["days"][0]["latency_p50_seconds"] == pytest.approx(0.25, rel=0.05)
    assert (await asker.get("/providers/ai_server/1/days?days=101"))[1]["targets"][0]["days"][0][
        "outcomes"
    ] == {"ok": 1}
    assert (await asker.get("/providers/ai_server/2/days"))[0] == 404


async def test_a_purpose_was_up_while_the_one_that_served_it_was(connection: Any, asker: Asker) -> None:
    await put_server(connection)
    await connection.execute(
        "INSERT INTO active_providers (purpose, provider_type, provider_id) VALUES ('chat', 'ai_server', 1)"
    )
    now = await read_clock(connection)
    await connection.execute(
        "INSERT INTO monitor.transitions (purpose, generation, rule, from_provider_type, from_provider_id,"
        " to_provider_type, to_provider_id, decided_at, policy, evidence)"
        " VALUES ('chat', 1, 'fail_over', 'ai_server', 2, 'ai_server', 1, $1, '{}', '[]')",
        now - timedelta(hours=5),
    )
    await put_results(connection, Outcome.OK, ago=timedelta(hours=2))
    await put_results(connection, Outcome.TIMEOUT, ago=timedelta(hours=8))  # it did not serve then
    await roll_up(connection, now)
    _, answer = await asker.get("/purposes/chat")
    assert answer["uptime"]["24h"] == {"share": 1.0, "covered_seconds": 960}
    assert answer["uptime"]["90d"] == answer["uptime"]["24h"]


async def test_what_is_not_known_is_null(connection: Any, asker: Asker) -> None:
    await put_server(connection)
    await put_health(connection)
    _, answer = await asker.get("/providers")
    target = answer["providers"][0]["targets"][0]
    assert target["uptime"]["90d"] == {"share": None, "passed": 0, "failed": 0, "covered_seconds": 0}
    assert (target["latency_seconds"], target["last_outcome"]) == (None, None)


async def test_probes_are_paged_without_a_gap(connection: Any, asker: Asker) -> None:
    await put_results(connection, *[Outcome.OK] * 5, ago=timedelta(hours=30))
    await put_results(connection, *[Outcome.TIMEOUT] * 4, ago=timedelta(minutes=2), kind=ProbeKind.LIGHT)
    await connection.execute("UPDATE monitor.results SET started_at = date_trunc('minute', started_at)")
    seen: list[str] = []
    before = ""
    while True:
        status, page = await asker.get(f"/providers/ai_server/1/probes?limit=2{before}")
        assert status == 200
        seen += [one["id"] for one in page["probes"]]
        if page["next_before"] is None:
            break
        before = f"&before={page['next_before']}"
    assert len(seen) == len(set(seen)) == 9
    _, page = await asker.get("/providers/ai_server/1/probes?limit=500")
    assert [one["id"] for one in page["probes"]] == seen
    times = [one["started_at"] for one in page["probes"]]
    assert times == sorted(times, reverse=True)
    _, page = await asker.get("/providers/ai_server/1/probes?kind=light&purpose=chat")
    assert {one["outcome"] for one in page["probes"]} == {"timeout"}
    _, page = await asker.get("/providers/ai_server/1/probes?purpose=reranking")
    assert page == {"probes": [], "next_before": None} or page == {"detail": "Provider ai_server:1 not found"}


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/providers/ai_server/7/probes", 404),
        ("/providers/nothing/7/probes", 422),
        ("/providers/ai_server/0/probes", 422),
        ("/providers/ai_server/99999999999/probes", 422),
        ("/providers/ai_server/7/probes?limit=0", 422),
        ("/providers/ai_server/7/probes?before=yesterday", 422),
        ("/providers/ai_server/7/probes?before=0001-01-01T00:00:00%2B14:00", 422),
        ("/purposes/chat", 404),
        ("/purposes/poetry", 422),
        ("/purposes/chat/events?before=0001-01-01T00:00:00Z", 200),
        ("/purposes/chat/events?before=9999-12-31T23:59:59-14:00", 422),
        ("/purposes/chat/events", 200),
    ],
)
async def test_what_is_not_there_is_said(asker: Asker, path: str, wanted: int) -> None:
    status, answer = await asker.get(path)
    assert status == wanted, answer


async def test_a_purpose_that_no_daemon_has_seen_is_shown_as_its_row_says(
    connection: Any, asker: Asker
) -> None:
    await put_server(connection)
    await connection.execute(
        "INSERT INTO active_providers (purpose, provider_type, provider_id) VALUES ('chat', 'ai_server', 1)"
    )
    status, answer = await asker.get("/purposes/chat")
    assert status == 200
    assert (answer["active"], answer["seen"]) == ({"provider": "ai_server:1", "name": "gpu"}, False)
    assert (answer["decision"], answer["candidates"], answer["reason"]) == (None, [], None)


async def begin_to_hear(connection: Any, content: aiohttp.StreamReader) -> None:
    """Until the doors' own connection listens: what is notified before is not heard, and `resync` says so."""

    async def knock() -> None:
        while True:
            await connection.execute("SELECT pg_notify('monitor_config', 'begin')")
            await asyncio.sleep(0.1)

    knocks = asyncio.create_task(knock())
    try:
        while (await read_events(content, 1))[0] != ("configuration", {"what": "begin"}):
            pass
    finally:
        knocks.cancel()
        await asyncio.gather(knocks, return_exceptions=True)
    await connection.execute("SELECT pg_notify('monitor_config', 'begun')")
    while (await read_events(content, 1))[0] != ("configuration", {"what": "begun"}):
        pass


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something to hold."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 10
    while not holds():
        assert loop.time() < deadline
        await asyncio.sleep(0.02)


async def read_events(content: aiohttp.StreamReader, count: int) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    name = ""
    async with asyncio.timeout(10):
        while len(found) < count:
            line = (await content.readline()).decode()
            assert line, "the stream has ended"
            if line.startswith("event: "):
                name = line[7:].strip()
            elif line.startswith("data: "):
                found.append((name, json.loads(line[6:])))
    return found


async def test_news_come_as_they_happen(connection: Any, asker: Asker) -> None:
    await put_health(connection, "up")
    async with asker.session.get("/api/v1/monitor/stream") as answer:
        assert answer.content_type == "text/event-stream"
        assert await read_events(answer.content, 1) == [("resync", {})]
        await begin_to_hear(connection, answer.content)
        await put_health(connection, "down")
        await connection.execute("UPDATE monitor.healths SET updated_at = clock_timestamp()")
        await put_server(connection)
        await connection.execute(
            """SELECT pg_notify('monitor_active', '{"purpose": "chat", "generation": 2}')"""
        )
        health = {"provider": "ai_server:1", "purpose": "chat", "state": "down", "status": "healthy"}
        assert await read_events(answer.content, 3) == [
            ("health", health),
            ("configuration", {"what": "ai_servers"}),
            ("active", {"purpose": "chat", "generation": 2}),
        ]


async def test_a_stream_ends_with_its_token(connection: Any, asker: Asker) -> None:
    async with asker.session.get("/api/v1/monitor/stream") as answer:
        await read_events(answer.content, 1)
        await begin_to_hear(connection, answer.content)
        await revoke_token(connection, 1, "x")
        async with asyncio.timeout(10):
            await answer.content.read()
    assert (await asker.get("/providers"))[0] == 401


async def test_a_listener_that_leaves_is_forgotten_and_the_number_is_bounded(asker: Asker) -> None:
    hub = asker.doors._events
    connector = aiohttp.TCPConnector(limit=0)
    headers = asker.session.headers
    async with aiohttp.ClientSession(asker.doors.url, headers=headers, connector=connector) as session:
        streams = [await session.get("/api/v1/monitor/stream") for _ in range(64)]
        for one in streams:
            await read_events(one.content, 1)
        status, answer = await asker.get("/stream")
        assert (status, "listen" in answer["detail"]) == (503, True)
        for one in streams:
            one.close()
    await until(lambda: len(hub) == 0)


async def test_the_doors_close_in_time_although_somebody_listens(asker: Asker) -> None:
    async with asker.session.get("/api/v1/monitor/stream") as answer:
        await read_events(answer.content, 1)
        async with asyncio.timeout(5):
            began = asyncio.get_running_loop().time()
            await asker.doors.close()
        assert asyncio.get_running_loop().time() - began < 1.5, "it need not be cut off"
        assert (await answer.content.read()).strip() == b""


async def test_a_database_that_is_away_is_named_and_nobody_is_let_in(
    database: Address, connection: Any, asker: Asker
) -> None:
    assert (await asker.get("/providers"))[0] == 200
    await asker.doors.database_found(
        Address(host="127.0.0.1", port=free_port(), user="x", database="x"), None
    )
    for path in ("/providers", "/session", "/stream"):
        status, answer = await asker.get(path)
        assert (status, "database is away" in answer["detail"]) == (503, True)
    login = {"token": "llmm_1_" + "a" * 43}
    async with asker.session.post("/api/v1/monitor/login", json=login) as refused:
        assert refused.status == 503
    await asker.doors.database_found(database, None)
    assert (await asker.get("/providers"))[0] == 200
