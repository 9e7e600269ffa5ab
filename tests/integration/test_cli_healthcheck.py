"""`llm-monitor healthcheck`: asked by a container's engine, answered by an exit code and one line."""

import asyncio
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tests.certificates import make_certificate
from tests.command_line import Answer, environment, llm_monitor
from tests.daemon import ROOT, free_port


@asynccontextmanager
async def door(
    status: int = 200, body: str = "{}", tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[int]:
    """A door that answers every request alike; gives its port."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=body)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, host, port, ssl_context=tls).start()
    try:
        yield port
    finally:
        await runner.cleanup()


async def check(*arguments: str, **variables: object) -> Answer:
    named = {f"MONITOR_{name}": str(value) for name, value in variables.items()}
    return await llm_monitor("healthcheck", *arguments, env=environment() | named)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "[::1]", "::"])
async def test_a_door_that_answers_is_healthy_on_whatever_it_listens(host: str) -> None:
    async with door(host=host.strip("[]")) as port:
        answer = await check(HOST=host, PORT=port)
    assert answer.code == 0, answer
    assert answer.out.startswith("healthy: http://")
    assert answer.out.endswith(f":{port}/healthz\n")
    assert not answer.err


async def test_a_door_of_tls_is_asked_by_tls(tmp_path: Path) -> None:
    cert, key = make_certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    async with door(tls=context) as port:
        answer = await check(PORT=port, TLS_CERT=cert, TLS_KEY=key)
        assert (answer.code, answer.out) == (0, f"healthy: https://127.0.0.1:{port}/healthz\n")
        assert (await check(PORT=port)).code == 1, "plain HTTP is not what it speaks"


async def test_a_daemon_that_is_not_ready_says_why_when_it_is_asked() -> None:
    async with door(503, '{"reasons": ["standby: another \\u001b[31mdaemon", "no store"]}') as port:
        answer = await check("--ready", PORT=port)
    assert answer.code == 1
    assert answer.out == (
        f"unhealthy: http://127.0.0.1:{port}/readyz answers 503: standby: another  [31mdaemon; no store\n"
    )


async def test_a_stranger_on_the_port_is_not_healthy() -> None:
    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail\r\n")
        await writer.drain()
        writer.close()

    port = free_port()
    async with await asyncio.start_server(babble, "127.0.0.1", port):
        answer = await check(PORT=port)
    assert answer.code == 1
    assert (
        answer.out == f"unhealthy: http://127.0.0.1:{port}/healthz is not answered: no HTTP (BadStatusLine)\n"
    )


async def test_nobody_there_and_nobody_who_answers_are_told_apart() -> None:
    port = free_port()
    answer = await check(PORT=port)
    assert answer.code == 1
    assert answer.out == f"unhealthy: http://127.0.0.1:{port}/healthz is not answered: Connection refused\n"
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", port))
        sock.listen()  # the kernel takes the connection, and nobody reads it
        answer = await check(PORT=port)
    assert answer.code == 1
    assert answer.out == f"unhealthy: http://127.0.0.1:{port}/healthz gave no answer within 3 s\n"


async def test_the_place_is_read_where_the_daemon_reads_it(tmp_path: Path) -> None:
    async with door() as port:
        toml = tmp_path / "monitor.toml"
        toml.write_text(f'host = "localhost"\nport = {port}\n')
        for answer in (await check("--config", str(toml)), await check(CONFIG=toml)):
            assert (answer.code, answer.out) == (0, f"healthy: http://localhost:{port}/healthz\n")


@pytest.mark.parametrize("host", ["a b", "a..b", "é", "a" * 70, "["])
async def test_a_host_that_is_none_is_a_mistake_of_the_settings(host: str) -> None:
    told = "llm-monitor: MONITOR_HOST: is no host; write an address or a name, as in 127.0.0.1"
    assert (await check(HOST=host)).refused() == told


@pytest.mark.parametrize(
    ("port", "told"),
    [
        ("0", "MONITOR_PORT: with 0 nobody knows where the daemon listens; write a port"),
        ("https", "MONITOR_PORT: is no port; write a number from 1 to 65535"),
        ("70000", "MONITOR_PORT: is no port; write a number from 1 to 65535"),
    ],
)
async def test_a_place_that_nobody_can_know_is_a_mistake_of_the_settings(port: str, told: str) -> None:
    assert (await check(PORT=port)).refused() == f"llm-monitor: {told}"


async def test_it_imports_nothing_that_takes_long() -> None:
    heavy = {"pydantic_settings", "litellm", "asyncpg", "aiohttp", "fastapi", "structlog"}
    code = (
        "import sys; from monitor.cli import run_command; run_command(['healthcheck']); print(*sys.modules)"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, cwd=ROOT, env=environment(), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    modules = out.decode().split()
    assert "monitor.cli.healthcheck" in modules
    assert heavy & set(modules) == set()


async def test_whoever_reads_json_is_told_the_same() -> None:
    body = '{"reasons": ["the database is away"]}'
    async with door(status=503, body=body) as port:
        answer = await check("--ready", "--json", PORT=port)
    assert answer.code == 1
    assert answer.json == {
        "healthy": False,
        "asked": f"http://127.0.0.1:{port}/readyz",
        "reason": "answers 503: the database is away",
    }
    nobody = await check("--json", PORT=free_port())
    assert nobody.code == 1
    assert nobody.json["healthy"] is False
