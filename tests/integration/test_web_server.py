"""How the web server starts, what it refuses, and that it always ends."""

import asyncio
import errno
import os
import signal
import socket
import sys
import textwrap
import time
from pathlib import Path

import aiohttp
import psutil
import pytest
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from monitor.web import ListenError, WebServer
from monitor.web.listen import explain

ROOT = Path(__file__).parents[2]


async def _hello(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("hello")(scope, receive, send)


async def _get(port: int, host: str = "127.0.0.1") -> str:
    async with aiohttp.ClientSession() as session, session.get(f"http://{host}:{port}/") as response:
        return await response.text()


async def _end(server: WebServer) -> float:
    began = time.monotonic()
    await server.stop()
    return time.monotonic() - began


async def test_it_answers_from_the_start_until_the_stop() -> None:
    server = WebServer(_hello, "127.0.0.1", 0)
    await server.start()
    assert await _get(server.port) == "hello"
    assert await _end(server) < 1
    with pytest.raises(aiohttp.ClientConnectionError):
        await _get(server.port)
    await server.stop()


async def test_no_answer_waits_for_the_readers_acknowledgement() -> None:
    """On a connection that is kept, an answer in two pieces would otherwise wait 40 ms for its second one."""
    delays: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        transport = receive.__self__.transport  # type: ignore[attr-defined]
        sock = transport.get_extra_info("socket")
        delays.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        await _hello(scope, receive, send)

    server = WebServer(app, "127.0.0.1", 0)
    await server.start()
    assert await _get(server.port) == "hello"
    await server.stop()
    assert delays[0] != 0


async def test_a_name_is_listened_on_at_all_its_addresses() -> None:
    server = WebServer(_hello, "localhost", 0)
    await server.start()
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            "localhost", server.port, type=socket.SOCK_STREAM
        )
        hosts = {str(address[0]) for *_, address in found}
        assert "127.0.0.1" in hosts
        for host in hosts:
            assert await _get(server.port, f"[{host}]" if ":" in host else host) == "hello"
    finally:
        await server.stop()


async def test_a_port_in_use_is_named_with_its_setting() -> None:
    first = WebServer(_hello, "127.0.0.1", 0)
    await first.start()
    try:
        second = WebServer(_hello, "127.0.0.1", first.port)
        with pytest.raises(ListenError) as caught:
            await second.start()
        assert str(caught.value) == (
            f"MONITOR_PORT: 127.0.0.1:{first.port} is in use: "
            "stop the program that listens there, or set another port"
        )
        assert (caught.value.setting, caught.value.port) == ("MONITOR_PORT", first.port)
        await second.stop()
        assert await _get(first.port) == "hello"
    finally:
        await first.stop()


@pytest.mark.parametrize(
    ("host", "port", "message"),
    [
        ("203.0.113.7", 0, "MONITOR_HOST: this machine has no address 203.0.113.7: set one of its own"),
        ("no host", 0, "MONITOR_HOST: no address is known for 'no host'"),
        ("x" * 70, 0, "MONITOR_HOST: no address is known for 'xxx"),
        ("127.0.0.1", 70_000, "MONITOR_PORT: 70000 is no port: set one from 1 to 65535"),
    ],
)
async def test_an_address_that_cannot_be_listened_on_names_its_setting(
    host: str, port: int, message: str
) -> None:
    with pytest.raises(ListenError) as caught:
        await WebServer(_hello, host, port).start()
    assert str(caught.value).startswith(message)


async def test_the_second_address_names_its_own_setting() -> None:
    server = WebServer(
        _hello, "203.0.113.7", 0, host_setting="MONITOR_METRICS_LISTEN", port_setting="MONITOR_METRICS_LISTEN"
    )
    with pytest.raises(ListenError, match=r"^MONITOR_METRICS_LISTEN: this machine has no address"):
        await server.start()


@pytest.mark.parametrize(
    ("number", "host", "message"),
    [
        (errno.EACCES, "::1", "MONITOR_PORT: [::1]:80 is not open to this user: set a port of 1024 or more"),
        (
            errno.ENOBUFS,
            "127.0.0.1",
            "MONITOR_HOST: cannot listen on 127.0.0.1:80: No buffer space available",
        ),
    ],
)
def test_what_the_system_refuses_is_something_to_mend(number: int, host: str, message: str) -> None:
    error = OSError(number, os.strerror(number))
    assert str(explain(error, host, 80, "MONITOR_HOST", "MONITOR_PORT")).startswith(message)


async def test_idle_connections_are_closed_at_once() -> None:
    server = WebServer(_hello, "127.0.0.1", 0)
    await server.start()
    silent, silent_writer = await asyncio.open_connection("127.0.0.1", server.port)
    kept, kept_writer = await asyncio.open_connection("127.0.0.1", server.port)
    kept_writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await kept.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
    assert await _end(server) < 1
    assert await silent.read() == b""
    assert await kept.read() == b""
    for writer in (silent_writer, kept_writer):
        writer.close()


async def test_a_running_request_may_end() -> None:
    begun = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await asyncio.sleep(0.5)
        await _hello(scope, receive, send)

    server = WebServer(slow, "127.0.0.1", 0)
    await server.start()
    asked = asyncio.create_task(_get(server.port))
    await begun.wait()
    await server.stop()
    assert await asked == "hello"


async def _hang(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.Event().wait()


async def _endless(scope: Scope, receive: Receive, send: Send) -> None:
    async def body() -> object:
        while True:
            yield b"x" * 65_536

    await StreamingResponse(body())(scope, receive, send)  # type: ignore[arg-type]


@pytest.mark.parametrize("app", [_hang, _endless])
async def test_neither_a_hung_request_nor_a_reader_that_takes_nothing_delays_the_end(app: ASGIApp) -> None:
    server = WebServer(app, "127.0.0.1", 0)
    await server.start()
    _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.sleep(0.2)
    assert await _end(server) < 3.5
    await asyncio.sleep(0.1)
    connections = psutil.Process().net_connections("tcp")
    assert not [connection for connection in connections if connection.laddr.port == server.port]
    writer.close()


async def test_a_cancelled_stop_still_closes_everything() -> None:
    server = WebServer(_hang, "127.0.0.1", 0)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.sleep(0.1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await server.stop()
    assert await asyncio.wait_for(reader.read(), 1) == b""
    writer.close()
    again = WebServer(_hello, "127.0.0.1", server.port)
    await again.start()
    assert await _get(server.port) == "hello"
    await again.stop()


async def test_signals_stay_with_the_program_that_serves() -> None:
    """Uvicorn would take SIGTERM, and end by raising it again."""
    program = textwrap.dedent("""
        import asyncio, signal
        from starlette.responses import PlainTextResponse
        from monitor.web import WebServer

        async def main():
            asked = asyncio.Event()
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
            server = WebServer(PlainTextResponse("hello"), "127.0.0.1", 0)
            await server.start()
            print(server.port, flush=True)
            await asked.wait()
            await asyncio.sleep(0.5)
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.close()
            await server.stop()
            print("ended in order", flush=True)

        asyncio.run(main())
    """)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    try:
        port = int(await asyncio.wait_for(process.stdout.readline(), 20))
        assert await _get(port) == "hello"
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.stdout.read(), 5) == b"ended in order\n"
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
