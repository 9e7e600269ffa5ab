"""A headless Chromium that looks at the status page: what it asked for, what it said, what axe-core finds."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from axe_playwright_python.base import AXE_FILE_PATH
from playwright.async_api import Browser, Page, Request, async_playwright

from tests.system.packages import installed

Scheme = Literal["light", "dark"]
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
AXE = f"() => {{ {Path(AXE_FILE_PATH).read_text(encoding='utf-8')} }}"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]

FOCUSED = """() => {
    const one = document.activeElement;
    if (!one || one === document.body) return "";
    const name = one.getAttribute("aria-label") || one.labels?.[0]?.innerText || one.innerText;
    const shows = getComputedStyle(one).outlineStyle !== "none";
    const place = [...document.querySelectorAll("*")].indexOf(one);
    return `${place} ${one.tagName} ${name.replace(/\\s+/g, " ").trim()}${shows ? "" : " UNSEEN"}`;
}"""


@dataclass
class Looker:
    """One tab of its own, with everything that it did.

    Attributes:
        page: playwright's.
        asked: every address that was asked for.
        sent: the requests' headers and bodies, as text.
        complaints: what the console said, policies that were broken included.
    """

    page: Page
    asked: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    async def log_in(self, url: str, token: str) -> None:
        """Log in as a person does, by the form."""
        await self.page.goto(f"{url}/login")
        await self.page.fill("#token", token)
        await self.page.click("main button[type=submit]")
        await self.page.wait_for_url(f"{url}/")

    async def violations(self, *, colours: bool = True) -> list[str]:
        """What axe-core finds, a line each; empty when nothing.

        Args:
            colours: contrasts too, which take nine tenths of the time and are the same in any window.
        """
        await self.page.evaluate(AXE)
        options = {
            "runOnly": {"type": "tag", "values": RULES},
            "resultTypes": ["violations"],
            "rules": {"color-contrast": {"enabled": colours}},
        }
        found = await self.page.evaluate("options => axe.run(document, options)", options)
        return [
            f"{one['id']}: {one['help']}: {node['html'][:200]} {node['failureSummary']}"
            for one in found["violations"]
            for node in one["nodes"]
        ]

    async def overflows(self) -> int:
        """By how many pixels the page is wider than the window."""
        wider: int = await self.page.evaluate(
            "() => document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"
        )
        return wider

    async def shoot(self, path: Path) -> None:
        """The whole page as a picture."""
        await self.page.screenshot(path=path, full_page=True)

    async def walk(self, most: int = 500) -> list[str]:
        """Go through the page by Tab alone; what has the focus at each step, and whether that shows."""
        found: list[str] = []
        await self.page.evaluate(
            "() => { document.activeElement.blur(); getSelection().removeAllRanges(); scrollTo(0, 0) }"
        )
        for _ in range(most):
            await self.page.keyboard.press("Tab")
            one: str = await self.page.evaluate(FOCUSED)
            if not one or (found and one == found[0]):
                return found
            found.append(one)
        raise AssertionError(f"Tab does not come to an end: {found[-5:]}")


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Debian's Chromium, without a window."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=installed("chromium"), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def looker(
    browser: Browser,
    *,
    scheme: Scheme = "light",
    size: dict[str, int] = DESKTOP,
    scripts: bool = True,
    cookies: Any = None,
    log: Path | None = None,
    touch: bool = False,
) -> AsyncIterator[Looker]:
    """A tab.

    Args:
        browser: whose.
        scheme: what the system prefers.
        size: the window's.
        scripts: whether JavaScript runs.
        cookies: of another tab, as `storage_state` gave them.
        log: where all that went over the network is written when the tab is closed.
        touch: whether there is a finger.
    """
    context = await browser.new_context(
        color_scheme=scheme,
        viewport=size,  # type: ignore[arg-type]
        java_script_enabled=scripts,
        storage_state=cookies,
        timezone_id="Europe/Berlin",
        bypass_csp=False,
        has_touch=touch,
        record_har_path=log,
        record_har_content="embed",
    )
    found = Looker(page=await context.new_page())
    found.page.on("request", lambda request: _note(found, request))
    found.page.on("console", lambda message: found.complaints.append(f"{message.type}: {message.text}"))
    found.page.on("pageerror", lambda error: found.complaints.append(f"error: {error}"))
    try:
        yield found
    finally:
        await context.close()


def _note(found: Looker, request: Request) -> None:
    found.asked.append(request.url)
    found.sent.append(f"{request.method} {request.url} {request.headers} {request.post_data or ''}")
