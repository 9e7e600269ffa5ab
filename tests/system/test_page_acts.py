"""An administrator in a real browser before a real daemon: logs in, acts, is told; also without scripts."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Locator

from monitor.domain.access import TokenRole
from monitor.storage.address import Address
from monitor.storage.tokens import create_token, revoke_token
from tests.acceptance.test_failover import add_server, serving, set_active
from tests.acceptance.test_replay import fit
from tests.daemon import RunningDaemon, running_daemon
from tests.fault_server import FaultServer
from tests.system.browser import DESKTOP, PHONE, Looker, chromium, looker

PLANTED_KEY = "sk-planted-3f9c1a77e2"


@dataclass
class Duty:
    """A person on duty: a tab, a daemon with two servers that are fit and one that is dead."""

    tab: Looker
    daemon: RunningDaemon
    connection: Any
    token_id: int
    token: str
    scripts: bool
    pictures: Path
    seen: str = ""

    async def look(self, name: str) -> str:
        """Take note of what the tab shows, and have axe-core look at it; the page's text."""
        self.seen += await self.tab.page.content()
        await self.tab.shoot(self.pictures / f"{name}.png")
        if self.scripts:
            assert await self.tab.violations() == [], name
        assert await self.tab.overflows() <= 0, name
        return " ".join((await self.tab.page.inner_text("main")).split())

    async def ask(self, link: str) -> Locator:
        """Follow a link to the question before an act; where the question is."""
        await self.tab.page.click(f"a[data-act][href={link!r}]")
        place = "dialog[open]" if self.scripts else "main"
        question = self.tab.page.locator(f"{place} [data-confirm]")
        await question.wait_for()
        return question

    async def act(self, link: str, **fields: str) -> str:
        """Ask, fill in, say yes; what the page says then."""
        question = await self.ask(link)
        for name, value in fields.items():
            field = question.locator(f"[name={name}]")
            if await field.evaluate("one => one.tagName") == "SELECT":
                await field.select_option(value)
            elif value == "yes":
                await field.check()
            else:
                await field.fill(value)
        async with self.tab.page.expect_navigation():
            await question.locator("button[type=submit]").click()
        return await self.said()

    async def said(self) -> str:
        line = self.tab.page.locator(".said")
        await line.wait_for()
        self.seen += await self.tab.page.content()
        return " ".join((await line.inner_text()).split())


@asynccontextmanager
async def on_duty(
    database: Address, connection: Any, browser: Browser, pictures: Path, *, scripts: bool, **window: Any
) -> AsyncIterator[Duty]:
    async with FaultServer() as one, FaultServer() as two, FaultServer() as three:
        three.play("500")
        rows = [
            await add_server(
                connection, name, server.url, model_path="m1", api_key=PLANTED_KEY, use_for_chat=True
            )
            for name, server in (("gpu-1", one), ("gpu-2", two), ("gpu-3", three))
        ]
        await set_active(connection, "chat", rows[0], rows[1])
        made = await create_token(connection, name="alice", role=TokenRole.ADMIN, lifetime=None, by="x")
        async with running_daemon({"DATABASE_URL": database.describe()}) as daemon:
            await daemon.ready()
            await fit(daemon, connection, *rows[:2])
            await daemon.event("health_changed", target=f"ai_server:{rows[2]}/chat", after="down")
            async with looker(browser, scripts=scripts, **window) as tab:
                yield Duty(tab, daemon, connection, made.id, made.text, scripts, pictures)


async def logs_in(duty: Duty) -> None:
    page, url = duty.tab.page, duty.daemon.url
    await page.goto(f"{url}/")
    text = await duty.look("1-nobody")
    assert "chat works" in text
    assert "gpu-1" not in await page.content()
    await page.fill("#token", "llmm_1_" + "a" * 43)
    await page.press("#token", "Enter")
    await page.wait_for_selector("[role=alert]")
    assert "unknown, expired or revoked" in await duty.look("2-refused")
    await duty.tab.log_in(url, duty.token)
    assert "gpu-1" in await duty.look("3-admin")


