"""A process that makes calls one after another when told so, and says what they cost it in CPU.

Each line on its standard input is a number of calls; each line that it writes the CPU seconds they took, all
threads counted.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import aiohttp

from monitor.domain.configuration import read_configuration
from monitor.domain.outcome import Outcome
from monitor.domain.policy import Policy
from monitor.domain.rows import ConfigurationRows, ServerRow
from monitor.domain.target import ProbeKind, Purpose, SealedKey
from monitor.probing.catalog import load_catalog
from monitor.probing.litellm_prober import PROMPT
from monitor.probing.prober import Prober
from tests.bench.server import MODEL

SETTLE_SECONDS = 0.05  # what a library does after its answer belongs to the call
LITELLM_PREFIXES = {"openai-compatible": "openai", "vllm": "hosted_vllm"}

Call = Callable[[], Awaitable[None]]


@asynccontextmanager
async def probe(url: str, server_type: str, kind: ProbeKind) -> AsyncIterator[Call]:
    """The monitor's own probe, as the daemon makes it."""
    row = ServerRow(
        id=1,
        name="bench",
        server_type=server_type,
        base_url=url,
        api_key=None,
        model_path=MODEL,
        enabled=True,
        purposes=frozenset({Purpose.CHAT}),
        health_status=None,
        metadata={},
    )
    configuration = read_configuration(
        ConfigurationRows(servers=(row,), keys=(), actives=(), preferences=()), load_catalog()
    )
    (target,) = configuration.targets.values()
    prober, policy = Prober(unseal=_no_key, now=lambda: datetime.now(UTC)), Policy()
    await prober.start()
    try:

        async def call() -> None:
            result = await prober.probe(target, kind, policy)
            assert result.outcome is Outcome.OK, result

        yield call
    finally:
        await prober.close()


@asynccontextmanager
async def bare_litellm(url: str, server_type: str) -> AsyncIterator[Call]:
    """A streamed completion as litellm's own guide writes it."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else the import asks the network for prices
    os.environ["LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS"] = "True"
    import litellm

    litellm.suppress_debug_info = True

    async def call() -> None:
        stream = await litellm.acompletion(
            model=f"{LITELLM_PREFIXES[server_type]}/{MODEL}",
            api_base=f"{url}/v1",
            api_key="none",
            messages=[{"role": "user", "content": PROMPT}],
            max_tokens=8,
            stream=True,
        )
        text = ""
        async for chunk in stream:
            text += chunk.choices[0].delta.content or ""
        assert text == "OK.", text

    yield call


@asynccontextmanager
async def bare_get(url: str, server_type: str) -> AsyncIterator[Call]:
    """A GET as aiohttp's own guide writes it."""
    address = url + ("/health" if server_type == "vllm" else "/v1/models")
    async with aiohttp.ClientSession() as session:

        async def call() -> None:
            async with session.get(address) as response:
                assert response.status == 200
                assert await response.read()

        yield call


def _no_key(_: SealedKey) -> str:
    raise AssertionError("an open server has no key")


async def _main(what: str, url: str, server_type: str) -> None:
    match what:
        case "bare_litellm":
            made = bare_litellm(url, server_type)
        case "bare_get":
            made = bare_get(url, server_type)
        case _:
            made = probe(url, server_type, ProbeKind(what))
    async with made as call:
        while line := await asyncio.to_thread(sys.stdin.readline):
            began = time.process_time()
            for _ in range(int(line)):
                await call()
            await asyncio.sleep(SETTLE_SECONDS)
            print(time.process_time() - began, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("bare_litellm", "bare_get", *ProbeKind))
    parser.add_argument("url")
    parser.add_argument("server_type", choices=LITELLM_PREFIXES)
    arguments = parser.parse_args()
    asyncio.run(_main(arguments.what, arguments.url, arguments.server_type))
