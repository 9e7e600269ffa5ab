"""Which path is for whom: what is open, what is a page, and the role that each request wants."""

from fastapi import HTTPException

from monitor.domain.access import Caller, TokenRole

API = "/api/v1/monitor"
LOGIN = f"{API}/login"
LOGOUT = f"{API}/logout"
REPORTS = f"{API}/reports"
FRONT = "/"
PAGE_LOGIN = "/login"
PAGE_LOGOUT = "/logout"
ACTS = "/acts/"
STATIC = "/static/"

OPEN = frozenset({"/metrics", "/healthz", "/readyz", "/api/v1/llm-config/health"})
"""Answered to anybody, under any name, over any way: scrapers and kubelets come as they are."""

UNLOCKED = frozenset({LOGIN, PAGE_LOGIN})
"""Answered without a token, but under our own name and over a safe way alone; so are the files in STATIC.

FRONT is answered as the open ones are, but a login counts there as it does anywhere: under our own name,
over a safe way.
"""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def wanted_role(method: str, path: str) -> TokenRole:
    """The role that a request wants: looking is a viewer's, and changing anything an administrator's."""
    if path.startswith(ACTS):
        return TokenRole.ADMIN
    if method in SAFE_METHODS or path in {LOGOUT, PAGE_LOGOUT}:
        return TokenRole.VIEWER
    return TokenRole.REPORTER if path == REPORTS else TokenRole.ADMIN


def is_page(path: str) -> bool:
    """Whether a path is for a person's browser: everything that is neither the API's nor open."""
    return not path.startswith("/api/") and path not in OPEN


def check_role(caller: Caller, method: str, path: str) -> None:
    """Whether a caller may ask for something.

    Raises:
        HTTPException: 403 when it may not.
    """
    wanted = wanted_role(method, path)
    if not caller.role.includes(wanted):
        raise HTTPException(403, f"this wants a token of the role {wanted}; yours is {caller.role}")
    if is_page(path) and caller.role is TokenRole.REPORTER and path != PAGE_LOGOUT:
        raise HTTPException(
            403, "a token of the role reporter is an application's: the pages want another one"
        )
