"""The OpenAPI document: what every guarded route has in common, written once."""

from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse

from monitor.web.paths import OPEN, UNLOCKED, wanted_role
from monitor.web.sessions import COOKIE, CSRF_HEADER

PATH = "/api/v1/openapi.json"

_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of `llm-monitor token create`: `Authorization: Bearer llmm_1_...`.",
    },
    "cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": f"What the login sets. Writes with it want the header `{CSRF_HEADER}` of the session.",
    },
}
_UNLOCKED = {
    "400": "The Host header is not one of ours, or the request can't be understood.",
    "403": "The way is not safe (no TLS), or the token's role is too small.",
    "413": "The body is larger than 1 MiB.",
    "429": "Too many wrong tokens from this address; Retry-After says when to go on.",
    "503": "The database is away.",
}
_GUARDED = {**_UNLOCKED, "401": "No token, or one that is unknown, expired or revoked."}

router = APIRouter(tags=["session"])


@router.get(PATH, summary="This document", response_model=dict[str, Any])
async def openapi(request: Request) -> JSONResponse:
    """All guarded routes, with their fields, answers and errors."""
    return JSONResponse(describe(request.app))


def describe(app: FastAPI) -> dict[str, Any]:
    """The document of an application; made once."""
    if app.openapi_schema is None:
        app.openapi_schema = _complete(app.openapi())
    return app.openapi_schema


async def refuse_invalid(_: Request, error: Exception) -> JSONResponse:
    """422 with the field and what is wrong; never with what was sent, which may be a key."""
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    told = [{name: one[name] for name in ("loc", "msg", "type") if name in one} for one in problems]
    return JSONResponse({"detail": jsonable_encoder(told)}, status_code=422)


def _complete(document: dict[str, Any]) -> dict[str, Any]:
    components = document.setdefault("components", {})
    components["securitySchemes"] = _SCHEMES
    components.setdefault("schemas", {})["Refusal"] = {
        "title": "Refusal",
        "type": "object",
        "required": ["detail"],
        "properties": {"detail": {"title": "What is wrong, and the mend"}},
    }
    for path, operations in document["paths"].items():
        for method, operation in operations.items() if path not in OPEN else ():
            _complete_operation(path, method.upper(), operation)
    return document


def _complete_operation(path: str, method: str, operation: dict[str, Any]) -> None:
    common = _UNLOCKED if path in UNLOCKED else _GUARDED
    for status, description in common.items():
        answer = operation["responses"].setdefault(status, {"description": description})
        answer.setdefault(
            "content", {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}}
        )
    if path not in UNLOCKED:
        role = wanted_role(method, path)
        operation["security"] = [{name: []} for name in _SCHEMES]
        operation["x-role"] = str(role)
        told = operation.get("description", "")
        operation["description"] = f"{told}\n\nWants a token of the role `{role}`.".strip()
