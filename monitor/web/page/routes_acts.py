"""What an administrator may do on the page: every act is asked once, done whole, and told."""

from typing import Any

from fastapi import APIRouter, HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from monitor.domain.acts import Act
from monitor.integration.probes import Tested, test_row
from monitor.storage import operator
from monitor.storage.operator import ActError, ActInvalid, ActOvertaken, ActRefused, By, ProviderMissing
from monitor.storage.outlook import read_purpose_outlook
from monitor.web.page.act_form import (
    ActForm,
    FieldProblem,
    read_act_form,
    read_ref,
)
from monitor.web.page.asking import (
    END_MAINTENANCE,
    NOTHING,
    PROBE,
    PURPOSE_ACTS,
    SCRIPT_HEADER,
    Wish,
    answer_store_away,
    confirm,
    confirm_anew,
    confirm_refused,
    find_provider,
    known,
    read_wish,
    sentence,
)
from monitor.web.page.plans import Names
from monitor.web.page.probe_runs import ProbeRuns, TooManyProbes
from monitor.web.page.render import answer
from monitor.web.page.said import Line, Said
from monitor.web.page.told import tell_act, tell_maintenance
from monitor.web.paths import ACTS
from monitor.web.routes_session import session_of
from monitor.web.sessions import Session
from monitor.web.store import store_away, store_connection

QUICK_SECONDS = 3.0
LOOK_SECONDS = 5.0
DOUBTFUL = (
    "The database did not answer while this was done. Look at the status page whether it was: it is done "
    "whole or not at all."
)

router = APIRouter(include_in_schema=False)


async def ask(request: Request) -> Response:
    """What the act is going to do, and the form that does it."""
    wish = read_wish(request)
    return await confirm(request, wish, chosen=read_ref(request.query_params.get("chosen", "")))


async def act(request: Request) -> Response:
    """Do it, and return to where it was asked for; what can't be is told on the same page."""
    wish, session = read_wish(request), session_of(request)
    if session is None:
        raise HTTPException(403, "the pages act for a login alone: a program has the API")
    try:
        form = read_act_form(request.state.form)
    except FieldProblem as problem:
        return await confirm(request, wish, error=f"{problem} {NOTHING}", status=400)
    if wish.word == PROBE:
        return await _probe(request, wish, form, session)
    began = False
    try:
        async with store_connection(request) as connection:
            began = True
            line = await _do(connection, wish, form, request.state.caller.name)
    except ActOvertaken:
        return await confirm_anew(request, wish, form)
    except ActRefused as refused:
        return await confirm_refused(request, wish, form, refused)
    except ActError as error:
        status = 404 if isinstance(error, ProviderMissing) else 400
        return await confirm(request, wish, form=form, error=f"{sentence(error)} {NOTHING}", status=status)
    except HTTPException as away:
        return answer_store_away(
            request, wish, away, DOUBTFUL if began else f"{sentence(away.detail)} {NOTHING}"
        )
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


async def _do(connection: Any, wish: Wish, form: ActForm, user_id: str) -> Line:
    by = By(user_id=user_id, reason=form.reason, via="page", seen=form.seen)
    if wish.provider is not None:
        if wish.word == END_MAINTENANCE:
            found = await operator.end_maintenance(connection, wish.provider, by)
            return Line(tell_maintenance(found, ended=True))
        found = await operator.set_maintenance(connection, wish.provider, form.begin, form.span, by)
        return Line(tell_maintenance(found, ended=False))
    purpose, kind = known(wish.purpose), PURPOSE_ACTS[wish.word]
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
            name = (await find_provider(connection, ref)).name or str(ref)
    except ActError as missing:
        raise HTTPException(404, sentence(missing)) from missing

    async def probe() -> Tested:
        return await test_row(manager, ref, purpose)

    what = f"Probe of {name} for {purpose}" if purpose else f"Probe of {name}"
    try:
        run = runs.start(session, ref, purpose, what, wish.back, probe)
    except TooManyProbes:
        error = "As many probes as may run at once have been asked for: wait until one is through."
        return await confirm(request, wish, form=form, error=error, status=429)
    line = await run.wait(QUICK_SECONDS)
    if line is None:
        return _done(request, f"{ACTS}probed/{run.id}", session, None)
    return _done(request, wish.back, session, line)


def _done(request: Request, to: str, session: Session, line: Line | None) -> Response:
    said: Said = request.app.state.said
    if line is not None:
        said.say(session, line)
    if SCRIPT_HEADER in request.headers:
        return JSONResponse({"go": to})
    return RedirectResponse(to, 303)


# Plain routes, because FastAPI's own leave HEAD out.
router.add_route(f"{ACTS}probed/{{id}}", show_probe, methods=["GET"])
router.add_route(f"{ACTS}{{word}}", ask, methods=["GET"])
router.add_route(f"{ACTS}{{word}}", act, methods=["POST"])
