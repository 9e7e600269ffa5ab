"""What one probe costs in CPU, beside the bare call of the library that it goes through."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from statistics import median

from tests.bench.figures import Figure
from tests.bench.server import BenchServer, running_server
from tests.daemon import ROOT

ROUNDS = 7
DEEP_CALLS = 25
LIGHT_CALLS = 200
DEEP_AIM = 1.3
LIGHT_AIM = 2.0


@dataclass(frozen=True)
class Caller:
    """A process that makes calls of one kind."""

    process: asyncio.subprocess.Process

    async def milliseconds(self, calls: int) -> float:
        """CPU for one call, over so many of them."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{calls}\n".encode())
        line = await self.process.stdout.readline()
        if not line:
            raise RuntimeError("a caller has ended: what it says stands above")
        return float(line) / calls * 1000


@asynccontextmanager
async def running_caller(what: str, url: str, server_type: str) -> AsyncIterator[Caller]:
    """Start a caller and end it; it ends with us in any case."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.bench.caller",
        what,
        url,
        server_type,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    try:
        yield Caller(process)
    finally:
        process.stdin.close()
        await process.wait()


async def measure() -> list[Figure]:
    """Deep and light probes of the two ways that litellm has with servers."""
    figures = []
    async with running_server(ports=1) as server:
        for server_type in ("openai-compatible", "vllm"):
            figures += [
                await _beside("deep", "bare_litellm", server, server_type, DEEP_CALLS, DEEP_AIM),
                await _beside("light", "bare_get", server, server_type, LIGHT_CALLS, LIGHT_AIM),
            ]
    return figures


async def _beside(
    ours: str, bare: str, server: BenchServer, server_type: str, calls: int, aim: float
) -> Figure:
    """Rounds of both in turn, so that whatever else the machine does meets both."""
    async with AsyncExitStack() as stack:
        pair = [
            await stack.enter_async_context(running_caller(what, server.url(0), server_type))
            for what in (bare, ours)
        ]
        for caller in pair:
            await caller.milliseconds(calls)  # the first calls import, connect and fill caches
        rounds = [[await caller.milliseconds(calls) for caller in pair] for _ in range(ROUNDS)]
    baseline, found = (median(column) for column in zip(*rounds, strict=True))
    return Figure(
        name=f"CPU of a {ours} probe, {server_type}",
        baseline=baseline,
        median=found,
        unit="ms",
        most=aim,
        note=f"beside {bare.replace('_', ' ')}; {ROUNDS} rounds of {calls} in turn",
    )
