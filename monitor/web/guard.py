"""Stands before every route: whatever is not named as open wants a token, also what somebody adds later."""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

import structlog
from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from monitor.domain.access import Caller, TokenRole
from monitor.web.access import Access, TokensAway, refuse_nobody
from monitor.web.rules import DoorRules, refuse_way
from monitor.web.sessions import COOKIE, CSRF_HEADER, Session, Sessions
from monitor.web.store import store_away
from monitor.web.throttle import Throttle

API = "/api/v1/monitor"
LOGIN = f"{API}/login"
LOGOUT = f"{API}/logout"
REPORTS = f"{API}/reports"

OPEN = frozenset({"/", "/metrics", "/healthz", "/readyz", "/api/v1/llm-config/health"})
"""Answered to anybody, under any name, over any way: scrapers and kubelets come as they are."""

UNLOCKED = frozenset({LOGIN})
"""Answered without a token, but under our own name and over a safe way alone."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
LARGEST_BODY = 1024 * 1024

HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}

log = structlog.get_logger()


@dataclass(slots=True)
class Entrance:
    """What the guard asks.

    Attributes:
        rules: the settings it goes by.
        access: who a token is.
        throttle: counts failures.
        sessions: logins; None before the database was found.
    """

    rules: DoorRules
    access: Access
    throttle: Throttle
    sessions: Sessions | None = None

    async def identify_token(self, text: str, address: str) -> Caller:
        """The caller of a token.

        Raises:
            HTTPException: 401 for a token that is none, 429 after too many of them from one client, 503 while
                nobody can say.
        """
        try:
            caller = await self.access.identify(text)
        except TokensAway as away:
            raise store_away(away.__cause__) from away
        if caller is not None:
            return caller
        wait = self.throttle.fail(address)
        if wait is None:
            raise refuse_nobody("the token is unknown, expired or revoked")
        log.debug("access_throttled", client=address)
        reason = f"too many wrong tokens from this address: try again in {wait} s"
        raise HTTPException(429, reason, headers={"retry-after": str(wait)})


def wanted_role(method: str, path: str) -> TokenRole:
    """The role that a request wants: looking is a viewer's, and changing anything an administrator's."""
    if method in SAFE_METHODS or path == LOGOUT:
        return TokenRole.VIEWER
    return TokenRole.REPORTER if path == REPORTS else TokenRole.ADMIN


def client_address(scope: Scope) -> str:
    """Who asks, as far as the way is believed."""
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


class Guard:
    """Lets a request through to the routes, with its caller in `request.state`, or answers it."""

    def __init__(self, app: ASGIApp, entrance: Entrance) -> None:
        self._app = app
        self._entrance = entrance
        self._behind_proxy: Any = ProxyHeadersMiddleware(
            self._answer,  # type: ignore[arg-type]  # uvicorn's types and starlette's differ in words alone
            trusted_hosts=list(entrance.rules.trust_proxy),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        from_proxy = self._entrance.rules.trusts(client_address(scope))
        scope["state"] = {**scope.get("state", {}), "from_proxy": from_proxy}
        await self._behind_proxy(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(message)
            await send(message)

        try:
            await self._admit(scope)
        except HTTPException as refusal:
            response = JSONResponse({"detail": refusal.detail}, refusal.status_code, headers=refusal.headers)
            await response(scope, receive, with_headers)
            return
        await self._app(scope, _Bounded(receive), with_headers)

    async def _admit(self, scope: Scope) -> None:
        headers, state = Headers(scope=scope), scope["state"]
        if reason := self._entrance.rules.refuse_host(headers.get("host")):
            raise HTTPException(400, reason)
        if reason := refuse_way(scope, from_proxy=state["from_proxy"]):
            raise HTTPException(403, reason)
        if scope["path"] not in UNLOCKED:
            caller = await self._identify(scope, headers)
            wanted = wanted_role(scope["method"], scope["path"])
            if not caller.role.includes(wanted):
                raise HTTPException(403, f"this wants a token of the role {wanted}; yours is {caller.role}")
            state |= {"caller": caller, "user_id": caller.name}
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > LARGEST_BODY:
            raise _too_large()

    async def _identify(self, scope: Scope, headers: Headers) -> Caller:
        authorization = headers.get("authorization")
        if authorization is not None:
            scheme, _, token = authorization.partition(" ")
            # Whoever shows another kind of credential has shown none of ours.
            text = token.strip() if scheme.lower() == "bearer" else ""
            return await self._entrance.identify_token(text, client_address(scope))
        cookie = Request(scope).cookies.get(COOKIE)
        if cookie is None:
            raise refuse_nobody("a token is needed: Authorization: Bearer TOKEN, or log in")
        sessions = self._entrance.sessions
        if sessions is None:
            raise store_away()
        session = sessions.read(cookie)
        caller = await self._revisit(session) if session is not None else None
        if session is None or caller is None:
            raise refuse_nobody("the login has ended: log in again")
        if scope["method"] not in SAFE_METHODS and not session.fits(headers.get(CSRF_HEADER, "")):
            raise HTTPException(403, "a write with a cookie wants the header X-CSRF-Token of its login")
        scope["state"]["session"] = session
        return caller

    async def _revisit(self, session: Session) -> Caller | None:
        try:
            return await self._entrance.access.revisit(session.token_id)
        except TokensAway as away:
            raise store_away(away.__cause__) from away


class _Bounded:
    """A request's body, of which no more than the cap is read."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._left = LARGEST_BODY

    async def __call__(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise _too_large()
        return message


def _too_large() -> HTTPException:
    return HTTPException(413, f"a request's body has {LARGEST_BODY} bytes at most")


def _add_headers(message: MutableMapping[str, Any]) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
