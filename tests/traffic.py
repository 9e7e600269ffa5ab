"""An application under load, whose requests go through litellm and are reported; and a provider to kill."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from monitor.integration import LLMProviderIntegration
from monitor.storage.address import Address, create_pool
from tests.daemon import ROOT, free_port

CALL_SECONDS = 5.0


@dataclass
class ProviderProcess:
    """A provider that is a process of its own."""

    port: int = field(default_factory=free_port)
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Serve at the same address as before."""
        command = [sys.executable, "-m", "tests.fault_server", "--port", str(self.port)]
        self.process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        assert self.process.stdout is not None
        await self.process.stdout.readline()

    async def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


@asynccontextmanager
async def provider_process() -> AsyncIterator[ProviderProcess]:
    """One that runs, until the end of the block at most."""
    provider = ProviderProcess()
    await provider.start()
    try:
        yield provider
    finally:
        await provider.kill()


@dataclass
class Traffic:
    """Requests that were sent: how many passed and failed so far."""

    integration: LLMProviderIntegration
    seen: Counter[str] = field(default_factory=Counter)

    async def request(self, purpose: str) -> None:
        """One, to whoever serves the purpose now."""
        import litellm

        config = await self.integration.get_active_llm_provider(purpose)
        assert config is not None
        arguments = {**config.to_litellm_config(), "max_retries": 0, "timeout": CALL_SECONDS}
        try:
            if purpose == "embeddings":
                await litellm.aembedding(input=["x"], **arguments)
            else:
                await litellm.acompletion(messages=[{"role": "user", "content": "x"}], **arguments)
        except Exception:  # noqa: BLE001  # whatever litellm makes of it
            self.seen["failed"] += 1
        else:
            self.seen["passed"] += 1

    async def flow(self, purpose: str, per_second: float) -> None:
        """Send requests at an even pace, however long each takes."""
        under_way: set[asyncio.Task[None]] = set()
        try:
            while True:
                task = asyncio.create_task(self.request(purpose))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                await asyncio.sleep(1 / per_second)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)


@asynccontextmanager
async def traffic(address: Address, *purposes: str, per_second: float = 20.0) -> AsyncIterator[Traffic]:
    """An application whose requests flow until the end of the block."""
    import litellm

    litellm.suppress_debug_info = True
    pool = await create_pool(address, min_size=1, max_size=4)
    integration = LLMProviderIntegration(SimpleNamespace(pool=pool, keyring=None))
    litellm.callbacks = [integration.litellm_callback()]
    found = Traffic(integration)
    flows = [asyncio.create_task(found.flow(purpose, per_second)) for purpose in purposes]
    try:
        yield found
    finally:
        for flow in flows:
            flow.cancel()
        await asyncio.gather(*flows, return_exceptions=True)
        forget_callbacks(litellm)
        await integration.close()
        await pool.close()


def forget_callbacks(litellm: Any) -> None:
    """Take every callback out again: litellm keeps them in five places."""
    litellm.callbacks = []
    for name in (
        "success_callback",
        "failure_callback",
        "_async_success_callback",
        "_async_failure_callback",
    ):
        setattr(litellm, name, [])
