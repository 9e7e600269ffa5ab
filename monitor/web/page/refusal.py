"""How a refusal looks: a page with a way on for a person, JSON for a program."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from monitor.web.page.local import asked_path, login_for
from monitor.web.page.render import answer, wants_page

_TITLES = {
    400: "This request can't be answered",
    403: "This is not yours to do",
    404: "There is no such page",
    405: "This page is not asked for so",
    413: "Too much was sent",
    429: "Too many wrong tokens",
    503: "Not now",
}


def refuse(request: Request, refusal: HTTPException, *, page: bool) -> Response:
    """The answer to a request that is refused.

    Args:
        request: which.
        refusal: why.
        page: whether it is one of the pages that was asked for.
    """
    if not page or not wants_page(request):
        return JSONResponse({"detail": refusal.detail}, refusal.status_code, headers=refusal.headers)
    asked = asked_path(request.scope["path"], request.scope["query_string"])
    if refusal.status_code == 401:
        return RedirectResponse(login_for(asked), 303)
    title = _TITLES.get(refusal.status_code, "This did not work")
    context = {"title": title, "reason": str(refusal.detail), "login": login_for(asked)}
    return answer(request, "refusal.html", context, refusal.status_code, refusal.headers)


def ask_again(request: Request) -> Response:
    """A page that asks for itself once more: as its own link, on which the browser shows a strict cookie.

    It is the same for everybody, so that nobody learns from it whether somebody is logged in.
    """
    asked = asked_path(request.scope["path"], request.scope["query_string"])
    return answer(request, "again.html", {"asked": asked}, headers={"refresh": f"0;url={asked}"})
