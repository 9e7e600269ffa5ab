"""The page's login by form, without a script, and who may see what, asked over HTTP."""

import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from yarl import URL

from monitor.domain.access import TokenRole
from monitor.domain.provider import Purpose
from monitor.doors import ROUTERS
from monitor.keyring import Keyring, generate
from monitor.metrics import Metrics
from monitor.storage.tokens import create_token, revoke_token
from monitor.web import WebServer, create_app
from monitor.web.access import Access
from monitor.web.forms import LARGEST_FORM
from monitor.web.guard import Entrance
from monitor.web.rules import DoorRules
from monitor.web.sessions import LASTS, Sessions
from monitor.web.throttle import BURST, Throttle
from tests.still_daemon import StillDaemon

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
OWN = {**BROWSER, "sec-fetch-site": "same-origin", "sec-fetch-mode": "navigate"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


@dataclass
class Page:
    """What came back."""

    status: int
    text: str
    headers: Mapping[str, str]

    @property
    def to(self) -> str | None:
        return self.headers.get("location")

    @property
    def csrf(self) -> str:
        found = re.search(r'name="csrf" value="([^"]+)"', self.text)
        assert found is not None, self.text
        return found[1]


@dataclass
class Browser:
    """Somebody's browser before a door; what a test may turn."""

    url: str
    entrance: Entrance
    session: aiohttp.ClientSession
    moved: timedelta = field(default=timedelta(0))

    async def get(self, path: str, **headers: str) -> Page:
        return await self.send("GET", path, headers={**BROWSER, **headers})

    async def post(self, path: str, fields: Any, headers: Mapping[str, str] = OWN) -> Page:
        return await self.send("POST", path, headers=headers, data=fields)

    async def send(self, method: str, path: str, **options: Any) -> Page:
        async with self.session.request(method, self.url + path, allow_redirects=False, **options) as answer:
            return Page(answer.status, await answer.text(), answer.headers)

    async def log_in(self, token: str, next_path: str = "/") -> Page:
        return await self.post("/login", {"token": token, "next": next_path})

    def plant(self, cookie: str | None) -> None:
        """Put a cookie in the place of the one there is."""
        self.session.cookie_jar.clear()
        self.session.cookie_jar.update_cookies({"llm_monitor": cookie or ""}, URL(self.url))

    @property
    def cookie(self) -> str | None:
        return next((one.value for one in self.session.cookie_jar), None)


@asynccontextmanager
async def browsing(pool: Any, **rules: Any) -> AsyncIterator[Browser]:
    entrance = Entrance(
        rules=DoorRules(**rules),
        access=Access(lambda: pool, time.monotonic),
        throttle=Throttle(time.monotonic),
    )
    server = WebServer(
        create_app(
            StillDaemon("active", healths={Purpose.CHAT: "down", Purpose.EMBEDDINGS: "healthy"}),
            Metrics(version="1"),
            entrance,
            ROUTERS,
        ),
        "127.0.0.1",
        0,
    )
    await server.start()
    try:
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar) as session:
            one = Browser(f"http://127.0.0.1:{server.port}", entrance, session)
            entrance.sessions = Sessions(Keyring(generate()), lambda: datetime.now(UTC) + one.moved)
            yield one
    finally:
        await server.stop()


@pytest.fixture
async def browser(pool: Any) -> AsyncIterator[Browser]:
    async with browsing(pool) as one:
        yield one


async def make(connection: Any, role: str = "admin", lifetime: timedelta | None = None) -> tuple[int, str]:
    made = await create_token(connection, name=f"the {role}", role=TokenRole(role), lifetime=lifetime, by="x")
    return made.id, made.text


async def test_without_a_login_the_page_tells_each_purposes_health_and_no_name(
    connection: Any, browser: Browser
) -> None:
    await connection.execute(
        "INSERT INTO ai_servers (name, server_type, base_url) VALUES ('gpu-secret', 'vllm', 'http://10.9.8.7')"
    )
    for path in ("/", "/login"):
        page = await browser.get(path)
        assert page.status == 200
        assert "<strong>chat</strong> does not work" in page.text
        assert "<strong>embeddings</strong> works" in page.text
        assert '<form method="post" action="/login"' in page.text
        assert "gpu-secret" not in page.text
        assert "10.9.8.7" not in page.text
        assert (await browser.send("HEAD", path)).status == 200


