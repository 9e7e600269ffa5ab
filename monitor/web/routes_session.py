"""Login for pages: a token once, then a cookie that stands for it."""

import math
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from monitor.domain.access import Caller, TokenRole
from monitor.web.access import TokensAway
from monitor.web.guard import Entrance, client_address
from monitor.web.paths import API
from monitor.web.sessions import COOKIE, LASTS, Session, Sessions
from monitor.web.store import store_away

router = APIRouter(prefix=API, tags=["session"])


class Login(BaseModel):
    """A token to exchange."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"token": "llmm_1_..."}]})

    token: Annotated[str, Field(max_length=300, description="As `llm-monitor token create` printed it.")]


class SessionView(BaseModel):
    """Who is asking."""

    name: str = Field(description="The token's name, which the audit trail shows.", examples=["ops"])
    role: TokenRole = Field(description="`viewer` looks, `reporter` reports too, `admin` changes.")
    csrf: str | None = Field(
        description="What X-CSRF-Token must say in a write with the cookie; null with a bearer token."
    )


@router.post(
    "/login",
    summary="Exchange a token for a cookie",
    responses={401: {"description": "The token is unknown, expired or revoked."}},
)
async def log_in(login: Login, request: Request, response: Response) -> SessionView:
    """The cookie lasts 12 hours, and no longer than its token."""
    begun = await begin_login(request, login.token)
    set_cookie(request, response, begun)
    return _view(begun.caller, begun.session)


@router.post("/logout", status_code=204, summary="End a login")
async def log_out(request: Request, response: Response) -> None:
    """The cookie is of no use from then on, to nobody; with a bearer token nothing happens."""
    end_login(request)
    forget_cookie(request, response)


@router.get("/session", summary="Who is asking")
async def show_session(request: Request) -> SessionView:
    """The token's name and role, and what a page's writes need."""
    return _view(request.state.caller, session_of(request))


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A login that has just begun.

    Attributes:
        caller: whose.
        session: the login.
        cookie: what stands for it.
        lasts_seconds: for how long.
    """

    caller: Caller
    session: Session
    cookie: str = field(repr=False)
    lasts_seconds: int


async def begin_login(request: Request, token: str) -> Begun:
    """Exchange a token.

    Raises:
        HTTPException: 401 for a token that is none, 429 after too many of them, 503 while nobody can say.
    """
    entrance: Entrance = request.app.state.entrance
    caller = await entrance.identify_token(token.strip(), client_address(request.scope))
    try:
        left = await entrance.access.left_seconds(caller.token_id)
    except TokensAway as away:
        raise store_away(away.__cause__) from away
    cookie, session = _sessions(entrance).begin(caller.token_id)
    lasts = LASTS.total_seconds()
    seconds = math.ceil(lasts if left is None else min(lasts, left))
    return Begun(caller=caller, session=session, cookie=cookie, lasts_seconds=seconds)


def set_cookie(request: Request, response: Response, begun: Begun) -> None:
    """Let the browser keep a login."""
    response.set_cookie(
        COOKIE,
        begun.cookie,
        max_age=begun.lasts_seconds,
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


def end_login(request: Request) -> None:
    """End the login of a request, if it came with one."""
    session = session_of(request)
    if session is not None:
        _sessions(request.app.state.entrance).end(session)


def forget_cookie(request: Request, response: Response) -> None:
    """Let the browser forget a login."""
    response.delete_cookie(
        COOKIE, path="/", secure=request.url.scheme == "https", httponly=True, samesite="strict"
    )


def session_of(request: Request) -> Session | None:
    """The login of a request; None when it came with a token, or with nothing."""
    session: Session | None = getattr(request.state, "session", None)
    return session


def _sessions(entrance: Entrance) -> Sessions:
    if entrance.sessions is None:
        raise store_away()
    return entrance.sessions


def _view(caller: Caller, session: Session | None) -> SessionView:
    return SessionView(name=caller.name, role=caller.role, csrf=session.csrf if session is not None else None)
