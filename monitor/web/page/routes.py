"""The status page: everything at `/`, one provider at `/providers/TYPE/ID`, and the files they need."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, HTTPException
from starlette.requests import Request
from starlette.responses import Response

from monitor.domain.access import Caller
from monitor.web.page.act_form import read_ref
from monitor.web.page.assets import ASSETS
from monitor.web.page.home import Made, make_home, make_provider
from monitor.web.page.render import answer, person
from monitor.web.page.routes_login import login_page
from monitor.web.page.view_providers import Filter
from monitor.web.page.words import STATUS_WORDS
from monitor.web.state import DaemonState
from monitor.web.store import STORE_ERRORS

FOR_GOOD = "public, max-age=31536000, immutable"
_PARTS = {"active": "it probes and decides", "standby": "it stands by", "starting": "it is starting"}

router = APIRouter(include_in_schema=False)


async def front(request: Request) -> Response:
    """The page for whoever is logged in, and the open look for everybody else."""
    caller: Caller | None = getattr(request.state, "caller", None)
    if caller is not None:
        return await render_home(request)
    if getattr(request.state, "store_away", False):
        return answer_away(request)
    return await login_page(request)


async def render_home(request: Request) -> Response:
    """The page for whoever asks; the query string says which providers."""
    wanted = Filter.read(request.query_params)

    async def make(admin: bool, anew: bool) -> Made | None:
        return await make_home(request, wanted, admin=admin, anew=anew)

    return await _render(request, make)


async def provider(request: Request) -> Response:
    """One provider: how it fares, its days, and its last probes."""
    ref = read_ref(f"{request.path_params['type']}:{request.path_params['id']}")
    if ref is None:
        raise HTTPException(404, "the address names no provider: go by the status page")

    async def make(admin: bool, anew: bool) -> Made | None:
        return await make_provider(request, ref, admin=admin, anew=anew)

    return await _render(request, make)


async def _render(request: Request, make: Callable[[bool, bool], Awaitable[Made | None]]) -> Response:
    context: dict[str, Any] = person(request)
    try:
        made = await make(context["is_admin"], bool(context["said"]))
    except STORE_ERRORS:
        made = None
    if made is None:
        return answer_away(request)
    context |= {
        "content": made.fill(context["csrf"] or ""),
        "title": made.title,
        "tone": made.tone,
        "as_of": made.as_of,
    }
    return answer(request, "home.html", context)


def answer_away(request: Request) -> Response:
    """The database is away: says so, and what the daemon still knows; no names, for nobody can be known."""
    daemon: DaemonState = request.app.state.daemon
    context = {
        "part": _PARTS[daemon.role()],
        "reasons": daemon.readiness(),
        "purposes": [
            (str(one), {str(name): text for name, text in STATUS_WORDS.items()}.get(word, word))
            for one, word in daemon.purposes().items()
        ],
    }
    return answer(request, "away.html", context, 503, {"retry-after": "2"})


async def static(request: Request) -> Response:
    """A file of the page's own."""
    asset = ASSETS.get(request.path_params["name"])
    if asset is None:
        raise HTTPException(404, "there is no such file")
    kept = request.query_params.get("v") == asset.tag
    # Without its tag in the address it may change: then it is asked for again each time.
    headers = {"etag": f'"{asset.tag}"', "cache-control": FOR_GOOD if kept else "no-cache"}
    if headers["etag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(asset.content, media_type=asset.type, headers=headers)


# Plain routes, because FastAPI's own leave HEAD out.
router.add_route("/", front, methods=["GET"])
router.add_route("/providers/{type}/{id}", provider, methods=["GET"])
router.add_route("/static/{name}", static, methods=["GET"])
