"""What an administrator may do on the page: every act is asked once, done whole, and told."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from monitor.domain.acts import Act
from monitor.domain.provider import ProviderRef, Purpose
from monitor.integration.probes import Tested, test_row
from monitor.storage import operator
from monitor.storage.operator import ActError, ActInvalid, ActOvertaken, ActRefused, By, ProviderMissing
from monitor.storage.outlook import ProviderOutlook, read_provider_outlook, read_purpose_outlook
from monitor.storage.record import read_acts
from monitor.web.guard import ACTS, PAGE_LOGIN
from monitor.web.page.act_form import (
    LONGEST_REASON,
    SPANS,
    ActForm,
    FieldProblem,
    read_act_form,
    read_purpose,
    read_ref,
)
from monitor.web.page.local import FRONT, local_path
from monitor.web.page.plans import (
    Names,
    Plan,
    in_words,
    plan_end_of_maintenance,
    plan_maintenance,
    plan_probe,
    plan_purpose,
)
from monitor.web.page.probe_runs import ProbeRuns, TooManyProbes
from monitor.web.page.render import answer
from monitor.web.page.said import Line, Said
from monitor.web.page.told import tell_act, tell_maintenance
from monitor.web.routes_session import session_of
from monitor.web.sessions import Session
from monitor.web.store import store_away, store_connection

PURPOSE_ACTS = {str(act): act for act in (Act.PROMOTE, Act.PIN, Act.UNPIN, Act.PAUSE, Act.RESUME)}
MAINTENANCE, END_MAINTENANCE, PROBE = "maintenance", "end-maintenance", "probe"
PROVIDER_ACTS = (MAINTENANCE, END_MAINTENANCE, PROBE)
SCRIPT_HEADER = "x-page-script"
QUICK_SECONDS = 3.0
LOOK_SECONDS = 5.0
RECENT = timedelta(hours=1)
NOTHING = "Nothing was changed."
DOUBTFUL = (
    "The database did not answer while this was done. Look at the status page whether it was: it is done "
    "whole or not at all."
)

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What an address under /acts/ is about.

    Attributes:
        word: the act.
        purpose: on which purpose; None for an act on a provider.
        provider: on which provider; None for an act on a purpose.
        to: onto whom, where the link has said it already.
        back: the page to return to.
    """

    word: str
    purpose: Purpose | None
    provider: ProviderRef | None
    to: ProviderRef | None
    back: str

    @property
    def address(self) -> str:
        """Where it is asked, and done."""
        query = {"purpose": self.purpose, "provider": self.provider, "to": self.to, "back": self.back}
        return f"{ACTS}{self.word}?" + urlencode({key: str(one) for key, one in query.items() if one})


async def ask(request: Request) -> Response:
    """What the act is going to do, and the form that does it."""
    wish = _wish(request)
    return await _confirm(request, wish, chosen=read_ref(request.query_params.get("chosen", "")))


async def act(request: Request) -> Response:
    """Do it, and return to where it was asked for; what can't be is told on the same page."""
    wish, session = _wish(request), session_of(request)
    if session is None:
        raise HTTPException(403, "the pages act for a login alone: a program has the API")
    try:
        form = read_act_form(request.state.form)
    except FieldProblem as problem:
        return await _confirm(request, wish, error=f"{problem} {NOTHING}", status=400)
    if wish.word == PROBE:
        return await _probe(request, wish, form, session)
    began = False
    try:
        async with store_connection(request) as connection:
            began = True
            line = await _do(connection, wish, form, request.state.caller.name)
    except ActOvertaken:
        return await _overtaken(request, wish, form)
    except ActRefused as refused:
        return await _refused(request, wish, form, refused)
    except ActError as error:
        status = 404 if isinstance(error, ProviderMissing) else 400
        return await _confirm(request, wish, form=form, error=f"{_sentence(error)} {NOTHING}", status=status)
    except HTTPException as away:
        return _away(request, wish, away, DOUBTFUL if began else f"{_sentence(away.detail)} {NOTHING}")
    return _done(request, wish.back, session, line)


