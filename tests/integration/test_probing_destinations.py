"""Neither client connects to a metadata service, whatever a name turns out to be, nor unfolds a bomb."""

import asyncio
import gzip
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from monitor.domain.outcome import Outcome
from monitor.domain.target import ProbeKind
from monitor.probing.destinations import Destinations, Resolve
from monitor.probing.wire import BODY_LIMIT
from tests.fault_server import FaultServer
from tests.targets import LITELLM_WARNS, PLANTED_KEY, running_prober, server_target, short_policy

pytestmark = [pytest.mark.asyncio(loop_scope="module"), *LITELLM_WARNS]

KINDS = pytest.mark.parametrize("kind", list(ProbeKind))
POLICY = short_policy(2.0)
METADATA = "169.254.169.254"


def names(**addresses: Sequence[str]) -> Resolve:
    """A resolver that knows these names alone, with `_` for a dot."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        try:
            return addresses[host.replace(".", "_")]
        except KeyError:
            raise socket.gaierror(socket.EAI_NONAME, "unknown") from None

    return resolve


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server() -> AsyncIterator[FaultServer]:
    async with FaultServer() as server:
        yield server


def url(server: FaultServer, host: str) -> str:
    return f"http://{host}:{server.port}"


@KINDS
async def test_a_name_that_points_at_a_metadata_service_is_refused_by_name(
    server: FaultServer, kind: ProbeKind
) -> None:
    resolve = names(
        gpu_example=[METADATA], six_example=["fd00:ec2::254"], mapped_example=[f"::ffff:{METADATA}"]
    )
    async with running_prober(destinations=Destinations(resolve=resolve)) as prober:
        for host in ("gpu.example", "six.example", "mapped.example"):
            result = await prober.probe(server_target("vllm", url(server, host)), kind, POLICY)
            assert (result.outcome, "metadata_address" in result.detail) == (Outcome.UNREACHABLE, True)
            assert result.latency_seconds is None or result.latency_seconds < 0.5


@KINDS
async def test_an_address_in_any_spelling_is_refused_again_on_connecting(
    server: FaultServer, kind: ProbeKind
) -> None:
    async with running_prober() as prober:
        for host in (METADATA, "2852039166", "0xa9fea9fe", "[::ffff:169.254.169.254]", "169.254.7.7"):
            result = await prober.probe(server_target("vllm", url(server, host)), kind, POLICY)
            assert (result.outcome, "metadata_address" in result.detail) == (Outcome.UNREACHABLE, True), host


@KINDS
async def test_the_address_that_was_looked_at_is_the_one_that_is_connected_to(
    server: FaultServer, kind: ProbeKind
) -> None:
    answers = iter([["127.0.0.1"]])

    async def rebind(host: str, port: int) -> Sequence[str]:
        return next(answers, [METADATA])

    before = len(server.seen)
    async with running_prober(destinations=Destinations(resolve=rebind)) as prober:
        result = await prober.probe(server_target("vllm", url(server, "moves.example")), kind, POLICY)
    assert result.outcome is Outcome.OK, result.detail
    assert len(server.seen) > before


@KINDS
async def test_of_several_addresses_the_good_ones_are_used(server: FaultServer, kind: ProbeKind) -> None:
    dead = "127.0.0.2" if await _refuses("127.0.0.2", server.port) else METADATA
    resolve = names(
        some_example=[METADATA, dead, "127.0.0.1"], none_example=[METADATA, "fe80::1"], empty_example=[]
    )
    async with running_prober(destinations=Destinations(resolve=resolve)) as prober:
        for host, outcome in (
            ("some.example", Outcome.OK),
            ("none.example", Outcome.UNREACHABLE),
            ("empty.example", Outcome.UNREACHABLE),
            ("unknown.example", Outcome.UNREACHABLE),
        ):
            result = await prober.probe(server_target("vllm", url(server, host)), kind, POLICY)
            assert result.outcome is outcome, (host, result.detail)
        assert "(dns)" in result.detail


@KINDS
async def test_an_operator_may_allow_them(server: FaultServer, kind: ProbeKind) -> None:
    looked_up: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        looked_up.append(host)
        return ["127.0.0.1"]

    allowed = Destinations(allow_metadata_addresses=True, resolve=resolve)
    async with running_prober(destinations=allowed) as prober:
        target = server_target("vllm", url(server, "metadata.google.internal"))
        assert (await prober.probe(target, kind, POLICY)).outcome is Outcome.OK
    assert looked_up
    allowed.check_address(METADATA)


@KINDS
async def test_a_proxy_is_not_asked_for_a_metadata_service(
    server: FaultServer, kind: ProbeKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.delenv("no_proxy", raising=False)
    before = len(server.seen)
    async with running_prober() as prober:
        for host in (METADATA, "0xa9fea9fe", "metadata.google.internal"):
            result = await prober.probe(server_target("vllm", f"http://{host}"), kind, POLICY)
            assert (result.outcome, "metadata_address" in result.detail) == (Outcome.UNREACHABLE, True), host
        assert len(server.seen) == before
        await prober.probe(server_target("vllm", "http://gpu.example"), kind, POLICY)
    assert len(server.seen) > before, "other hosts do go through it"


@KINDS
async def test_a_name_is_kept_for_tls(kind: ProbeKind) -> None:
    """An address in the place of the name would be what the certificate is compared with."""
    seen: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = lambda _tls, name, _context: seen.append(name)
    resolve = names(tls_example=["127.0.0.1"])

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    listener = await asyncio.start_server(play, "127.0.0.1", 0, ssl=context)
    port = listener.sockets[0].getsockname()[1]
    async with listener, running_prober(destinations=Destinations(resolve=resolve)) as prober:
        result = await prober.probe(server_target("vllm", f"https://tls.example:{port}"), kind, POLICY)
    assert result.outcome is Outcome.UNREACHABLE
    assert seen[0] == "tls.example"


BOMB = gzip.compress(b"\0" * (64 << 20))
assert len(BOMB) < BODY_LIMIT < 64 << 20


@asynccontextmanager
async def answering(head: str, body: bytes) -> AsyncIterator[str]:
    """A server that gives this answer to everything, and then goes on listening."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(f"HTTP/1.1 200 OK\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(play, "127.0.0.1", 0)
    async with listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"


