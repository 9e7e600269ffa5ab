"""What applications that are not Python report of their own requests."""

from collections import Counter
from typing import Annotated

from fastapi import APIRouter, HTTPException
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.requests import Request

from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.reports import ReportOutcome
from monitor.domain.target import TargetId
from monitor.storage.errors import STORE_ERRORS
from monitor.storage.record import read_names
from monitor.storage.reports import MOST_AGE_SECONDS, ReportBatch, add_reports
from monitor.web.paths import API
from monitor.web.store import store_away, store_pool

MOST_REPORTS = 1000
WRITE_SECONDS = 5.0
_MOST_ID = 2**31 - 1

router = APIRouter(prefix=API, tags=["reports"])


def _provider(text: str) -> str:
    if ProviderRef.parse(text).id > _MOST_ID:
        raise ValueError(f"no provider has an id above {_MOST_ID}")
    return text


class ReportBody(BaseModel):
    """One request of an application."""

    model_config = ConfigDict(extra="forbid")

    provider: Annotated[str, AfterValidator(_provider), Field(examples=["ai_server:1"], max_length=40)]
    purpose: Purpose
    outcome: Annotated[ReportOutcome, Field(description="A caller's own 4xx is no report.")]
    age_seconds: Annotated[
        float,
        Field(ge=0, le=MOST_AGE_SECONDS, allow_inf_nan=False, description="How long ago the request ended."),
    ] = 0.0


class ReportsBody(BaseModel):
    """Requests of one process, in any order."""

    model_config = ConfigDict(extra="forbid")

    reports: Annotated[list[ReportBody], Field(min_length=1, max_length=MOST_REPORTS)]
    source: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=100,
            pattern=r"^[\w.:@/-]+$",
            examples=["shop@web-1"],
            description="The process, as a person may find it; the token's name without it.",
        ),
    ] = None


class ReportsTaken(BaseModel):
    """What became of them."""

    accepted: int


@router.post(
    "/reports",
    status_code=202,
    summary="Report what requests have shown",
    responses={404: {"description": "A provider that a report names does not exist."}},
)
async def report(request: Request, body: ReportsBody) -> ReportsTaken:
    """Failures bring the next probe forward, and with a failed one they are a fall.

    Only ages count, so that no clock but ours does. Nothing moves by reports alone.
    """
    source = body.source or str(getattr(request.state, "user_id", "http"))
    batches = _batches(body.reports, source)
    pool = store_pool(request)
    try:
        async with pool.acquire(timeout=WRITE_SECONDS) as connection:
            known = await read_names(connection, [])
            for batch in batches:
                if batch.target.provider not in known:
                    raise HTTPException(404, f"Provider {batch.target.provider} not found")
            await add_reports(connection, batches, timeout=WRITE_SECONDS)
    except STORE_ERRORS as error:
        raise store_away(error) from error
    return ReportsTaken(accepted=len(body.reports))


def _batches(reports: list[ReportBody], source: str) -> list[ReportBatch]:
    by_target: dict[TargetId, list[ReportBody]] = {}
    for one in sorted(reports, key=lambda one: one.age_seconds, reverse=True):
        target = TargetId(provider=ProviderRef.parse(one.provider), purpose=one.purpose)
        by_target.setdefault(target, []).append(one)
    return [
        ReportBatch(
            target=target,
            source=source,
            via="http",
            ages_seconds=[one.age_seconds for one in found],
            outcomes=[one.outcome for one in found],
            counts=Counter(one.outcome for one in found),
        )
        for target, found in by_target.items()
    ]
