"""Reads a transport's exceptions: what failed below the level of an answer."""

import asyncio
import errno
import socket
import ssl
from collections.abc import Iterator

import aiohttp
import httpx

from monitor.domain.classification import Fault
from monitor.probing.destinations import AddressRefused

_RESETS = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ESHUTDOWN})


def fault_of(error: BaseException, answered: bool) -> Fault:
    """The fault behind an exception of httpx or aiohttp.

    Args:
        error: as it was raised; its causes are searched, for libraries wrap what the kernel said.
        answered: the head of an answer had come.
    """
    causes = list(_causes(error))
    if answered:
        timed_out = any(isinstance(one, (httpx.TimeoutException, TimeoutError)) for one in causes)
        return Fault.STALLED if timed_out else Fault.CUT
    for test, fault in _TESTS:
        if any(test(one) for one in causes):
            return fault
    return Fault.NETWORK


def descriptors_exhausted(error: BaseException) -> bool:
    """Whether the exception comes from having no file descriptor left."""
    return any(
        isinstance(one, OSError) and one.errno in {errno.EMFILE, errno.ENFILE} for one in _causes(error)
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    queue = [error]
    while queue:
        one = queue.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        queue += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            queue += one.exceptions
        if isinstance(one, aiohttp.ClientConnectorError):
            queue.append(one.os_error)


def _errno(error: BaseException, numbers: frozenset[int]) -> bool:
    return isinstance(error, OSError) and error.errno in numbers


def _is_tls(error: BaseException) -> bool:
    return isinstance(error, (ssl.SSLError, ssl.CertificateError, aiohttp.ClientSSLError))


def _is_disconnect(error: BaseException) -> bool:
    if isinstance(error, httpx.RemoteProtocolError):
        return "disconnected" in str(error)
    return isinstance(
        error, (httpx.ReadError, httpx.WriteError, aiohttp.ServerDisconnectedError, ConnectionResetError)
    ) or _errno(error, _RESETS)


def _is_connect_timeout(error: BaseException) -> bool:
    return isinstance(error, (httpx.ConnectTimeout, aiohttp.ConnectionTimeoutError)) or _errno(
        error, frozenset({errno.ETIMEDOUT})
    )


_TESTS = (
    (lambda error: isinstance(error, AddressRefused), Fault.METADATA_ADDRESS),
    (lambda error: isinstance(error, socket.gaierror), Fault.DNS),
    (_is_tls, Fault.TLS),
    (lambda error: _errno(error, frozenset({errno.ECONNREFUSED})), Fault.REFUSED),
    (_is_connect_timeout, Fault.CONNECT_TIMEOUT),
    (
        lambda error: isinstance(error, (httpx.TimeoutException, TimeoutError, asyncio.TimeoutError)),
        Fault.TIMEOUT,
    ),
    (_is_disconnect, Fault.RESET),
    (
        lambda error: isinstance(
            error, (httpx.ProtocolError, httpx.DecodingError, aiohttp.ClientResponseError)
        ),
        Fault.GARBAGE,
    ),
)
