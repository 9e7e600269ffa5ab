"""What an administrator may do to a purpose or a provider: the operator's hand, over HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from starlette.requests import Request

from monitor.domain.provider import ProviderRef, ProviderType, Purpose
from monitor.storage import operator
from monitor.storage.errors import STORE_ERRORS
from monitor.storage.operator import Acted, ActError, ActRefused, By, MaintenanceSet, ProviderMissing
from monitor.web.paths import API
from monitor.web.store import store_away, store_pool

ACQUIRE_SECONDS = 5.0
LONGEST_SPAN = 366 * 86_400

router = APIRouter(prefix=API, tags=["operator"])

Reference = Annotated[
    str,
    Field(
        pattern=r"^(api_key|ai_server):[1-9]\d{0,8}$",
        description="A provider's row.",
        examples=["ai_server:2"],
    ),
]
Why = Annotated[
    str | None,
    Field(max_length=500, description="Why; kept with who did it.", examples=["the GPU is being replaced"]),
]
Force = Annotated[
    bool, Field(description="Also onto one that is not fit to serve, or whose vectors are of another space.")
]
End = Annotated[AwareDatetime | None, Field(description="The end, with its zone.")]
Span = Annotated[
    float | None, Field(gt=0, le=LONGEST_SPAN, description="The end, counted from the beginning.")
]
_MISSING = {"description": "The provider, or the purpose's row, does not exist."}
_INVALID = {"description": "The provider is disabled, or what was said makes no sense; the detail says why."}
_REFUSED = {
    "description": "It would do harm and `force` is not set, or the row is locked; the detail says why."
}
ANSWERS: dict[int | str, dict[str, Any]] = {400: _INVALID, 404: _MISSING, 409: _REFUSED}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Why = None


class Reason(_Body):
    """An act that needs nothing but its name."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "we move the rack"}]})


class Move(_Body):
    """Onto whom, and until when."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"to": "ai_server:2", "for_seconds": 7200, "reason": "fan noise"}]}
    )

    to: Reference
    until: End = None
    for_seconds: Span = None
    force: Force = False

    @model_validator(mode="after")
    def _one_end(self) -> "Move":
        if self.until is not None and self.for_seconds is not None:
            raise ValueError("until and for_seconds both name the end: leave one out")
        return self


class Order(_Body):
    """The candidates, best first."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"candidates": ["ai_server:1", "api_key:2"], "reason": "cheaper"}]}
    )

    candidates: Annotated[list[Reference], Field(min_length=1, max_length=100)]
    force: Force = False


class MaintenanceOrder(_Body):
    """From when to when; without anything it begins now and lasts until it is ended."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"starts_at": "2026-03-01T02:00:00Z", "for_seconds": 7200, "reason": "new driver"},
                {"end": True},
            ]
        }
    )

    starts_at: Annotated[AwareDatetime | None, Field(description="The beginning; null for now.")] = None
    ends_at: End = None
    for_seconds: Span = None
    end: Annotated[bool, Field(description="End it now, or call off the one that is planned.")] = False

    @model_validator(mode="after")
    def _one_end(self) -> "MaintenanceOrder":
        if self.ends_at is not None and self.for_seconds is not None:
            raise ValueError("ends_at and for_seconds both name the end: leave one out")
        if self.end and (self.starts_at or self.ends_at or self.for_seconds):
            raise ValueError("end ends it now: leave starts_at, ends_at and for_seconds out")
        return self


class ActView(BaseModel):
    """What an act on a purpose came to."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "purpose": "chat",
                    "act": "promote",
                    "changed": True,
                    "active": "ai_server:2",
                    "left": "ai_server:1",
                    "fallback": "ai_server:1",
                    "generation": 7,
                    "until": "2026-03-01T14:00:00Z",
                }
            ]
        }
    )

    purpose: Purpose
    act: str
    changed: Annotated[bool, Field(description="False when it was so already; nothing was written then.")]
    active: Annotated[str, Field(description="Who serves now.")]
    left: Annotated[str | None, Field(description="Who served before, when somebody else does now.")]
    fallback: str | None
    generation: int
    until: AwareDatetime | None


