"""The applications that are served: all routes, and the open ones alone for an address of their own."""

import structlog
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from monitor.metrics import Metrics
from monitor.web.metrics_page import MetricsPage
from monitor.web.routes_open import open_routes
from monitor.web.state import DaemonState

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


def create_app(state: DaemonState, metrics: Metrics) -> FastAPI:
    """Everything the daemon serves at MONITOR_HOST and MONITOR_PORT."""
    return create_open_app(state, metrics)


def create_open_app(state: DaemonState, metrics: Metrics) -> FastAPI:
    """The open routes alone, for MONITOR_METRICS_LISTEN: any interface, any Host header."""
    app = FastAPI(
        title="llm-monitor",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        middleware=[Middleware(_Unhandled)],
    )
    app.include_router(open_routes(state, MetricsPage(metrics)))
    return app