async def show_probe(request: Request) -> Response:
    """How a probe fares that was asked for; it waits a little for the end of one that runs."""
    session = session_of(request)
    runs: ProbeRuns = request.app.state.probe_runs
    run = runs.find(session, request.path_params["id"]) if session else None
    if run is None:
        raise HTTPException(404, "nobody knows this probe any more: ask for another one")
    line = await run.wait(LOOK_SECONDS)
    context = {"what": run.what, "line": line, "seconds": run.seconds, "back": run.back}
    return answer(request, "probed.html", context)


def _wish(request: Request) -> Wish:
    word, query = request.path_params["word"], request.query_params
    purpose, provider = read_purpose(query.get("purpose", "")), read_ref(query.get("provider", ""))
    if word in PURPOSE_ACTS and purpose is not None:
        provider = None
    elif word in PROVIDER_ACTS and provider is not None:
        purpose = purpose if word == PROBE else None
    else:
        raise HTTPException(404, "the address names no act, or not on whom: go by the status page")
    to = read_ref(query.get("to", "")) if word in PURPOSE_ACTS else None
    back = local_path(query["back"]) if "back" in query else _came_from(request)
    return Wish(word=word, purpose=purpose, provider=provider, to=to, back=back)


def _came_from(request: Request) -> str:
    """The page of ours on which the link was, by what the browser says; the front page when it was none."""
    came = urlsplit(request.headers.get("referer", ""))
    if came.netloc != request.headers.get("host") or came.path.startswith((ACTS, PAGE_LOGIN)):
        return FRONT
    return local_path(f"{came.path}?{came.query}" if came.query else came.path)


async def _confirm(
    request: Request,
    wish: Wish,
    *,
    form: ActForm | None = None,
    chosen: ProviderRef | None = None,
    error: str | None = None,
    problem: str = "",
    status: int = 200,
) -> Response:
    """The page that asks; after a refusal with what was filled in, and what was wrong unless it says so."""
    try:
        async with store_connection(request) as connection:
            exact = SCRIPT_HEADER in request.headers
            plan = await _plan(connection, wish, wish.to or (form.to if form else chosen), exact=exact)
    except ActError as missing:
        raise HTTPException(404, _sentence(missing)) from missing
    except HTTPException as away:
        return _away(request, wish, away, f"{error or ''} {_sentence(away.detail)}".strip())
    fields: dict[str, str] = getattr(request.state, "form", {})
    context = {
        "plan": plan,
        "wish": wish,
        "error": error if plan.warning or not error else f"{problem}{error}",
        "spans": SPANS,
        "longest_reason": LONGEST_REASON,
        "fields": {name: fields.get(name, "") for name in ("span", "begin", "reason")},
    }
    return answer(request, "confirm.html", context, status)


async def _plan(connection: Any, wish: Wish, wanted: ProviderRef | None, *, exact: bool) -> Plan:
    if wish.provider is None:
        outlook = await read_purpose_outlook(connection, _known(wish.purpose), wanted)
        return plan_purpose(PURPOSE_ACTS[wish.word], outlook, wanted, fixed=wish.to is not None, exact=exact)
    found = await _provider(connection, wish.provider)
    if wish.word == PROBE:
        return plan_probe(found, wish.purpose)
    return plan_maintenance(found) if wish.word == MAINTENANCE else plan_end_of_maintenance(found)


async def _provider(connection: Any, ref: ProviderRef) -> ProviderOutlook:
    found = await read_provider_outlook(connection, ref)
    if found is None:
        raise ProviderMissing(f"{ref}: there is no such row")
    return found


async def _do(connection: Any, wish: Wish, form: ActForm, user_id: str) -> Line:
    by = By(user_id=user_id, reason=form.reason, via="page", seen=form.seen)
    if wish.provider is not None:
        if wish.word == END_MAINTENANCE:
            found = await operator.end_maintenance(connection, wish.provider, by)
            return Line(tell_maintenance(found, ended=True))
        found = await operator.set_maintenance(connection, wish.provider, form.begin, form.span, by)
        return Line(tell_maintenance(found, ended=False))
    purpose, kind = _known(wish.purpose), PURPOSE_ACTS[wish.word]
    if kind in (Act.PROMOTE, Act.PIN):
        to = wish.to or form.to
        if to is None:
            raise ActInvalid("nobody was chosen: choose onto whom")
        move = operator.pin if kind is Act.PIN else operator.promote
        acted = await move(connection, purpose, to, form.span, by, force=form.force)
    else:
        simple = {Act.UNPIN: operator.unpin, Act.PAUSE: operator.pause, Act.RESUME: operator.resume}
        acted = await simple[kind](connection, purpose, by)
    scene = (await read_purpose_outlook(connection, purpose, acted.active)).scene
    held = scene.state is not None and scene.state.held
    return Line(tell_act(acted, Names(scene), scene.now, held=held))


