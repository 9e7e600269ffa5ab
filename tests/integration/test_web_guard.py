"""What the HTTP door lets in, asked over HTTP at the server that the daemon runs."""

import asyncio
import io
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request

from monitor.domain.access import TokenRole
from monitor.keyring import Keyring, generate
from monitor.metrics import Metrics
from monitor.storage.tokens import create_token, revoke_token
from monitor.web import WebServer, create_app
from monitor.web.access import Access
from monitor.web.guard import LARGEST_BODY, Entrance
from monitor.web.rules import DoorRules, is_loopback, refuse_way
from monitor.web.sessions import LASTS, Sessions
from monitor.web.throttle import BURST, Throttle
from tests.still_daemon import StillDaemon


class Thing(BaseModel):
    name: str
    api_key: int = 0


router = APIRouter(prefix="/api/v1/things")


@router.get("")
async def look() -> dict[str, str]:
    return {"answer": "looked"}


@router.post("")
async def change(thing: Thing, request: Request) -> dict[str, str]:
    return {"changed_by": request.state.user_id, "name": thing.name[:20]}


@dataclass
class Door:
    """A door that answers, and what a test may turn."""

    url: str
    entrance: Entrance
    session: aiohttp.ClientSession
    moved: timedelta = field(default=timedelta(0))

    async def ask(
        self, method: str, path: str, token: str | None = None, **options: Any
    ) -> tuple[int, Any, Mapping[str, str]]:
        headers = dict(options.pop("headers", {}))
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        async with self.session.request(method, self.url + path, headers=headers, **options) as answer:
            content = await answer.json() if answer.content_type == "application/json" else None
            return answer.status, content, answer.headers


@asynccontextmanager
async def opened(pool: Any, host: str = "127.0.0.1", **rules: Any) -> AsyncIterator[Door]:
    access = Access(lambda: pool, time.monotonic)
    entrance = Entrance(rules=DoorRules(**rules), access=access, throttle=Throttle(time.monotonic))
    server = WebServer(create_app(StillDaemon("active"), Metrics(version="1"), entrance, [router]), host, 0)
    await server.start()
    try:
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar) as session:
            door = Door(f"http://127.0.0.1:{server.port}", entrance, session)
            entrance.sessions = Sessions(Keyring(generate()), lambda: datetime.now(UTC) + door.moved)
            yield door
    finally:
        await server.stop()


@pytest.fixture
async def door(pool: Any) -> AsyncIterator[Door]:
    async with opened(pool) as one:
        yield one


async def make(connection: Any, role: str = "admin", lifetime: timedelta | None = None) -> tuple[int, str]:
    made = await create_token(connection, name=f"the {role}", role=TokenRole(role), lifetime=lifetime, by="x")
    return made.id, made.text


async def test_nobody_is_let_in_without_a_token(door: Door) -> None:
    for method, path in (
        ("GET", "/api/v1/things"),
        ("POST", "/api/v1/things"),
        ("GET", "/api/v1/openapi.json"),
        ("GET", "/nothing/of/ours"),
        ("OPTIONS", "/api/v1/things"),
        ("GET", "//metrics"),
        ("GET", "/metrics/"),
        ("GET", "/healthz/../api/v1/things"),
    ):
        status, content, headers = await door.ask(method, path, data=b"{no json")
        assert (status, headers["www-authenticate"]) == (401, "Bearer"), (method, path)
        assert "token" in content["detail"]


async def test_the_open_pages_want_nothing(door: Door) -> None:
    for path in ("/", "/metrics", "/healthz", "/readyz", "/api/v1/llm-config/health"):
        status, _, _ = await door.ask("GET", path, headers={"Host": "prometheus.example"})
        assert status == 200, path


