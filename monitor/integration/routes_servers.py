"""The application's own servers over HTTP."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.requests import Request

from monitor.domain.provider import ProviderRef, ProviderType
from monitor.integration.answers import Route, told
from monitor.integration.caller import manager_of, user_of
from monitor.integration.schemas import NewServer, Server, ServerPatch, ServerTested
from monitor.storage.refusals import RowMissing

router = APIRouter(prefix="/servers", tags=["servers"], route_class=Route)

EnabledOnly = Annotated[bool, Query(description="Leave out what is disabled")]
_MISSING = "Server 123 not found"
_TAKEN = "A server of that name already exists"
_UNREADABLE = "There was an error parsing the body"


@router.get("", summary="List the servers", response_model=list[Server], responses=told())
async def list_servers(request: Request, enabled_only: EnabledOnly = False) -> Any:
    """Every server by id, its key masked."""
    return await manager_of(request).list_ai_servers(enabled_only)


@router.post(
    "",
    status_code=201,
    summary="Add a server",
    response_model=Server,
    responses=told(s400=_UNREADABLE, s409=_TAKEN),
)
async def add_server(request: Request, body: NewServer) -> Any:
    """Its key is sealed before it is stored. Probing begins at once."""
    given = body.model_dump(exclude={"created_by"})
    return await manager_of(request).add_ai_server(
        **given, created_by=body.created_by, user_id=user_of(request)
    )


@router.get("/{server_id}", summary="Show a server", response_model=Server, responses=told(s404=_MISSING))
async def show_server(request: Request, server_id: int) -> Any:
    """One server, its key masked."""
    server = await manager_of(request).get_ai_server(server_id)
    if server is None:
        raise RowMissing(ProviderRef(type=ProviderType.AI_SERVER, id=server_id))
    return server


@router.put(
    "/{server_id}",
    summary="Change a server",
    response_model=Server,
    responses=told(s400=_UNREADABLE, s404=_MISSING, s409=_TAKEN),
)
async def change_server(request: Request, server_id: int, body: ServerPatch) -> Any:
    """What is left out stays as it is. A server that serves may be disabled: its purposes fail over."""
    changes = body.model_dump(exclude_unset=True, exclude={"updated_by"})
    return await manager_of(request).update_ai_server(
        server_id, user_id=user_of(request, body.updated_by), **changes
    )


@router.delete(
    "/{server_id}",
    status_code=204,
    summary="Delete a server",
    responses=told(s400="Cannot delete server in use for: chat, embeddings", s404=_MISSING),
)
async def delete_server(request: Request, server_id: int) -> None:
    """Refused while a purpose names it to serve, as the fallback, as a candidate or by a pin."""
    await manager_of(request).delete_ai_server(server_id, user_id=user_of(request))


@router.post(
    "/{server_id}/test",
    summary="Probe a server",
    response_model=ServerTested,
    responses=told(s404=_MISSING),
)
async def test_server(request: Request, server_id: int) -> Any:
    """What this probe shows. The row keeps what is believed; the result counts like any other."""
    return await manager_of(request).test_ai_server(server_id)


@router.get(
    "/{server_id}/models",
    summary="List a server's models",
    response_model=list[str],
    responses=told(s404=_MISSING),
)
async def list_server_models(request: Request, server_id: int) -> Any:
    """Asked of the server now; empty when it does not answer."""
    return await manager_of(request).get_ai_server_models(server_id)
