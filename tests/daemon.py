"""The daemon as a process, as an operator would start it."""

import asyncio
import json
import os
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import aiohttp

from tests.postgres import open_folder

ROOT = Path(__file__).parent.parent
PATIENCE_SECONDS = 60.0
"""How long anything may take on a busy machine; how fast the daemon is stands in the benches."""

QUICK_POLICY = {
    "DEEP_INTERVAL": "1",
    "STANDBY_INTERVAL": "1.5",
    "LIGHT_INTERVAL": "1",
    "LIGHT_INTERVAL_LOCAL": "1",
    "RECHECK_INTERVAL": "0.5",
    "DOWN_INTERVAL": "1",
    "BLOCKED_INTERVAL": "1",
    "RATE_LIMITED_INTERVAL": "1",
    "STRANDED_INTERVAL": "0.5",
    "CONNECT_TIMEOUT": "1",
    "FIRST_TOKEN_TIMEOUT": "4",
    "STALL_TIMEOUT": "2",
    "TIMEOUT": "6",
    "FALL_SPAN": "1",
    "BLOCK_SPAN": "0.5",
    "HOLD": "3",
    "RETURN_GAP": "2",
    "QUALIFICATION_RETRY": "2",
    "START_GRACE": "1",
    "LIGHT_FORWARD_INTERVAL": "2",
}
"""A policy that shows in seconds what the default shows in minutes."""


def free_port() -> int:
    """A loopback port that nobody listens on, and that nobody is given until its user comes."""
    for port in islice(_ports, 1000):
        with socket.socket() as sock, suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port is free on 127.0.0.1")


def _own_ports() -> Iterator[int]:
    """The ports of this process among those that run tests side by side, in an order of its own.

    They lie below those that the kernel gives to whoever names none, connections included.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    own = range(20_000 + int(worker), 32_000, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
    return cycle(random.sample(own, len(own)))


_ports = _own_ports()


@dataclass
class RunningDaemon:
    """One daemon; `logs` holds every line that it has written so far, decoded."""

    process: asyncio.subprocess.Process
    url: str
    logs: list[dict[str, Any]] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)
    reading: asyncio.Task[None] | None = None

    async def get(self, path: str) -> tuple[int, str]:
        """Status and body; (0, "") when nobody answers."""
        try:
            async with aiohttp.ClientSession() as session, session.get(self.url + path) as answer:
                return answer.status, await answer.text()
        except aiohttp.ClientConnectionError:
            return 0, ""

    async def ready(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait for /readyz 200."""

        async def answers() -> bool:
            return (await self.get("/readyz"))[0] == 200

        await self.until(answers, "/readyz 200", seconds)

    async def until(
        self,
        holds: Callable[[], Awaitable[bool]] | Callable[[], bool],
        what: str,
        seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """Wait until something holds; fails with the daemon's log when it never does."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            found = holds()
            if await found if isinstance(found, Awaitable) else found:
                return
            if loop.time() > deadline or self.process.returncode is not None:
                raise AssertionError(f"{what} did not come within {seconds} s:\n" + "\n".join(self.raw[-60:]))
            await asyncio.sleep(0.05)

    async def event(self, name: str, seconds: float = PATIENCE_SECONDS, **fields: object) -> dict[str, Any]:
        """Wait for a log line with this event and these fields."""

        def find() -> dict[str, Any] | None:
            for line in self.logs:
                if line.get("event") == name and all(line.get(key) == value for key, value in fields.items()):
                    return line
            return None

        await self.until(lambda: find() is not None, f"event {name} {fields}", seconds)
        found = find()
        assert found is not None
        return found

    def events(self, name: str) -> list[dict[str, Any]]:
        """Every log line with this event so far."""
        return [line for line in self.logs if line.get("event") == name]

    async def metric(self, start: str) -> float | None:
        """The value of the first sample whose line starts so, or None."""
        _, text = await self.get("/metrics")
        for line in text.splitlines():
            if line.startswith(start):
                return float(line.rsplit(" ", 1)[1])
        return None

    async def stop(self, number: int = signal.SIGTERM, seconds: float = 15) -> int:
        """End it and give its exit code."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(seconds):
            code = await self.process.wait()
            if self.reading is not None:
                await self.reading
        return code


@asynccontextmanager
async def running_daemon(
    env: Mapping[str, str],
    *arguments: str,
    policy: Mapping[str, str] = QUICK_POLICY,
    port: int | None = None,
    module: str = "monitor",
) -> AsyncIterator[RunningDaemon]:
    """Start `llm-monitor run`, and end it whatever happens; it has a data folder of its own."""
    with open_folder() as folder:
        env = {"MONITOR_DATA_DIR": str(folder / "data"), **env}
        async with _started(env, module, arguments, policy, port or free_port()) as daemon:
            yield daemon


@asynccontextmanager
async def _started(
    env: Mapping[str, str], module: str, arguments: Sequence[str], policy: Mapping[str, str], port: int
) -> AsyncIterator[RunningDaemon]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "PYTHONPATH": str(ROOT),
        "MONITOR_PORT": str(port),
        "MONITOR_LOG_FORMAT": "json",
        **{f"MONITOR_POLICY_{name}": value for name, value in policy.items()},
        **env,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        "run",
        *arguments,
        cwd="/",
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    daemon = RunningDaemon(process=process, url=f"http://127.0.0.1:{port}")
    daemon.reading = asyncio.create_task(_read(daemon))
    try:
        yield daemon
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGCONT)
            try:
                await daemon.stop()
            except TimeoutError:
                process.kill()
                await process.wait()
        daemon.reading.cancel()
        await asyncio.gather(daemon.reading, return_exceptions=True)


async def _read(daemon: RunningDaemon) -> None:
    assert daemon.process.stdout is not None
    async for line in daemon.process.stdout:
        text = line.decode(errors="replace").rstrip()
        daemon.raw.append(text)
        try:
            found = json.loads(text)
        except ValueError:
            continue
        if isinstance(found, dict):
            daemon.logs.append(found)
