"""A lean provider on many ports, in one process, which remembers when each request came.

It answers at once, or never for those that it was told to leave hanging. A target is a number in the path:
`http://127.0.0.1:PORT/NUMBER`. The first port is for control alone.
"""

import argparse
import asyncio
import json
import re
import sys
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

import aiohttp

from tests.daemon import ROOT

MODEL = "m"
_REQUEST = re.compile(rb"(?P<method>[A-Z]+) /(?P<place>\w+)(?P<path>\S*) HTTP/1\.1\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Arrival(NamedTuple):
    """One request: by the machine's monotonic clock, in seconds."""

    at: float
    target: int
    deep: bool


@dataclass(slots=True)
class State:
    """What all connections share."""

    arrivals: list[Arrival]
    hanging: frozenset[int]


def _event(**more: object) -> bytes:
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL, **more}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _delta(delta: dict[str, str], finish_reason: str | None = None) -> bytes:
    return _event(choices=[{"index": 0, "delta": delta, "finish_reason": finish_reason}])


def _answer(content_type: str, *pieces: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))


CHAT = _answer(
    "text/event-stream",
    _delta({"role": "assistant", "content": ""}),
    _delta({"content": "OK"}),
    _delta({"content": "."}),
    _delta({}, "stop"),
    _event(choices=[], usage={"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}),
    b"data: [DONE]\n\n",
)
MODELS = _answer(
    "application/json",
    json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "bench"}]}).encode(),
)


class _Connection(asyncio.Protocol):
    def __init__(self, state: State) -> None:
        self._state = state
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n") + 4) > 3:
            head = self._buffer[:end]
            length = _LENGTH.search(head)
            whole = end + (int(length[1]) if length else 0)
            if len(self._buffer) < whole:
                return
            body, self._buffer = self._buffer[end:whole], self._buffer[whole:]
            request = _REQUEST.match(head)
            assert request is not None, head[:100]
            assert self._transport is not None
            answer = self._control(request, body) if request["place"] == b"control" else self._play(request)
            if answer is not None:
                self._transport.write(answer)

    def _play(self, request: re.Match[bytes]) -> bytes | None:
        target, deep = int(request["place"]), request["method"] == b"POST"
        self._state.arrivals.append(Arrival(time.monotonic(), target, deep))
        if target in self._state.hanging:
            return None
        return CHAT if deep else MODELS

    def _control(self, request: re.Match[bytes], body: bytes) -> bytes:
        if request["path"] == b"/hang":
            self._state.hanging = frozenset(json.loads(body))
            return _answer("application/json", b"{}")
        arrivals, self._state.arrivals = self._state.arrivals, []
        return _answer("application/json", json.dumps(arrivals).encode())


class BenchServer:
    """The handle of a running server process."""

    def __init__(self, ports: list[int], control: aiohttp.ClientSession) -> None:
        self._control_port, *self.ports = ports
        self._control = control

    def url(self, target: int) -> str:
        """A target's base address; targets take the ports in turn."""
        return f"http://127.0.0.1:{self.ports[target % len(self.ports)]}/{target}"

    async def hang(self, targets: Collection[int]) -> None:
        """Leave these without any answer, and answer all others."""
        await self._call("hang", list(targets))

    async def arrivals(self) -> list[Arrival]:
        """All requests since the last call, in their order."""
        return [Arrival(*one) for one in await self._call("arrivals", None)]

    async def _call(self, what: str, body: object) -> list[tuple[float, int, bool]]:
        url = f"http://127.0.0.1:{self._control_port}/control/{what}"
        async with self._control.post(url, json=body) as answer:
            found: list[tuple[float, int, bool]] = await answer.json()
            return found


@asynccontextmanager
async def running_server(ports: int) -> AsyncIterator[BenchServer]:
    """Start the server in a process of its own and end it; it ends with us in any case."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.bench.server",
        f"--ports={ports}",
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        found = json.loads(await process.stdout.readline())
        async with aiohttp.ClientSession() as control:
            yield BenchServer(found, control)
    finally:
        process.stdin.close()
        await process.wait()


async def _serve(count: int) -> None:
    loop = asyncio.get_running_loop()
    state = State(arrivals=[], hanging=frozenset())
    servers = [
        await loop.create_server(lambda: _Connection(state), "127.0.0.1", 0, backlog=1024)
        for _ in range(count + 1)
    ]
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    await asyncio.to_thread(sys.stdin.read)  # until whoever started us closes it or is gone
    for server in servers:
        server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--ports", type=int, required=True)
    asyncio.run(_serve(parser.parse_args().ports))
