"""How refusals and failures are told over HTTP, wherever the routes are mounted: never with a value."""

from collections.abc import Callable, Coroutine
from typing import Any

import asyncpg
import structlog
from fastapi.exceptions import RequestValidationError
from fastapi.requests import Request
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute

from monitor.integration.errors import DatabaseAway
from monitor.integration.fields import FieldRefused
from monitor.integration.manage_active import PurposeUnknown
from monitor.integration.plain_key import KeyringMissing
from monitor.integration.schemas import FieldProblems, Problem
from monitor.storage.operator import ActError, ActInvalid, ProviderDisabled, ProviderMissing
from monitor.storage.refusals import InUse, NameTaken, Refused, RowMissing, RowRefused, TextTooLong

log = structlog.get_logger()

BAD = 422
Responses = dict[int | str, dict[str, Any]]

_NOT_MIGRATED = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.InvalidSchemaNameError)
_STATUS: dict[type[Exception], int] = {
    RowMissing: 404,
    NameTaken: 409,
    InUse: 400,
    RowRefused: 400,
    PurposeUnknown: 400,
    KeyringMissing: 503,
}
_ACTS: dict[type[Exception], int] = {ProviderMissing: 404, ProviderDisabled: 400, ActInvalid: 400}
_TOLD = {
    400: "The body can't be read as JSON, or the change is refused; the text says why",
    404: "There is no such thing",
    409: "It conflicts with what is there; the text says with what, and the mend",
    503: "The database can't answer now, or the program lacks a setting; the text says which",
}


def told(**examples: str) -> Responses:
    """The documentation of a route's errors, each with an example: `told(s404="Server 1 not found")`."""
    found: Responses = {
        BAD: {"model": FieldProblems, "description": "A value can't be taken; each problem names its field"}
    }
    for name, text in {"s503": "the database does not answer: try again", **examples}.items():
        status = int(name.removeprefix("s"))
        found[status] = {
            "model": Problem,
            "description": _TOLD[status],
            "content": {"application/json": {"example": {"detail": text}}},
        }
    return found


class Route(APIRoute):
    """A route that tells its own refusals, so that no application's error handler has to."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with every expected failure turned into an answer."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                # `input` would repeat what was sent, a key as well as anything else.
                return _json(BAD, [_problem(one) for one in error.errors()])
            except (FieldRefused, TextTooLong) as error:
                field = error.field if isinstance(error, FieldRefused) else error.column
                field = "api_key" if field == "encrypted_key" else field
                return _json(BAD, [{"loc": ["body", field], "msg": str(error), "type": "value_error"}])
            except Refused as error:
                return _json(_STATUS.get(type(error), 400), str(error))
            except ActError as error:
                return _json(_ACTS.get(type(error), 409), str(error))
            except _NOT_MIGRATED:
                return _json(503, "the database is not migrated: run llm-monitor migrate")
            except asyncpg.InsufficientPrivilegeError:
                return _json(503, "the application's database role may not do that: grant it")
            except (asyncpg.DataError, UnicodeError):
                return _json(400, "the database can't store one of the values: change it")
            except (DatabaseAway, asyncpg.PostgresError) as error:
                log.warning("management_store_failed", path=request.url.path, reason=type(error).__name__)
                away = isinstance(error, DatabaseAway)
                return _json(
                    503, str(error) if away else "the database refuses: look into its log, try again"
                )

        return answer


def _json(status: int, detail: object) -> JSONResponse:
    return JSONResponse({"detail": detail}, status_code=status)


def _problem(error: dict[str, Any]) -> dict[str, Any]:
    return {"loc": list(error["loc"]), "msg": error["msg"], "type": error["type"]}
