"""The manager and the mounted routes over an existing application's tables, rows and pool."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from monitor.integration import LLMConfigManager
from monitor.keyring import Keyring, generate
from monitor.storage.address import Address, connect
from tests.application_schema import (
    CODECS,
    ENCRYPTION_KEY,
    OLD_API_KEY,
    OLD_SERVER_KEY,
    SPELLINGS,
    Codec,
    Spelling,
    make,
    pool_of,
)
from tests.managed import client_of

KEY = "sk-new-0123456789-planted-Zz99"
EVERY_POOL = [(spelling, codec) for spelling in SPELLINGS for codec in CODECS]


@pytest.fixture(params=EVERY_POOL, ids=lambda one: " ".join(one))
async def manager(
    request: pytest.FixtureRequest, empty_database: Address, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[LLMConfigManager]:
    """A manager over each kind of pool, on tables of each spelling."""
    spelling: Spelling
    codec: Codec
    spelling, codec = request.param
    monkeypatch.delenv("OPENROUTER_API_KEY", raising=False)
    monkeypatch.delenv("MONITOR_OLD_ENCRYPTION_KEYS", raising=False)
    connection = await connect(empty_database)
    await make(connection, spelling)
    await connection.close()
    async with pool_of(empty_database, codec) as pool:
        manager = LLMConfigManager(pool, ENCRYPTION_KEY)
        assert await manager.initialize_defaults() == []
        yield manager
        await manager.close()


@pytest.fixture
async def client(manager: LLMConfigManager) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(manager) as client:
        yield client


async def audits(manager: LLMConfigManager) -> list[dict[str, Any]]:
    rows = await manager.pool.fetch(
        "SELECT action, entity_type, entity_id, user_id, changes::text AS changes FROM llm_config_audit"
        " ORDER BY id"
    )
    return [dict(row) | {"changes": json.loads(row["changes"])} for row in rows]


async def test_servers_are_managed_and_the_applications_own_sql_reads_them(
    manager: LLMConfigManager, client: httpx.AsyncClient
) -> None:
    (old,) = (await client.get("/servers")).json()
    assert (old["name"], old["masked_key"], old["problem"]) == ("gpu", "****wxyz", None)
    assert old["metadata"] == {"rack": 7}
    assert "api_key" not in old
    answer = await client.post(
        "/servers",
        json={
            "name": "second",
            "server_type": "ollama",
            "base_url": "http://127.0.0.1:8/",
            "api_key": KEY,
            "use_for_embeddings": True,
            "metadata": {"model": "ü"},
            "created_by": "bob",
        },
    )
    assert answer.status_code == 201, answer.text
    new = answer.json()
    assert KEY not in answer.text
    assert (new["id"], new["masked_key"], new["base_url"]) == (2, "****Zz99", "http://127.0.0.1:8")
    assert (new["created_by"], new["enabled"], new["use_for_chat"]) == ("bob", True, False)
    assert abs((datetime.now(UTC) - datetime.fromisoformat(new["created_at"])).total_seconds()) < 60
    assert (await client.get("/servers/2")).json() == new
    # The application's own statements.
    row = await manager.pool.fetchrow(
        "SELECT name, base_url, api_key, metadata->>'model' AS model, created_at FROM ai_servers"
        " WHERE enabled = true AND use_for_embeddings ORDER BY name LIMIT 1"
    )
    assert (row["name"], row["model"], row["created_at"].tzinfo) == ("second", "ü", None)
    assert row["api_key"] != KEY
    await manager.pool.execute("UPDATE ai_servers SET health_status = 'healthy' WHERE id = 2")
    changed = (await client.put("/servers/2", json={"enabled": False})).json()
    assert (changed["enabled"], changed["health_status"]) == (False, "healthy")
    assert changed["masked_key"] == "****Zz99"
    assert [one["id"] for one in (await client.get("/servers?enabled_only=true")).json()] == [1]
    assert (await client.delete("/servers/2")).status_code == 204
    assert (await client.get("/servers/2")).json() == {"detail": "Server 2 not found"}
    told = await audits(manager)
    assert [(one["action"], one["entity_type"], one["entity_id"], one["user_id"]) for one in told] == [
        ("create", "ai_server", "2", "alice"),
        ("update", "ai_server", "2", "alice"),
        ("delete", "ai_server", "2", "alice"),
    ]
    assert told[1]["changes"] == {"enabled": False}
    assert KEY not in json.dumps(told)
    assert "Zz99" not in json.dumps(told)


async def test_keys_are_managed_and_the_application_opens_them_as_its_own(
    manager: LLMConfigManager, client: httpx.AsyncClient
) -> None:
    (old,) = (await client.get("/api-keys")).json()
    assert (old["masked_key"], old["cost_usd"], old["tokens_used"]) == ("****a1b2", 1.25, 9_000_000_000)
    assert old["last_used"] == "2026-01-02T03:04:05Z"
    body = {"provider": "OpenAI", "key_name": "mine", "api_key": KEY}
    answer = await client.post("/api-keys", json=body)
    assert answer.status_code == 201, answer.text
    assert KEY not in answer.text
    assert (answer.json()["provider"], answer.json()["created_by"]) == ("openai", "alice")
    sealed = await manager.pool.fetchval(
        "SELECT encrypted_key FROM llm_api_keys WHERE provider = 'openai' AND enabled = true"
    )
    assert Keyring(ENCRYPTION_KEY)._fernets.decrypt(sealed.encode()).decode() == KEY
    assert (await client.post("/api-keys", json=body)).status_code == 409
    await client.put("/api-keys/2", json={"api_key": KEY, "metadata": {"model": "x"}, "key_name": "ours"})
    after = await manager.pool.fetchval("SELECT encrypted_key FROM llm_api_keys WHERE id = 2")
    assert after == sealed, "the same key is not sealed anew"
    await manager.pool.execute(
        "UPDATE llm_api_keys SET requests_count = requests_count + 1, last_used = NOW(),"
        " cost_usd = cost_usd + 0.0001 WHERE id = 2"
    )
    shown = (await client.get("/api-keys/2")).json()
    assert (shown["key_name"], shown["requests_count"], shown["cost_usd"]) == ("ours", 1, 0.0001)
    assert (await client.delete("/api-keys/2")).status_code == 204
    assert (await client.get("/api-keys/2")).json() == {"detail": "API key 2 not found"}
    assert KEY not in json.dumps(await audits(manager))


async def test_the_library_gives_keys_in_plain_text_only_when_asked(manager: LLMConfigManager) -> None:
    key = await manager.get_api_key(1, decrypt=True)
    server = await manager.get_ai_server(1, decrypt=True)
    assert key is not None
    assert server is not None
    assert (key["api_key"], server["api_key"]) == (OLD_API_KEY, OLD_SERVER_KEY)
    assert json.loads(json.dumps(key["api_key"])) == OLD_API_KEY
    assert OLD_API_KEY not in repr(key)
    assert OLD_SERVER_KEY not in repr(server)
    assert await manager.get_api_key(99) is None
    assert "api_key" not in (await manager.list_ai_servers())[0]


async def test_a_form_may_send_back_the_mask_and_the_whole_row(
    manager: LLMConfigManager, client: httpx.AsyncClient
) -> None:
    row = (await client.get("/servers/1")).json()
    answer = await client.put("/servers/1", json=row | {"api_key": row["masked_key"], "name": "renamed"})
    assert answer.status_code == 200, answer.text
    assert await manager.pool.fetchval("SELECT api_key FROM ai_servers WHERE id = 1") == OLD_SERVER_KEY
    assert (await audits(manager))[-1]["changes"] == {"name": "renamed"}
    other = await client.put("/servers/1", json={"api_key": "****zzzz"})
    assert (other.status_code, other.json()["detail"][0]["loc"]) == (422, ["body", "api_key"])
    assert (await client.put("/servers/1", json={"api_key": None})).json()["masked_key"] is None
    assert await manager.pool.fetchval("SELECT api_key FROM ai_servers WHERE id = 1") is None
    assert (await audits(manager))[-1]["changes"] == {"key_changed": True}
    await client.put("/servers/1", json={"api_key": KEY})
    sealed = await manager.pool.fetchval("SELECT api_key FROM ai_servers WHERE id = 1")
    assert sealed.startswith("gAAAA")
    assert (await client.get("/servers/1")).json()["masked_key"] == "****Zz99"


async def test_who_serves_is_told_with_the_row_masked(
    manager: LLMConfigManager, client: httpx.AsyncClient
) -> None:
    (active,) = (await client.get("/active")).json()
    assert (await client.get("/active/chat")).json()["provider"] == active["provider"]
    assert (active["purpose"], active["provider_type"], active["provider_id"]) == ("chat", "ai_server", 1)
    assert (active["fallback_provider_type"], active["fallback_provider_id"]) == ("api_key", 1)
    assert (active["provider"]["name"], active["provider"]["masked_key"]) == ("gpu", "****wxyz")
    assert (active["generation"], active["stale"], active["pinned"], active["stranded"]) == (
        0, True, False, False,
    )  # fmt: skip
    assert (await client.get("/active/embeddings")).json() == {"detail": "No active provider for embeddings"}
    unknown = await client.get("/active/music")
    assert unknown.status_code == 400
    assert "chat, embeddings, reranking" in unknown.json()["detail"]
    assert await manager.get_active_provider("embeddings") is None
    health = (await client.get("/health")).json()
    assert health == {"status": "unknown", "service": "llm-monitor", "purposes": {"chat": "unknown"}}


async def test_an_operators_choice_is_active_at_once(
    manager: LLMConfigManager, client: httpx.AsyncClient
) -> None:
    body: dict[str, Any] = {"purpose": "chat", "provider_type": "api_key", "provider_id": 1}
    answer = await client.post("/active", json=body | {"reason": "cheaper"})
    assert (answer.status_code, answer.json()) == (200, {"message": "Active provider set for chat"})
    active = (await client.get("/active/chat")).json()
    assert (active["provider_type"], active["fallback_provider_type"]) == ("api_key", "ai_server")
    assert (active["updated_by"], active["generation"]) == ("alice", 2)
    none = {"fallback_provider_type": None, "fallback_provider_id": None}
    assert (await client.post("/active", json=body | none)).status_code == 200
    # The application's own statement.
    row = await manager.pool.fetchrow(
        "SELECT ap.*, k.provider FROM active_providers ap JOIN llm_api_keys k ON k.id = ap.provider_id"
        " WHERE ap.purpose = 'chat' AND ap.provider_type = 'api_key'"
    )
    assert (row["provider"], row["fallback_provider_id"], row["updated_by"]) == ("openrouter", None, "alice")
    new = await client.post("/active", json=body | {"purpose": "embeddings"})
    assert new.status_code == 200
    assert [one["purpose"] for one in (await client.get("/active")).json()] == ["chat", "embeddings"]
    assert {one["entity_type"] for one in await audits(manager)} == {"active_provider"}


@pytest.mark.parametrize(
    ("more", "status", "words"),
    [
        ({"provider_id": 9}, 404, "9"),
        ({"provider_id": 2**40}, 404, "API key 1099511627776 not found"),
        ({"purpose": "music"}, 400, "chat, embeddings, reranking"),
        ({"fallback_provider_type": "api_key", "fallback_provider_id": 1}, 400, "own fallback"),
        ({"fallback_provider_type": "api_key"}, 422, "fallback_provider_id is missing"),
        ({"provider_type": "ai_server", "provider_id": 2}, 400, "is disabled"),
        ({"provider_type": "sk-planted"}, 422, "'api_key' or 'ai_server'"),
    ],
)
async def test_a_choice_that_can_not_be_is_refused_with_the_reason(
    database: Address, more: dict[str, Any], status: int, words: str
) -> None:
    async with pool_of(database, "none") as pool:
        manager = LLMConfigManager(pool, ENCRYPTION_KEY)
        await manager.add_api_key("openai", "k", KEY)
        await manager.add_ai_server("a", "vllm", "http://a")
        await manager.add_ai_server("b", "vllm", "http://b", enabled=False)
        async with client_of(manager) as client:
            body = {"purpose": "chat", "provider_type": "api_key", "provider_id": 1}
            answer = await client.post("/active", json=body | more)
            assert answer.status_code == status, answer.text
            assert words in answer.text
            assert "sk-planted" not in answer.text
            assert (await client.get("/active")).json() == []


async def test_what_a_purpose_names_can_not_be_deleted(
    manager: LLMConfigManager, client: httpx.AsyncClient
) -> None:
    await manager.pool.execute(
        "INSERT INTO active_providers (purpose, provider_type, provider_id)"
        " VALUES ('embeddings', 'api_key', 1)"
    )
    server = await client.delete("/servers/1")
    assert (server.status_code, server.json()) == (400, {"detail": "Cannot delete server in use for: chat"})
    key = await client.delete("/api-keys/1")
    assert key.json() == {"detail": "Cannot delete API key in use for: chat, embeddings"}
    candidate = await manager.add_ai_server("third", "vllm", "http://127.0.0.1:7")
    await manager.pool.execute(
        "INSERT INTO monitor.preferences VALUES ('chat', 9, 'ai_server', $1)", candidate["id"]
    )
    third = await client.delete(f"/servers/{candidate['id']}")
    assert third.json() == {"detail": "Cannot delete server in use for: chat"}
    await manager.pool.execute("UPDATE monitor.preferences SET purpose = 'reranking'")
    assert (await client.delete(f"/servers/{candidate['id']}")).status_code == 204
    assert await manager.pool.fetchval("SELECT count(*) FROM monitor.preferences") == 0


async def test_nothing_answers_without_the_applications_own_admin(manager: LLMConfigManager) -> None:
    async with client_of(manager, **{"x-admin": "eve"}) as eve:
        for method, path in (
            ("GET", "/servers"),
            ("POST", "/servers"),
            ("GET", "/active"),
            ("GET", "/health"),
        ):
            assert (await eve.request(method, path)).status_code == 403


async def test_openrouters_key_of_the_environment_is_taken_up_once(
    empty_database: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", KEY)
    async with pool_of(empty_database, "text") as pool:
        manager = LLMConfigManager(pool, ENCRYPTION_KEY)
        first = await manager.initialize_defaults()
        assert KEY not in str(first)
        assert await manager.initialize_defaults() == []
        (key,) = await manager.list_api_keys()
        assert (key["provider"], key["masked_key"], key["created_by"]) == (
            "openrouter",
            "****Zz99",
            "monitor",
        )
        active = await manager.get_active_provider("chat")
        assert active is not None
        assert (active["provider_type"], active["provider"]["id"]) == ("api_key", key["id"])


async def test_without_or_with_another_encryption_key_rows_are_read_and_keys_are_a_named_problem(
    manager: LLMConfigManager,
) -> None:
    for encryption_key, words in (
        (None, "BYOK_ENCRYPTION_KEY is not set"),
        (generate(), "opens with neither"),
    ):
        other = LLMConfigManager(manager.pool, encryption_key)
        async with client_of(other) as client:
            (row,) = (await client.get("/api-keys")).json()
            assert row["masked_key"] == "****"
            assert words in row["problem"]
            assert (await client.get("/active")).status_code == 200
            body = {"provider": "openai", "key_name": "k", "api_key": KEY}
            answer = await client.post("/api-keys", json=body)
            if encryption_key is None:
                assert answer.status_code == 503
                assert "generate-key" in answer.json()["detail"]
            else:
                assert answer.status_code == 201


async def test_keys_sealed_with_an_old_encryption_key_open(
    manager: LLMConfigManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other in (
        LLMConfigManager(manager.pool, generate(), old_encryption_keys=[ENCRYPTION_KEY]),
        None,
    ):
        if other is None:
            monkeypatch.setenv("MONITOR_OLD_ENCRYPTION_KEYS", f"{generate()}, {ENCRYPTION_KEY}")
            other = LLMConfigManager(manager.pool, generate())
        (row,) = await other.list_api_keys()
        assert (row["masked_key"], row["problem"]) == ("****a1b2", None)


def test_importing_the_library_imports_nothing_heavy() -> None:
    code = (
        "import sys, monitor.integration\n"
        "print([m for m in ('litellm', 'openai', 'apscheduler', 'prometheus_client') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
