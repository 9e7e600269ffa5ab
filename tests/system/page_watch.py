"""Somebody who watches the page of a real daemon: looks of every kind, and a tab that stays open."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Browser

from monitor.domain.access import TokenRole
from monitor.storage.address import Address
from monitor.storage.tokens import create_token
from tests.daemon import QUICK_POLICY, RunningDaemon, running_daemon
from tests.system.browser import DESKTOP, PHONE, Looker, Scheme, chromium, looker

PLANTED_KEY = "sk-planted-7d20b8e4c1"
LOOKS: dict[str, tuple[Scheme, dict[str, int]]] = {
    "light": ("light", DESKTOP),
    "dark": ("dark", DESKTOP),
    "phone": ("light", PHONE),
}


@dataclass
class Watch:
    """A daemon, a browser, and whoever is logged in.

    Attributes:
        cookies: of the login.
        pictures: where they are put.
        logs: of the network, by tab.
    """

    browser: Browser
    daemon: RunningDaemon
    connection: Any
    token: str
    token_id: int
    cookies: Any
    pictures: Path
    logs: list[Path] = field(default_factory=list)

    @asynccontextmanager
    async def tab(self, **window: Any) -> AsyncIterator[Looker]:
        """A tab of the login's own, whose network log is looked through afterwards."""
        log = self.pictures / f"network-{len(self.logs)}.har"
        self.logs.append(log)
        async with looker(self.browser, cookies=self.cookies, log=log, **window) as tab:
            yield tab
            assert {one.split("/")[2] for one in tab.asked} == {self.daemon.url.split("/")[2]}, tab.asked
        text = log.read_text()
        assert json.loads(text)["log"]["entries"], "the network log is empty"
        assert PLANTED_KEY not in text

    async def look(self, name: str, path: str = "/") -> str:
        """Look at the page as it is now: light, dark, on a phone, and without scripts; its text then."""
        address = self.daemon.url + path
        async with self.tab() as tab:
            await tab.page.goto(address)
            await tab.page.wait_for_selector("#live.on")
            for look, (scheme, size) in LOOKS.items():
                await tab.page.emulate_media(color_scheme=scheme)
                await tab.page.set_viewport_size({"width": size["width"], "height": size["height"]})
                found = await tab.violations(colours=size is DESKTOP)
                assert found == [], f"{name}, {look}: {found}"
                assert await tab.overflows() <= 0, f"{name}, {look}: wider than its window"
                await tab.shoot(self.pictures / f"{name}-{look}.png")
            assert tab.complaints == [], name
        async with self.tab(scripts=False) as tab:
            await tab.page.goto(address)
            await tab.shoot(self.pictures / f"{name}-no-scripts.png")
            return await words(tab)


async def words(tab: Looker, selector: str = "main") -> str:
    """What a part of a page says, in one line."""
    return " ".join((await tab.page.inner_text(selector)).split())


@asynccontextmanager
async def watching(
    database: Address,
    connection: Any,
    pictures: Path,
    known: Callable[[RunningDaemon], Awaitable[None]],
    **options: Any,
) -> AsyncIterator[Watch]:
    """Start a daemon and a browser.

    Args:
        database: migrated, with its rows.
        connection: on it.
        pictures: where they are put.
        known: waits until the daemon knows enough.
        options: of the daemon.
    """
    made = await create_token(connection, name="alice", role=TokenRole.ADMIN, lifetime=None, by="x")
    async with AsyncExitStack() as stack:
        environment = {"DATABASE_URL": database.describe(), **options.pop("environment", {})}
        options.setdefault("policy", QUICK_POLICY)
        daemon = await stack.enter_async_context(running_daemon(environment, **options))
        await daemon.ready()
        await known(daemon)
        browser = await stack.enter_async_context(chromium())
        async with looker(browser) as tab:
            await tab.log_in(daemon.url, made.text)
            cookies = await tab.page.context.storage_state()
        yield Watch(browser, daemon, connection, made.text, made.id, cookies, pictures)
        secret = made.text.split("_", 2)[2]
        for planted in (secret, PLANTED_KEY):
            assert planted not in "\n".join(daemon.raw)
