"""Who makes a request, by token; what a handler asks for as a dependency."""

import asyncio
import hmac
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from fastapi import HTTPException
from starlette.requests import Request

from monitor.domain.access import Caller, TokenRole, digest, read_token
from monitor.storage.errors import STORE_ERRORS
from monitor.storage.tokens import FoundToken, find_token, note_use

KEPT_SECONDS = 4.0
MOST_KEPT = 1_000
LOOKUP_SECONDS = 5.0

_NOBODY = digest("nobody's secret")

log = structlog.get_logger()


class TokensAway(Exception):
    """The database, which alone knows the tokens, does not answer."""


@dataclass(frozen=True, slots=True)
class _Known:
    token: FoundToken
    until: float


class Access:
    """Knows whom a token speaks for; asks again after a few seconds, and when a token has changed."""

    def __init__(self, pool: Callable[[], Any], clock: Callable[[], float]) -> None:
        """Nothing is known yet.

        Args:
            pool: the asyncpg pool, or None while there is no database.
            clock: monotonic seconds.
        """
        self._pool = pool
        self._clock = clock
        self._known: OrderedDict[int, _Known] = OrderedDict()
        self._forgotten = 0

    async def identify(self, text: str) -> Caller | None:
        """Whom a token speaks for; None when it is none, expired or revoked.

        Raises:
            TokensAway: nobody can say.
        """
        read = read_token(text)
        id_, secret = read if read is not None else (0, "")
        token = await self._find(id_) if read is not None else None
        # An unknown id costs the same comparison as a known one.
        same = hmac.compare_digest(digest(secret), token.digest if token is not None else _NOBODY)
        return token.caller if same and token is not None else None

    async def revisit(self, id_: int) -> Caller | None:
        """The caller of a token that was proved before; None when it is expired or revoked by now.

        Raises:
            TokensAway: nobody can say.
        """
        token = await self._find(id_)
        return token.caller if token is not None else None

    async def left_seconds(self, id_: int) -> float | None:
        """Until a token expires; None when it never does."""
        token = await self._find(id_)
        return token.left_seconds if token is not None else 0.0

    def forget(self, id_: int | None = None) -> None:
        """Ask for a token again before it is believed once more; without an id, for every one."""
        self._forgotten += 1
        if id_ is None:
            self._known.clear()
        else:
            self._known.pop(id_, None)

    async def _find(self, id_: int) -> FoundToken | None:
        known = self._known.get(id_)
        if known is not None and self._clock() < known.until:
            return known.token
        self._known.pop(id_, None)
        forgotten, asked_at = self._forgotten, self._clock()
        token = await self._ask(id_)
        # What was forgotten while the answer was on its way may be in the answer.
        if token is not None and forgotten == self._forgotten:
            left = KEPT_SECONDS if token.left_seconds is None else min(KEPT_SECONDS, token.left_seconds)
            self._known[id_] = _Known(token, asked_at + left)
            if len(self._known) > MOST_KEPT:
                self._known.popitem(last=False)
        return token

    async def _ask(self, id_: int) -> FoundToken | None:
        pool = self._pool()
        if pool is None:
            raise TokensAway
        try:
            async with asyncio.timeout(LOOKUP_SECONDS), pool.acquire(timeout=LOOKUP_SECONDS) as connection:
                token = await find_token(connection, id_)
                if token is not None and token.note_use:
                    await _note_use(connection, id_)
                return token
        except STORE_ERRORS as error:
            raise TokensAway from error


async def _note_use(connection: Any, id_: int) -> None:
    # A database that takes nothing for the moment can still say whose token it is.
    try:
        await note_use(connection, id_)
    except STORE_ERRORS as error:
        log.debug("token_use_not_noted", error=type(error).__name__)


async def require_viewer(request: Request) -> Caller:
    """The caller, who may look at everything.

    Raises:
        HTTPException: 401 for nobody, 403 when the role is too small.
    """
    return _require(request, TokenRole.VIEWER)


async def require_reporter(request: Request) -> Caller:
    """The caller, who may report how requests fared."""
    return _require(request, TokenRole.REPORTER)


async def require_admin(request: Request) -> Caller:
    """The caller, who may change everything."""
    return _require(request, TokenRole.ADMIN)


def refuse_nobody(reason: str) -> HTTPException:
    """The answer to a request of nobody we know."""
    return HTTPException(401, reason, headers={"www-authenticate": "Bearer"})


def _require(request: Request, role: TokenRole) -> Caller:
    # The guard has put it there; without the guard nobody is anybody.
    caller = getattr(request.state, "caller", None)
    if not isinstance(caller, Caller):
        raise refuse_nobody("a token is needed: Authorization: Bearer TOKEN")
    if not caller.role.includes(role):
        raise HTTPException(403, f"this wants a token of the role {role}; yours is {caller.role}")
    return caller
