"""The wire under every litellm call: bounded, and observed where no library has reinterpreted it yet."""

import ssl
import time
import zlib
from collections.abc import AsyncIterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx

from monitor.domain.classification import Fault
from monitor.probing.destinations import Destinations
from monitor.probing.faults import descriptors_exhausted, fault_of
from monitor.probing.proxies import Proxies

BODY_LIMIT = 1 << 20
PIECE = 64 << 10  # of a compressed body, which may unfold a thousandfold, is looked at before the next
HEAD_KEPT = 64 << 10
TAIL_KEPT = 8 << 10
_ENCODINGS = {"identity": False, "": False, "gzip": True, "x-gzip": True, "deflate": True}
_ANY_ZLIB = 47  # gzip and zlib, told apart by their heads
KEEP_ALIVE_SECONDS = 4.0  # under the 5 s after which many servers hang up: a probe must not die of that race


class RequestRefused(httpx.TransportError):
    """A library wanted more than one request, another host or a redirect; it carries no key."""


@dataclass(slots=True, kw_only=True)
class Exchange:
    """The raw facts of one request, noted while it happens.

    Attributes:
        host: the only host that may be spoken to, or None when only litellm knows it.
        connect_timeout: seconds until the connection stands.
        timeout: seconds for the whole.
        requests: how many were asked for; only the first is sent.
        status: the answer's status.
        headers: the answer's headers.
        body: the first 64 KiB of the answer.
        tail: its last 8 KiB, where they are not in `body`.
        size: bytes of the answer so far.
        ended_at: monotonic time of the answer's end, or None when it did not come.
        first_byte_at: monotonic time of the answer's head.
        fault: what the transport met, or None.
        descriptors_exhausted: it met a lack of file descriptors.
        tls_expires_at: the end of the server's certificate.
    """

    host: str | None = None
    connect_timeout: float = 5.0
    timeout: float = 20.0
    requests: int = 0
    status: int | None = None
    headers: httpx.Headers = field(default_factory=httpx.Headers)
    body: bytearray = field(default_factory=bytearray)
    tail: bytes = b""
    size: int = 0
    ended_at: float | None = None
    first_byte_at: float | None = None
    fault: Fault | None = None
    descriptors_exhausted: bool = False
    tls_expires_at: datetime | None = None

    def take(self, chunk: bytes) -> None:
        """Note a piece of the answer."""
        self.size += len(chunk)
        room = HEAD_KEPT - len(self.body)
        if room > 0:
            self.body += chunk[:room]
            chunk = chunk[room:]
        if chunk:
            self.tail = (self.tail + chunk)[-TAIL_KEPT:]

    def fail(self, error: BaseException) -> None:
        """Note the first exception of the transport."""
        self.descriptors_exhausted = self.descriptors_exhausted or descriptors_exhausted(error)
        if self.fault is None:
            self.fault = fault_of(error, answered=self.status is not None)


EXCHANGE: ContextVar[Exchange | None] = ContextVar("exchange", default=None)


