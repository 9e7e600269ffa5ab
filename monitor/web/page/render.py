"""Templates, and the answer that a rendered one is."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from monitor import __version__
from monitor.domain.access import Caller, TokenRole
from monitor.web.page.assets import asset_url
from monitor.web.page.charts import Bars
from monitor.web.page.instants import ago, day, on
from monitor.web.page.said import Line, Said
from monitor.web.page.views import Span
from monitor.web.sessions import Session

FOLDER = Path(__file__).parent

KEPT_BLOCKS = 256

HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    # Not "no-referrer": with that a browser says "Origin: null" of our own forms too.
    "referrer-policy": "same-origin",
    "vary": "Cookie, Authorization",
}
"""Of every page: nothing from elsewhere, nothing inline, in no frame, and never kept."""

TEMPLATES = Environment(
    loader=FileSystemLoader(FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)


@lru_cache(maxsize=KEPT_BLOCKS)
def _uptime(uptimes: tuple[Span, ...], bars: Bars | None, key: str, name: str) -> Markup:
    """Spans, bars and the days in a table: half of a page, and mostly what it was a moment ago.

    Args:
        uptimes: by span.
        bars: a day each; None without any.
        key: the id of what opens.
        name: whose.
    """
    context = {"uptimes": uptimes, "bars": bars, "key": key, "name": name}
    return Markup(render("uptime.html", context))  # noqa: S704 - rendered with autoescape


TEMPLATES.globals |= {"asset": asset_url, "uptime": _uptime, "version": __version__}
TEMPLATES.filters |= {"ago": ago, "on": on, "day": day}


def answer(
    request: Request,
    template: str,
    context: Mapping[str, Any],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """A rendered page.

    Args:
        request: whose.
        template: its file.
        context: what it shows, besides who looks and what is to be said to him.
        status: HTTP's.
        headers: further ones.
    """
    text = render(template, {**person(request), **context})
    return HTMLResponse(text, status, {**HEADERS, **(headers or {})})


def render(template: str, context: Mapping[str, Any]) -> str:
    """A template's text."""
    return TEMPLATES.get_template(template).render(context)


def person(request: Request) -> dict[str, Any]:
    """Who looks at a page, as every template may show it.

    Returns:
        `who` (the token's name) and `role`, None for nobody; `is_admin`, who may act here; `csrf`, which a
        form has to show; `said`, what the last act came to, told once.
    """
    caller: Caller | None = getattr(request.state, "caller", None)
    session: Session | None = getattr(request.state, "session", None)
    return {
        "who": caller.name if caller else None,
        "role": str(caller.role) if caller else None,
        "is_admin": bool(caller and session and caller.role is TokenRole.ADMIN),
        "csrf": session.csrf if session else None,
        "said": _said(request, session),
    }


def _said(request: Request, session: Session | None) -> tuple[Line, ...]:
    """What is to be said; the same however often one request asks."""
    found: tuple[Line, ...] | None = getattr(request.state, "said", None)
    if found is None:
        said: Said | None = getattr(request.app.state, "said", None) if "app" in request.scope else None
        # A script that fetches the page, or a browser ahead of the person, leaves it for the person.
        is_script = request.headers.get("sec-fetch-mode", "navigate") != "navigate"
        is_person = request.method == "GET" and not is_script and "sec-purpose" not in request.headers
        found = request.state.said = said.take(session) if said and session and is_person else ()
    return found


def wants_page(request: Request) -> bool:
    """Whether somebody's browser asks, and not a program."""
    return "text/html" in request.headers.get("accept", "")