async def _probe(request: Request, wish: Wish, form: ActForm, session: Session) -> Response:
    """Begin a probe: a quick one is told at once, a long one on a page of its own."""
    runs: ProbeRuns = request.app.state.probe_runs
    manager, ref = request.app.state.llm_manager, wish.provider
    if manager is None or ref is None:
        raise store_away()
    purpose = form.purpose or wish.purpose
    try:
        async with store_connection(request) as connection:
            name = (await _provider(connection, ref)).name or str(ref)
    except ActError as missing:
        raise HTTPException(404, _sentence(missing)) from missing

    async def probe() -> Tested:
        return await test_row(manager, ref, purpose)

    what = f"Probe of {name} for {purpose}" if purpose else f"Probe of {name}"
    try:
        run = runs.start(session, ref, purpose, what, wish.back, probe)
    except TooManyProbes:
        error = "As many probes as may run at once have been asked for: wait until one is through."
        return await _confirm(request, wish, form=form, error=error, status=429)
    line = await run.wait(QUICK_SECONDS)
    if line is None:
        return _done(request, f"{ACTS}probed/{run.id}", session, None)
    return _done(request, wish.back, session, line)


async def _overtaken(request: Request, wish: Wish, form: ActForm) -> Response:
    """Ask again, and say what has happened since it was asked first."""
    what, last = str(wish.purpose or wish.provider), ""
    if wish.purpose is not None:
        async with store_connection(request) as connection:
            scene = (await read_purpose_outlook(connection, wish.purpose)).scene
            acts = await read_acts(connection, wish.purpose, scene.now - RECENT, scene.now + RECENT)
        if acts:
            last = f" ({acts[-1].act} by {acts[-1].by} at {acts[-1].at:%H:%M:%S} UTC)"
    error = (
        f"{what} has changed since this was asked{last}. {NOTHING} Look at what would happen now, and "
        "confirm it again if it is right."
    )
    return await _confirm(request, wish, form=form, error=error, status=409)


async def _refused(request: Request, wish: Wish, form: ActForm, refused: ActRefused) -> Response:
    """Ask again, with the box that overrules what speaks against it where there is one."""
    problem, error = "", f"{_sentence(refused)} {NOTHING}"
    if "force" in refused.mend:
        problem = f"{in_words(refused.problem)}. "
        error = f"{NOTHING} Mend it first, or tick the box below to do it all the same."
    return await _confirm(request, wish, form=form, error=error, problem=problem, status=409)


def _done(request: Request, to: str, session: Session, line: Line | None) -> Response:
    said: Said = request.app.state.said
    if line is not None:
        said.say(session, line)
    if SCRIPT_HEADER in request.headers:
        return JSONResponse({"go": to})
    return RedirectResponse(to, 303)


def _away(request: Request, wish: Wish, away: HTTPException, reason: str) -> Response:
    context = {"title": "Not now", "reason": reason, "again": wish.address, "back": wish.back}
    return answer(request, "refusal.html", context, away.status_code, away.headers)


def _sentence(error: object) -> str:
    text = str(error).replace(" (--end)", "")
    # A name keeps its own spelling.
    first = text.partition(" ")[0].rstrip(":")
    named = ":" in first or first in set(Purpose)
    return f"{text}." if named else f"{text[:1].upper()}{text[1:]}."


def _known(purpose: Purpose | None) -> Purpose:
    assert purpose is not None  # noqa: S101 - an address of an act on a purpose names one
    return purpose


# Plain routes, because FastAPI's own leave HEAD out.
router.add_route(f"{ACTS}probed/{{id}}", show_probe, methods=["GET"])
router.add_route(f"{ACTS}{{word}}", ask, methods=["GET"])
router.add_route(f"{ACTS}{{word}}", act, methods=["POST"])
