"""An application that has mounted the management routes behind a door of its own."""

import httpx
from fastapi import Depends, FastAPI, HTTPException, Request

from monitor.integration import LLMConfigManager, router


def require_admin(request: Request) -> None:
    """The application's own door; it leaves who has come in."""
    if request.headers.get("x-admin") != "alice":
        raise HTTPException(403, "admins only")
    request.state.user_id = "alice"


def application(manager: LLMConfigManager) -> FastAPI:
    """The application."""
    app = FastAPI()
    app.state.llm_manager = manager
    app.include_router(router, dependencies=[Depends(require_admin)])
    return app


def client_of(manager: LLMConfigManager, **headers: str) -> httpx.AsyncClient:
    """A caller of it, relative to the routes' prefix."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=application(manager)),
        base_url="http://app/api/v1/llm-config",
        headers={"x-admin": "alice"} | headers,
    )
