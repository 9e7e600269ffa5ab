"""The status page of a real daemon in a browser: in an outage, after it, with sixty providers, with none."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from monitor.keyring import Keyring, generate
from monitor.storage.address import Address
from monitor.storage.tokens import revoke_token
from tests.acceptance.test_failover import add_server, set_active
from tests.acceptance.test_replay import fit
from tests.application_rows import ApplicationRows
from tests.daemon import RunningDaemon, free_port, running_daemon
from tests.fault_server import FaultServer
from tests.page_past import fill_past
from tests.postgres import open_folder
from tests.system.browser import Looker
from tests.system.page_watch import PLANTED_KEY, Watch, watching, words

SERVES = """async ([ref, patience]) => {
    const began = Date.now();
    const holds = () => document.querySelector("#purpose-chat").dataset.state.endsWith(" " + ref);
    while (!holds()) {
        if (Date.now() - began > patience) throw new Error(document.querySelector("main").innerText);
        await new Promise((done) => setTimeout(done, 5));
    }
    return Date.now() / 1000;
}"""
"""When the page shows who serves chat, in seconds since 1970."""

PLACE = "() => document.querySelector('#purpose-chat').getBoundingClientRect().top"

HEARD = """() => {
    window.heard = [];
    new MutationObserver(() => {
        const text = document.querySelector("#news").textContent;
        if (text && text !== window.heard.at(-1)) window.heard.push(text);
    }).observe(document.querySelector("#news"), {childList: true, characterData: true, subtree: true});
}"""


async def add_servers(connection: Any, *servers: FaultServer, names: tuple[str, ...]) -> list[int]:
    """Rows as an application inserts them, each with the planted key and a past."""
    rows = [
        await add_server(
            connection,
            name,
            servers[place % len(servers)].url,
            model_path="m1",
            api_key=PLANTED_KEY,
            use_for_chat=True,
        )
        for place, name in enumerate(names)
    ]
    await fill_past(connection, moves=True)
    await set_active(connection, "chat", rows[0], rows[1])
    return rows


@asynccontextmanager
async def three(
    database: Address, connection: Any, pictures: Path, **options: Any
) -> AsyncIterator[tuple[Watch, list[FaultServer]]]:
    """A daemon with three servers, of which two are named for chat."""
    async with FaultServer() as one, FaultServer() as two, FaultServer() as other:
        rows = await add_servers(connection, one, two, other, names=("gpu-1", "gpu-2", "spare"))

        async def known(daemon: RunningDaemon) -> None:
            await fit(daemon, connection, *rows)

        async with watching(database, connection, pictures, known, **options) as watch:
            yield watch, [one, two, other]


async def moved(watch: Watch, tab: Looker, onto: int) -> float:
    """Wait until an open page shows a move by itself; how long after its commit it did, in seconds."""
    shown_at: float = await tab.page.evaluate(SERVES, [f"ai_server:{onto}", 60_000])
    committed_at: float = await watch.connection.fetchval(
        "SELECT extract(epoch FROM committed_at)::float8 FROM monitor.transitions"
        " WHERE to_provider_id = $1 AND rule <> 'adopted' ORDER BY id DESC LIMIT 1",
        onto,
    )
    return shown_at - committed_at


@pytest.mark.timeout(400)
async def test_an_outage_is_followed_without_a_reload_and_told_whole(
    database: Address, connection: Any, tmp_path: Path
) -> None:
    async with three(database, connection, tmp_path) as (watch, servers), watch.tab() as tab:
        page = tab.page
        await page.goto(f"{watch.daemon.url}/?q=gpu")
        await page.wait_for_selector("#live.on")
        await page.evaluate("() => { window.sameDocument = true }")
        await page.evaluate(HEARD)
        calm = await words(tab)
        assert "chat is served." in calm
        assert "Next gpu-2" in calm
        assert await page.title() == f"all served{SITE}"
        # What somebody has in hand meanwhile.
        await page.click("#moves-chat > summary")
        await page.focus("#q")
        await page.keyboard.press("End")
        await page.keyboard.type("-half")
        await page.evaluate("() => scrollTo(0, 300)")
        place: float = await page.evaluate(PLACE)

        servers[0].play("500")
        late = [await moved(watch, tab, 2)]
        assert await page.evaluate("() => window.sameDocument") is True
        assert await page.evaluate("() => document.activeElement.id") == "q"
        assert await page.input_value("#q") == "gpu-half"
        assert await page.evaluate("() => document.querySelector('#moves-chat').open")
        assert abs(await page.evaluate(PLACE) - place) < 60, "what was in view stays there"
        await page.wait_for_function("() => heard.some((one) => one.includes('from gpu-1 to gpu-2'))")
        failed_over = await watch.look("failed-over")
        for told in (
            "chat moved from gpu-1 to gpu-2",
            "gpu-1 is down. Nothing is asked of you now",
            "nobody is ready to take over from gpu-2",
            "took over from one that failed",
            "gpu-1 is down: the server reports an error of its own",
            "Next Nobody is ready to take over.",
            "serves chat",
            "Limit left, requests",
            "First token",
            "results it rests on",
            "decides",
        ):
            assert told in failed_over, told
        assert "alice (admin)" in await page.inner_text("header")

        servers[1].play("401")
        await page.wait_for_selector("#purpose-chat.bad", timeout=60_000)
        await page.wait_for_function("() => heard.some((one) => one.includes('nobody fit to serve'))")
        assert await page.title() == f"chat: trouble{SITE}"
        assert "icon-bad" in str(await page.get_attribute("#icon", "href"))
        stranded = await watch.look("stranded")
        assert "chat has nobody fit to serve since" in stranded
        assert "One thing is asked of you now." in stranded
        assert "Bring one of its candidates back: gpu-1 is down (the server reports" in stranded
        assert "the key is refused" in stranded

        servers[1].play(None)
        await page.wait_for_selector("#purpose-chat:not(.bad)", timeout=60_000)
        servers[0].play(None)
        late.append(await moved(watch, tab, 1))
        await page.wait_for_function("() => document.title.startsWith('all served')", timeout=60_000)
        recovered = await watch.look("recovered")
        assert "chat moved from gpu-2 to gpu-1" in recovered
        assert "Nobody fit to serve" in recovered
        heard = await page.evaluate("() => heard")
        assert len(heard) <= 5, f"probes are no news: {heard}"
        assert tab.complaints == []
        print(f"a transition shows {late[0]:.2f} s and {late[1]:.2f} s after its commit")
        assert max(late) < 5, "some five times what it takes on an idle machine"
        await one_provider(watch)


async def one_provider(watch: Watch) -> None:
    """A provider's own page, to which its name leads."""
    async with watch.tab() as tab:
        await tab.page.goto(f"{watch.daemon.url}/")
        await tab.page.click("#purpose-chat .serves a")
        await tab.page.wait_for_selector("#probes")
        assert await tab.page.title() == f"gpu-1: healthy{SITE}"
    text = await watch.look("provider", "/providers/ai_server/1")
    assert "Days with trouble" in text
    assert "Last probes" in text
    assert "a usable answer" in text


