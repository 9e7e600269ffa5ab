"""Who serves each purpose, over HTTP."""

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path
from fastapi.requests import Request

from monitor.integration.answers import Route, told
from monitor.integration.caller import manager_of, user_of
from monitor.integration.manage_active import worst_health
from monitor.integration.schemas import Active, Health, Message, NewActive

SERVICE = "llm-monitor"
_UNKNOWN = "Unknown purpose: write one of chat, embeddings, reranking"

router = APIRouter(prefix="/active", tags=["active providers"], route_class=Route)
health_router = APIRouter(tags=["health"], route_class=Route)


@router.get("", summary="List who serves", response_model=list[Active], responses=told())
async def list_active(request: Request) -> Any:
    """Each purpose that has a row, chat first."""
    return await manager_of(request).get_all_active_providers()


@router.get(
    "/{purpose}",
    summary="Show who serves a purpose",
    response_model=Active,
    responses=told(s400=_UNKNOWN, s404="No active provider for chat"),
)
async def show_active(
    request: Request, purpose: Annotated[str, Path(description="chat, embeddings or reranking")]
) -> Any:
    """Who serves now, and how much is known of it."""
    active = await manager_of(request).get_active_provider(purpose)
    if active is None:
        raise HTTPException(404, f"No active provider for {purpose}")
    return active


@router.post(
    "",
    summary="Name who serves",
    response_model=Message,
    responses=told(
        s400="api_key:1 (openrouter/main) is disabled: enable it first",
        s404="ai_server:9: there is no such row",
        s409="the row of chat is locked by another transaction: end that one, or try again",
    ),
)
async def set_active(request: Request, body: NewActive) -> Any:
    """The operator's new preference, active at once. Whoever it was before stays a candidate."""
    given = body.model_dump(exclude_unset=True, exclude={"updated_by"})
    await manager_of(request).set_active_provider(
        **given, user_id=user_of(request, body.updated_by), via="api"
    )
    return {"message": f"Active provider set for {body.purpose}"}


@health_router.get("/health", summary="Tell the health", response_model=Health, responses=told())
async def tell_health(request: Request) -> Any:
    """The health of what serves each purpose, without names; `unknown` while no daemon acts."""
    purposes = await manager_of(request).get_purpose_healths()
    return {"status": worst_health(purposes), "service": SERVICE, "purposes": purposes}