async def by_keyboard_alone(duty: Duty) -> None:
    """Promote with Tab, Enter and Escape; nothing is clicked."""
    page = duty.tab.page

    async def reach(wanted: str) -> None:
        for _ in range(80):
            if await page.evaluate(f"() => document.activeElement.matches({wanted!r})"):
                return
            await page.keyboard.press("Tab")
        raise AssertionError(f"{wanted} is not reached by Tab")

    link = "a[data-act][href='/acts/promote?purpose=chat']"
    await page.evaluate("() => document.activeElement.blur()")
    await reach(link)
    await page.keyboard.press("Enter")
    question = page.locator("dialog[open]" if duty.scripts else "main [data-confirm]")
    await question.wait_for()
    text = " ".join((await question.inner_text()).split())
    onto = "from gpu-1 to gpu-2 now" if duty.scripts else "now from gpu-1 to the one chosen below"
    assert f"chat will move {onto}." in text
    assert "gpu-3 is down" in text
    await duty.look("4-promote")
    if duty.scripts:
        assert await page.evaluate("() => document.querySelector('dialog').contains(document.activeElement)")
        await page.keyboard.press("Escape")
        assert await page.locator("dialog[open]").count() == 0
        assert await page.evaluate(f"() => document.activeElement.matches({link!r})"), (
            "the focus has returned"
        )
        await page.keyboard.press("Enter")
        await question.wait_for()
        await reach("input[value='ai_server:2']")
        await page.keyboard.press("ArrowDown")
        await page.locator("[data-will]:has-text('from gpu-1 to gpu-3 now')").wait_for()
        await page.keyboard.press("ArrowUp")
        await page.locator("[data-will]:has-text('from gpu-1 to gpu-2 now')").wait_for()
    await reach("input[name=reason]")
    await page.keyboard.type("fan noise")
    await reach("button.act")
    async with page.expect_navigation():
        await page.keyboard.press("Enter")
    said = await duty.said()
    assert re.match(r"chat is served by gpu-2 since \d\d:\d\d:\d\d UTC\. It does not return by itself", said)
    await duty.look("5-promoted")
    assert await serving(duty.connection) == 2


async def every_act(duty: Duty) -> None:
    page = duty.tab.page
    assert "It is pinned there until it is unpinned." in await duty.act("/acts/pin?purpose=chat")
    assert "the rules decide" in await duty.act("/acts/unpin?purpose=chat")
    assert "chat is paused since" in await duty.act("/acts/pause?purpose=chat", reason="we move the rack")
    assert "Paused by an operator" in await page.inner_text("#purpose-chat")
    assert "chat is resumed" in await duty.act("/acts/resume?purpose=chat")
    await page.goto(f"{duty.daemon.url}/?q=gpu-3")
    said = await duty.act("/acts/maintenance?provider=ai_server:3", span="7200", reason="new driver")
    assert "gpu-3 is out of service until" in said
    assert page.url == f"{duty.daemon.url}/?q=gpu-3", "back to where it was asked"
    assert "gpu-3 may serve again." in await duty.act("/acts/end-maintenance?provider=ai_server:3")
    question = await duty.ask("/acts/probe?provider=ai_server:3")
    await duty.look("6-probe")
    await question.locator("button[type=submit]").click()
    await page.wait_for_function(
        "() => /Probe of gpu-3 for chat at [\\d:]+ UTC/.test(document.body.innerText)"
        " || /has been running/.test(document.body.innerText)",
        timeout=30_000,
    )
    while "has been running" in await page.inner_text("main"):
        await page.wait_for_timeout(100) if duty.scripts else await page.click("text=Look again")
    assert "Probe of gpu-3 for chat at" in await duty.look("7-probed")
    await page.goto(f"{duty.daemon.url}/")


async def refused_and_forced(duty: Duty) -> None:
    """Onto one that is dead: warned of, refused without the box, done with it."""
    page = duty.tab.page
    question = await duty.ask("/acts/promote?purpose=chat&to=ai_server:3")
    assert "gpu-3 is down" in await question.locator(".warning").inner_text()
    await question.locator("[name=reason]").fill("to see it")
    await question.locator("button[type=submit]").click()
    alert = page.locator("[data-confirm] [role=alert]")
    await alert.wait_for()
    assert "Nothing was changed. Mend it first, or tick the box" in await alert.inner_text()
    await duty.look("8-refused")
    await page.emulate_media(color_scheme="dark")
    await page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    await duty.look("9-refused-dark-phone")
    await page.emulate_media(color_scheme="light")
    await page.set_viewport_size({"width": DESKTOP["width"], "height": DESKTOP["height"]})
    again = page.locator("[data-confirm]")
    assert await again.locator("[name=reason]").input_value() == "to see it"
    await again.locator("[name=force]").check()
    async with page.expect_navigation():
        await again.locator("button[type=submit]").click()
    assert "chat is served by gpu-3 since" in await duty.said()


