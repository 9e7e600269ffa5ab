"""A program on a terminal of its own: what it draws, its keys, its size."""

import asyncio
import fcntl
import os
import pty
import struct
import sys
import termios
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

SECONDS = 30.0


@dataclass
class Terminal:
    """One.

    Attributes:
        process: what runs there.
        drawn: everything that it wrote, escape sequences and all.
        seen: how much of that was looked at.
    """

    process: asyncio.subprocess.Process
    _end: int
    drawn: str = ""
    seen: int = 0
    _drew: asyncio.Event = field(default_factory=asyncio.Event)

    def resize(self, width: int, height: int) -> None:
        """Give the terminal another size; the program is told."""
        fcntl.ioctl(self._end, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._end, keys.encode())

    def modes(self) -> list[Any]:
        """How the terminal treats what is typed."""
        return termios.tcgetattr(self._end)

    async def until(self, *words: str) -> str:
        """Wait until all of these were drawn since the last call; what was drawn until then."""
        async with asyncio.timeout(SECONDS):
            while not all(word in self.drawn[self.seen :] for word in words):
                await self._drew.wait()
                self._drew.clear()
        found, self.seen = self.drawn[self.seen :], len(self.drawn)
        return found

    async def end(self) -> int:
        """Wait for the program's end; its exit code."""
        async with asyncio.timeout(SECONDS):
            return await self.process.wait()

    def take(self) -> None:
        """Read what was drawn."""
        with suppress(OSError):  # Linux says so when nobody is left on the other side
            self.drawn += os.read(self._end, 65_536).decode(errors="replace")
        self._drew.set()


@asynccontextmanager
async def open_terminal(
    *arguments: str, env: Mapping[str, str], width: int = 80, height: int = 24
) -> AsyncIterator[Terminal]:
    """Run `llm-monitor` there, and end it whatever happens."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    os.set_blocking(ours, False)
    loop = asyncio.get_running_loop()
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "monitor",
            *arguments,
            cwd="/",
            env={"TERM": "xterm-256color", **env},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=_control,
        )
        terminal = Terminal(process=process, _end=ours)
        loop.add_reader(ours, terminal.take)
        try:
            yield terminal
        finally:
            loop.remove_reader(ours)
            if process.returncode is None:
                process.kill()
                await process.wait()
    finally:
        os.close(theirs)
        os.close(ours)


def _control() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that a key can interrupt it
