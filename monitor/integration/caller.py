"""Who asks, and with what the routes work: both are the mounting application's to say."""

from typing import cast

from fastapi import HTTPException
from fastapi.requests import Request

from monitor.integration.manager import LLMConfigManager

_AWAY = "the database is away: it is tried again by itself; ask again soon"
_UNSET = "app.state.llm_manager is not set: let the application set it to an LLMConfigManager at its start"


def manager_of(request: Request) -> LLMConfigManager:
    """`app.state.llm_manager`.

    Raises:
        HTTPException: 503 when the application has none (yet).
    """
    manager = getattr(request.app.state, "llm_manager", None)
    if manager is None:
        # Our own server has a manager whenever it has a database; an application has forgotten to set it.
        away = hasattr(request.app.state, "pool")
        raise HTTPException(503, _AWAY if away else _UNSET)
    return cast("LLMConfigManager", manager)


def user_of(request: Request, named: str | None = None) -> str | None:
    """Who makes a change: `request.state.user_id`, which the application's authentication sets.

    Args:
        request: with or without it.
        named: in the body, for applications whose authentication does not say; it never overrules.
    """
    user_id = getattr(request.state, "user_id", None)
    return named if user_id is None else str(user_id)