async def from_elsewhere(duty: Duty) -> None:
    """Another site's link opens the page of whoever is logged in; its forms and frames come to nothing."""
    page, url = duty.tab.page, duty.daemon.url
    count = "SELECT count(*) FROM monitor.acts"
    before = await duty.connection.fetchval(count)
    await page.goto("about:blank")
    await page.set_content(f"<a href='{url}/acts/pause?purpose=chat'>look at this</a>")
    await page.click("a")
    await page.wait_for_selector("[data-confirm]")
    csrf = await page.locator("[data-confirm] [name=csrf]").get_attribute("value")
    for action, field in (("/acts/pause?purpose=chat", "csrf"), ("/login", "token"), ("/logout", "csrf")):
        value = duty.token if field == "token" else csrf
        await page.goto("about:blank")
        form = f"<form method=post action='{url}{action}'><input name={field} value='{value}'>"
        await page.set_content(f"{form}<button>win</button></form>")
        await page.click("button")
        await page.wait_for_selector("text=another page")
    await page.goto("about:blank")
    await page.set_content(f"<iframe src='{url}/login'></iframe>")
    [framed] = [one for one in page.frames if one != page.main_frame]
    await framed.wait_for_load_state()
    assert "Log in to see more" not in await framed.content()
    assert await duty.connection.fetchval(count) == before
    duty.tab.sent.clear()
    duty.tab.complaints.clear()
    await page.goto(f"{url}/")
    assert "alice" in await page.inner_text(".who")


async def logs_out(duty: Duty) -> None:
    page = duty.tab.page
    await page.click(".who button")
    await page.wait_for_selector("#token")
    await page.goto(f"{duty.daemon.url}/acts/pause?purpose=chat")
    assert page.url == f"{duty.daemon.url}/login?next=%2Facts%2Fpause%3Fpurpose%3Dchat"
    await duty.tab.page.fill("#token", duty.token)
    await page.press("#token", "Enter")
    await page.wait_for_selector("[data-confirm]")
    await revoke_token(duty.connection, duty.token_id, "x")
    await page.wait_for_timeout(300)
    await page.click("[data-confirm] button[type=submit]")
    await page.wait_for_selector("#token")
    assert await duty.connection.fetchval("SELECT count(*) FROM monitor.acts WHERE act = 'pause'") == 1


def nothing_secret_is_seen(duty: Duty) -> None:
    secret = duty.token.split("_", 2)[2]
    for planted in (secret, PLANTED_KEY):
        assert planted not in duty.seen
        assert planted not in "\n".join(duty.tab.asked)
        assert planted not in "\n".join(duty.daemon.raw)
    showed = [one for one in duty.tab.sent if secret in one]
    assert {one.split(" ")[0] for one in showed} == {"POST"}
    assert all(one.startswith(f"POST {duty.daemon.url}/login ") for one in showed)
    assert {one.split("/")[2] for one in duty.tab.asked} == {duty.daemon.url.split("/")[2]}
    broken = [one for one in duty.tab.complaints if "status of 40" not in one]
    assert broken == []


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
async def test_an_administrator_acts_in_a_browser(
    database: Address, connection: Any, tmp_path: Path, scripts: bool
) -> None:
    async with (
        chromium() as browser,
        on_duty(database, connection, browser, tmp_path, scripts=scripts) as duty,
    ):
        await logs_in(duty)
        await by_keyboard_alone(duty)
        await every_act(duty)
        await refused_and_forced(duty)
        await from_elsewhere(duty)
        await logs_out(duty)
        nothing_secret_is_seen(duty)
        acts = await connection.fetch("SELECT act, user_id, reason, via FROM monitor.acts ORDER BY id")
        assert [tuple(one) for one in acts] == [
            ("promote", "alice", "fan noise", "page"),
            ("pin", "alice", None, "page"),
            ("unpin", "alice", None, "page"),
            ("pause", "alice", "we move the rack", "page"),
            ("resume", "alice", None, "page"),
            ("maintenance", "alice", "new driver", "page"),
            ("end_maintenance", "alice", None, "page"),
            ("promote", "alice", "to see it", "page"),
        ]
