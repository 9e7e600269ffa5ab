"""What a look costs: the status page, the provider list and /metrics, with a month of history behind them.

The daemon probes every target meanwhile, as in earnest. How late the event loop was is noted in the loop
itself, every 5 ms, with how long its own thread ran: the rest was waiting for a core or another thread.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp

from tests.bench.daemon import add_targets, database_of
from tests.bench.figures import Figure
from tests.bench.past import fill_past
from tests.bench.server import running_server
from tests.daemon import RunningDaemon, running_daemon
from tests.postgres import DISK, open_folder

TARGETS = (100, 1_000)
PORTS = 20
PATHS = (
    ("/metrics", "/metrics"),
    ("the page /", "/"),
    ("GET /providers", "/api/v1/monitor/providers"),
)
REQUESTS = 15
GAP_SECONDS = 1.05  # page and /metrics are kept for a second: each answer is made anew
FIRST_PROBES_SECONDS = 180.0
SETTLE_SECONDS = 15.0
SECONDS_AIM = 0.1
HELD_AIM = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """How the loop fared over a while.

    Attributes:
        late: the most that it was late, seconds.
        ran: what the loop's own thread ran meanwhile, seconds.
        own: the most that the loop's own thread ran at a stretch.
    """

    late: float = 0.0
    ran: float = 0.0
    own: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """Requests for one path."""

    seconds: list[float]
    size: int
    held: Held


async def measure() -> list[Figure]:
    """Each number of targets on a daemon and a database of its own."""
    figures: list[Figure] = []
    for count in TARGETS:
        figures += await _measure(count)
    return figures


async def _measure(count: int) -> list[Figure]:
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(open_folder(DISK))
        server = await stack.enter_async_context(running_server(PORTS))
        samples = folder / "samples"
        samples.touch()
        daemon = await stack.enter_async_context(
            running_daemon(
                {"MONITOR_DATA_DIR": str(folder / "data"), "SAMPLES": str(samples)},
                policy={},
                module="tests.bench.sampled_daemon",
            )
        )
        await daemon.ready()
        connection = await stack.enter_async_context(database_of(folder))
        began = time.monotonic()
        async with connection.transaction():
            one, two, *_ = await add_targets(connection, server, count)
            await connection.execute("UPDATE ai_servers SET enabled = false")
        await fill_past(connection)
        seeded = time.monotonic() - began
        await connection.execute("UPDATE ai_servers SET enabled = true")
        await connection.execute(
            "INSERT INTO active_providers (purpose, provider_type, provider_id, fallback_provider_type,"
            " fallback_provider_id) VALUES ('chat', 'ai_server', $1, 'ai_server', $2)",
            one,
            two,
        )
        await _until_known(connection, count)
        await asyncio.sleep(SETTLE_SECONDS)
        token = await asyncio.to_thread((folder / "data" / "admin-token").read_text)
        session = await stack.enter_async_context(_logged_in(daemon, token.strip()))
        idle = await _watch(session, daemon, "/healthz", samples)
        figures = [
            Figure(
                name=f"{count} targets: /healthz, nobody looks",
                median=median(idle.seconds) * 1000,
                unit="ms",
                note=f"what any answer takes; {_held(idle.held)}; a month was written in {seeded:.0f} s",
            )
        ]
        for name, path in PATHS:
            looks = await _watch(session, daemon, path, samples)
            figures += _figures(f"{count} targets: {name}", looks, median(idle.seconds))
        return figures


def _figures(name: str, looks: Looks, bare: float) -> list[Figure]:
    return [
        Figure(
            name=name,
            median=median(looks.seconds) * 1000,
            unit="ms",
            most=SECONDS_AIM * 1000,
            note=f"worst {max(looks.seconds) * 1000:.0f} ms of {len(looks.seconds)};"
            f" {median(looks.seconds) / bare:.1f} times /healthz; {looks.size / 1000:.0f} kB",
        ),
        Figure(
            name=f"{name}: loop held",
            median=looks.held.own * 1000,
            unit="ms",
            most=HELD_AIM * 1000,
            note=_held(looks.held),
        ),
    ]


def _held(held: Held) -> str:
    return (
        f"loop's thread ran {held.own * 1000:.0f} ms at a stretch at most;"
        f" loop late by {held.late * 1000:.0f} ms at worst, running {held.ran * 1000:.0f} ms of it"
    )


async def _until_known(connection: Any, count: int) -> None:
    """Wait until something is believed of every target."""
    query = "SELECT count(*) FROM monitor.healths WHERE last_outcome IS NOT NULL"
    async with asyncio.timeout(FIRST_PROBES_SECONDS):
        while True:
            if await connection.fetchval(query) >= count:
                return
            await asyncio.sleep(0.5)


@asynccontextmanager
async def _logged_in(daemon: RunningDaemon, token: str) -> AsyncIterator[aiohttp.ClientSession]:
    """A browser's session: a cookie, and one connection kept open."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        body = {"token": token}
        async with session.post(f"{daemon.url}/api/v1/monitor/login", json=body) as answer:
            assert answer.status == 200, await answer.text()
        yield session


async def _watch(session: aiohttp.ClientSession, daemon: RunningDaemon, path: str, samples: Path) -> Looks:
    seconds, size = [], 0
    began = time.monotonic()
    for _ in range(REQUESTS):
        before = time.monotonic()
        async with session.get(daemon.url + path) as answer:
            assert answer.status == 200, await answer.text()
            size = len(await answer.read())
        seconds.append(time.monotonic() - before)
        await asyncio.sleep(GAP_SECONDS)
    return Looks(seconds=seconds, size=size, held=_read(samples, began, time.monotonic()))


def _read(samples: Path, since: float, until: float) -> Held:
    worst = Held()
    own = 0.0
    for line in samples.read_text().splitlines():
        at, late, ran = map(float, line.split())
        if since <= at <= until:
            own = max(own, ran)
            if late > worst.late:
                worst = Held(late=late, ran=ran)
    return Held(late=worst.late, ran=worst.ran, own=own)
