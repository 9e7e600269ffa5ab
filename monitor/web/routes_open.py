"""The routes that want no token: metrics, liveness, readiness, and the purposes' health without names."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from monitor.web.metrics_page import MetricsPage
from monitor.web.state import DaemonState, Role

SERVICE = "llm-monitor"
_WORST_FIRST: tuple[str, ...] = ("down", "degraded", "unknown")
_NOT_READY: dict[Role, str] = {
    "starting": "starting: no probe is scheduled yet",
    "standby": "standby: another daemon holds the lock",
}
_INDEX = """\
llm-monitor

/metrics                       Prometheus metrics
/healthz                       200 while the event loop turns
/readyz                        200 when ready, else 503 with the reasons
/api/v1/llm-config/health      health of each purpose
"""


def open_routes(state: DaemonState, page: MetricsPage) -> APIRouter:
    """The open routes over a daemon; they answer while the database is away."""
    router = APIRouter()

    async def healthz(_: Request) -> Response:
        return _json({"status": "ok"})

    async def readyz(_: Request) -> Response:
        role = state.role()
        reasons = ([_NOT_READY[role]] if role in _NOT_READY else []) + state.readiness()
        if reasons:
            return _json({"status": "not ready", "role": role, "reasons": reasons}, status=503)
        return _json({"status": "ready", "role": role})

    async def health(_: Request) -> Response:
        purposes = {purpose.value: word for purpose, word in state.purposes().items()}
        return _json({"status": _worst(purposes), "service": SERVICE, "purposes": purposes})

    # Plain routes, because FastAPI's own leave HEAD out.
    router.add_route("/metrics", page.answer)
    router.add_route("/healthz", healthz)
    router.add_route("/readyz", readyz)
    router.add_route("/api/v1/llm-config/health", health)
    return router


def index_route() -> APIRouter:
    """A list of the open routes, where there is no status page."""
    router = APIRouter()

    async def index(_: Request) -> Response:
        return PlainTextResponse(_INDEX)

    router.add_route("/", index)
    return router


def _worst(purposes: dict[str, str]) -> str:
    for word in _WORST_FIRST:
        if word in purposes.values():
            return word
    return "healthy" if purposes else "unknown"


def _json(content: dict[str, Any], status: int = 200) -> JSONResponse:
    return JSONResponse(content, status_code=status, headers={"cache-control": "no-store"})
