"""Requests a second of the management routes beside bare FastAPI endpoints that do the same queries."""

import asyncio
import itertools
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from statistics import median

import aiohttp

from monitor.storage.address import Address
from monitor.storage.embedded import EmbeddedServer
from tests.bench.figures import Figure
from tests.daemon import ROOT
from tests.postgres import DISK, open_folder

ROUNDS = 3
ROUND_SECONDS = 1.5
CALLERS = 8
LEAST = 0.5
WHAT = (
    ("list 10 servers, keys masked", "GET", "/servers"),
    ("show a server", "GET", "/servers/1"),
    ("change a server, audited", "PUT", "/servers/1"),
)
OURS = "/api/v1/llm-config"


async def measure() -> list[Figure]:
    """Ours and the bare one in turn, in the same process over the same pool."""
    with open_folder(DISK) as folder:
        postgres = EmbeddedServer(folder / "data")
        address = await postgres.start()
        try:
            return await _figures(address)
        finally:
            await postgres.stop()


async def _figures(address: Address) -> list[Figure]:
    async with _serving(address) as url, aiohttp.ClientSession() as session:
        return [
            *[await _compared(session, url, *one) for one in WHAT],
            Figure(
                name="who serves chat, with its row",
                median=median(
                    [await _rate(session, "GET", f"{url}{OURS}/active/chat") for _ in range(ROUNDS)]
                ),
                unit="/s",
                note=f"{CALLERS} callers",
            ),
        ]


async def _compared(session: aiohttp.ClientSession, url: str, name: str, method: str, path: str) -> Figure:
    ours, bare = [], []
    for _ in range(ROUNDS):
        bare.append(await _rate(session, method, f"{url}/bare{path}"))
        ours.append(await _rate(session, method, f"{url}{OURS}{path}"))
    note = f"{CALLERS} callers; the bare endpoint does the same query"
    return Figure(name=name, median=median(ours), baseline=median(bare), unit="/s", least=LEAST, note=note)


async def _rate(session: aiohttp.ClientSession, method: str, url: str) -> float:
    done, numbers = 0, itertools.count()
    began = time.monotonic()

    async def call() -> None:
        nonlocal done
        while time.monotonic() - began < ROUND_SECONDS:
            body = {"model_path": f"m{next(numbers) % 2}"} if method == "PUT" else None
            async with session.request(method, url, json=body) as answer:
                assert answer.status == 200, await answer.text()
                await answer.read()
            done += 1

    await asyncio.gather(*(call() for _ in range(CALLERS)))
    return done / (time.monotonic() - began)


@asynccontextmanager
async def _serving(address: Address) -> AsyncIterator[str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.bench.management_server", address.describe()),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            while not (line := (await process.stdout.readline()).decode()).strip().isdecimal():
                assert line, "the server has ended"
        yield f"http://127.0.0.1:{int(line)}"
    finally:
        process.stdin.close()
        await process.wait()
