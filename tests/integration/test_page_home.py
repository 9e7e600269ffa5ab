"""What the status page says in its HTML, without a browser and without a script."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from monitor.domain.access import TokenRole
from monitor.domain.provider import ProviderRef, Purpose
from monitor.doors import Doors
from monitor.keyring import Keyring, generate
from monitor.metrics import Metrics
from monitor.settings import Settings
from monitor.storage.address import Address
from monitor.storage.daemons import DaemonRow, beat
from monitor.storage.operator import By, pin
from monitor.storage.tokens import create_token
from tests.application_rows import ApplicationRows
from tests.daemon import free_port
from tests.page_past import fill_past
from tests.still_daemon import StillDaemon

BROWSER = {"accept": "text/html", "sec-fetch-mode": "navigate"}
PLANTED_KEY = "sk-planted-51ce09ab77"
HOSTILE = '"><script>alert(1)</script>'


@dataclass
class Reader:
    """Somebody who reads pages with a viewer's token."""

    session: aiohttp.ClientSession
    rows: ApplicationRows
    daemon: StillDaemon
    raw: str = ""

    async def read(self, path: str = "/", status: int = 200) -> str:
        """A page's words; its markup is in `raw`."""
        async with self.session.get(path, headers=BROWSER) as answer:
            self.raw = await answer.text()
            assert answer.status == status, self.raw
        assert PLANTED_KEY not in self.raw
        return " ".join(unescape(re.sub(r"<[^>]+>", " ", self.raw)).split())

    async def believe(self, server: str, state: str, outcome: str, **columns: object) -> None:
        """What a daemon would have noted of a server in chat, as of now."""
        ref = ProviderRef.parse(server)
        health = {"down": "down", "up": "healthy"}[state]
        values = {"block": None, "warnings": [], **columns}
        await self.rows.connection.execute(
            "INSERT INTO monitor.healths (provider_type, provider_id, purpose, fingerprint, state, eligible,"
            " health, application_status, last_outcome, last_started_at, block, warnings)"
            " VALUES ($1, $2, 'chat', 'f', $3, $4, '{}', $5, $6, clock_timestamp() - interval '3 s', $7, $8)",
            str(ref.type),
            ref.id,
            state,
            state == "up" and not values["block"],
            health,
            outcome,
            values["block"],
            values["warnings"],
        )


@pytest.fixture
async def reader(database: Address, connection: Any, tmp_path: Any) -> AsyncIterator[Reader]:
    made = await create_token(connection, name="night-shift", role=TokenRole.VIEWER, lifetime=None, by="x")
    daemon = StillDaemon("active")
    doors = Doors(
        Settings(data_dir=tmp_path, port=free_port()),
        daemon,
        Metrics(version="1"),
        lambda: datetime.now(UTC),
    )
    await doors.open()
    try:
        await doors.database_found(database, Keyring(generate()))
        await beat(
            connection,
            DaemonRow(
                instance=UUID(int=7),
                host="here",
                pid=42,
                version="0.1.0",
                role="active",
                listen=doors.url,
                started_at=datetime.now(UTC) - timedelta(hours=3),
            ),
        )
        headers = {"authorization": f"Bearer {made.text}"}
        async with aiohttp.ClientSession(doors.url, headers=headers) as session:
            yield Reader(session, ApplicationRows(connection), daemon)
    finally:
        await doors.close()


async def two_servers(reader: Reader) -> None:
    for name in ("gpu-1", "gpu-2"):
        await reader.rows.add_server(
            name, "vllm", "http://10.0.0.5:8000", api_key=PLANTED_KEY, use_for_chat=True
        )
    await reader.rows.set_active("chat", "ai_server:1", "ai_server:2")


async def test_an_installation_without_rows_says_how_to_begin(reader: Reader) -> None:
    text = await reader.read()
    assert "No purpose is served yet. How to begin stands below." in text
    assert "llm-monitor run --adopt-env" in text
    assert "decides here:42 0.1.0 3 h ago" in text


async def test_who_serves_and_how_everybody_is_stand_in_the_markup(reader: Reader) -> None:
    await two_servers(reader)
    await fill_past(reader.rows.connection, moves=True)
    await reader.believe("ai_server:1", "down", "timeout")
    await reader.believe("ai_server:2", "up", "ok", warnings=["slow"])
    await reader.rows.set_active("chat", "ai_server:2", "ai_server:1")
    text = await reader.read()
    assert "gpu-1 is down." in text
    assert "Last probe 3 s ago : no answer in time" in text
    assert "Last probe 3 s ago : a usable answer it is slower than usual" in text
    assert "serves chat" in text
    assert text.index("vllm ai_server:1") < text.index("vllm ai_server:2"), "the unwell come first"
    assert re.search(r"24 h \S+ % 7 d \S+ % 30 d \S+ % 90 d \S+ % of 6\d d", text)
    assert "First token" in text
    assert "48 h up to" in text
    assert "Moved away gpu-1 → gpu-2" in text
    assert "gpu-1 is down: no answer in time" in text, "a recorded reason, with names and in words"
    assert "night-shift (viewer)" in text
    assert "Promote" not in text, "a viewer is offered nothing to do"


def repeated(code: str, times: str = "1") -> list[str]:
    return [code] * int(times)


