"""The applications that are served: all routes, and the open ones alone for an address of their own."""

from collections.abc import Sequence

import structlog
from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from monitor import __version__
from monitor.domain.policy import Policy
from monitor.metrics import Metrics
from monitor.storage.page import Kept
from monitor.web import document, routes_session
from monitor.web.document import refuse_invalid
from monitor.web.events import Events
from monitor.web.guard import Entrance, Guard
from monitor.web.metrics_page import MetricsPage
from monitor.web.page import routes as routes_page
from monitor.web.page import routes_acts, routes_login
from monitor.web.page.pages import Pages
from monitor.web.page.probe_runs import ProbeRuns
from monitor.web.page.refusal import refuse
from monitor.web.page.said import Said
from monitor.web.paths import is_page
from monitor.web.routes_open import index_route, open_routes
from monitor.web.state import DaemonState

PAGES = (routes_page.router, routes_login.router, routes_acts.router)

_log = structlog.get_logger()


class _Unhandled:
    """Answers our own defects: 500 without details to the caller, one log event with them to the operator."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except ClientDisconnect:
            return
        except Exception:
            if started:  # too late for an answer: uvicorn logs it and cuts the connection
                raise
            _log.exception("http_request_failed", method=scope.get("method"), path=scope.get("path"))
            await JSONResponse({"detail": "Internal server error"}, status_code=500)(scope, receive, send)


def create_app(
    state: DaemonState, metrics: Metrics, entrance: Entrance | None = None, routers: Sequence[APIRouter] = ()
) -> FastAPI:
    """Everything the daemon serves at MONITOR_HOST and MONITOR_PORT.

    Args:
        state: the daemon.
        metrics: its metrics.
        entrance: who may come in; without it there are the open routes alone.
        routers: guarded routes, with their whole prefix.
    """
    app = _create(state, metrics, [] if entrance is None else [Middleware(Guard, entrance=entrance)])
    if entrance is None:
        app.include_router(index_route())
    else:
        app.state.entrance, app.state.access = entrance, entrance.access
        app.state.pool = app.state.llm_manager = None
        app.state.daemon, app.state.said = state, Said()
        events = app.state.events = Events()
        app.state.pages = Pages(lambda: events.count)
        app.state.kept = Kept()
        app.state.policy_for = lambda _: Policy()
        app.state.probe_runs = ProbeRuns()
        app.add_exception_handler(RequestValidationError, refuse_invalid)
        app.add_exception_handler(HTTPException, _refuse)
        for router in (routes_session.router, document.router, *PAGES, *routers):
            app.include_router(router)
    return app


def create_open_app(state: DaemonState, metrics: Metrics) -> FastAPI:
    """The open routes alone, for MONITOR_METRICS_LISTEN: any interface, any Host header."""
    app = _create(state, metrics, [])
    app.include_router(index_route())
    return app


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    return refuse(request, error, page=is_page(request.url.path))


def _create(state: DaemonState, metrics: Metrics, guard: list[Middleware]) -> FastAPI:
    app = FastAPI(
        title="llm-monitor",
        version=__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        middleware=[Middleware(_Unhandled), *guard],
    )
    app.include_router(open_routes(state, MetricsPage(metrics)))
    return app