class WireTransport(httpx.AsyncBaseTransport):
    """One pooled transport for all deep probes, which sends nothing outside of an exchange.

    Libraries close the clients they were handed and try again on new ones: closing is left to `shut`,
    and a second request of the same exchange is refused, as is every redirect.
    """

    def __init__(self, destinations: Destinations | None = None) -> None:
        self._destinations = destinations or Destinations()
        self._tls = httpx.create_ssl_context()
        self._proxies = Proxies()
        self._direct = self._open(None)
        self._by_proxy: dict[str, httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the one request of the current exchange."""
        exchange = EXCHANGE.get()
        if exchange is None:
            raise RequestRefused("no probe is under way", request=request)
        exchange.requests += 1
        if exchange.requests > 1:
            raise RequestRefused("a probe is one request", request=request)
        if exchange.host is not None and request.url.host != exchange.host:
            raise RequestRefused("a probe speaks to its own target only", request=request)
        request.headers["accept-encoding"] = "identity"
        request.extensions["timeout"] = {
            "connect": exchange.connect_timeout,
            "pool": exchange.timeout,
            "read": exchange.timeout,
            "write": exchange.timeout,
        }
        try:
            self._destinations.check_host(request.url.host)
            response = await self._transport(request.url).handle_async_request(request)
        except Exception as error:
            exchange.fail(error)
            raise
        exchange.first_byte_at = time.monotonic()
        exchange.status = response.status_code
        exchange.headers = response.headers
        exchange.tls_expires_at = _certificate_end(response)
        if 300 <= response.status_code < 400:
            exchange.fault = Fault.REDIRECT
            await response.aclose()
            raise RequestRefused("redirects are not followed", request=request)
        assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101 - httpx's own promise
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in _ENCODINGS:
            exchange.fault = Fault.GARBAGE
            await response.aclose()
            raise RequestRefused("an encoding that nobody asked for", request=request)
        if _ENCODINGS[encoding]:
            # Unfolded here, within bounds: what the libraries above would make of it has none.
            for name in ("content-encoding", "content-length"):
                response.headers.pop(name, None)
        response.stream = _ObservedStream(response.stream, exchange, folded=_ENCODINGS[encoding])
        return response

    async def aclose(self) -> None:
        """Nothing: the pool outlives the clients that libraries make of it."""

    async def shut(self) -> None:
        """Close all connections."""
        for transport in (self._direct, *self._by_proxy.values()):
            await transport.aclose()

    def _transport(self, url: httpx.URL) -> httpx.AsyncHTTPTransport:
        proxy = self._proxies.for_host(url.scheme, url.host)
        if proxy is None:
            return self._direct
        if proxy not in self._by_proxy:
            self._by_proxy[proxy] = self._open(proxy)
        return self._by_proxy[proxy]

    def _open(self, proxy: str | None) -> httpx.AsyncHTTPTransport:
        limits = httpx.Limits(
            max_connections=None, max_keepalive_connections=128, keepalive_expiry=KEEP_ALIVE_SECONDS
        )
        return self._destinations.guard(
            httpx.AsyncHTTPTransport(verify=self._tls, limits=limits, proxy=proxy, trust_env=False)
        )


class _ObservedStream(httpx.AsyncByteStream):
    def __init__(self, inner: httpx.AsyncByteStream, exchange: Exchange, *, folded: bool) -> None:
        self._inner = inner
        self._exchange = exchange
        self._folded = folded

    async def __aiter__(self) -> AsyncIterator[bytes]:
        exchange = self._exchange
        try:
            async for chunk in self._pieces():
                exchange.take(chunk)
                if exchange.size > BODY_LIMIT:
                    exchange.fault = Fault.TOO_LARGE
                    raise httpx.ReadError("the answer is too large")  # noqa: TRY301 - for the library above
                yield chunk
        except Exception as error:
            exchange.fail(error)
            raise
        exchange.ended_at = time.monotonic()

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _pieces(self) -> AsyncIterator[bytes]:
        if not self._folded:
            async for chunk in self._inner:
                yield chunk
            return
        inflate, received = zlib.decompressobj(_ANY_ZLIB), 0
        async for chunk in self._inner:
            received += len(chunk)
            if received > BODY_LIMIT:
                self._exchange.fault = Fault.TOO_LARGE
                raise httpx.ReadError("the answer is too large")
            while chunk and not inflate.eof:
                try:
                    piece = inflate.decompress(chunk, PIECE)
                except zlib.error as error:
                    self._exchange.fault = Fault.GARBAGE
                    raise httpx.DecodingError("the answer does not unfold") from error
                chunk = inflate.unconsumed_tail
                if piece:
                    yield piece


def certificate_end(tls: object) -> datetime | None:
    """The end of the peer's certificate, or None without TLS."""
    if not isinstance(tls, (ssl.SSLObject, ssl.SSLSocket)):
        return None
    end = (tls.getpeercert() or {}).get("notAfter")
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(end), UTC) if isinstance(end, str) else None


def _certificate_end(response: httpx.Response) -> datetime | None:
    stream = response.extensions.get("network_stream")
    return certificate_end(stream.get_extra_info("ssl_object")) if stream is not None else None