async def test_the_page_says_when_it_is_no_longer_live_and_when_it_is_again(
    database: Address, connection: Any, tmp_path: Path
) -> None:
    with open_folder() as folder:
        port = free_port()
        options = {"port": port, "environment": {"MONITOR_DATA_DIR": str(folder / "data")}}
        async with three(database, connection, tmp_path, **options) as (watch, _), watch.tab() as tab:
            page = tab.page
            await page.goto(f"{watch.daemon.url}/")
            await page.wait_for_selector("#live.on")
            await page.evaluate("() => { window.sameDocument = true }")
            await page.evaluate(HEARD)
            await nothing_while_nobody_looks(watch, tab)
            assert tab.complaints == []

            await watch.daemon.stop()
            await page.wait_for_selector("#live.off")
            assert "No longer live, as of" in await page.inner_text("#live")
            assert "The daemon is not reached. What you see is as of" in await page.inner_text("#stale")
            assert (await page.title()).startswith("Not live: ")
            assert "icon-unknown" in str(await page.get_attribute("#icon", "href"))
            assert "gpu-1" in await page.inner_text("#purpose-chat"), "the last picture stays"
            assert await tab.violations() == []
            await page.wait_for_function("() => heard.some((one) => one.startsWith('No longer live'))")
            before = await page.inner_text("time[data-ago] >> nth=0")
            await page.wait_for_function(
                "(before) => document.querySelector('time[data-ago]').innerText !== before", arg=before
            )
            async with running_daemon(
                {"DATABASE_URL": database.describe(), "MONITOR_DATA_DIR": str(folder / "data")}, port=port
            ) as again:
                await again.ready()
                await page.wait_for_selector("#live.on", timeout=45_000)
                assert await page.locator("#stale").count() == 0
                assert not (await page.title()).startswith("Not live")
                assert "The page is live again." in await page.evaluate("() => heard")
                assert await page.evaluate("() => window.sameDocument") is True

                await revoke_token(connection, watch.token_id, "x")
                await page.wait_for_selector("#stale a")
                assert "Your login has ended." in await page.inner_text("#stale")
                assert await tab.violations() == []
                await page.click("#stale a")
                await page.wait_for_selector("#token")