async def test_each_role_may_do_its_part(connection: Any, door: Door) -> None:
    for role, wanted in (("viewer", [200, 403]), ("reporter", [200, 403]), ("admin", [200, 200])):
        _, token = await make(connection, role)
        looked, _, _ = await door.ask("GET", "/api/v1/things", token)
        changed, content, _ = await door.ask("POST", "/api/v1/things", token, json={"name": "n"})
        assert [looked, changed] == wanted
        if changed == 200:
            assert content == {"changed_by": "the admin", "name": "n"}
        else:
            assert "admin" in content["detail"]
        status, _, _ = await door.ask("POST", "/api/v1/things", token, data=b"{no json")
        assert status == (422 if role == "admin" else 403)


async def test_another_kind_of_credential_is_none(connection: Any, door: Door) -> None:
    _, token = await make(connection)
    for value in (token, f"Basic {token}", "Bearer", f"Bearer {token} x", f"bearer{token}"):
        status, _, _ = await door.ask("GET", "/api/v1/things", headers={"authorization": value})
        assert status == 401, value
    status, _, _ = await door.ask("GET", "/api/v1/things", headers={"authorization": f"bearer  {token}"})
    assert status == 200


async def test_guessing_is_throttled_and_a_good_token_always_passes(connection: Any, door: Door) -> None:
    _, token = await make(connection)
    seen = [(await door.ask("GET", "/api/v1/things", "llmm_1_" + "a" * 43))[0] for _ in range(BURST + 3)]
    assert seen == [401] * BURST + [429] * 3
    status, content, headers = await door.ask("POST", "/api/v1/monitor/login", json={"token": "wrong"})
    assert (status, int(headers["retry-after"]) > 0) == (429, True)
    assert "try again" in content["detail"]
    assert (await door.ask("GET", "/api/v1/things", token))[0] == 200
    assert (await door.ask("POST", "/api/v1/monitor/login", json={"token": token}))[0] == 200
    door.session.cookie_jar.clear()
    assert (await door.ask("GET", "/api/v1/things"))[0] == 401, "nothing shown is no guess"


async def test_without_a_database_the_door_stays_shut() -> None:
    async with opened(None) as door:
        for path in ("/api/v1/things", "/api/v1/monitor/session"):
            status, content, headers = await door.ask("GET", path, "llmm_1_" + "a" * 43)
            assert (status, "database" in content["detail"]) == (503, True)
            assert "retry-after" in headers
        login = {"token": "llmm_1_" + "a" * 43}
        assert (await door.ask("POST", "/api/v1/monitor/login", json=login))[0] == 503
        assert (await door.ask("GET", "/healthz"))[0] == 200


async def test_a_foreign_name_is_refused(connection: Any, pool: Any) -> None:
    _, token = await make(connection)
    async with opened(pool, host="127.0.0.1", allowed_hosts=("ops.example",)) as door:
        for host in ("evil.example", "", "ops.example.evil", "[::1", "127.0.0.1.evil", "a b", "10.0.0.1"):
            status, content, _ = await door.ask("GET", "/api/v1/things", token, headers={"Host": host})
            assert status == 400, host
            assert "Host" in content["detail"] or "MONITOR_ALLOWED_HOSTS" in content["detail"]
        for host in (
            "localhost",
            "LOCALHOST:80",
            "127.0.0.1",
            "[::1]:9780",
            "ops.example:443",
            "Ops.Example.",
        ):
            assert (await door.ask("GET", "/api/v1/things", token, headers={"Host": host}))[0] == 200, host
        status, _, _ = await door.ask(
            "POST", "/api/v1/monitor/login", json={"token": token}, headers={"Host": "evil.example"}
        )
        assert status == 400


def test_only_a_safe_way_is_taken() -> None:
    far = {"scheme": "http", "server": ("192.0.2.1", 9780)}
    assert "MONITOR_TLS_CERT" in (refuse_way(far, from_proxy=False) or "")
    assert "MONITOR_TRUST_PROXY" in (refuse_way({"scheme": "http", "server": None}, from_proxy=False) or "")
    assert refuse_way(far, from_proxy=True) is None
    assert refuse_way({**far, "scheme": "https"}, from_proxy=False) is None
    for near in ("127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"):
        assert refuse_way({"scheme": "http", "server": (near, 1)}, from_proxy=False) is None
    for name in ("localhost.evil", "127.0.0.1.evil", "::ffff:192.0.2.1", "fe80::1%lo", "0.0.0.0", ""):
        assert not is_loopback(name), name


