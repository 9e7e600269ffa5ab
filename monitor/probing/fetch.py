"""Single GETs over one aiohttp session: bounded, never redirected, with what the wire told."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

import aiohttp
import httpx

from monitor.domain.catalog import CatalogEntry, KeyScheme
from monitor.domain.classification import Fault
from monitor.probing.destinations import Destinations
from monitor.probing.faults import descriptors_exhausted, fault_of
from monitor.probing.proxies import Proxies
from monitor.probing.wire import KEEP_ALIVE_SECONDS, certificate_end

LIST_LIMIT = 4 << 20
CONNECTIONS = 256

_UNREAD = object()


@dataclass(slots=True, kw_only=True)
class Fetched:
    """One GET's answer or fault.

    Attributes:
        status: the answer's, or None without one.
        headers: the answer's.
        body: as far as it came.
        fault: what the transport met, or None.
        descriptors_exhausted: it met a lack of file descriptors.
        tls_expires_at: the end of the server's certificate.
        seconds: how long it took.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    fault: Fault | None = None
    descriptors_exhausted: bool = False
    tls_expires_at: datetime | None = None
    seconds: float = 0.0
    _document: object = field(default=_UNREAD, init=False, repr=False)

    @property
    def ok(self) -> bool:
        """A whole answer with a good status."""
        return self.fault is None and self.status == 200

    def document(self) -> object:
        """The whole body as JSON, or None when it is none; read once."""
        if self._document is _UNREAD:
            try:
                self._document = json.loads(self.body)
            except ValueError:
                self._document = None
        return self._document


class _Response(aiohttp.ClientResponse):
    """Looks at the certificate while the connection is still ours."""

    tls: object = None

    async def start(self, connection: "aiohttp.connector.Connection") -> "_Response":
        if connection.transport is not None:
            self.tls = connection.transport.get_extra_info("ssl_object")
        await super().start(connection)
        return self


class Fetcher:
    """The session of all light probes; open it with `start`, end it with `close`."""

    def __init__(self, destinations: Destinations | None = None) -> None:
        self._destinations = destinations or Destinations()
        self._session: aiohttp.ClientSession | None = None
        self._proxies = Proxies()  # aiohttp's own way with them reads .netrc in a thread for every request

    async def start(self) -> None:
        """Open the session."""
        if self._session is None:
            connector = self._destinations.connector(
                limit=CONNECTIONS,
                keepalive_timeout=KEEP_ALIVE_SECONDS,
                ttl_dns_cache=10,
                ssl=httpx.create_ssl_context(),  # the roots that deep probes and the application trust
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                response_class=_Response,
                auto_decompress=False,
                headers={"Accept-Encoding": "identity", "User-Agent": "llm-monitor"},
            )

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(
        self, url: str, headers: Mapping[str, str], *, connect: float, whole: float, limit: int = LIST_LIMIT
    ) -> Fetched:
        """One GET; whatever happens is in the answer, only cancellation is raised.

        Args:
            url: the whole address.
            headers: the key's among them.
            connect: seconds until the connection stands.
            whole: seconds for everything.
            limit: bytes of body after which the answer is too large.
        """
        await self.start()
        assert self._session is not None  # noqa: S101 - just started
        fetched = Fetched()
        began = time.monotonic()
        try:
            timeout = aiohttp.ClientTimeout(total=whole, connect=None, sock_connect=connect)
            proxy = self._proxies.for_url(url)
            self._destinations.check_host(urlsplit(url).hostname or "")
            async with self._session.get(
                url, headers=headers, allow_redirects=False, timeout=timeout, proxy=proxy
            ) as response:
                fetched.status = response.status
                fetched.headers = response.headers
                if isinstance(response, _Response):
                    fetched.tls_expires_at = certificate_end(response.tls)
                if 300 <= response.status < 400:
                    fetched.fault = Fault.REDIRECT
                    response.close()
                else:
                    await _read(response, fetched, limit)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            fetched.fault = fault_of(error, answered=fetched.status is not None)
            fetched.descriptors_exhausted = descriptors_exhausted(error)
        fetched.seconds = time.monotonic() - began
        return fetched


async def _read(response: aiohttp.ClientResponse, fetched: Fetched, limit: int) -> None:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit:
            fetched.fault = Fault.TOO_LARGE
            response.close()
            break
    fetched.body = bytes(body[:limit])


def key_headers(entry: CatalogEntry, key: str | None) -> dict[str, str]:
    """The headers that carry a key to a provider, and those it wants besides."""
    headers = dict(entry.headers)
    if key is not None:
        match entry.key_scheme:
            case KeyScheme.BEARER:
                headers["Authorization"] = f"Bearer {key}"
            case KeyScheme.X_API_KEY | KeyScheme.X_GOOG_API_KEY:
                headers[entry.key_scheme.value] = key
    return headers