async def nothing_while_nobody_looks(watch: Watch, tab: Looker) -> None:
    """A hidden tab asks for nothing, whatever happens; seen again, it catches up."""
    hide = """(hidden) => {
        Object.defineProperty(document, "hidden", {configurable: true, get: () => hidden});
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    await tab.page.evaluate(hide, True)
    await asyncio.sleep(0.5)
    asked = len(tab.asked)
    await watch.connection.execute("UPDATE ai_servers SET name = 'spare-2' WHERE name = 'spare'")
    await asyncio.sleep(2)
    assert tab.asked[asked:] == []
    await tab.page.evaluate(hide, False)
    await tab.page.wait_for_selector("text=spare-2")


SITE = " \N{EN DASH} llm-monitor"
HOSTILE = "<script>alert(1)</script>"
LONG = "a-server-whose-name-somebody-has-thought-about-for-far-too-long-" * 3


@pytest.mark.timeout(400)
async def test_sixty_providers_are_told_fifty_at_a_time_and_found(
    database: Address, connection: Any, tmp_path: Path
) -> None:
    names = ("gpu-1", "gpu-2", HOSTILE, LONG, *(f"node-{number:02d}" for number in range(55)))
    async with FaultServer() as fine, FaultServer() as broken:
        broken.play("500")
        rows = await add_servers(connection, fine, names=names)
        secret = generate()
        metadata = {"base_url": f"{fine.url}/api/v1", "model": "m1"}
        await ApplicationRows(connection).add_key(
            "openrouter", Keyring(secret).seal(PLANTED_KEY).text, metadata=metadata
        )
        await connection.execute("UPDATE ai_servers SET base_url = $1 WHERE name = 'node-30'", broken.url)
        await connection.execute("UPDATE ai_servers SET enabled = false WHERE name = 'node-31'")

        async def known(daemon: RunningDaemon) -> None:
            query = "SELECT count(*) FROM monitor.healths WHERE last_outcome IS NOT NULL"

            async def probed() -> bool:
                return bool(await connection.fetchval(query) >= len(rows) - 1)

            await daemon.until(probed, "every server probed", 120)
            await daemon.event("health_changed", target="ai_server:35/chat", after="down")

        environment = {"BYOK_ENCRYPTION_KEY": secret}
        async with watching(
            database, connection, tmp_path, known, policy={}, environment=environment
        ) as watch:
            text = await watch.look("sixty")
            assert "60 in all, 1 not well" in text
            assert text.index("node-30 ") < text.index("node-00 "), "the unwell come first"
            assert HOSTILE in text
            assert "Page 1 of 2" in text
            async with watch.tab() as tab:
                await tab.page.goto(f"{watch.daemon.url}/")
                await tab.page.wait_for_selector("#live.on")
                walked = await tab.walk()
                assert [one for one in walked if "UNSEEN" in one] == []
                assert "Skip to the content" in walked[0]
                assert any("Name or kind" in one for one in walked)
                assert sum("Uptime of" in one for one in walked) == 50, (
                    "a purpose, and each server of the page"
                )
                await tells_days(tab)
                await tab.page.fill("#q", "node-5")
                await tab.page.press("#q", "Enter")
                await tab.page.wait_for_url("**/?q=node-5*")
                assert await tab.page.locator(".provider").count() == 5
                assert tab.complaints == []
            async with watch.tab(scripts=False) as tab:
                await tab.page.goto(f"{watch.daemon.url}/?page=2")
                assert await tab.page.locator(".provider").count() == 10
                await tab.page.goto(f"{watch.daemon.url}/?q=openrouter")
                assert "Credit left 7.25 USD" in await words(tab)
            async with watch.tab(size={"width": 390, "height": 800}, touch=True) as tab:
                await tells_days_to_a_finger(tab, watch.daemon.url)


async def tells_days(tab: Looker) -> None:
    """A day's detail: under the pointer, and by the arrow keys; Escape takes it away."""
    bars, tip = tab.page.locator(".provider .days >> nth=1"), tab.page.locator(".tip")
    await bars.scroll_into_view_if_needed()
    place = await bars.bounding_box()
    assert place is not None
    await tab.page.mouse.move(place["x"] + 2, place["y"] + 5)
    assert "no data" in await tip.inner_text()
    await tab.page.mouse.move(place["x"] + place["width"] - 10, place["y"] + 5)
    assert "% up" in await tip.inner_text()
    await tab.page.keyboard.press("Escape")
    assert not await tip.is_visible()
    await tab.page.mouse.move(0, 0)
    await bars.focus()
    await tab.page.keyboard.press("End")
    assert "so far" in await tip.inner_text()
    told = [await bars.get_attribute("aria-valuetext")]
    for key in ("ArrowLeft", "PageUp", "Home"):
        await tab.page.keyboard.press(key)
        told.append(await bars.get_attribute("aria-valuetext"))
    assert len(set(told)) == 4, told
    assert str(told[-1]).endswith(": no data")
    while "down" not in await tip.inner_text():
        await tab.page.keyboard.press("ArrowRight")
    assert "% up" in await tip.inner_text()
    box = await tip.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 1280
    assert await tab.violations(colours=False) == []
    await tab.page.keyboard.press("Escape")
    assert not await tip.is_visible()