@KINDS
@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", BOMB),
        ("gzip, gzip", gzip.compress(BOMB)),
        ("br", b"\x1b\xff\xff"),
        ("gzip", b"no gzip at all"),
    ],
)
async def test_a_body_that_unfolds_without_end_is_a_bad_response(
    kind: ProbeKind, encoding: str, body: bytes
) -> None:
    head = f"Content-Type: application/json\r\nContent-Encoding: {encoding}\r\n"
    async with answering(head, body) as at, running_prober() as prober:
        result = await prober.probe(server_target("openai-compatible", at), kind, POLICY)
    assert result.outcome is Outcome.BAD_RESPONSE, result.detail


@pytest.mark.parametrize("fold", [gzip.compress, zlib.compress])
async def test_a_folded_answer_of_a_usual_size_is_read(fold: Callable[[bytes], bytes]) -> None:
    text = (
        b'data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m1","choices":[{"index":0,'
        b'"delta":{"role":"assistant","content":"ok"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    )
    name = "gzip" if fold is gzip.compress else "deflate"
    head = f"Content-Type: text/event-stream\r\nContent-Encoding: {name}\r\n"
    async with answering(head, fold(text)) as at, running_prober() as prober:
        result = await prober.probe(server_target("openai-compatible", at), ProbeKind.DEEP, POLICY)
    assert result.outcome is Outcome.OK, result.detail


@KINDS
async def test_headers_without_end_are_cut(kind: ProbeKind) -> None:
    head = "".join(f"X-{number}: {'x' * 1000}\r\n" for number in range(2000))
    async with answering(head, b"") as at, running_prober() as prober:
        result = await prober.probe(server_target("openai-compatible", at), kind, POLICY)
    assert result.outcome in (Outcome.BAD_RESPONSE, Outcome.UNREACHABLE), result.detail


@KINDS
async def test_a_redirect_is_named_and_never_followed(server: FaultServer, kind: ProbeKind) -> None:
    async with FaultServer() as elsewhere, running_prober() as prober:
        server.redirect_to = f"{elsewhere.url}/taken"
        server.play("redirect", scope="all")
        try:
            target = server_target("openai-compatible", server.url, key=PLANTED_KEY)
            result = await prober.probe(target, kind, POLICY)
        finally:
            server.play(None)
        assert elsewhere.seen == []
    assert (result.outcome, "redirect" in result.detail) == (Outcome.BAD_RESPONSE, True)
    assert PLANTED_KEY not in result.detail


async def _refuses(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return True
    writer.close()
    return False
