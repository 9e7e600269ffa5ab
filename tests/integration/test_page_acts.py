"""What an administrator does on the page, by forms alone, at the doors that the daemon opens."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from html import unescape
from typing import Any

import aiohttp
import pytest

from monitor.domain.access import TokenRole
from monitor.domain.provider import ProviderRef, Purpose
from monitor.doors import Doors
from monitor.keyring import Keyring, generate
from monitor.metrics import Metrics
from monitor.settings import Settings
from monitor.storage import operator
from monitor.storage.address import Address, connect
from monitor.storage.operator import By
from monitor.storage.purposes import load_purposes
from monitor.storage.tokens import create_token, revoke_token
from tests.application_rows import ApplicationRows
from tests.daemon import free_port
from tests.fault_server import FaultServer
from tests.still_daemon import StillDaemon

OWN = {"accept": "text/html", "sec-fetch-site": "same-origin", "sec-fetch-mode": "navigate"}
GPU_2 = ProviderRef.parse("ai_server:2")


class Page:
    """What came back: where it leads, and what it says."""

    def __init__(self, answer: aiohttp.ClientResponse, text: str) -> None:
        self.status, self.raw, self.to = answer.status, text, answer.headers.get("location")
        self.text = " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())

    @property
    def fields(self) -> dict[str, str]:
        """What the form of an act sends when it is left as it is."""
        form = self.raw[self.raw.index("data-confirm") :]
        found = {}
        for tag in re.findall(r"<input [^>]*>", form):
            one = dict(re.findall(r'(\w+)="([^"]*)"', tag))
            if one.get("type") in {"hidden", "text"} or " checked" in tag:
                found[one["name"]] = unescape(one["value"])
        return found

    @property
    def action(self) -> str:
        found = re.search(r'<form method="post" action="(/acts/[^"]+)"', self.raw)
        assert found is not None, self.text
        return unescape(found[1])


class Desk:
    """Somebody who is logged in at the page."""

    def __init__(self, session: aiohttp.ClientSession, doors: Doors) -> None:
        self.session, self.doors = session, doors

    async def get(self, path: str, **headers: str) -> Page:
        async with self.session.get(path, headers={**OWN, **headers}, allow_redirects=False) as answer:
            return Page(answer, await answer.text())

    async def post(self, path: str, fields: Mapping[str, str], **headers: str) -> Page:
        async with self.session.post(
            path, data=dict(fields), headers={**OWN, **headers}, allow_redirects=False
        ) as answer:
            return Page(answer, await answer.text())

    async def log_in(self, token: str) -> None:
        assert (await self.post("/login", {"token": token})).status == 303

    async def confirm(self, path: str, **changed: str) -> Page:
        """Open the page that asks, and say yes."""
        page = await self.get(path)
        assert page.status == 200, page.text
        return await self.post(page.action, {**page.fields, **changed})

    async def said(self, path: str, **changed: str) -> str:
        """The same, and what the page says then."""
        done = await self.confirm(path, **changed)
        assert done.status == 303, done.text
        page = await self.get(done.to or "")
        found = re.search(r'<div class="said" role="status">(.*?)</div>', page.raw, re.DOTALL)
        assert found is not None, page.text
        return " ".join(unescape(re.sub(r"<[^>]+>", " ", found[1])).split())


@pytest.fixture
async def doors(database: Address, connection: Any, tmp_path: Any) -> AsyncIterator[Doors]:
    rows = ApplicationRows(connection)
    for name in ("gpu-1", "gpu-2"):
        await rows.add_server(name, "vllm", "http://10.0.0.5:8000", use_for_chat=True)
    await rows.add_server("gpu-3", "vllm", "http://10.0.0.5:8000", enabled=False)
    await rows.set_active("chat", "ai_server:1", "ai_server:2")
    await connection.execute(
        "INSERT INTO monitor.healths"
        " (provider_type, provider_id, purpose, fingerprint, state, eligible, health)"
        " SELECT 'ai_server', id, 'chat', 'f', 'up', true, '{}' FROM ai_servers"
    )
    await operator.unpin(connection, Purpose.CHAT, By("x", None, "cli"))
    one = Doors(
        Settings(data_dir=tmp_path, port=free_port()),
        StillDaemon(healths={Purpose.CHAT: "healthy"}),
        Metrics(version="1"),
        lambda: datetime.now(UTC),
    )
    await one.open()
    try:
        await one.database_found(database, Keyring(generate()))
        yield one
    finally:
        await one.close()


async def enter(doors: Doors, connection: Any, name: str, role: TokenRole) -> tuple[Desk, int]:
    made = await create_token(connection, name=name, role=role, lifetime=None, by="x")
    desk = Desk(aiohttp.ClientSession(doors.url, cookie_jar=aiohttp.CookieJar(unsafe=True)), doors)
    await desk.log_in(made.text)
    return desk, made.id


@pytest.fixture
async def desk(doors: Doors, connection: Any) -> AsyncIterator[Desk]:
    one, _ = await enter(doors, connection, "alice", TokenRole.ADMIN)
    yield one
    await one.session.close()


async def acts(connection: Any) -> list[tuple[str, str, str | None, str]]:
    rows = await connection.fetch("SELECT act, user_id, reason, via FROM monitor.acts ORDER BY id")
    return [tuple(row) for row in rows]


async def test_every_act_is_asked_in_a_sentence_done_and_told(desk: Desk, connection: Any) -> None:
    page = await desk.get("/acts/promote?purpose=chat&to=ai_server:2")
    assert (
        "chat will move from gpu-1 to gpu-2 now. It returns by itself only after it is unpinned" in page.text
    )
    assert await acts(connection) == [], "looking does nothing"
    said = await desk.said("/acts/promote?purpose=chat&to=ai_server:2", reason="fan noise", span="7200")
    assert re.fullmatch(
        r"chat is served by gpu-2 since \d\d:\d\d:\d\d UTC. "
        r"It does not return by itself until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC.",
        said,
    )
    said = await desk.said("/acts/pin?purpose=chat&to=ai_server:2")
    assert said == "chat is served by gpu-2, as before. It is pinned there until it is unpinned."
    page = await desk.get("/acts/unpin?purpose=chat")
    assert "no longer pinned to gpu-2, and the rules decide again: it may return to gpu-1" in page.text
    assert (
        await desk.said("/acts/unpin?purpose=chat")
        == "chat is free again: gpu-2 serves, and the rules decide."
    )
    page = await desk.get("/acts/pause?purpose=chat")
    assert "Nothing will move chat by itself until it is resumed: gpu-2 keeps serving" in page.text
    assert "chat is paused since" in await desk.said("/acts/pause?purpose=chat", reason="we move the rack")
    assert "chat is resumed" in await desk.said("/acts/resume?purpose=chat")
    page = await desk.get("/acts/maintenance?provider=ai_server:2")
    assert "What it serves then (chat now) moves onto the next one" in page.text
    said = await desk.said("/acts/maintenance?provider=ai_server:2", span="3600", reason="new fan")
    assert "gpu-2 is out of service until 20" in said
    said = await desk.said("/acts/end-maintenance?provider=ai_server:2")
    assert said == "gpu-2 may serve again."
    said = await desk.said("/acts/maintenance?provider=ai_server:2", begin="2999-01-01T02:00")
    assert said == "gpu-2 will be out of service from 2999-01-01 02:00:00 UTC, until somebody ends it."
    assert "was to begin at 2999" in (await desk.get("/acts/end-maintenance?provider=ai_server:2")).text
    said = await desk.said("/acts/end-maintenance?provider=ai_server:2")
    assert said == "The planned maintenance of gpu-2 is called off."
    assert await acts(connection) == [
        ("promote", "alice", "fan noise", "page"),
        ("pin", "alice", None, "page"),
        ("unpin", "alice", None, "page"),
        ("pause", "alice", "we move the rack", "page"),
        ("resume", "alice", None, "page"),
        ("maintenance", "alice", "new fan", "page"),
        ("end_maintenance", "alice", None, "page"),
        ("maintenance", "alice", None, "page"),
        ("end_maintenance", "alice", None, "page"),
    ]
    audits = await connection.fetch(
        "SELECT user_id, changes FROM llm_config_audit WHERE entity_type <> 'token'"
    )
    assert {row["user_id"] for row in audits} == {"alice"}
    assert {row["changes"]["via"] for row in audits} == {"page"}
    assert len(audits) == 9


async def test_what_is_said_is_said_once_and_to_nobody_else(
    desk: Desk, doors: Doors, connection: Any
) -> None:
    other, _ = await enter(doors, connection, "bob", TokenRole.VIEWER)
    done = await desk.confirm("/acts/pause?purpose=chat&back=/%3Fstate%3Dunwell")
    assert done.to == "/?state=unwell"
    assert "is paused since" not in (await other.get("/")).text.replace("Paused by an operator since", "")
    script = await desk.get("/", **{"sec-fetch-mode": "cors"})
    assert 'class="said"' not in script.raw, "a script that reads the page leaves it for the person"
    assert 'class="said"' in (await desk.get("/")).raw
    assert 'class="said"' not in (await desk.get("/")).raw
    await other.session.close()


async def test_what_is_so_already_changes_nothing_and_says_so(desk: Desk, connection: Any) -> None:
    await desk.said("/acts/pause?purpose=chat")
    assert "is paused already: nothing will change" in (await desk.get("/acts/pause?purpose=chat")).text
    assert "Nothing has changed: it was so already." in await desk.said("/acts/pause?purpose=chat")
    said = await desk.said("/acts/end-maintenance?provider=ai_server:1")
    assert said == "gpu-1 is not in maintenance. Nothing has changed: it was so already."
    assert len(await acts(connection)) == 1


async def test_one_that_is_not_fit_is_warned_of_and_wants_the_box(desk: Desk, connection: Any) -> None:
    await connection.execute("UPDATE monitor.healths SET state = 'down', last_outcome = 'unreachable'")
    path = "/acts/promote?purpose=chat&to=ai_server:2"
    page = await desk.get(path)
    assert "gpu-2 is down (no connection could be made)." in page.text
    assert 'name="force"' in page.raw
    page = await desk.confirm(path, reason="<i>why not</i>")
    assert page.status == 409
    assert "Nothing was changed. Mend it first, or tick the box" in page.text
    assert page.text.count("gpu-2 is down (no connection could be made)") == 1
    assert "--force" not in page.text
    assert "&lt;i&gt;why not&lt;/i&gt;" in page.raw, "what was filled in stays, and is no markup"
    assert await acts(connection) == []
    said = await desk.said(path, force="yes")
    assert "chat is served by gpu-2 since" in said


async def test_a_double_submit_is_done_once(desk: Desk, connection: Any) -> None:
    page = await desk.get("/acts/promote?purpose=chat&to=ai_server:2")
    fields = {**page.fields, "reason": "fan noise"}
    answers = await asyncio.gather(*(desk.post(page.action, fields) for _ in range(3)))
    assert sorted(one.status for one in answers) == [303, 409, 409]
    late = next(one for one in answers if one.status == 409)
    assert "chat has changed since this was asked (promote by alice: fan noise at" in late.text
    assert "Nothing was changed." in late.text
    assert len(await acts(connection)) == 1


async def test_of_two_administrators_the_second_looks_again(
    desk: Desk, doors: Doors, connection: Any
) -> None:
    bob, _ = await enter(doors, connection, "bob", TokenRole.ADMIN)
    for path, purpose_or_provider in (
        ("/acts/pause?purpose=chat", "chat"),
        ("/acts/maintenance?provider=ai_server:1", "ai_server:1"),
    ):
        mine, his = await desk.get(path), await bob.get(path)
        assert (await desk.post(mine.action, mine.fields)).status == 303
        answer = await bob.post(his.action, his.fields)
        assert answer.status == 409
        assert f"{purpose_or_provider} has changed since this was asked" in answer.text
        assert (await bob.post(answer.action, answer.fields)).status == 303
    # A move by the rules, or an edit of the row, is a change too.
    page = await desk.get("/acts/promote?purpose=chat&to=ai_server:2")
    await connection.execute("UPDATE active_providers SET provider_id = 2, fallback_provider_id = 1")
    assert (await desk.post(page.action, page.fields)).status == 409
    assert {user for _, user, _, _ in await acts(connection)} == {"alice"}, "what was so already is no act"
    await bob.session.close()


async def test_without_what_was_seen_nothing_is_done(desk: Desk, connection: Any) -> None:
    for path in ("/acts/pause?purpose=chat", "/acts/maintenance?provider=ai_server:1"):
        page = await desk.get(path)
        fields = {"csrf": page.fields["csrf"]}
        assert (await desk.post(page.action, fields)).status == 409
    assert await acts(connection) == []


@pytest.mark.parametrize(
    ("path", "changed", "status", "says"),
    [
        ("/acts/promote?purpose=chat", {"to": "ai_server:9"}, 404, "ai_server:9: there is no such row"),
        ("/acts/promote?purpose=chat", {"to": "ai_server:3"}, 400, "gpu-3) is disabled"),
        ("/acts/promote?purpose=chat", {"to": "gpu-2"}, 400, "No provider is written like that"),
        ("/acts/promote?purpose=chat", {"to": "ai_server:99999999999"}, 400, "No provider is written"),
        (
            "/acts/pin?purpose=chat",
            {"to": "ai_server:2", "span": "-5"},
            400,
            "For how long is not understood",
        ),
        ("/acts/pin?purpose=chat", {"to": "ai_server:2", "span": "9" * 9}, 400, "For how long"),
        ("/acts/pause?purpose=chat", {"reason": "x" * 501}, 400, "500 characters at most"),
        ("/acts/maintenance?provider=ai_server:1", {"begin": "soon"}, 400, "The beginning is not understood"),
        ("/acts/maintenance?provider=ai_server:1", {"begin": "0001-01-01T00:00+14:00"}, 400, "The beginning"),
    ],
)
async def test_what_can_not_be_is_told_on_the_same_page(
    desk: Desk, connection: Any, path: str, changed: dict[str, str], status: int, says: str
) -> None:
    page = await desk.confirm(path, **changed)
    assert (page.status, says in page.text) == (status, True), page.text
    assert "Nothing was changed." in page.text
    assert page.fields["csrf"]
    assert await acts(connection) == []


@pytest.mark.parametrize(
    "path",
    [
        "/acts/promote",
        "/acts/promote?purpose=lunch",
        "/acts/promote?provider=ai_server:1",
        "/acts/pause?purpose=reranking",
        "/acts/maintenance?provider=ai_server:9",
        "/acts/maintenance?purpose=chat",
        "/acts/probe?provider=gpu-1",
        "/acts/probed/nothing",
        "/acts/nothing?purpose=chat",
        "/acts/maintenance?provider=api_key:0",
    ],
)
async def test_an_address_that_names_nothing_is_none(desk: Desk, path: str) -> None:
    page = await desk.get(path)
    assert page.status == 404, page.text
    assert "There is no such page" in page.text


async def test_a_viewer_acts_in_no_way(doors: Doors, connection: Any) -> None:
    viewer, _ = await enter(doors, connection, "victor", TokenRole.VIEWER)
    home = await viewer.get("/")
    assert "/acts/" not in home.raw
    found = re.search(r'name="csrf" value="([^"]+)"', home.raw)
    assert found is not None
    for path in ("/acts/promote?purpose=chat&to=ai_server:2", "/acts/probe?provider=ai_server:1"):
        page = await viewer.get(path)
        assert (page.status, "role admin; yours is viewer" in page.text) == (403, True)
        forged = {
            "csrf": found[1],
            "to": "ai_server:2",
            "seen": "1.0.ai_server:1.ai_server:2",
            "force": "yes",
        }
        assert (await viewer.post(path, forged)).status == 403
    assert (await viewer.get("/acts/probed/x")).status == 403
    assert await acts(connection) == []
    await viewer.session.close()


async def test_a_form_from_elsewhere_does_nothing(desk: Desk, doors: Doors, connection: Any) -> None:
    page = await desk.get("/acts/pause?purpose=chat")
    other, _ = await enter(doors, connection, "bob", TokenRole.ADMIN)
    his = (await other.get("/acts/pause?purpose=chat")).fields["csrf"]
    for fields, headers in (
        ({**page.fields, "csrf": ""}, {}),
        ({**page.fields, "csrf": "wrong"}, {}),
        ({**page.fields, "csrf": his}, {}),
        (page.fields, {"sec-fetch-site": "cross-site"}),
        (page.fields, {"sec-fetch-site": "same-site"}),
    ):
        answer = await desk.post(page.action, fields, **headers)
        assert answer.status == 403, answer.text
        assert "othing was changed" in answer.text
    async with desk.session.post(
        page.action, json=page.fields, headers={**OWN, "x-csrf-token": page.fields["csrf"]}
    ) as answered:
        assert answered.status == 400, "a page's form is a form"
    assert await acts(connection) == []
    await other.session.close()


async def test_a_token_that_was_revoked_meanwhile_does_nothing(doors: Doors, connection: Any) -> None:
    desk, id_ = await enter(doors, connection, "carol", TokenRole.ADMIN)
    page = await desk.get("/acts/pause?purpose=chat&back=/")
    await revoke_token(connection, id_, "x")
    doors._access.forget()
    answer = await desk.post(page.action, page.fields)
    assert (answer.status, answer.to) == (303, "/login?next=%2Facts%2Fpause%3Fpurpose%3Dchat%26back%3D%2F")
    assert await acts(connection) == []
    await desk.session.close()


async def test_it_returns_to_where_it_was_asked_for_and_nowhere_else(desk: Desk) -> None:
    url = str(desk.session._base_url).rstrip("/")
    for headers, path, back in (
        ({"referer": f"{url}/?q=gpu&page=2"}, "/acts/pause?purpose=chat", "/?q=gpu&page=2"),
        ({"referer": f"{url}/acts/pause?purpose=chat"}, "/acts/pause?purpose=chat", "/"),
        ({"referer": "http://evil.example/x"}, "/acts/pause?purpose=chat", "/"),
        ({}, "/acts/pause?purpose=chat&back=//evil.example", "/"),
        ({}, "/acts/pause?purpose=chat&back=https://evil.example", "/"),
        ({}, "/acts/pause?purpose=chat&back=/providers/ai_server/1", "/providers/ai_server/1"),
    ):
        page = await desk.get(path, **headers)
        assert f'<a href="{back.replace("&", "&amp;")}" data-cancel>' in page.raw
        assert "evil" not in page.raw


async def test_nothing_of_an_address_is_markup(desk: Desk) -> None:
    script = "%22%3E%3Cscript%3Ealert(1)%3C/script%3E"
    for path in (
        f"/acts/pause?purpose=chat&back=/{script}",
        f"/acts/promote?purpose=chat&to={script}",
        f"/acts/promote?purpose=chat&chosen={script}",
        f"/acts/{script}?purpose=chat",
        f"/acts/probed/{script}",
        f"/{script}",
    ):
        assert "<script>alert" not in (await desk.get(path)).raw, path


async def test_a_program_uses_the_api(doors: Doors, connection: Any) -> None:
    made = await create_token(connection, name="p", role=TokenRole.ADMIN, lifetime=None, by="x")
    async with (
        aiohttp.ClientSession(doors.url, headers={"authorization": f"Bearer {made.text}"}) as session,
        session.post("/acts/pause?purpose=chat", data={"seen": "x"}) as answer,
    ):
        assert answer.status == 403
        assert "API" in (await answer.json())["detail"]
    assert await acts(connection) == []


async def test_a_page_with_scripts_is_told_where_to_go(desk: Desk, connection: Any) -> None:
    page = await desk.get("/acts/pause?purpose=chat&back=/")
    async with desk.session.post(
        page.action, data=page.fields, headers={**OWN, "x-page-script": "1", "sec-fetch-mode": "cors"}
    ) as answer:
        assert (answer.status, await answer.json()) == (200, {"go": "/"})
    assert len(await acts(connection)) == 1


async def test_while_the_database_is_away_nothing_is_half_done(
    desk: Desk, doors: Doors, connection: Any
) -> None:
    page = await desk.get("/acts/pause?purpose=chat")
    await connection.execute("BEGIN")
    await connection.execute("SELECT FROM active_providers FOR UPDATE")
    answer = await desk.post(page.action, page.fields)
    await connection.execute("ROLLBACK")
    assert answer.status == 409
    assert "is locked by another transaction, and was not changed" in answer.text
    pool, doors._app.state.pool = doors._app.state.pool, None
    answer = await desk.post(page.action, page.fields)
    doors._app.state.pool = pool
    assert (answer.status, "The database is away" in answer.text) == (503, True)
    assert "Nothing was changed." in answer.text
    assert "Try again" in answer.text
    state = (await load_purposes(connection))[Purpose.CHAT]
    assert not state.paused
    assert await acts(connection) == []


async def test_a_connection_that_is_lost_in_the_middle_is_told_as_that(
    desk: Desk, database: Address, connection: Any
) -> None:
    page = await desk.get("/acts/pause?purpose=chat")
    waits = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    observer = await connect(database)
    async with connection.transaction():
        await connection.execute("SELECT FROM active_providers FOR UPDATE")
        asked = asyncio.create_task(desk.post(page.action, page.fields))
        async with asyncio.timeout(5):
            while (pid := await observer.fetchval(waits)) is None:  # noqa: ASYNC110 - nobody tells of a lock that is waited for
                await asyncio.sleep(0.02)
        await observer.execute("SELECT pg_terminate_backend($1)", pid)
        answer = await asked
    await observer.close()
    assert (answer.status, "Look at the status page whether it was" in answer.text) == (503, True)
    assert await acts(connection) == []


async def test_a_probe_is_made_and_told(desk: Desk, connection: Any) -> None:
    async with FaultServer() as server:
        await connection.execute("UPDATE ai_servers SET base_url = $1, model_path = 'm1'", server.url)
        page = await desk.get("/acts/probe?provider=ai_server:1")
        assert "gpu-1 is asked once now" in page.text
        done = await desk.confirm("/acts/probe?provider=ai_server:1")
        assert done.status == 303
        for _ in range(20):
            page = await desk.get(done.to or "")
            if "Probe of gpu-1 for chat at" in page.text:
                break
            assert "It has been running for" in page.text
        assert re.search(
            r"Probe of gpu-1 for chat at \d\d:\d\d:\d\d UTC: .* from m1 in [\d.]+ s\.", page.text
        )
        stranger = await desk.get("/acts/probed/" + "x" * 22)
        assert stranger.status == 404
