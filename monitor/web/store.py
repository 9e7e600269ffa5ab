"""The pool of a request: the daemon's database, or an answer that says that it is away."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import HTTPException
from starlette.requests import Request

from monitor.storage.errors import STORE_ERRORS

ACQUIRE_SECONDS = 5.0
AWAY = "the database is away: it is tried again by itself; ask again soon"


def store_pool(request: Request) -> Any:
    """The asyncpg pool on the daemon's database.

    Raises:
        HTTPException: 503 while no database is known.
    """
    pool = getattr(request.app.state, "pool", None)
    if pool is None:
        raise store_away()
    return pool


@asynccontextmanager
async def store_connection(request: Request) -> AsyncIterator[Any]:
    """A connection to the daemon's database.

    Raises:
        HTTPException: 503 while it does not answer.
    """
    pool = store_pool(request)
    try:
        async with pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
            yield connection
    except STORE_ERRORS as error:
        raise store_away(error) from error


def store_away(error: BaseException | None = None) -> HTTPException:
    """The answer while the database does not answer; it names the kind of error, never its text."""
    reason = AWAY if error is None else f"{AWAY} ({type(error).__name__})"
    return HTTPException(503, reason, headers={"retry-after": "2"})


__all__ = ["AWAY", "STORE_ERRORS", "store_away", "store_connection", "store_pool"]
