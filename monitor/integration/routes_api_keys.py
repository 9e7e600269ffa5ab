"""The keys of hosted providers over HTTP."""

from typing import Any

from fastapi import APIRouter
from fastapi.requests import Request

from monitor.domain.provider import ProviderRef, ProviderType
from monitor.integration.answers import Route, told
from monitor.integration.caller import manager_of, user_of
from monitor.integration.routes_servers import EnabledOnly
from monitor.integration.schemas import ApiKey, ApiKeyPatch, ApiKeyTested, NewApiKey
from monitor.storage.refusals import RowMissing

router = APIRouter(prefix="/api-keys", tags=["API keys"], route_class=Route)

_MISSING = "API key 123 not found"
_TAKEN = "An API key of that provider and key_name already exists"
_UNREADABLE = "There was an error parsing the body"


@router.get("", summary="List the keys", response_model=list[ApiKey], responses=told())
async def list_api_keys(request: Request, enabled_only: EnabledOnly = False) -> Any:
    """Every key by id, masked."""
    return await manager_of(request).list_api_keys(enabled_only)


@router.post(
    "",
    status_code=201,
    summary="Add a key",
    response_model=ApiKey,
    responses=told(s400=_UNREADABLE, s409=_TAKEN),
)
async def add_api_key(request: Request, body: NewApiKey) -> Any:
    """It is sealed before it is stored. Probing begins at once."""
    given = body.model_dump(exclude={"created_by"})
    return await manager_of(request).add_api_key(
        **given, created_by=body.created_by, user_id=user_of(request)
    )


@router.get("/{key_id}", summary="Show a key", response_model=ApiKey, responses=told(s404=_MISSING))
async def show_api_key(request: Request, key_id: int) -> Any:
    """One key, masked."""
    api_key = await manager_of(request).get_api_key(key_id)
    if api_key is None:
        raise RowMissing(ProviderRef(type=ProviderType.API_KEY, id=key_id))
    return api_key


@router.put(
    "/{key_id}",
    summary="Change a key",
    response_model=ApiKey,
    responses=told(s400=_UNREADABLE, s404=_MISSING, s409=_TAKEN),
)
async def change_api_key(request: Request, key_id: int, body: ApiKeyPatch) -> Any:
    """What is left out stays as it is. A key that serves may be disabled: its purposes fail over."""
    changes = body.model_dump(exclude_unset=True, exclude={"updated_by"})
    return await manager_of(request).update_api_key(
        key_id, user_id=user_of(request, body.updated_by), **changes
    )


@router.delete(
    "/{key_id}",
    status_code=204,
    summary="Delete a key",
    responses=told(s400="Cannot delete API key in use for: chat", s404=_MISSING),
)
async def delete_api_key(request: Request, key_id: int) -> None:
    """Refused while a purpose names it to serve, as the fallback, as a candidate or by a pin."""
    await manager_of(request).delete_api_key(key_id, user_id=user_of(request))


@router.post(
    "/{key_id}/test", summary="Probe with a key", response_model=ApiKeyTested, responses=told(s404=_MISSING)
)
async def test_api_key(request: Request, key_id: int) -> Any:
    """Whether the provider accepts the key and serves. The result counts like any other."""
    return await manager_of(request).test_api_key(key_id)
