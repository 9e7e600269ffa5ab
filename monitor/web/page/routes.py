"""The status page."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from monitor.web.page.render import answer
from monitor.web.page.routes_login import login_page

router = APIRouter(include_in_schema=False)


async def front(request: Request) -> Response:
    """The page for whoever is logged in, and the open look for everybody else."""
    if getattr(request.state, "caller", None) is None:
        return await login_page(request)
    return answer(request, "base.html", {})


router.add_route("/", front, methods=["GET"])