def test_a_proxy_is_believed_by_its_address_alone() -> None:
    rules = DoorRules(trust_proxy=("10.0.0.0/24", "2001:db8::1/128"))
    assert [rules.trusts(one) for one in ("10.0.0.9", "::ffff:10.0.0.9", "2001:db8::1")] == [True] * 3
    assert [rules.trusts(one) for one in ("10.0.1.9", "2001:db8::2", "unknown", "")] == [False] * 4


async def test_a_proxys_word_counts_only_from_a_proxy(connection: Any, pool: Any) -> None:
    _, token = await make(connection)
    forwarded = {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "https"}
    for trusted, secure in (((), False), (("127.0.0.0/8",), True)):
        async with opened(pool, trust_proxy=trusted) as door:
            _, _, headers = await door.ask(
                "POST", "/api/v1/monitor/login", json={"token": token}, headers=forwarded
            )
            assert ("Secure" in headers["Set-Cookie"]) is secure
            for _ in range(BURST + 1):
                status, _, _ = await door.ask("GET", "/api/v1/things", "wrong", headers=forwarded)
            assert status == 429
            status, _, _ = await door.ask("GET", "/api/v1/things", "wrong")
            assert status == (401 if trusted else 429), "whose failures they are"


async def test_a_body_is_bounded(connection: Any, door: Door) -> None:
    _, token = await make(connection)
    large = b'{"name": "' + b"x" * LARGEST_BODY + b'"}'

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(large), 65536):
            yield large[start : start + 65536]

    json = {"content-type": "application/json"}
    for body in (io.BytesIO(large), pieces()):
        try:
            status, content, _ = await door.ask("POST", "/api/v1/things", token, data=body, headers=json)
        except aiohttp.ClientConnectionError:
            continue  # the answer came before the body was through, and the connection was closed
        assert (status, "bytes" in content["detail"]) == (413, True)
    fits = {"name": "x" * (LARGEST_BODY - 100)}
    assert (await door.ask("POST", "/api/v1/things", token, json=fits))[0] == 200


async def test_every_guarded_answer_carries_the_headers_of_safety(connection: Any, door: Door) -> None:
    _, token = await make(connection)
    for given in (None, token):
        _, _, headers = await door.ask("GET", "/api/v1/things", given)
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]


async def test_what_was_sent_is_not_sent_back(connection: Any, door: Door) -> None:
    _, token = await make(connection)
    planted = {"name": {"api_key": "sk-planted"}, "api_key": "sk-planted"}
    status, content, _ = await door.ask("POST", "/api/v1/things", token, json=planted)
    assert status == 422
    assert [one["loc"] for one in content["detail"]] == [["body", "name"], ["body", "api_key"]]
    assert "sk-planted" not in str(content)


async def log_in(door: Door, token: str) -> dict[str, Any]:
    status, content, headers = await door.ask("POST", "/api/v1/monitor/login", json={"token": token})
    assert status == 200
    cookie = headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert token not in cookie
    found: dict[str, Any] = content
    return found


async def test_a_login_stands_for_its_token(connection: Any, door: Door) -> None:
    id_, token = await make(connection)
    shown = await log_in(door, token)
    assert (shown["name"], shown["role"]) == ("the admin", "admin")
    status, again, _ = await door.ask("GET", "/api/v1/monitor/session")
    assert (status, again) == (200, shown)
    csrf = {"X-CSRF-Token": shown["csrf"]}
    for headers, wanted in (
        ({}, 403),
        ({"X-CSRF-Token": "wrong"}, 403),
        ({"X-CSRF-Token": "é"}, 403),
        (csrf, 200),
    ):
        status, content, _ = await door.ask("POST", "/api/v1/things", json={"name": "n"}, headers=headers)
        assert status == wanted, content
    status, content, _ = await door.ask("POST", "/api/v1/things", token, json={"name": "n"})
    assert status == 200, "a bearer token needs none"
    await revoke_token(connection, id_, "x")
    door.entrance.access.forget()
    status, content, _ = await door.ask("GET", "/api/v1/monitor/session")
    assert (status, "log in" in content["detail"]) == (401, True)