@pytest.mark.parametrize("role", ["viewer", "admin"])
async def test_a_token_is_exchanged_for_a_login_by_a_form(
    connection: Any, browser: Browser, role: str
) -> None:
    _, token = await make(connection, role)
    page = await browser.log_in(f"  {token}\n")
    assert (page.status, page.to) == (303, "/")
    cookie = {part.strip() for part in page.headers["set-cookie"].split(";")}
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= cookie
    assert "Secure" not in cookie, "loopback has no TLS"
    page = await browser.get("/")
    assert f"the {role}" in page.text
    assert token not in page.text
    assert token not in str(page.headers)


async def test_a_login_leads_to_the_page_that_was_asked_for_and_nowhere_else(
    connection: Any, browser: Browser
) -> None:
    _, token = await make(connection)
    page = await browser.get("/providers/ai_server/1?tab=a%20b")
    assert (page.status, page.to) == (303, "/login?next=%2Fproviders%2Fai_server%2F1%3Ftab%3Da%2520b")
    page = await browser.get(page.to or "")
    assert 'name="next" value="/providers/ai_server/1?tab=a%20b"' in page.text
    asked = "/providers/ai_server/1?tab=a%20b"
    assert (await browser.log_in(token, asked)).to == asked
    for foreign in (
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "https://evil.example/",
        "javascript:alert(1)",
        "evil.example",
        "/a\r\nset-cookie: a=b",
        "/a<script>",
        "",
        "/" + "a" * 600,
    ):
        assert (await browser.log_in(token, foreign)).to == "/", foreign
    page = await browser.get("/login?next=//evil.example")
    assert 'name="next" value="/"' in page.text


async def test_a_wrong_token_is_told_on_the_form_and_never_shown_again(
    connection: Any, browser: Browser
) -> None:
    wrong = "llmm_1_" + "a" * 43
    for token, says in ((wrong, "unknown, expired or revoked"), ("", "No token was given")):
        page = await browser.log_in(token)
        assert (page.status, says in page.text) == (401, True)
        assert wrong not in page.text
        assert 'role="alert"' in page.text
        assert "set-cookie" not in page.headers
    for text in ("<script>alert(1)</script>", "x" * 10_000, "é\0"):
        page = await browser.log_in(text)
        assert (page.status, "<script>alert" in page.text) == (401, False)
    id_, token = await make(connection)
    await revoke_token(connection, id_, "x")
    assert (await browser.log_in(token)).status == 401


async def test_guessing_by_the_form_is_throttled_with_the_rest(connection: Any, browser: Browser) -> None:
    for _ in range(BURST):
        assert (await browser.log_in("wrong")).status == 401
    page = await browser.log_in("wrong")
    assert (page.status, "try again in" in page.text) == (429, True)
    answer = await browser.send("POST", "/api/v1/monitor/login", json={"token": "wrong"})
    assert answer.status == 429
    browser.plant("an old cookie")
    for _ in range(BURST):
        assert (await browser.get("/")).status == 200, "an old cookie is no guess"
    _, token = await make(connection)
    assert (await browser.log_in(token)).status == 303


async def test_an_applications_token_does_not_see_the_page(connection: Any, browser: Browser) -> None:
    _, token = await make(connection, "reporter")
    page = await browser.log_in(token)
    assert (page.status, "role reporter" in page.text) == (403, True)
    assert "set-cookie" not in page.headers
    await browser.send("POST", "/api/v1/monitor/login", json={"token": token})
    assert "Log in to see more" in (await browser.get("/")).text
    page = await browser.get("/providers/ai_server/1")
    assert (page.status, "role reporter" in page.text) == (403, True)


async def test_a_logout_ends_the_login_for_everybody(connection: Any, browser: Browser) -> None:
    _, token = await make(connection, "viewer")
    await browser.log_in(token)
    kept, csrf = browser.cookie, (await browser.get("/")).csrf
    assert (await browser.post("/logout", {"csrf": "wrong"})).status == 403
    page = await browser.post("/logout", {"csrf": csrf})
    assert (page.status, page.to) == (303, "/")
    assert browser.cookie is None
    browser.plant(kept)
    assert "Log in to see more" in (await browser.get("/")).text
    page = await browser.post("/logout", {"csrf": csrf})
    assert (page.status, page.to) == (303, "/login?next=%2Flogout")


async def test_each_login_is_a_new_one_and_ends_the_one_before(connection: Any, browser: Browser) -> None:
    _, token = await make(connection)
    await browser.log_in(token)
    first = browser.cookie
    await browser.log_in(token)
    second = browser.cookie
    assert first != second
    browser.plant(first)
    assert (await browser.get("/providers/ai_server/1")).status == 303, "the old one has ended"
    # A cookie that somebody else planted does not become the login of whoever logs in next.
    browser.plant("planted")
    await browser.log_in(token)
    assert browser.cookie not in {"planted", first, second}