class MaintenanceView(BaseModel):
    """What an act on a provider's maintenance came to."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "provider": "ai_server:1",
                    "name": "gpu-1",
                    "changed": True,
                    "in_maintenance": True,
                    "starts_at": "2026-03-01T02:00:00Z",
                    "ends_at": "2026-03-01T04:00:00Z",
                    "purposes": ["chat"],
                }
            ]
        }
    )

    provider: str
    name: str
    changed: bool
    in_maintenance: Annotated[bool, Field(description="Whether it lasts now.")]
    starts_at: AwareDatetime | None
    ends_at: AwareDatetime | None
    purposes: Annotated[list[Purpose], Field(description="Those that name the provider.")]


@router.post("/purposes/{purpose}/promote", summary="Move a purpose now", responses=ANSWERS)
async def promote(request: Request, purpose: Purpose, body: Move) -> ActView:
    """No return by itself until `unpin`, or until the end; should the promoted one fail, it fails over."""
    async with _acting(request) as connection:
        return _view(
            await operator.promote(
                connection, purpose, _ref(body.to), _end(body), _by(request, body), force=body.force
            )
        )


@router.post("/purposes/{purpose}/pin", summary="Move a purpose now, and keep it there", responses=ANSWERS)
async def pin(request: Request, purpose: Purpose, body: Move) -> ActView:
    """Whatever happens, until `unpin`, or until the end."""
    async with _acting(request) as connection:
        return _view(
            await operator.pin(
                connection, purpose, _ref(body.to), _end(body), _by(request, body), force=body.force
            )
        )


@router.post("/purposes/{purpose}/unpin", summary="Let the rules decide again", responses=ANSWERS)
async def unpin(request: Request, purpose: Purpose, body: Reason | None = None) -> ActView:
    """Ends a pin, and what holds the return after a promotion."""
    async with _acting(request) as connection:
        return _view(await operator.unpin(connection, purpose, _by(request, body)))


@router.post("/purposes/{purpose}/pause", summary="Let nothing move by itself", responses=ANSWERS)
async def pause(request: Request, purpose: Purpose, body: Reason | None = None) -> ActView:
    """Until `resume`; probes go on."""
    async with _acting(request) as connection:
        return _view(await operator.pause(connection, purpose, _by(request, body)))


@router.post("/purposes/{purpose}/resume", summary="End a pause", responses=ANSWERS)
async def resume(request: Request, purpose: Purpose, body: Reason | None = None) -> ActView:
    """The rules decide again."""
    async with _acting(request) as connection:
        return _view(await operator.resume(connection, purpose, _by(request, body)))


@router.put("/purposes/{purpose}/candidates", summary="Set the order of a purpose", responses=ANSWERS)
async def set_candidates(request: Request, purpose: Purpose, body: Order) -> ActView:
    """Who serves stays, and changes only by the rules."""
    refs = [_ref(one) for one in body.candidates]
    async with _acting(request) as connection:
        by = _by(request, body)
        return _view(await operator.set_candidates(connection, purpose, refs, by, force=body.force))


@router.post(
    "/providers/{type}/{id}/maintenance", summary="Take a provider out of service", responses=ANSWERS
)
async def maintenance(
    request: Request,
    type_: Annotated[ProviderType, Path(alias="type")],
    id_: Annotated[int, Path(alias="id", ge=1, le=2**31 - 1)],
    body: MaintenanceOrder | None = None,
) -> MaintenanceView:
    """In every purpose, now or for a span to come; probes go on. Purposes return to it by the rules."""
    ref, body = ProviderRef(type=type_, id=id_), body or MaintenanceOrder()
    async with _acting(request) as connection:
        by = _by(request, body)
        if body.end:
            return _view_maintenance(await operator.end_maintenance(connection, ref, by))
        span = timedelta(seconds=body.for_seconds) if body.for_seconds is not None else body.ends_at
        return _view_maintenance(await operator.set_maintenance(connection, ref, body.starts_at, span, by))


@asynccontextmanager
async def _acting(request: Request) -> AsyncIterator[Any]:
    pool = store_pool(request)
    try:
        async with pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
            yield connection
    except ProviderMissing as error:
        raise HTTPException(404, str(error)) from error
    except ActRefused as error:
        raise HTTPException(409, str(error)) from error
    except ActError as error:
        raise HTTPException(400, str(error)) from error
    except STORE_ERRORS as error:
        raise store_away(error) from error


def _by(request: Request, body: _Body | None) -> By:
    return By(user_id=request.state.caller.name, reason=body.reason if body is not None else None, via="api")


def _ref(text: str) -> ProviderRef:
    return ProviderRef.parse(text)


def _end(body: Move) -> Any:
    return timedelta(seconds=body.for_seconds) if body.for_seconds is not None else body.until


def _view(acted: Acted) -> ActView:
    return ActView(
        purpose=acted.purpose,
        act=str(acted.act),
        changed=acted.changed,
        active=str(acted.active),
        left=str(acted.left) if acted.left else None,
        fallback=str(acted.fallback) if acted.fallback else None,
        generation=acted.generation,
        until=acted.until,
    )


def _view_maintenance(found: MaintenanceSet) -> MaintenanceView:
    return MaintenanceView(
        provider=str(found.provider),
        name=found.name,
        changed=found.changed,
        in_maintenance=found.lasts,
        starts_at=found.span.since if found.span else None,
        ends_at=found.span.until if found.span else None,
        purposes=list(found.purposes),
    )