async def test_a_login_ends(connection: Any, door: Door) -> None:
    _, token = await make(connection, "viewer")
    shown = await log_in(door, token)
    kept = {one.key: one.value for one in door.session.cookie_jar}
    assert (await door.ask("POST", "/api/v1/monitor/logout"))[0] == 403, "not by another page"
    csrf = {"X-CSRF-Token": shown["csrf"]}
    assert (await door.ask("POST", "/api/v1/monitor/logout", headers=csrf))[0] == 204
    assert len(door.session.cookie_jar) == 0
    assert (await door.ask("GET", "/api/v1/things", cookies=kept))[0] == 401, "a copy of it is of no use"
    await log_in(door, token)
    door.moved = LASTS - timedelta(minutes=1)
    assert (await door.ask("GET", "/api/v1/things"))[0] == 200
    door.moved = LASTS
    assert (await door.ask("GET", "/api/v1/things"))[0] == 401


async def test_a_login_ends_with_its_token(connection: Any, door: Door) -> None:
    _, token = await make(connection, lifetime=timedelta(hours=1))
    _, _, headers = await door.ask("POST", "/api/v1/monitor/login", json={"token": token})
    assert "Max-Age=3600" in headers["Set-Cookie"]
    await connection.execute("UPDATE monitor.tokens SET expires_at = clock_timestamp()")
    door.entrance.access.forget()
    assert (await door.ask("GET", "/api/v1/things"))[0] == 401


async def test_a_forged_cookie_is_none(connection: Any, door: Door) -> None:
    _, token = await make(connection)
    other = Sessions(Keyring(generate()), lambda: datetime.now(UTC)).begin(1)[0]
    await log_in(door, token)
    cookie = next(iter(door.session.cookie_jar)).value
    door.session.cookie_jar.clear()
    for forged in (other, cookie[:-3] + "abc", "", "x", "gAAAA" + "A" * 200, "x" * 5000, token):
        status, _, _ = await door.ask("GET", "/api/v1/things", cookies={"llm_monitor": forged})
        assert status == 401, forged
    assert (await door.ask("GET", "/api/v1/things", cookies={"llm_monitor": cookie}))[0] == 200
    status, _, _ = await door.ask("GET", "/api/v1/things", "wrong", cookies={"llm_monitor": cookie})
    assert status == 401, "a wrong token is not mended by a cookie"


async def test_the_document_tells_how_to_get_in(connection: Any, door: Door) -> None:
    _, token = await make(connection, "viewer")
    status, document, _ = await door.ask("GET", "/api/v1/openapi.json", token)
    assert status == 200
    assert set(document["components"]["securitySchemes"]) == {"bearer", "cookie"}
    change = document["paths"]["/api/v1/things"]["post"]
    assert change["security"] == [{"bearer": []}, {"cookie": []}]
    assert change["x-role"] == "admin"
    assert {"400", "401", "403", "413", "422", "429", "503"} <= set(change["responses"])
    assert "security" not in document["paths"]["/api/v1/monitor/login"]["post"]
    again = (await door.ask("GET", "/api/v1/openapi.json", token))[1]
    assert again == document


async def test_many_at_once_are_all_judged(connection: Any, door: Door) -> None:
    _, token = await make(connection)
    door.entrance.access.forget()
    answers = await asyncio.gather(*(door.ask("GET", "/api/v1/things", token) for _ in range(30)))
    assert {status for status, _, _ in answers} == {200}
