"""What the management routes refuse, in words that name the field and the mend and never the value."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import Depends, FastAPI, Request

from monitor.integration import LLMConfigManager, health_router, router
from monitor.storage.address import Address, connect
from tests.application_schema import ENCRYPTION_KEY, make, pool_of
from tests.fault_server import FaultServer
from tests.managed import client_of
from tests.targets import PLANTED_KEY

JSON = {"content-type": "application/json"}
PLANTED = "sk-planted-0123456789-secret"
SERVER = {"name": "new", "server_type": "vllm", "base_url": "http://a:8000"}
API_KEY = {"provider": "openai", "key_name": "new", "api_key": "sk-0123456789abcdefghij"}


@pytest.fixture
async def manager(
    empty_database: Address, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[LLMConfigManager]:
    monkeypatch.delenv("OPENROUTER_API_KEY", raising=False)
    connection = await connect(empty_database)
    await make(connection, "varchar")
    await connection.close()
    async with pool_of(empty_database, "none") as pool:
        manager = LLMConfigManager(pool, ENCRYPTION_KEY)
        await manager.initialize_defaults()
        yield manager


@pytest.fixture
async def client(manager: LLMConfigManager) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(manager) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "body", "field", "words"),
    [
        ("/servers", SERVER | {"name": ""}, "name", "is empty"),
        ("/servers", SERVER | {"name": f"{PLANTED}\0"}, "name", "control character"),
        ("/servers", SERVER | {"name": f"{PLANTED}{'x' * 100}"}, "name", "ALTER COLUMN name TYPE TEXT"),
        ("/servers", SERVER | {"name": [PLANTED]}, "name", "valid string"),
        ("/servers", {"name": PLANTED}, "server_type", "required"),
        ("/servers", SERVER | {"server_type": PLANTED}, "server_type", "write one of llamacpp"),
        ("/servers", SERVER | {"base_url": f"ftp://{PLANTED}"}, "base_url", "http:// or https://"),
        ("/servers", SERVER | {"base_url": f"http://me:{PLANTED}@a"}, "base_url", "carries credentials"),
        ("/servers", SERVER | {"base_url": "http://169.254.169.254/x"}, "base_url", "MONITOR_ALLOW_METADATA"),
        ("/servers", SERVER | {"api_key": f"****{PLANTED}"}, "api_key", "is a mask"),
        ("/servers", SERVER | {"api_key": f"{PLANTED}ü"}, "api_key", "no request can carry"),
        ("/servers", SERVER | {"api_key": PLANTED * 20}, "api_key", "ALTER COLUMN api_key TYPE TEXT"),
        ("/servers", SERVER | {"api_key": [PLANTED]}, "api_key", "valid string"),
        ("/servers", SERVER | {"enabled": PLANTED}, "enabled", "boolean"),
        ("/servers", SERVER | {"metadata": [PLANTED]}, "metadata", "dictionary"),
        ("/servers", SERVER | {"metadata": {"model": [PLANTED]}}, "metadata", "metadata.model"),
        ("/servers", SERVER | {"metadata": {"a": f"{PLANTED}\0"}}, "metadata", "the database can't"),
        ("/servers", SERVER | {"metadata": {"a": PLANTED * 9999}}, "metadata", "keep less"),
        (
            "/servers",
            SERVER | {"server_type": "ollama", "use_for_reranking": True},
            "use_for_reranking",
            "serves no reranking",
        ),
        ("/api-keys", API_KEY | {"provider": PLANTED}, "provider", "another that litellm knows"),
        ("/api-keys", API_KEY | {"metadata": {"base_url": f"x{PLANTED}"}}, "metadata", "metadata.base_url"),
        ("/api-keys", API_KEY | {"created_by": f"{PLANTED}\nx"}, "created_by", "line break"),
        ("/api-keys", API_KEY | {"created_by": "x" * 101}, "created_by", "TYPE TEXT"),
    ],
)
async def test_a_bad_value_is_named_by_its_field_and_never_repeated(
    client: httpx.AsyncClient, path: str, body: dict[str, object], field: str, words: str
) -> None:
    answer = await client.post(path, content=json.dumps(body), headers=JSON)
    assert answer.status_code == 422, answer.text
    (problem,) = [one for one in answer.json()["detail"] if one["loc"] == ["body", field]]
    assert words in problem["msg"]
    assert set(problem) == {"loc", "msg", "type"}
    assert PLANTED not in answer.text
    assert len((await client.get("/servers")).json()) == 1
    assert len((await client.get("/api-keys")).json()) == 1


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("POST", "/servers", f'{{"api_key": "{PLANTED}"', 422),
        ("POST", "/servers", f'{{"name": {"9" * 5000}}}', 400),
        ("POST", "/servers", '{"metadata": ' + '{"a":' * 5000 + "1" + "}" * 5000 + "}", 400),
        ("POST", "/servers", json.dumps(SERVER | {"metadata": {"a": "\ud800"}}), 422),
        ("POST", "/servers", json.dumps(SERVER | {"metadata": {"a": float("nan")}}), 422),
        ("POST", "/servers", json.dumps(SERVER | {"name": "\ud800"}), 422),
        ("GET", "/servers/99999999999999", "", 404),
        ("GET", "/servers/-1", "", 404),
        ("PUT", f"/servers/{PLANTED}", "{}", 422),
        ("DELETE", "/api-keys/2147483648", "", 404),
        ("GET", "/servers?enabled_only=maybe", "", 422),
        ("POST", "/servers/999/test", "", 404),
        ("GET", "/servers/999/models", "", 404),
        ("POST", "/api-keys/999/test", "", 404),
        ("GET", "/active/%00", "", 400),
    ],
)
async def test_what_no_database_could_take_is_the_callers_to_mend(
    client: httpx.AsyncClient, method: str, path: str, content: str, status: int
) -> None:
    answer = await client.request(method, path, content=content, headers=JSON)
    assert answer.status_code == status, answer.text
    assert PLANTED not in answer.text


async def test_a_literal_backslash_is_no_null_character(client: httpx.AsyncClient) -> None:
    metadata = {"path": "a\\u0000b", "nested": [{"ü": None, "n": 1.5}]}
    answer = await client.post("/servers", json=SERVER | {"metadata": metadata})
    assert answer.json()["metadata"] == metadata


async def test_a_name_that_is_taken_is_a_conflict_also_when_renaming(client: httpx.AsyncClient) -> None:
    assert (await client.post("/servers", json=SERVER)).status_code == 201
    again = await client.post("/servers", json=SERVER)
    assert (again.status_code, again.json()["detail"]) == (409, "A server of that name already exists")
    renamed = await client.put("/servers/2", json={"name": "gpu"})
    assert renamed.status_code == 409
    assert (await client.get("/servers/2")).json()["name"] == "new"


async def test_two_that_add_the_same_name_at_once_make_one_row(
    client: httpx.AsyncClient, manager: LLMConfigManager
) -> None:
    answers = await asyncio.gather(*(client.post("/servers", json=SERVER) for _ in range(4)))
    assert sorted(one.status_code for one in answers) == [201, 409, 409, 409]
    assert await manager.pool.fetchval("SELECT count(*) FROM llm_config_audit") == 1


async def test_the_applications_own_rules_of_its_tables_hold(
    client: httpx.AsyncClient, manager: LLMConfigManager
) -> None:
    await manager.pool.execute(
        "ALTER TABLE ai_servers ADD CONSTRAINT no_llamacpp CHECK (server_type <> 'llamacpp')"
    )
    answer = await client.post("/servers", json=SERVER | {"server_type": "llamacpp"})
    assert answer.status_code == 400
    assert "no_llamacpp" in answer.json()["detail"]
    await client.post("/servers", json=SERVER)
    await manager.pool.execute(
        "CREATE TABLE bill (server integer REFERENCES ai_servers (id)); INSERT INTO bill VALUES (3)"
    )
    answer = await client.delete("/servers/3")
    assert answer.status_code == 400
    assert "bill" in answer.json()["detail"]


async def test_an_address_with_credentials_of_an_old_row_is_shown_without_and_kept(
    client: httpx.AsyncClient, manager: LLMConfigManager
) -> None:
    url = f"http://me:{PLANTED}@a:8000"
    await manager.pool.execute("UPDATE ai_servers SET base_url = $1", url)
    row = (await client.get("/servers/1")).json()
    assert row["base_url"] == "http://****@a:8000"
    assert (await client.put("/servers/1", json=row | {"model_path": "n"})).status_code == 200
    assert await manager.pool.fetchval("SELECT base_url FROM ai_servers") == url
    rows = await manager.pool.fetch("SELECT changes::text FROM llm_config_audit")
    assert PLANTED not in str([tuple(one) for one in rows])


async def test_a_row_that_somebody_holds_locked_is_an_answer_in_time(
    empty_database: Address, client: httpx.AsyncClient
) -> None:
    other = await connect(empty_database)
    transaction = other.transaction()
    await transaction.start()
    await other.execute("SELECT FROM ai_servers FOR UPDATE")
    async with asyncio.timeout(30):
        answer = await client.put("/servers/1", json={"enabled": False})
    assert answer.status_code == 503
    await transaction.rollback()
    await other.close()
    assert (await client.put("/servers/1", json={"enabled": False})).status_code == 200


async def test_a_deletion_and_a_choice_at_once_leave_no_purpose_with_nobody(
    client: httpx.AsyncClient, manager: LLMConfigManager
) -> None:
    for number in range(2, 8):
        server = await manager.add_ai_server(f"s{number}", "vllm", "http://a")
        body = {"purpose": "chat", "provider_type": "ai_server", "provider_id": server["id"]}
        chosen, deleted = await asyncio.gather(
            client.post("/active", json=body), client.delete(f"/servers/{server['id']}")
        )
        assert {chosen.status_code, deleted.status_code} in ({200, 400}, {404, 204}), (
            chosen.text,
            deleted.text,
        )
        active = (await client.get("/active/chat")).json()
        assert active["provider"] is not None


async def test_a_deletion_and_a_purposes_first_choice_at_once_leave_no_purpose_with_nobody(
    client: httpx.AsyncClient, manager: LLMConfigManager
) -> None:
    for number in range(2, 12):
        server = await manager.add_ai_server(f"s{number}", "vllm", "http://a")
        body = {"purpose": "reranking", "provider_type": "ai_server", "provider_id": server["id"]}
        chosen, deleted = await asyncio.gather(
            client.post("/active", json=body), client.delete(f"/servers/{server['id']}")
        )
        found = (chosen.status_code, deleted.status_code)
        assert found in {(200, 400), (404, 204)}, (chosen.text, deleted.text)
        await manager.pool.execute("DELETE FROM active_providers WHERE purpose = 'reranking'")


async def test_a_test_tells_a_bad_key_from_a_good_one(client: httpx.AsyncClient) -> None:
    async with FaultServer(keys={PLANTED_KEY}) as server:
        body = SERVER | {"server_type": "openai-compatible", "base_url": server.url, "model_path": "m1"}
        await client.post(
            "/servers", json=body | {"name": "good", "api_key": PLANTED_KEY, "use_for_chat": True}
        )
        await client.post("/servers", json=body | {"name": "bad", "api_key": PLANTED, "use_for_chat": True})
        good, bad = await asyncio.gather(client.post("/servers/2/test"), client.post("/servers/3/test"))
        assert (good.status_code, good.json()["status"], good.json()["server_id"]) == (200, "healthy", 2)
        assert (bad.status_code, bad.json()["status"]) == (200, "down")
        assert set(bad.json()) == {"server_id", "status", "message", "timestamp"}
        assert PLANTED not in bad.text
        assert (await client.get("/servers/2/models")).json() == server.models
        hosted = {"metadata": {"base_url": server.url, "model": "m1"}, "provider": "openai"}
        await client.post("/api-keys", json=hosted | {"key_name": "bad", "api_key": PLANTED})
        tested = await client.post("/api-keys/2/test")
        assert (tested.status_code, tested.json()["success"]) == (200, False)
        assert set(tested.json()) == {"key_id", "success", "message", "timestamp"}
    assert (await client.get("/servers/1/models")).json() == []


async def test_who_makes_a_change_is_what_authentication_left_and_else_what_the_body_says(
    manager: LLMConfigManager,
) -> None:
    app = FastAPI()
    app.state.llm_manager = manager
    app.include_router(router)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://app/api/v1/llm-config") as client:
        await client.post("/servers", json=SERVER | {"created_by": "bob"})
        await client.put("/servers/2", json={"enabled": False, "updated_by": "carol"})
        await client.delete("/servers/2")
    users = await manager.pool.fetch("SELECT user_id FROM llm_config_audit ORDER BY id")
    assert [row[0] for row in users] == ["bob", "carol", "unknown"]


async def test_health_may_be_open_beside_what_is_not(manager: LLMConfigManager) -> None:
    app = FastAPI()
    app.state.llm_manager = manager

    def nobody(request: Request) -> None:
        raise AssertionError(f"{request.url} asks for authentication")

    app.include_router(health_router)
    app.include_router(router, dependencies=[Depends(nobody)])
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        assert (await client.get("/api/v1/llm-config/health")).json()["service"] == "llm-monitor"


async def test_an_application_that_has_no_manager_yet_is_told_so() -> None:
    app = FastAPI()
    app.include_router(router)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://app/api/v1/llm-config") as client:
        answer = await client.get("/servers")
    assert (answer.status_code, "app.state.llm_manager" in answer.text) == (503, True)


async def test_a_database_without_our_schema_or_away_is_503_with_the_mend(
    postgres_server: Address, manager: LLMConfigManager, client: httpx.AsyncClient, empty_database: Address
) -> None:
    await manager.pool.execute("DROP SCHEMA monitor CASCADE")
    answer = await client.get("/active")
    assert (answer.status_code, "llm-monitor migrate" in answer.text) == (503, True)
    await manager.pool.expire_connections()
    connection = await connect(postgres_server)
    await connection.execute(f"ALTER DATABASE {empty_database.database} ALLOW_CONNECTIONS false")
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", empty_database.database
    )
    await connection.close()
    for method, path in (("GET", "/servers"), ("GET", "/health"), ("DELETE", "/servers/1")):
        answer = await client.request(method, path)
        assert answer.status_code == 503, answer.text
