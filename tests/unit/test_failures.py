"""What an exception of a call says of the provider: what is the caller's own says nothing."""

import asyncio
import errno
import json
import socket
import ssl
from typing import Any

import aiohttp
import httpx
import pytest

from monitor.integration.failures import outcome_of
from monitor.integration.reports import target_of


class Status(Exception):
    """As client libraries tell an answer's status."""

    def __init__(self, status: object) -> None:
        super().__init__("loading model" if status == 503 else "no")
        self.status_code = status


class Answered(Exception):
    """As requests tells it."""

    def __init__(self, status: int) -> None:
        self.response = httpx.Response(status)


def caused(error: Exception, *causes: BaseException) -> Exception:
    one: BaseException = error
    for cause in causes:
        one.__cause__ = cause
        one = cause
    return error


def named(package: str, name: str, **fields: Any) -> Exception:
    """An exception of a library that is not installed here."""
    kind = type(name, (Exception,), {"__module__": f"{package}.exceptions", **fields})
    error: Exception = kind("no")
    return error


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ConnectionRefusedError(), "unreachable"),
        (ConnectionResetError(), "unreachable"),
        (BrokenPipeError(), "unreachable"),
        (OSError(errno.ENETUNREACH, "no network"), "unreachable"),
        (socket.gaierror(-2, "no such name"), "unreachable"),
        (ssl.SSLError("bad certificate"), "unreachable"),
        (TimeoutError(), "timeout"),
        (httpx.ConnectTimeout("x"), "unreachable"),
        (httpx.ReadTimeout("x"), "timeout"),
        (httpx.ReadError("x"), "unreachable"),
        (httpx.RemoteProtocolError("x"), "unreachable"),
        (aiohttp.ServerTimeoutError(), "timeout"),
        (aiohttp.ServerDisconnectedError(), "unreachable"),
        (named("requests", "ConnectionError"), "unreachable"),
        (named("requests", "Timeout"), "timeout"),
        (named("openai", "APITimeoutError"), "timeout"),
        (Status(500), "server_error"),
        (Status(529), "server_error"),
        (Status("502"), "server_error"),
        (Status(408), "timeout"),
        (Answered(502), "server_error"),
        (caused(Status(500), ConnectionRefusedError()), "unreachable"),
        (caused(Status(500), RuntimeError(), httpx.ReadTimeout("x")), "timeout"),
        (
            caused(named("litellm", "InternalServerError", status_code=500), httpx.ConnectError("x")),
            "unreachable",
        ),
    ],
)
def test_an_outage_is_known_whichever_library_tells_of_it(error: Exception, outcome: str) -> None:
    assert outcome_of(error) == outcome


@pytest.mark.parametrize(
    "error",
    [
        asyncio.CancelledError(),
        KeyboardInterrupt(),
        GeneratorExit(),
        ValueError("mine"),
        TypeError("mine"),
        *(Status(status) for status in (400, 401, 402, 403, 404, 413, 422, 429)),
        Answered(429),
        Status(503),  # loading
        Status("no number"),
        Status(200),
        httpx.PoolTimeout("x"),
        caused(Status(408), httpx.PoolTimeout("x")),
        OSError(errno.EMFILE, "too many open files"),
        caused(httpx.ConnectError("x"), OSError(errno.EMFILE, "too many open files")),
        caused(Status(400), httpx.ConnectError("of something else")),
        caused(RuntimeError(), asyncio.CancelledError()),
        caused(Status(500), json.JSONDecodeError("no JSON", "", 0)),
        caused(Status(500), KeyError("choices")),
    ],
)
def test_what_is_the_callers_own_says_nothing(error: BaseException) -> None:
    assert outcome_of(error) is None


async def test_a_deadline_of_the_caller_is_a_timeout() -> None:
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(0):
            await asyncio.Event().wait()
    assert outcome_of(caught.value) == "timeout"


def test_causes_in_a_circle_come_to_an_end() -> None:
    one, other = Status(500), RuntimeError()
    one.__cause__, other.__cause__ = other, one
    assert outcome_of(one) == "server_error"


@pytest.mark.parametrize(
    "given",
    [
        (None, 1, "chat"),
        ("ai_server", "1", "chat"),
        ("ai_server", 1, "poetry"),
        ([], 1, "chat"),
        ("x", 1, "chat"),
    ],
)
def test_what_names_no_target_is_none(given: tuple[Any, Any, Any]) -> None:
    assert target_of(*given) is None


def test_a_target_is_found_by_its_names() -> None:
    assert str(target_of("api_key", 7, "embeddings")) == "api_key:7/embeddings"
