"""Who may see the page: an open look at how the purposes are, and the login, both without scripts."""

from fastapi import APIRouter, HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from monitor.domain.access import TokenRole
from monitor.web.page.local import local_path
from monitor.web.page.render import answer
from monitor.web.paths import FRONT, PAGE_LOGIN, PAGE_LOGOUT
from monitor.web.routes_session import begin_login, end_login, forget_cookie, set_cookie
from monitor.web.state import DaemonState

LONGEST_TOKEN = 300
WORDS = {
    "healthy": "works",
    "degraded": "works, with a warning",
    "down": "does not work",
    "unknown": "is not known",
}
"""A purpose's health for somebody who may know no more; the words are those of the open health route."""

router = APIRouter(include_in_schema=False)


async def login_page(
    request: Request, *, next_path: str = FRONT, error: str | None = None, status: int = 200
) -> Response:
    """What whoever is not logged in sees: each purpose's health in words, no names, and the login.

    Args:
        request: with `no_login` in its state where nobody can log in over this way, and why.
        next_path: where a login leads to; a path on this server.
        error: what was wrong with the last try.
        status: HTTP's.
    """
    daemon: DaemonState = request.app.state.daemon
    context = {
        "purposes": [
            {"name": str(purpose), "health": word, "words": WORDS.get(word, word)}
            for purpose, word in daemon.purposes().items()
        ],
        "daemon_role": daemon.role(),
        "no_login": getattr(request.state, "no_login", None),
        "store_away": getattr(request.state, "store_away", False),
        "next": next_path,
        "error": error,
    }
    return answer(request, "login.html", context, status)


async def show_login(request: Request) -> Response:
    """The login, for whoever comes to it or was sent here."""
    return await login_page(request, next_path=local_path(request.query_params.get("next", FRONT)))


async def log_in(request: Request) -> Response:
    """Exchange the token of the form for a cookie; the login that there was ends."""
    form: dict[str, str] = request.state.form
    next_path, token = local_path(form.get("next", FRONT)), form.get("token", "").strip()
    try:
        begun = await begin_login(request, token[: LONGEST_TOKEN + 1])
    except HTTPException as refusal:
        error = _words(refusal, given=bool(token))
        return await login_page(request, next_path=next_path, error=error, status=refusal.status_code)
    if begun.caller.role is TokenRole.REPORTER:
        error = (
            "This token has the role reporter: it is for an application that reports its requests. "
            "Take one of the role viewer or admin."
        )
        return await login_page(request, next_path=next_path, error=error, status=403)
    end_login(request)
    response = RedirectResponse(next_path, 303)
    set_cookie(request, response, begun)
    return response


async def log_out(request: Request) -> Response:
    """End the login, for everybody who may have copied its cookie."""
    response = RedirectResponse(FRONT, 303)
    end_login(request)
    forget_cookie(request, response)
    return response


def _words(refusal: HTTPException, *, given: bool) -> str:
    if not given:
        return "No token was given: paste one below."
    if refusal.status_code == 401:
        return "This token is unknown, expired or revoked. Look whether all of it was copied."
    detail = str(refusal.detail)
    return f"{detail[:1].upper()}{detail[1:]}."


# Plain routes, because FastAPI's own leave HEAD out.
router.add_route(PAGE_LOGIN, show_login, methods=["GET"])
router.add_route(PAGE_LOGIN, log_in, methods=["POST"])
router.add_route(PAGE_LOGOUT, log_out, methods=["POST"])
