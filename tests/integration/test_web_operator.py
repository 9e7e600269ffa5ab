"""An operator's acts over HTTP, at the doors that the daemon opens."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from monitor.domain.access import TokenRole
from monitor.domain.provider import Purpose
from monitor.doors import Doors
from monitor.metrics import Metrics
from monitor.settings import Settings
from monitor.storage.address import Address
from monitor.storage.purposes import load_purposes
from monitor.storage.tokens import create_token
from tests.application_rows import ApplicationRows
from tests.daemon import free_port
from tests.still_daemon import StillDaemon


class Desk:
    """Two servers that may serve chat, and an administrator at the door."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def send(self, path: str, body: Any = None, method: str = "POST") -> tuple[int, Any]:
        async with self.session.request(method, f"/api/v1/monitor{path}", json=body) as answer:
            return answer.status, await answer.json()


@pytest.fixture
async def desk(database: Address, connection: Any, tmp_path: Any) -> AsyncIterator[Desk]:
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
    made = await create_token(connection, name="alice", role=TokenRole.ADMIN, lifetime=None, by="x")
    settings = Settings(data_dir=tmp_path, port=free_port())
    doors = Doors(settings, StillDaemon(), Metrics(version="1"), lambda: datetime.now(UTC))
    await doors.open()
    try:
        await doors.database_found(database, None)
        headers = {"authorization": f"Bearer {made.text}"}
        async with aiohttp.ClientSession(doors.url, headers=headers) as session:
            yield Desk(session)
    finally:
        await doors.close()


async def test_each_act_is_done_and_audited_with_the_tokens_name(desk: Desk, connection: Any) -> None:
    status, said = await desk.send(
        "/purposes/chat/promote", {"to": "ai_server:2", "for_seconds": 3600, "reason": "fan noise"}
    )
    assert status == 200
    until = said.pop("until")
    assert said == {
        "purpose": "chat",
        "act": "promote",
        "changed": True,
        "active": "ai_server:2",
        "left": "ai_server:1",
        "fallback": "ai_server:1",
        "generation": 2,
    }
    assert until is not None
    for path, body in (
        ("/purposes/chat/pin", {"to": "ai_server:2", "until": "2999-01-01T00:00:00Z"}),
        ("/purposes/chat/unpin", None),
        ("/purposes/chat/pause", {"reason": "we move the rack"}),
        ("/purposes/chat/resume", {}),
        ("/providers/ai_server/1/maintenance", None),
        ("/providers/ai_server/1/maintenance", {"end": True}),
    ):
        status, said = await desk.send(path, body)
        assert (status, said["changed"]) == (200, True), (path, said)
    order = {"candidates": ["ai_server:2", "ai_server:1"]}
    assert (await desk.send("/purposes/chat/candidates", order, "PUT"))[0] == 200
    audits = await connection.fetch(
        "SELECT action, user_id, changes FROM llm_config_audit WHERE entity_type <> 'token' ORDER BY id"
    )
    acts = ["promote", "pin", "unpin", "pause", "resume", "maintenance", "end_maintenance", "candidates"]
    assert [(row["action"], row["user_id"]) for row in audits] == [(act, "alice") for act in acts]
    assert (audits[0]["changes"]["reason"], audits[0]["changes"]["via"]) == ("fan noise", "api")
    state = (await load_purposes(connection))[Purpose.CHAT]
    assert (state.generation, state.pinned, state.paused, state.held) == (2, None, False, False)


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("/purposes/chat/promote", {"to": "ai_server:9"}, 404, "ai_server:9: there is no such row"),
        ("/purposes/reranking/pause", {}, 404, "No active provider for reranking"),
        ("/providers/api_key/1/maintenance", {}, 404, "api_key:1: there is no such row"),
        ("/purposes/chat/promote", {"to": "ai_server:3"}, 400, "ai_server:3 (gpu-3) is disabled"),
        ("/purposes/chat/pin", {"to": "ai_server:2", "until": "2001-01-01T00:00:00Z"}, 400, "has passed"),
        (
            "/providers/ai_server/1/maintenance",
            {"starts_at": "0001-01-01T00:00:00+14:00"},
            400,
            "beyond the calendar",
        ),
        ("/purposes/chat/promote", {"to": "ai_server:1"}, 409, "has not been probed for chat yet"),
        ("/purposes/chat/promote", {"to": "gpu-2"}, 422, None),
        ("/purposes/chat/promote", {"to": "ai_server:2", "until": "2999-01-01T00:00:00"}, 422, None),
        (
            "/purposes/chat/promote",
            {"to": "ai_server:2", "until": "2999-01-01T00:00:00Z", "for_seconds": 1},
            422,
            None,
        ),
        ("/providers/ai_server/1/maintenance", {"end": True, "for_seconds": 1}, 422, None),
        ("/purposes/lunch/pause", {}, 422, None),
    ],
)
async def test_what_can_not_be_is_answered_with_the_mend(
    desk: Desk, connection: Any, path: str, body: Any, status: int, says: str | None
) -> None:
    await connection.execute("DELETE FROM monitor.healths WHERE provider_id = 1")
    found, said = await desk.send(path, body)
    assert found == status, said
    if says is not None:
        assert says in said["detail"]
    assert await connection.fetchval("SELECT count(*) FROM monitor.acts") == 0


async def test_what_holds_is_shown_with_the_purpose_and_the_provider(desk: Desk) -> None:
    await desk.send("/purposes/chat/promote", {"to": "ai_server:2", "reason": "fan noise"})
    await desk.send("/providers/ai_server/1/maintenance", {"for_seconds": 3600, "reason": "new fan"})
    _, purpose = await desk.send("/purposes/chat", method="GET")
    assert (purpose["held"], purpose["rule"], purpose["pinned"]) == (True, "promote", None)
    _, found = await desk.send("/providers", method="GET")
    one = next(row for row in found["providers"] if row["provider"] == "ai_server:1")
    assert (one["maintenance"]["lasts"], one["maintenance"]["by"]) == (True, "alice: new fan")
    _, events = await desk.send("/purposes/chat/events", method="GET")
    told = [event["text"] for event in events["events"]]
    assert any(
        "promoted gpu-2 (ai_server:2) over gpu-1 (ai_server:1) (alice: fan noise)" in text for text in told
    )
    assert any("took gpu-1 (ai_server:1) out of service" in text for text in told)