async def test_pictures_have_words_and_a_table(reader: Reader) -> None:
    await two_servers(reader)
    await fill_past(reader.rows.connection, moves=False)
    await reader.believe("ai_server:1", "up", "ok")
    text = await reader.read()
    labels = [unescape(one) for one in re.findall(r'role="img" aria-label="([^"]+)"', reader.raw)]
    found = "\n".join(labels)
    assert re.search(r"The last 90 days: \d+ days? with trouble and \d+ days without data", found)
    assert re.search(r"Latency of the last 48 hours: typically .+\. First token typically", found)
    [code] = set(re.findall(r'data-days="([^"]+)" data-name="gpu-1"', reader.raw))
    days = [one for part in code.split(" ") for one in repeated(*part.split("*"))]
    assert len(days) == 90
    down = {int(one.split(",")[1]) for one in days if one != "-"}
    assert max(down) > 0
    assert "Uptime of gpu-1 by day (UTC) Day Up Down Unknown" in text
    assert re.search(r"The other \d+ days with data: no trouble\. \d+ days without data\.", text)


async def test_what_is_asked_at_night_comes_with_its_mend(reader: Reader) -> None:
    await two_servers(reader)
    await reader.believe("ai_server:1", "down", "auth_failed", block="auth")
    await reader.believe("ai_server:2", "up", "ok")
    connection = reader.rows.connection
    await pin(
        connection, Purpose.CHAT, ProviderRef.parse("ai_server:1"), None, By("x", None, "cli"), force=True
    )
    text = await reader.read()
    assert "chat is pinned to gpu-1, which is not fit to serve." in text
    assert "One thing is asked of you now." in text
    assert "llm-monitor unpin chat" in text
    assert "gpu-1 : its key is refused." in text
    assert "/static/icon-bad.svg" in reader.raw


async def test_results_that_wait_on_disk_are_told(reader: Reader) -> None:
    await two_servers(reader)
    reader.daemon.waiting = 1204
    text = await reader.read()
    assert "1,204 results wait on disk to be stored. See that the database takes writes." in text


async def test_what_the_filter_hides_is_asked_all_the_same(reader: Reader) -> None:
    await two_servers(reader)
    await reader.rows.add_server("poor", "vllm", "http://10.0.0.5:8000", use_for_chat=True)
    await fill_past(reader.rows.connection, moves=False)
    for server in ("ai_server:1", "ai_server:2", "ai_server:3"):
        await reader.believe(server, "up", "ok")
    text = await reader.read("/?q=gpu-2")
    assert "ai_server:1" not in text.partition("Providers")[2].partition("What happened")[0]
    assert "poor : 3.20 USD of credit left. Add credit." in text


async def test_a_providers_page_tells_its_days_and_last_probes(reader: Reader) -> None:
    await two_servers(reader)
    await fill_past(reader.rows.connection, moves=False)
    await reader.believe("ai_server:1", "down", "server_error")
    await reader.rows.connection.execute(
        "INSERT INTO monitor.results (id, started_at, ended_at, provider_type, provider_id, purpose, kind,"
        " outcome, fingerprint, latency_seconds, http_status, detail) VALUES (gen_random_uuid(),"
        " now() - interval '7 s', now(), 'ai_server', 1, 'chat', 'deep', 'server_error', 'f', 0.25, 500,"
        " 'HTTP 500: out of memory')"
    )
    text = await reader.read("/providers/ai_server/1")
    assert text.startswith("gpu-1: down")
    assert "7 s ago probe the server reports an error of its own 0.25 s" in text
    assert "500 HTTP 500: out of memory" in text
    assert "Days with trouble" in text
    assert re.search(r"All 6\d days with data", text)


@pytest.mark.parametrize("path", ["/providers/ai_server/9", "/providers/ai_server/x", "/providers/gpu/1"])
async def test_a_provider_that_is_not_there_has_no_page(reader: Reader, path: str) -> None:
    text = await reader.read(path, 404)
    assert "There is no such page" in text


async def test_a_name_is_text_wherever_it_stands(reader: Reader) -> None:
    await reader.rows.add_server(HOSTILE, "vllm", "http://10.0.0.5:8000", use_for_chat=True)
    await reader.rows.set_active("chat", "ai_server:1")
    await fill_past(reader.rows.connection, moves=False)
    await reader.believe("ai_server:1", "down", "timeout")
    own, by = ProviderRef.parse("ai_server:1"), By("x", None, "cli")
    await pin(reader.rows.connection, Purpose.CHAT, own, None, by, force=True)
    assert f"chat is pinned to {HOSTILE}, which is not fit" in await reader.read()
    for path in ("/", "/providers/ai_server/1", "/?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E"):
        await reader.read(path)
        assert "<script>alert" not in reader.raw
        assert "alert(1)" in reader.raw


async def test_nothing_on_the_page_comes_from_elsewhere_or_stands_in_line(reader: Reader) -> None:
    await two_servers(reader)
    await fill_past(reader.rows.connection, moves=True)
    await reader.believe("ai_server:1", "up", "ok")
    for path in ("/", "/providers/ai_server/1"):
        await reader.read(path)
        addresses = re.findall(r'(?:src|href|action)="([^"]*)"', reader.raw)
        assert addresses
        assert [one for one in addresses if not one.startswith(("/", "#"))] == []
        assert re.findall(r"<style|\sstyle=|\son\w+=|<script(?! src=)", reader.raw) == []
