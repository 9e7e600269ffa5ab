"""A key that nothing would recognise as one is in no traceback, whoever raised it."""

import asyncio
import io
import json
import logging
from collections.abc import Callable
from typing import Any

import aiohttp
import asyncpg
import httpx
import pytest
import structlog
import typer
from fastapi import FastAPI
from pydantic import BaseModel, ValidationError

from monitor.cli import run_command
from monitor.logs import configure
from tests.targets import LITELLM_WARNS

PLANTED = "correct horse battery staple"
pytestmark = LITELLM_WARNS


@pytest.fixture(params=["json", "console"])
def log(request: pytest.FixtureRequest, own_logging: None) -> Callable[[], str]:
    """What was logged at level debug, by a redactor that knows no key."""
    stream = io.StringIO()
    configure(level="debug", format=request.param, stream=stream)
    return stream.getvalue


def tell(error: BaseException) -> None:
    """Log it in every way in which it may come."""
    try:
        raise error
    except type(error):
        key = PLANTED  # noqa: F841 - a local variable
        structlog.get_logger().exception("job_failed")
        structlog.get_logger().error("job_failed", exc_info=error)
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
        logging.getLogger("asyncio").exception("Task exception was never retrieved")
    outer = RuntimeError("ours")
    outer.__cause__ = error
    structlog.get_logger().error("job_failed", exc_info=outer)
    structlog.get_logger().error("several", exc_info=ExceptionGroup("several", [error]))  # type: ignore[type-var]


async def test_a_row_that_postgresql_refuses_is_not_told(connection: Any, log: Callable[[], str]) -> None:
    await connection.execute("ALTER TABLE ai_servers ADD CONSTRAINT tidy CHECK (health_status <> 'x')")
    insert = (
        "INSERT INTO ai_servers (name, server_type, base_url, api_key, health_status)"
        " VALUES ($1, $2, $3, $4, $5)"
    )
    for values, kind in (
        (("one", "vllm", None, PLANTED, "up"), asyncpg.NotNullViolationError),
        (("one", "vllm", "http://a", PLANTED, "x"), asyncpg.CheckViolationError),
    ):
        with pytest.raises(kind) as caught:
            await connection.execute(insert, *values)
        assert PLANTED in str(caught.value), "PostgreSQL does tell it"
        tell(caught.value)
    await connection.execute("CREATE UNIQUE INDEX ON ai_servers (api_key)")
    await connection.execute(insert, "two", "vllm", "http://a", PLANTED, "up")
    with pytest.raises(asyncpg.UniqueViolationError) as again:
        await connection.execute(insert, "three", "vllm", "http://a", PLANTED, "up")
    tell(again.value)
    with pytest.raises(asyncpg.DataError) as wrong:
        await connection.execute("SELECT $1::int", PLANTED)
    tell(wrong.value)
    assert PLANTED not in log()
    assert "sqlstate 23514" in log()
    assert "constraint_name tidy" in log()


def test_an_input_that_pydantic_refuses_is_not_told(log: Callable[[], str]) -> None:
    class Row(BaseModel):
        key: int

    with pytest.raises(ValidationError) as caught:
        Row.model_validate({"key": PLANTED})
    assert PLANTED in str(caught.value)
    tell(caught.value)
    assert PLANTED not in log()


async def test_what_http_clients_quote_is_not_told(log: Callable[[], str]) -> None:
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.HTTPError) as first:
            await client.get("http://127.0.0.1:1/", headers={"Authorization": f"{PLANTED}\n"})
    tell(first.value)
    async with aiohttp.ClientSession() as session:
        with pytest.raises((ValueError, aiohttp.ClientError)) as second:
            await session.get(f"nonsense {PLANTED}")
    tell(second.value)
    tell(aiohttp.ClientConnectionError(PLANTED))
    assert PLANTED not in log()


def test_what_litellm_quotes_is_not_told(log: Callable[[], str]) -> None:
    from litellm.exceptions import APIConnectionError, AuthenticationError

    tell(AuthenticationError(message=f"bad key {PLANTED}", llm_provider="openai", model="m"))
    tell(APIConnectionError(message=f"bad key {PLANTED}", llm_provider="openai", model="m"))
    assert PLANTED not in log()
    assert "AuthenticationError" in log()


def test_what_python_quotes_is_not_told(log: Callable[[], str]) -> None:
    for fail in (lambda: int(PLANTED), lambda: {"a": 1}[PLANTED], lambda: json.loads(PLANTED)):
        with pytest.raises((ValueError, KeyError)) as caught:
            fail()
        caught.value.add_note(PLANTED)
        tell(caught.value)
    tell(UnicodeDecodeError("ascii", PLANTED.encode(), 0, 1, PLANTED))
    assert PLANTED not in log()
    assert "KeyError" in log()


def test_what_happened_can_still_be_found(log: Callable[[], str]) -> None:
    tell(OSError(28, "No space left on device"))
    tell(ExceptionGroup("two", [ConnectionResetError("gone"), ZeroDivisionError("division by zero")]))
    for told in (
        "No space left on device",
        "gone",
        "division by zero",
        "in tell",
        "direct cause",
        "RuntimeError: ours",
    ):
        assert told in log()


def test_an_exception_that_cannot_be_shown_costs_nothing(log: Callable[[], str]) -> None:
    class Broken(RuntimeError):
        def __str__(self) -> str:
            raise ValueError(PLANTED)

    Broken.__module__ = "monitor.broken"
    tell(Broken())
    assert "monitor.broken." in log()
    assert PLANTED not in log()


async def test_a_route_that_fails_tells_nobody(log: Callable[[], str]) -> None:
    from monitor.web.application import _Unhandled

    app = FastAPI()

    @app.get("/")
    async def fail() -> None:
        raise ValueError(PLANTED)

    app.add_middleware(_Unhandled)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://ours") as client:
        answer = await client.get("/")
    assert answer.status_code == 500
    assert PLANTED not in answer.text + str(answer.headers) + log()
    assert "http_request_failed" in log()


async def test_a_task_that_nobody_waits_for_tells_nothing(log: Callable[[], str]) -> None:
    async def fail(key: str) -> None:
        raise ValueError(key)

    task = asyncio.create_task(fail(PLANTED), name="left alone")
    await asyncio.wait([task])
    context = {"message": "Task exception was never retrieved", "exception": task.exception(), "task": task}
    asyncio.get_running_loop().default_exception_handler(context)
    assert PLANTED not in log()
    assert "never retrieved" in log()


def test_a_command_that_fails_shows_frames_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        key = PLANTED
        raise ValueError(key)

    monkeypatch.setattr(typer.main, "get_command", lambda _: type("Failing", (), {"make_context": fail})())
    assert run_command(["status"]) == 1
    shown = capsys.readouterr()
    assert "in fail" in shown.err
    assert PLANTED not in shown.out + shown.err