async def tells_days_to_a_finger(tab: Looker, url: str) -> None:
    await tab.page.goto(f"{url}/?q=node-10")
    await tab.page.wait_for_selector("#live.on")
    bars = tab.page.locator(".provider .days >> nth=0")
    await bars.tap()
    assert await tab.page.locator(".tip").is_visible()
    await tab.page.tap("h2#timeline")
    assert not await tab.page.locator(".tip").is_visible()


@pytest.mark.parametrize("rows", [0, 1], ids=["nothing", "a-server-alone"])
async def test_an_empty_installation_says_how_to_begin(
    database: Address, connection: Any, tmp_path: Path, rows: int
) -> None:
    async with FaultServer() as server:
        if rows:
            await add_server(connection, "gpu-1", server.url, model_path="m1", use_for_chat=True)

        async def known(daemon: RunningDaemon) -> None:
            if rows:
                await daemon.event("health_changed", after="up")

        async with watching(database, connection, tmp_path, known) as watch:
            text = await watch.look("unserved" if rows else "empty")
            assert "No purpose is served yet." in text
            begin = "No purpose has a provider yet" if rows else "Nothing is configured yet"
            assert begin in text
            async with watch.tab() as tab:
                await tab.page.goto(f"{watch.daemon.url}/")
                await tab.page.wait_for_selector("#live.on")
                await add_server(connection, "just-added", server.url, model_path="m1", use_for_chat=True)
                await tab.page.wait_for_selector("text=just-added", timeout=10_000)
