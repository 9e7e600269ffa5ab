"""What is found on the machine is told apart, offered, and taken up once."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import structlog
from aiohttp import web
from pydantic import SecretStr

from monitor.domain.provider import Purpose
from monitor.domain.target import SealedKey
from monitor.jobs.adopt_environment import (
    FoundKey,
    Offer,
    adopt,
    describe,
    find_offers,
    offer_environment,
    unknown_offers,
)
from monitor.jobs.find_servers import FoundServer, find_servers
from monitor.keyring import Keyring, generate
from monitor.metrics import Metrics
from monitor.probing.catalog import load_catalog
from monitor.settings import PROVIDER_KEYS
from monitor.storage.address import Address, connect
from monitor.web import WebServer, create_app
from tests.integration.test_web_open_routes import Daemon
from tests.llama_server import MODEL_NAME
from tests.providers import LlamaServer

CATALOG = load_catalog()
KEY = "sk-proj-0123456789abcdefWXYZ"
OPENAI = FoundKey(provider="openai", key=KEY)
COHERE = FoundKey(provider="cohere", key="co-0123456789abcdefghij")
OLLAMA = FoundServer(
    server_type="ollama",
    base_url="http://127.0.0.1:11434",
    models=("llama3.2:3b", "qwen3:8b", "nomic-embed-text:latest"),
)
VLLM = FoundServer(server_type="vllm", base_url="http://127.0.0.1:8000", models=("Qwen/Qwen3-8B",))


@pytest.fixture
def keyring() -> Keyring:
    return Keyring(generate())


@asynccontextmanager
async def answering(pages: Mapping[str, object], server: str = "test") -> AsyncIterator[int]:
    """A server with these JSON pages and 404 for everything else; gives its port."""

    async def answer(request: web.Request) -> web.StreamResponse:
        page = pages.get(request.path, pages.get("*"))
        headers = {"Server": server}
        if isinstance(page, int):
            return web.Response(status=page, headers=headers | {"Location": str(pages.get("to"))})
        if page is None:
            return web.json_response({"detail": "Not Found"}, status=404, headers=headers)
        if page == "hang":
            await asyncio.sleep(30)
        if isinstance(page, str):
            return web.Response(text=page, content_type="text/html", headers=headers)
        return web.json_response(page, headers=headers)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def models(*names: str, owner: str | None = None) -> dict[str, object]:
    owned = {} if owner is None else {"owned_by": owner}
    return {"object": "list", "data": [{"id": name, "object": "model", **owned} for name in names]}


async def test_a_real_llamacpp_server_is_known_for_what_it_is() -> None:
    async with LlamaServer() as llama:
        (found,) = await find_servers([llama.port])
    assert (found.server_type, found.base_url) == ("llamacpp", llama.url)
    assert found.models == (MODEL_NAME,)


@pytest.mark.parametrize(
    ("kind", "pages"),
    [
        ("vllm", {"/v1/models": models("Qwen/Qwen3-8B", owner="vllm"), "/version": {"version": "0.11"}}),
        (
            "ollama",
            {
                "/v1/models": models("m:latest", owner="library"),
                "/api/version": {"version": "0.12.3"},
                "/api/tags": {"models": [{"name": "m:latest", "model": "m:latest"}]},
            },
        ),
        (
            "llamacpp",
            {
                "/v1/models": models("m", owner="me"),
                "/api/version": {"version": "1"},
                "/api/tags": {"models": [{"name": "m"}]},
                "/props": {"default_generation_settings": {}},
            },
        ),
        (
            "openai-compatible",
            {"/v1/models": models("m", owner="organization_owner"), "*": {"error": "what?"}},
        ),
    ],
)
async def test_servers_are_told_apart_by_what_they_answer(kind: str, pages: dict[str, object]) -> None:
    async with answering(pages) as port:
        (found,) = await find_servers([port])
    assert found.server_type == kind


@pytest.mark.parametrize(
    "pages",
    [
        {"*": "<h1>It works</h1>"},
        {"*": {}},
        {"*": []},
        {"*": {"object": "list", "data": [{"id": 7}]}},
        {"*": {"object": "list", "data": [{"id": "inv_1", "object": "invoice"}]}},
        {"*": {"object": "list", "data": []}},
        {"*": {"version": "1.2"}},
        {"*": {"data": [{"id": "m"}]}},
        {"*": 401},
        {"/v1/models": models("\x1b[31mred", "x" * 1000)},
        {"/api/version": {"version": "0.12"}, "/api/tags": {"models": []}},
        {},
    ],
)
async def test_a_server_of_something_else_is_nobodys_offer(pages: dict[str, object]) -> None:
    async with answering(pages) as port:
        assert await find_servers([port]) == []


async def test_our_own_daemon_is_never_taken_for_a_model_server() -> None:
    server = WebServer(create_app(Daemon(), Metrics(version="1")), "127.0.0.1", 0)
    await server.start()
    try:
        assert await find_servers([server.port]) == []
    finally:
        await server.stop()


async def test_a_redirect_leads_nowhere() -> None:
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(answering({"/v1/models": models("m")}))
        there = {"*": 302, "to": f"http://127.0.0.1:{port}/v1/models"}
        elsewhere = await stack.enter_async_context(answering(there))
        assert await find_servers([elsewhere]) == []


@pytest.mark.alone
async def test_one_that_hangs_hides_no_other_and_costs_less_than_a_second() -> None:
    async with AsyncExitStack() as stack:
        hangs = await stack.enter_async_context(answering({"*": "hang"}))
        late = await stack.enter_async_context(answering({"/v1/models": models("m"), "*": "hang"}))
        fine = await stack.enter_async_context(answering({"/v1/models": models("m", owner="vllm")}))
        began = time.monotonic()
        found = await find_servers([hangs, late, 1, fine])
        assert time.monotonic() - began < 1.2
    assert [(one.base_url, one.server_type) for one in found] == [
        (f"http://127.0.0.1:{late}", "openai-compatible"),
        (f"http://127.0.0.1:{fine}", "vllm"),
    ]


async def test_offers_are_servers_first_and_show_no_key() -> None:
    async with answering({"/v1/models": models("a", "b", "c", "d", owner="vllm")}) as port:
        offers = await find_offers({"openai": SecretStr(KEY), "groq": "short", "xai": " "}, ports=[port])
    assert describe(offers) == [
        f"vllm at http://127.0.0.1:{port} (a, b, c and 1 more)",
        "openai (key ****WXYZ in OPENAI_API_KEY)",
        "groq (key **** in GROQ_API_KEY)",
    ]
    assert KEY not in repr(offers)


def test_every_key_is_described_by_its_own_variable() -> None:
    for provider, variable in PROVIDER_KEYS.items():
        assert FoundKey(provider=provider, key=KEY).variable == variable


async def rows(connection: Any, table: str, columns: str, order: str = "id") -> list[tuple[Any, ...]]:
    found = await connection.fetch(f"SELECT {columns} FROM {table} ORDER BY {order}")
    return [tuple(row.values()) for row in found]


async def test_what_is_taken_up_serves_at_once_with_its_audit(connection: Any, keyring: Keyring) -> None:
    done = await adopt(connection, keyring, [OLLAMA, VLLM, OPENAI, COHERE], CATALOG)
    assert done[-3:] == [
        "chat: ollama at http://127.0.0.1:11434 serves, vllm at http://127.0.0.1:8000 is the fallback",
        "embeddings: ollama at http://127.0.0.1:11434 serves",
        "reranking: cohere serves",
    ]
    assert await rows(
        connection,
        "ai_servers",
        "name, server_type, base_url, use_for_chat, use_for_embeddings, use_for_reranking, enabled",
    ) == [
        ("ollama", "ollama", OLLAMA.base_url, True, True, False, True),
        ("vllm", "vllm", VLLM.base_url, True, False, False, True),
    ]
    named = await rows(connection, "ai_servers", "metadata")
    assert named == [
        ({"models": {"chat": "llama3.2:3b", "embeddings": "nomic-embed-text:latest"}},),
        ({},),  # its only model, whichever that will be
    ]
    sealed = await rows(connection, "llm_api_keys", "provider, key_name, encrypted_key")
    assert [(provider, name) for provider, name, _ in sealed] == [
        ("openai", "default"),
        ("cohere", "default"),
    ]
    assert keyring.unseal(SealedKey(sealed[0][2])) == KEY
    active = "provider_type, provider_id, fallback_provider_type, fallback_provider_id"
    assert await rows(connection, "active_providers", f"purpose, {active}", "purpose") == [
        ("chat", "ai_server", 1, "ai_server", 2),
        ("embeddings", "ai_server", 1, None, None),
        ("reranking", "api_key", 2, None, None),
    ]
    audit = await rows(connection, "llm_config_audit", "action, entity_type, entity_id, changes")
    assert [one[:3] for one in audit] == [
        ("create", "ai_server", "1"),
        ("create", "ai_server", "2"),
        ("create", "llm_api_key", "1"),
        ("create", "llm_api_key", "2"),
        ("set_active", "active_provider", "chat"),
        ("set_active", "active_provider", "embeddings"),
        ("set_active", "active_provider", "reranking"),
    ]
    assert KEY not in json.dumps(audit)
    assert KEY not in "".join(done)


async def test_taking_up_again_changes_nothing(connection: Any, keyring: Keyring) -> None:
    offers: list[Offer] = [OLLAMA, OPENAI]
    await adopt(connection, keyring, offers, CATALOG)
    tables = ("ai_servers", "llm_api_keys", "active_providers", "llm_config_audit")
    before = [await rows(connection, table, "xmin::text", "1") for table in tables]
    assert await unknown_offers(connection, keyring, offers) == []
    assert await adopt(connection, keyring, offers, CATALOG) == []
    assert [await rows(connection, table, "xmin::text", "1") for table in tables] == before


async def test_rows_that_are_there_are_left_as_they_are(connection: Any, keyring: Keyring) -> None:
    await connection.execute(
        "INSERT INTO ai_servers (name, server_type, base_url, enabled) VALUES "
        "('mine', 'ollama', 'http://localhost:11434/v1/', FALSE), ('vllm', 'vllm', 'http://gpu:8000', TRUE)"
    )
    await connection.execute(
        "INSERT INTO llm_api_keys (provider, key_name, encrypted_key) VALUES "
        "('OpenAI', 'team', $1), ('cohere', 'default', $2)",
        keyring.seal(KEY).text,
        keyring.seal("another").text,
    )
    await connection.execute(
        "INSERT INTO active_providers (purpose, provider_type, provider_id) VALUES ('chat', 'api_key', 1)"
    )
    offers: list[Offer] = [OLLAMA, VLLM, OPENAI, COHERE]
    assert await unknown_offers(connection, keyring, offers) == [VLLM]
    assert await adopt(connection, keyring, offers, CATALOG) == [
        f"{describe([VLLM])[0]}: taken up as ai_server:3"
    ]
    assert await rows(connection, "ai_servers", "name, base_url, enabled") == [
        ("mine", "http://localhost:11434/v1/", False),
        ("vllm", "http://gpu:8000", True),
        ("vllm-2", "http://127.0.0.1:8000", True),
    ]
    assert await rows(connection, "active_providers", "purpose, provider_type, provider_id", "purpose") == [
        ("chat", "api_key", 1)
    ]


async def test_two_at_once_take_each_thing_up_once(database: Address, keyring: Keyring) -> None:
    connections = [await connect(database) for _ in range(4)]
    try:
        await asyncio.gather(*(adopt(one, keyring, [OLLAMA, VLLM, OPENAI], CATALOG) for one in connections))
        assert await rows(connections[0], "ai_servers", "name", "name") == [("ollama",), ("vllm",)]
        assert await rows(connections[0], "llm_api_keys", "provider") == [("openai",)]
    finally:
        for one in connections:
            await one.close()


async def test_a_failure_takes_nothing_up(connection: Any, keyring: Keyring) -> None:
    await connection.execute("ALTER TABLE active_providers ADD CHECK (purpose <> 'reranking')")
    with pytest.raises(Exception, match="check"):
        await adopt(connection, keyring, [VLLM, COHERE], CATALOG)
    assert await rows(connection, "ai_servers", "id") == []
    assert await rows(connection, "llm_config_audit", "id") == []


async def test_without_an_encryption_key_only_servers_are_taken_up(connection: Any) -> None:
    done = await adopt(connection, None, [VLLM, OPENAI], CATALOG)
    assert "BYOK_ENCRYPTION_KEY" in next(line for line in done if line.startswith("openai"))
    assert await rows(connection, "llm_api_keys", "id") == []
    assert await rows(connection, "active_providers", "purpose, provider_type", "1") == [
        ("chat", "ai_server")
    ]


async def test_a_plain_run_offers_and_changes_nothing(connection: Any, keyring: Keyring) -> None:
    async with answering({"/v1/models": models("m", owner="vllm")}) as port:
        with structlog.testing.capture_logs() as logs:
            await offer_environment(
                connection,
                keyring,
                provider_keys={"openai": SecretStr(KEY)},
                catalog=CATALOG,
                take_up=False,
                ports=[port],
            )
    assert [line["event"] for line in logs] == ["provider_found", "provider_found", "providers_offered"]
    assert "--adopt-env" in logs[-1]["hint"]
    assert KEY not in repr(logs)
    assert await rows(connection, "ai_servers", "id") == []
    assert await rows(connection, "llm_api_keys", "id") == []


async def test_a_run_that_was_asked_to_takes_up_and_says_what(connection: Any, keyring: Keyring) -> None:
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            await offer_environment(
                connection,
                keyring,
                provider_keys={"openai": KEY},
                catalog=CATALOG,
                take_up=True,
                ports=[],
            )
    assert [line["event"] for line in logs] == [*["environment_adopted"] * 3, "nothing_to_adopt"]
    assert KEY not in repr(logs)
    assert [row[0] for row in await rows(connection, "active_providers", "purpose", "1")] == [
        Purpose.CHAT,
        Purpose.EMBEDDINGS,
    ]
