"""Stands before every route: whatever is not named as open wants a token, also what somebody adds later."""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

import structlog
from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from monitor.domain.access import Caller
from monitor.web.access import Access, TokensAway, refuse_nobody
from monitor.web.forms import CSRF_FIELD, read_form
from monitor.web.page.refusal import ask_again, refuse
from monitor.web.paths import FRONT, OPEN, PAGE_LOGIN, SAFE_METHODS, STATIC, UNLOCKED, check_role, is_page
from monitor.web.rules import DoorRules, refuse_other_page, refuse_way
from monitor.web.sessions import COOKIE, CSRF_HEADER, Session, Sessions
from monitor.web.store import store_away
from monitor.web.throttle import Throttle

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


def comes_from_elsewhere(scope: Scope) -> bool:
    """Whether a browser follows somebody else's link to a page, and so has kept its strict cookie back."""
    headers = Headers(scope=scope)
    return (
        scope["method"] == "GET"
        and headers.get("sec-fetch-site") == "cross-site"
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
        and COOKIE not in Request(scope).cookies
    )


def client_address(scope: Scope) -> str:
    """Who asks, as far as the way is believed."""
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


class Guard:
    """Lets a request through to the routes, with its caller in `request.state`, or answers it."""

    def __init__(self, app: ASGIApp, entrance: Entrance) -> None:
        self._app = app
        self._entrance = entrance
        self._rules: DoorRules | None = None
        self._behind_proxy: Any = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        self._follow(self._entrance.rules)
        from_proxy = self._entrance.rules.trusts(client_address(scope))
        scope["state"] = {**scope.get("state", {}), "from_proxy": from_proxy}
        await self._behind_proxy(scope, receive, send)

    def _follow(self, rules: DoorRules) -> None:
        if self._rules is not rules:
            self._rules = rules
            self._behind_proxy = ProxyHeadersMiddleware(
                self._answer,  # type: ignore[arg-type]  # uvicorn's types and starlette's differ in words alone
                trusted_hosts=list(rules.trust_proxy),
            )

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(message)
            await send(message)

        if is_page(scope["path"]) and comes_from_elsewhere(scope):
            await ask_again(Request(scope))(scope, receive, with_headers)
            return
        try:
            await self._admit(scope, receive)
        except HTTPException as refusal:
            response = refuse(Request(scope), refusal, page=is_page(scope["path"]))
            await response(scope, receive, with_headers)
            return
        await self._app(scope, _Bounded(receive), with_headers)

    async def _admit(self, scope: Scope, receive: Receive) -> None:
        headers, state, path, method = Headers(scope=scope), scope["state"], scope["path"], scope["method"]
        foreign = self._entrance.rules.refuse_host(headers.get("host"))
        unsafe = refuse_way(scope, from_proxy=state["from_proxy"])
        if path == FRONT:
            state["no_login"] = foreign or unsafe
        elif foreign:
            raise HTTPException(400, foreign)
        elif unsafe:
            raise HTTPException(403, unsafe)
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > LARGEST_BODY:
            raise _too_large()
        if is_page(path) and method not in SAFE_METHODS and (reason := refuse_other_page(headers)):
            raise HTTPException(403, reason)
        if path in {FRONT, PAGE_LOGIN}:
            await self._recognise(scope, headers)
        elif path not in UNLOCKED and not path.startswith(STATIC):
            caller = await self._identify(scope, headers)
            check_role(caller, method, path)
            _let_in(state, caller)
        if method not in SAFE_METHODS:
            await _check_write(scope, headers, receive)

    async def _recognise(self, scope: Scope, headers: Headers) -> None:
        """Who has come to a page that wants nobody; an old login is none, and no reason to refuse."""
        state = scope["state"]
        if state.get("no_login"):
            return
        if scope["path"] == FRONT and "authorization" in headers:
            caller = await self._identify(scope, headers)
            check_role(caller, scope["method"], FRONT)
            _let_in(state, caller)
            return
        try:
            caller = await self._identify_cookie(scope, Request(scope).cookies.get(COOKIE))
            check_role(caller, scope["method"], FRONT)
        except HTTPException as refusal:
            state.pop("session", None)
            state["store_away"] = refusal.status_code == 503
            return
        _let_in(state, caller)

    async def _identify(self, scope: Scope, headers: Headers) -> Caller:
        authorization = headers.get("authorization")
        if authorization is not None:
            scheme, _, token = authorization.partition(" ")
            # Whoever shows another kind of credential has shown none of ours.
            text = token.strip() if scheme.lower() == "bearer" else ""
            return await self._entrance.identify_token(text, client_address(scope))
        return await self._identify_cookie(scope, Request(scope).cookies.get(COOKIE))

    async def _identify_cookie(self, scope: Scope, cookie: str | None) -> Caller:
        if cookie is None:
            raise refuse_nobody("a token is needed: Authorization: Bearer TOKEN, or log in")
        sessions = self._entrance.sessions
        if sessions is None:
            raise store_away()
        session = sessions.read(cookie)
        caller = await self._revisit(session) if session is not None else None
        if session is None or caller is None:
            raise refuse_nobody("the login has ended: log in again")
        scope["state"]["session"] = session
        return caller

    async def _revisit(self, session: Session) -> Caller | None:
        try:
            return await self._entrance.access.revisit(session.token_id)
        except TokensAway as away:
            raise store_away(away.__cause__) from away


def _let_in(state: MutableMapping[str, Any], caller: Caller) -> None:
    state["caller"], state["user_id"] = caller, caller.name


async def _check_write(scope: Scope, headers: Headers, receive: Receive) -> None:
    """Whether a write is this caller's own will, and not another page's.

    A page's form is read here, whatever its route does with it: one that is added later is held too.

    Raises:
        HTTPException: 403 when it may be somebody else's, 400 and 413 for what is no form.
    """
    state, session = scope["state"], scope["state"].get("session")
    if is_page(scope["path"]):
        state["form"] = await read_form(headers, receive)
        shown = state["form"].get(CSRF_FIELD, "")
        wanted = "the form is not of this login, or is an old one: open it anew. Nothing was changed"
    else:
        shown = headers.get(CSRF_HEADER, "")
        wanted = "a write with a cookie wants the header X-CSRF-Token of its login"
    if session is not None and scope["path"] not in UNLOCKED and not session.fits(shown):
        raise HTTPException(403, wanted)


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
