"""What anybody with a token may look at: providers, probes, purposes, what happened, and news as it comes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, HTTPException, Path, Query
from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from monitor.domain.access import Caller
from monitor.domain.history import tell_history
from monitor.domain.journal import EntryKind
from monitor.domain.provider import ProviderRef, ProviderType, Purpose
from monitor.domain.target import ProbeKind
from monitor.storage.errors import STORE_ERRORS
from monitor.storage.journal import load_kinds
from monitor.storage.present import read_present
from monitor.storage.record import read_acts, read_clock, read_moves, read_names
from monitor.storage.rollups import DAYS, read_days
from monitor.storage.status import read_status
from monitor.storage.uptime import oldest_of_purpose, page_results, read_purpose_uptimes, read_sums
from monitor.web.access import Access, TokensAway
from monitor.web.events import Events
from monitor.web.page.pages import Pages
from monitor.web.paths import API
from monitor.web.status_views import (
    EventsView,
    ProbesView,
    ProvidersView,
    PurposeView,
    view_event,
    view_probe,
    view_providers,
    view_purpose,
)
from monitor.web.store import store_away, store_pool
from monitor.web.uptime_views import DaysView, view_days

PAGE_SPAN = timedelta(days=7)
MOST = 500
ACQUIRE_SECONDS = 5.0
_TOLD = [kind for kind in EntryKind if kind is not EntryKind.SETTLED]

router = APIRouter(prefix=API, tags=["status"])

Limit = Annotated[int, Query(ge=1, le=MOST, description="How many at most.")]


@router.get("/providers", summary="How every provider is", response_model=ProvidersView)
async def providers(request: Request) -> Response:
    """Health, latency, the last outcome, what keeps it from serving, and uptime over 24 h, 7, 30 and 90 days.

    Uptime is by time, in minutes, as deep probes show it; `covered_seconds` says how much is known.
    """
    pages: Pages = request.app.state.pages

    async def make() -> bytes:
        async with _connection(request) as connection:
            status = await read_status(connection, transitions=0)
            sums = await read_sums(connection, status.as_of)
        # A thousand providers would hold the event loop for a tenth of a second.
        return await pages.in_thread(lambda: view_providers(status, sums))

    return Response(await pages.make(make), media_type="application/json")


@router.get(
    "/providers/{type}/{id}/probes",
    summary="A provider's probes, newest first",
    responses={404: {"description": "There is no such provider, and there are no probes of one."}},
)
async def probes(
    request: Request,
    type_: Annotated[ProviderType, Path(alias="type")],
    id_: Annotated[int, Path(alias="id", ge=1, le=2**31 - 1)],
    limit: Limit = 50,
    before: Annotated[
        str | None, Query(max_length=100, description="`next_before` of the page before, or an instant.")
    ] = None,
    purpose: Purpose | None = None,
    kind: ProbeKind | None = None,
) -> ProbesView:
    """Single results are kept for 14 days unless `MONITOR_RETENTION_DAYS` says otherwise."""
    ref = ProviderRef(type=type_, id=id_)
    cursor = _cursor(before) if before is not None else None
    async with _connection(request) as connection:
        at, at_id = cursor or (await read_clock(connection) + timedelta(minutes=1), UUID(int=0))
        found = await page_results(
            connection, ref, before=at, before_id=at_id, purpose=purpose, kind=kind, limit=limit
        )
        if not found and ref not in await read_names(connection, []):
            raise HTTPException(404, f"Provider {ref} not found")
    more = found[-1] if len(found) == limit else None
    return ProbesView(
        probes=[view_probe(one) for one in found],
        next_before=f"{more.started_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}~{more.id}" if more else None,
    )


@router.get(
    "/providers/{type}/{id}/days",
    summary="A provider by the day",
    responses={404: {"description": "There is no such provider, and nothing is kept of one."}},
)
async def days(
    request: Request,
    type_: Annotated[ProviderType, Path(alias="type")],
    id_: Annotated[int, Path(alias="id", ge=1, le=2**31 - 1)],
    count: Annotated[int, Query(alias="days", ge=1, le=730, description="How many, today included.")] = DAYS,
) -> DaysView:
    """Time up, down and unknown, outcomes, latency and cost of deep probes, by UTC days, for each purpose.

    Days are kept for two years unless `MONITOR_RETENTION_DAILY_DAYS` says otherwise.
    """
    ref = ProviderRef(type=type_, id=id_)
    async with _connection(request) as connection:
        now = await read_clock(connection)
        found = await read_days(connection, now, count, [ref])
        if not found and ref not in await read_names(connection, []):
            raise HTTPException(404, f"Provider {ref} not found")
    return view_days(now, found)


@router.get(
    "/purposes/{purpose}",
    summary="Who serves a purpose, and why",
    responses={404: {"description": "Nobody serves it: it has no row."}},
)
async def show_purpose(request: Request, purpose: Purpose) -> PurposeView:
    """State, candidates with what keeps each from serving, what the rules say now, and what would move it."""
    async with _connection(request) as connection:
        status = await read_status(connection, transitions=0)
        row = next((one for one in status.purposes if one.purpose == purpose), None)
        if row is None:
            raise HTTPException(404, f"No active provider for {purpose}")
        present = await read_present(connection, purpose, request.app.state.policy_for(purpose))
        uptimes = await read_purpose_uptimes(connection, status.as_of)
    move = present.move if present.move is not None and present.move.turn.rule == row.rule else None
    brought = (move.turn.reason, move.turn.evidence) if move is not None else None
    return view_purpose(status, row, present.explanation, brought, uptimes.get(purpose, {}))


@router.get("/purposes/{purpose}/events", summary="What happened to a purpose, newest first")
async def events(
    request: Request,
    purpose: Purpose,
    limit: Limit = 100,
    before: Annotated[
        datetime | None, Query(description="`next_before` of the page before, or an instant with its zone.")
    ] = None,
) -> EventsView:
    """Moves, and what operators did. A page reaches back seven days at most; moves are kept for good."""
    async with _connection(request) as connection:
        now = await read_clock(connection)
        until = min(_instant(before), now) if before is not None else now
        since = _back(until)
        moves = [
            one for one in await read_moves(connection, purpose, since, until) if since <= one.turn.at < until
        ]
        entries = [one for one in await load_kinds(connection, purpose, since, _TOLD) if one.at < until]
        acts = [one for one in await read_acts(connection, purpose, since, until) if one.at < until]
        names = await read_names(connection, moves)
        oldest = await oldest_of_purpose(connection, purpose)

    def name(ref: ProviderRef | None) -> str:
        return "nobody" if ref is None else f"{names.get(ref, 'deleted')} ({ref})"

    lines = tell_history([(one.turn, one.evidence) for one in moves], entries, name, acts)[::-1]
    shown = [one for one in lines if since <= one.at < until]
    more = oldest is not None and oldest < since
    if len(shown) > limit:
        # All that happened at the same instant stands on one page.
        since, more = shown[limit - 1].at, True
        shown = [one for one in shown if one.at >= since]
    return EventsView(
        purpose=purpose,
        since=since,
        events=[view_event(one) for one in shown],
        next_before=since if more else None,
    )


@router.get(
    "/stream",
    summary="News as it comes",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def stream(request: Request) -> StreamingResponse:
    """Server-Sent Events: `active`, `health` and `configuration` on every change.

    `resync` comes first, and whenever some may have been missed: read anew. A comment comes every 15 s. The
    stream ends with the token, and with the daemon.
    """
    hub: Events = request.app.state.events
    access: Access = request.app.state.access
    caller: Caller = request.state.caller
    if hub.full:
        reason = "as many listen already as may: close a page, or ask the other routes"
        raise HTTPException(503, reason, headers={"retry-after": "30"})

    async def may_go_on() -> bool:
        try:
            return await access.revisit(caller.token_id) is not None
        except TokensAway:
            return True  # it was good before, and without a database there is no news to keep from anybody

    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(hub.tell(may_go_on), media_type="text/event-stream", headers=headers)


@asynccontextmanager
async def _connection(request: Request) -> AsyncIterator[Any]:
    pool = store_pool(request)
    try:
        async with pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
            yield connection
    except STORE_ERRORS as error:
        raise store_away(error) from error


def _cursor(text: str) -> tuple[datetime, UUID]:
    instant, _, id_ = text.partition("~")
    try:
        return _instant(datetime.fromisoformat(instant)), UUID(id_) if id_ else UUID(int=0)
    except (ValueError, OverflowError):
        raise _no_instant() from None


def _no_instant() -> RequestValidationError:
    message = "is no instant; write 2026-03-01T12:00:00Z"
    return RequestValidationError([{"loc": ("query", "before"), "msg": message, "type": "value_error"}])


def _instant(moment: datetime) -> datetime:
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise _no_instant() from None


def _back(until: datetime) -> datetime:
    try:
        return until - PAGE_SPAN
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)