@pytest.mark.parametrize(
    ("headers", "taken"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": ""}, False),
        ({"origin": "OWN"}, True),
        ({"origin": "null"}, False),
        ({"origin": "http://evil.example"}, False),
        ({"origin": "http://127.0.0.1:1"}, False),
        ({"origin": "http://localhost"}, False),
        ({"origin": ""}, False),
        ({}, True),
    ],
)
async def test_a_form_of_another_page_logs_nobody_in_or_out(
    connection: Any, browser: Browser, headers: dict[str, str], taken: bool
) -> None:
    _, token = await make(connection)
    sent = {**BROWSER, **headers}
    if sent.get("origin") == "OWN":
        sent["origin"] = browser.url
    page = await browser.post("/login", {"token": token}, sent)
    assert page.status == (303 if taken else 403)
    assert (browser.cookie is not None) is taken
    if not taken:
        assert "another page" in page.text
    await browser.log_in(token)
    csrf = (await browser.get("/")).csrf
    page = await browser.post("/logout", {"csrf": csrf}, sent)
    assert page.status == (303 if taken else 403)


async def test_a_form_is_a_form_and_not_too_long(connection: Any, browser: Browser) -> None:
    _, token = await make(connection)
    for body, headers, status in (
        (b'{"token": "x"}', {**OWN, "content-type": "application/json"}, 400),
        (b"token=x", {**OWN, "content-type": "text/plain"}, 400),
        (b"token=%ff", {**OWN, **FORM}, 400),
        (b"token=\xff", {**OWN, **FORM}, 400),
        (b"&".join(b"a=1" for _ in range(60)), {**OWN, **FORM}, 400),
        (b"token=" + b"x" * LARGEST_FORM, {**OWN, **FORM}, 413),
        (f"token={token}&token=x".encode(), {**OWN, **FORM}, 303),
        (f"token=x&token={token}".encode(), {**OWN, **FORM}, 401),
    ):
        page = await browser.post("/login", body, headers)
        assert page.status == status, (body[:40], page.text)


async def test_every_answer_of_a_page_is_kept_by_nobody_and_framed_by_nobody(
    connection: Any, browser: Browser
) -> None:
    _, token = await make(connection)
    pages = [await browser.get("/"), await browser.get("/login"), await browser.log_in("x")]
    pages += [await browser.log_in(token), await browser.get("/"), await browser.get("/no/such/page")]
    pages += [await browser.post("/logout", {"csrf": "x"})]
    for page in pages:
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert "unsafe" not in page.headers["content-security-policy"]
    assert (pages[-2].status, "There is no such page" in pages[-2].text) == (404, True)


async def test_a_login_over_the_page_ends_as_any_other(connection: Any, browser: Browser) -> None:
    id_, token = await make(connection, "viewer")
    await browser.log_in(token)
    browser.moved = LASTS
    assert "Log in to see more" in (await browser.get("/")).text
    browser.moved = timedelta(0)
    await browser.log_in(token)
    await revoke_token(connection, id_, "x")
    browser.entrance.access.forget()
    assert "Log in to see more" in (await browser.get("/")).text


async def test_cookies_over_a_proxy_with_tls_are_secure(connection: Any, pool: Any) -> None:
    _, token = await make(connection)
    async with browsing(pool, trust_proxy=("127.0.0.0/8",), allowed_hosts=("ops.example",)) as browser:
        forwarded = {"x-forwarded-proto": "https", "host": "ops.example", "origin": "https://ops.example"}
        page = await browser.post("/login", {"token": token}, {**BROWSER, **forwarded})
        assert page.status == 303
        assert "Secure" in page.headers["set-cookie"]


async def test_under_a_foreign_name_the_page_says_so_and_knows_nobody(
    connection: Any, browser: Browser
) -> None:
    _, token = await make(connection)
    await browser.log_in(token)
    cookies = {"cookie": f"llm_monitor={browser.cookie}"}
    page = await browser.get("/", host="evil.example", **cookies)
    assert page.status == 200
    assert "MONITOR_ALLOWED_HOSTS" in page.text
    assert "the admin" not in page.text
    assert 'action="/login"' not in page.text
    page = await browser.post("/login", {"token": token}, {**OWN, "host": "evil.example"})
    assert (page.status, "MONITOR_ALLOWED_HOSTS" in page.text) == (400, True)
    assert "<b>" not in (await browser.get("/", host="<b>")).text


