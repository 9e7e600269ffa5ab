"""Servers that nobody here wrote, as processes that a test can kill, freeze and bring back."""

import asyncio
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any, Self

import aiohttp

from tests.daemon import ROOT, free_port

READY_SECONDS = 60.0


class ProviderProcess:
    """One server on a port of its own, which it keeps when it is started again.

    `async with` starts it and ends it, whatever was done to it in between.

    Args:
        arguments: of Python.
        port: where it listens.
        host: the address to reach it at.
        through: a command that becomes Python, such as `ip netns exec NAME`.
    """

    def __init__(
        self, *arguments: str, port: int, host: str = "127.0.0.1", through: tuple[str, ...] = ()
    ) -> None:
        self.port = port
        self.url = f"http://{host}:{port}"
        self._arguments = arguments
        self._through = through
        self._process: asyncio.subprocess.Process | None = None
        self._frozen = False

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.kill()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        if self._process is not None:
            raise RuntimeError("it runs already")
        with tempfile.TemporaryFile() as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._through,
                sys.executable,
                *self._arguments,
                cwd=ROOT,
                env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            try:
                await self.wait_ready()
            except AssertionError as error:
                log.seek(0)
                raise AssertionError(f"{error}:\n{log.read().decode(errors='replace')[-3000:]}") from error

    async def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """Wait until /health answers 200."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
            while True:
                if self._process is None or self._process.returncode is not None:
                    raise AssertionError(f"{self._arguments} has ended")
                try:
                    async with session.get(f"{self.url}/health") as answer:
                        if answer.status == 200:
                            return
                except (aiohttp.ClientError, TimeoutError):
                    pass
                if loop.time() > deadline:
                    raise AssertionError(f"{self._arguments} did not answer within {seconds} s")
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        """End it at once, frozen or not, as the kernel's out-of-memory killer would."""
        process, self._process, self._frozen = self._process, None, False
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()

    def freeze(self) -> None:
        """Let it hang: the kernel still accepts connections, nobody answers."""
        self._signal(signal.SIGSTOP)
        self._frozen = True

    def thaw(self) -> None:
        """Let it go on where it stood."""
        self._signal(signal.SIGCONT)
        self._frozen = False

    def _signal(self, number: int) -> None:
        if self._process is None:
            raise RuntimeError("it does not run")
        self._process.send_signal(number)


class LlamaServer(ProviderProcess):
    """llama.cpp's own server with a real model of 135 million parameters."""

    def __init__(self) -> None:
        port = free_port()
        super().__init__("-m", "tests.llama_server", "--port", str(port), port=port)


class LlmockServer(ProviderProcess):
    """llmock: plays the APIs of hosted providers under prefixes, and faults on demand."""

    def __init__(self, *, host: str = "127.0.0.1", through: tuple[str, ...] = ()) -> None:
        port = free_port()
        program = str(Path(sys.executable).with_name("llmock"))
        arguments = ("serve", "--host", host, "--port", str(port), "--log-level", "warning")
        super().__init__(program, *arguments, port=port, host=host, through=through)

    async def script(self, *behaviours: dict[str, Any]) -> None:
        """What it does to the next requests; `times: None` means until `unscript`."""
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}/_llmock/scenario", json={"behaviors": behaviours}) as answer,
        ):
            assert answer.status == 201, await answer.text()

    async def unscript(self) -> None:
        """Behave again."""
        async with (
            aiohttp.ClientSession() as session,
            session.delete(f"{self.url}/_llmock/scenario") as answer,
        ):
            assert answer.status == 200, await answer.text()

    async def paths(self) -> set[str]:
        """Every path that it was asked for since its start."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}/_llmock/requests") as answer,
        ):
            return {one["path"] for one in (await answer.json())["requests"]}


def failing(status: int, path: str, **more: object) -> dict[str, Any]:
    """A scripted refusal of every request to a path (shell wildcards) until it is unscripted."""
    return {"type": "fail", "status": status, "times": None, "match": {"path": path}, **more}
