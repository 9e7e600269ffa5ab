"""Which addresses are connected to: those that a name turned out to be are looked at, and no others.

A row's own spelling is checked when it is read. Whoever may write one may also name a host whose address is a
metadata service's, now or a moment later: so each address is looked at when the connection to it is made.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import Any

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult

from monitor.domain.metadata_address import SETTING, is_metadata_address, is_metadata_host

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

_NEXT_SECONDS = 0.25  # RFC 8305: how long one address has before the next is tried beside it


class AddressRefused(OSError):
    """The address is a metadata service's, or link-local."""

    def __init__(self) -> None:
        super().__init__(f"a metadata service's address is not connected to, unless {SETTING} says so")


class Destinations:
    """Where both of our HTTP clients may go."""

    def __init__(self, *, allow_metadata_addresses: bool = False, resolve: Resolve | None = None) -> None:
        """Decide.

        Args:
            allow_metadata_addresses: an operator's word that all of them may be spoken to.
            resolve: addresses of a host, in the order to try them; None for the system's resolver.
        """
        self._allow = allow_metadata_addresses
        self._resolve = resolve

    def check_host(self, host: str) -> None:
        """Refuse a host by its name or literal address: a proxy would look it up by itself.

        Raises:
            AddressRefused: it is one of theirs.
        """
        if not self._allow and is_metadata_host(host):
            raise AddressRefused

    def check_address(self, address: str) -> None:
        """Refuse an address that is about to be connected to.

        Raises:
            AddressRefused: it is one of theirs.
        """
        if not self._allow and is_metadata_address(ip_address(address.partition("%")[0])):
            raise AddressRefused

    async def resolve(self, host: str, port: int) -> list[str]:
        """The addresses of a host that may be connected to, in the order to try them.

        Raises:
            AddressRefused: all of them are refused.
            OSError: the name has none.
        """
        found = await (self._resolve or _system)(host, port)
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "the name has no address")
        allowed = [one for one in found if self._is_allowed(one)]
        if not allowed:
            raise AddressRefused
        return allowed

    def connector(self, **options: Any) -> aiohttp.TCPConnector:
        """The way of aiohttp to connect, which looks at each address before there is a socket for it."""
        return aiohttp.TCPConnector(
            socket_factory=self._socket,
            resolver=_Resolver(self.resolve),
            **options,
        )

    def guard(self, transport: httpx.AsyncHTTPTransport) -> httpx.AsyncHTTPTransport:
        """Let httpx connect to addresses that were looked at alone; the same transport, not used yet."""
        # In no other way does httpx let somebody else connect.
        pool = transport._pool
        inner = pool._network_backend
        if not hasattr(inner, "connect_tcp"):
            raise TypeError("httpx connects in a way that is not known here")
        pool._network_backend = _Backend(inner, self)  # type: ignore[assignment]
        return transport

    def _is_allowed(self, address: str) -> bool:
        try:
            self.check_address(address)
        except AddressRefused:
            return False
        return True

    def _socket(self, info: Any) -> socket.socket:
        family, kind, protocol, _, address = info
        self.check_address(address[0])
        return socket.socket(family, kind, protocol)


class _Resolver(AbstractResolver):
    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in await self._resolve(host, port)
        ]

    async def close(self) -> None:
        pass


class _Backend:
    """httpcore's way to connect, with the looking up taken out of it."""

    def __init__(self, inner: Any, destinations: Destinations) -> None:
        self._inner = inner
        self._destinations = destinations

    async def connect_tcp(self, host: str, port: int, timeout: float | None = None, **options: Any) -> Any:
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._destinations.resolve(host, port)
                return await _first(
                    lambda address: self._inner.connect_tcp(address, port, timeout=timeout, **options),
                    addresses,
                )
        except TimeoutError as error:
            raise httpx.ConnectTimeout("no connection in time") from error
        except OSError as error:
            raise httpx.ConnectError(str(error)) from error

    async def connect_unix_socket(self, path: str, **options: Any) -> Any:
        raise httpx.ConnectError("a probe goes over TCP")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def _first(connect: Callable[[str], Awaitable[Any]], addresses: Iterable[str]) -> Any:
    """The first connection that stands; further addresses are tried beside one that takes its time."""
    waiting, under_way = list(addresses), set[asyncio.Task[Any]]()
    errors: list[BaseException] = []
    try:
        while waiting or under_way:
            if waiting:
                under_way.add(asyncio.ensure_future(connect(waiting.pop(0))))
            done, under_way = await asyncio.wait(
                under_way,
                timeout=_NEXT_SECONDS if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            errors += [error for one in done if (error := one.exception()) is not None]
            stand = [one.result() for one in done if one.exception() is None]
            for more in stand[1:]:
                await more.aclose()
            if stand:
                return stand[0]
    finally:
        for one in under_way:
            one.cancel()
        for late in await asyncio.gather(*under_way, return_exceptions=True):
            if not isinstance(late, BaseException):
                await late.aclose()
    raise errors[0]


async def _system(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
    )
    return list(dict.fromkeys(_spell(address) for *_, address in found))


def _spell(address: Any) -> str:
    host, zone = str(address[0]), address[3] if len(address) == 4 else 0
    return f"{host}%{zone}" if zone and "%" not in host else host
