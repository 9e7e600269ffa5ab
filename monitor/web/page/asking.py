"""The question before an act: what an address means, the page that asks, and asking again after a refusal."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from fastapi import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from monitor.domain.acts import Act
from monitor.domain.provider import ProviderRef, Purpose
from monitor.storage.operator import ActError, ActRefused, ProviderMissing
from monitor.storage.outlook import ProviderOutlook, read_provider_outlook, read_purpose_outlook
from monitor.storage.record import read_acts
from monitor.web.page.act_form import (
    LONGEST_REASON,
    SPANS,
    ActForm,
    read_purpose,
    read_ref,
)
from monitor.web.page.local import FRONT, local_path
from monitor.web.page.plans import Plan, in_words, plan_purpose
from monitor.web.page.plans_provider import plan_end_of_maintenance, plan_maintenance, plan_probe
from monitor.web.page.render import answer
from monitor.web.paths import ACTS, PAGE_LOGIN
from monitor.web.store import store_connection

PURPOSE_ACTS = {str(act): act for act in (Act.PROMOTE, Act.PIN, Act.UNPIN, Act.PAUSE, Act.RESUME)}
MAINTENANCE, END_MAINTENANCE, PROBE = "maintenance", "end-maintenance", "probe"
PROVIDER_ACTS = (MAINTENANCE, END_MAINTENANCE, PROBE)
SCRIPT_HEADER = "x-page-script"
RECENT = timedelta(hours=1)
NOTHING = "Nothing was changed."


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


def read_wish(request: Request) -> Wish:
    """What a request's address is about.

    Raises:
        HTTPException: 404 when it names no act, or nobody to do it to.
    """
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


async def confirm(
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
        raise HTTPException(404, sentence(missing)) from missing
    except HTTPException as away:
        return answer_store_away(request, wish, away, f"{error or ''} {sentence(away.detail)}".strip())
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


async def confirm_anew(request: Request, wish: Wish, form: ActForm) -> Response:
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
    return await confirm(request, wish, form=form, error=error, status=409)


async def confirm_refused(request: Request, wish: Wish, form: ActForm, refused: ActRefused) -> Response:
    """Ask again, with the box that overrules what speaks against it where there is one."""
    problem, error = "", f"{sentence(refused)} {NOTHING}"
    if "force" in refused.mend:
        problem = f"{in_words(refused.problem)}. "
        error = f"{NOTHING} Mend it first, or tick the box below to do it all the same."
    return await confirm(request, wish, form=form, error=error, problem=problem, status=409)


async def find_provider(connection: Any, ref: ProviderRef) -> ProviderOutlook:
    """How a provider stands.

    Raises:
        ProviderMissing: it has no row.
    """
    found = await read_provider_outlook(connection, ref)
    if found is None:
        raise ProviderMissing(f"{ref}: there is no such row")
    return found


def answer_store_away(request: Request, wish: Wish, away: HTTPException, reason: str) -> Response:
    """A page that says that the database is away, and leads to the question again."""
    context = {"title": "Not now", "reason": reason, "again": wish.address, "back": wish.back}
    return answer(request, "refusal.html", context, away.status_code, away.headers)


def sentence(error: object) -> str:
    """A message as a sentence of the page."""
    text = str(error).replace(" (--end)", "")
    # A name keeps its own spelling.
    first = text.partition(" ")[0].rstrip(":")
    named = ":" in first or first in set(Purpose)
    return f"{text}." if named else f"{text[:1].upper()}{text[1:]}."


def known(purpose: Purpose | None) -> Purpose:
    """The purpose of an act on one."""
    assert purpose is not None  # noqa: S101 - an address of an act on a purpose names one
    return purpose


def _came_from(request: Request) -> str:
    """The page of ours on which the link was, by what the browser says; the front page when it was none."""
    came = urlsplit(request.headers.get("referer", ""))
    if came.netloc != request.headers.get("host") or came.path.startswith((ACTS, PAGE_LOGIN)):
        return FRONT
    return local_path(f"{came.path}?{came.query}" if came.query else came.path)


async def _plan(connection: Any, wish: Wish, wanted: ProviderRef | None, *, exact: bool) -> Plan:
    if wish.provider is None:
        outlook = await read_purpose_outlook(connection, known(wish.purpose), wanted)
        return plan_purpose(PURPOSE_ACTS[wish.word], outlook, wanted, fixed=wish.to is not None, exact=exact)
    found = await find_provider(connection, wish.provider)
    if wish.word == PROBE:
        return plan_probe(found, wish.purpose)
    return plan_maintenance(found) if wish.word == MAINTENANCE else plan_end_of_maintenance(found)
