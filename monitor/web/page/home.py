"""Makes the pages: reads in one snapshot, then words and markup in a thread."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from fastapi import HTTPException
from markupsafe import Markup, escape
from starlette.requests import Request

from monitor.domain.provider import ProviderRef
from monitor.storage.page import read_page, read_provider
from monitor.web.page.pages import Pages
from monitor.web.page.render import render
from monitor.web.page.view import view_page, view_provider_page
from monitor.web.page.view_providers import Filter, choose
from monitor.web.page.words import Tone

SPAN = timedelta(days=7)
ACQUIRE_SECONDS = 5.0
MOST_PROBES = 50

_CSRF = secrets.token_hex(16)
"""Stands in kept markup where each login's own value belongs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A page's content, the same for everybody of a role."""

    markup: str
    title: str
    tone: Tone
    as_of: datetime

    def fill(self, csrf: str) -> Markup:
        """The content with a login's own value in its forms."""
        return Markup(self.markup.replace(_CSRF, str(escape(csrf))))  # noqa: S704 - rendered with autoescape


async def make_home(request: Request, wanted: Filter, *, admin: bool, anew: bool) -> Made | None:
    """The page's content; None while no database is known.

    Args:
        request: for the application's parts.
        wanted: which providers.
        admin: with what an administrator may do.
        anew: not one of a moment ago.
    """
    state = request.app.state
    pages: Pages = state.pages
    if state.pool is None:
        return None

    async def make() -> Made:
        async with state.pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
            record, shelf = await read_page(
                connection, SPAN, lambda status: choose(status, wanted), state.kept
            )

        waiting = state.daemon.results_waiting()

        def write() -> Made:
            view = view_page(record, shelf, state.policy_for, waiting)
            context = {"view": view, "is_admin": admin, "csrf": _CSRF}
            return Made(
                markup=render("home_content.html", context),
                title=view.headline.title,
                tone=view.headline.tone,
                as_of=view.as_of,
            )

        return await pages.in_thread(write)

    return await pages.get(("home", wanted, admin), make, anew=anew)


async def make_provider(request: Request, ref: ProviderRef, *, admin: bool, anew: bool) -> Made | None:
    """The content of a provider's own page; None while no database is known.

    Raises:
        HTTPException: 404 when there is no such provider.
    """
    state = request.app.state
    pages: Pages = state.pages
    if state.pool is None:
        return None

    async def make() -> Made:
        async with state.pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
            record = await read_provider(connection, ref, MOST_PROBES)
        if record is None:
            raise HTTPException(404, f"there is no provider {ref}: its row was deleted")

        def write() -> Made:
            view = view_provider_page(record)
            context = {"view": view, "is_admin": admin, "csrf": _CSRF}
            tone = view.provider.tone
            return Made(
                markup=render("provider_content.html", context),
                title=f"{view.provider.named.name}: {view.provider.word}",
                tone=Tone.UNKNOWN if tone is Tone.OFF else tone,
                as_of=view.as_of,
            )

        return await pages.in_thread(write)

    return await pages.get(("provider", ref, admin), make, anew=anew)