async def test_over_an_unsafe_way_the_page_says_why_and_how_to_mend_it(
    connection: Any, pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, token = await make(connection)
    async with browsing(pool) as browser:
        await browser.log_in(token)
        # The way of this test is loopback alone; the whole way is walked in the acceptance tests.
        monkeypatch.setattr("monitor.web.rules.is_loopback", lambda _: False)
        monkeypatch.setattr("monitor.web.guard.DoorRules.refuse_host", lambda *_: None)
        page = await browser.get("/")
        assert (page.status, "does not work" in page.text) == (200, True)
        assert "MONITOR_TLS_CERT" in page.text
        assert 'action="/login"' not in page.text
        assert "the admin" not in page.text
        assert (await browser.log_in(token)).status == 403


async def test_while_the_database_is_away_the_page_says_so(connection: Any, pool: Any) -> None:
    async with browsing(None) as browser:
        browser.entrance.sessions = Sessions(Keyring(generate()), lambda: datetime.now(UTC))
        cookie, _ = browser.entrance.sessions.begin(1)
        page = await browser.get("/", cookie=f"llm_monitor={cookie}")
        assert (page.status, "The database is away" in page.text) == (503, True)
        page = await browser.log_in("llmm_1_" + "a" * 43)
        assert (page.status, "database is away" in page.text) == (503, True)
        page = await browser.get("/providers/ai_server/1", cookie=f"llm_monitor={cookie}")
        assert (page.status, "database is away" in page.text) == (503, True)


OPEN = {
    "/",
    "/metrics",
    "/healthz",
    "/readyz",
    "/api/v1/llm-config/health",
    "/login",
    "/api/v1/monitor/login",
}
"""What may answer without a login, told in the test's own words."""


def routes(router: Any) -> Iterator[Any]:
    """Every route of an application, those of included routers too."""
    for one in router.routes:
        inner = getattr(one, "original_router", None)
        if inner is not None:
            yield from routes(inner)
        else:
            yield one


async def test_of_all_routes_only_these_answer_without_a_login(pool: Any) -> None:
    async with browsing(pool) as browser:
        app = create_app(
            StillDaemon("active", healths={Purpose.CHAT: "down", Purpose.EMBEDDINGS: "healthy"}),
            Metrics(version="1"),
            browser.entrance,
            ROUTERS,
        )
        met, asked = set(), 0
        for route in routes(app):
            if route.path.startswith("/static"):
                continue
            path = re.sub(r"\{\w+(:\w+)?\}", "1", route.path)
            for method in route.methods:
                asked += 1
                page = await browser.send(method, path, headers={"accept": "application/json"}, data=b"")
                if page.status == 401 and route.path not in OPEN:
                    continue
                assert route.path in OPEN, (method, route.path, page.status)
                met.add(route.path)
        assert met == OPEN
        assert asked > 40


async def test_a_browser_is_sent_to_the_login_and_a_program_is_told(browser: Browser) -> None:
    page = await browser.get("/providers/ai_server/1")
    assert (page.status, page.to) == (303, "/login?next=%2Fproviders%2Fai_server%2F1")
    page = await browser.send("GET", "/providers/ai_server/1", headers={"accept": "*/*"})
    assert (page.status, "token" in page.text) == (401, True)
    page = await browser.get("/api/v1/monitor/providers")
    assert page.status == 401, "the API answers everybody alike"


async def test_a_link_from_elsewhere_opens_the_page_of_whoever_is_logged_in(
    connection: Any, browser: Browser
) -> None:
    elsewhere = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    page = await browser.get("/providers/ai_server/1?a=b", **elsewhere)
    assert page.status == 200
    assert page.headers["refresh"] == "0;url=/providers/ai_server/1?a=b"
    assert "unsafe" not in page.headers["content-security-policy"]
    for path in ("/%0d%0ax:y", "//evil.example/", "/;url=//evil.example", "/a?;url=https://evil.example"):
        page = await browser.send("GET", path, headers={**BROWSER, **elsewhere})
        assert page.headers.get("refresh", "0;url=/").startswith("0;url=/"), path
        assert not page.headers.get("refresh", "").startswith("0;url=//"), path
    # The second time it is our own page that asks: no circle.
    page = await browser.get("/providers/ai_server/1", **{**elsewhere, "sec-fetch-site": "same-origin"})
    assert (page.status, page.to) == (303, "/login?next=%2Fproviders%2Fai_server%2F1")
    page = await browser.get("/api/v1/monitor/providers", **elsewhere)
    assert page.status == 401
    page = await browser.send("POST", "/login", headers={**BROWSER, **elsewhere}, data={"token": "x"})
    assert page.status == 403
