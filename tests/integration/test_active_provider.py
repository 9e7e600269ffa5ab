"""Who serves, as an application asks: from memory while that is the truth, and never longer."""

import asyncio
import copy
import dataclasses
import json
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from monitor.integration import DatabaseAway, IntegrationClosed, LLMProviderIntegration, NotPrepared
from monitor.integration.configuration import ProviderConfiguration
from monitor.keyring import Keyring, generate
from monitor.storage.address import Address, create_pool
from tests.application_rows import ApplicationRows

KEY = "sk-planted-5f2c9a71"


@asynccontextmanager
async def integrated(pool: Any, keyring: Keyring | None = None) -> AsyncIterator[LLMProviderIntegration]:
    integration = LLMProviderIntegration(SimpleNamespace(pool=pool, keyring=keyring))
    try:
        yield integration
    finally:
        await integration.close()


@contextmanager
def counted(pool: Any) -> Iterator[list[str]]:
    """Every statement that goes over the pool's open connections."""
    said: list[str] = []

    def note(record: Any) -> None:
        said.append(record.query)

    connections = [holder._con for holder in pool._holders if holder._con is not None]
    for one in connections:
        one.add_query_logger(note)
    yield said
    for one in connections:
        one.remove_query_logger(note)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while True:
            if true():
                return
            await asyncio.sleep(0.002)


async def named(integration: LLMProviderIntegration, name: str) -> None:
    """Until this one serves."""
    async with asyncio.timeout(10):
        while True:
            found = await integration.get_active_llm_provider("chat")
            if found is not None and found.provider_name == name:
                return
            await asyncio.sleep(0.002)


async def listening(integration: LLMProviderIntegration) -> None:
    """Until notifications are heard; asking starts it."""
    await integration.get_active_llm_provider("chat")
    await until(lambda: integration._watch.mode == "listening")


async def serving(integration: LLMProviderIntegration, purpose: str = "chat") -> ProviderConfiguration:
    found = await integration.get_active_llm_provider(purpose)
    assert found is not None
    return found


@pytest.fixture
async def rows(connection: Any) -> ApplicationRows:
    return ApplicationRows(connection)


async def two_servers(rows: ApplicationRows) -> tuple[str, str]:
    one = await rows.add_server("one", "vllm", "http://127.0.0.1:9/v1", model_path="m-one", api_key=KEY)
    two = await rows.add_server("two", "openai-compatible", "http://127.0.0.1:9", model_path="m-two")
    await rows.set_active("chat", one, two)
    return one, two


async def test_an_application_gets_all_that_it_calls_with(pool: Any, rows: ApplicationRows) -> None:
    one, two = await two_servers(rows)
    async with integrated(pool) as integration:
        found = await serving(integration)
    assert (found.provider_type, f"{found.provider_type}:{found.provider_id}") == ("ai_server", one)
    assert (found.provider_name, found.server_type, found.base_url) == (
        "one",
        "vllm",
        "http://127.0.0.1:9/v1",
    )
    assert (found.model_path, found.api_key, found.enabled, found.purpose) == ("m-one", KEY, True, "chat")
    assert f"{found.fallback_provider_type}:{found.fallback_provider_id}" == two
    assert (found.health_status, found.last_health_check, found.metadata) == ("unknown", None, {})
    assert found.to_litellm_config() == {
        "model": "hosted_vllm/m-one",
        "api_base": "http://127.0.0.1:9/v1",
        "api_key": KEY,
        "custom_llm_provider": "hosted_vllm",
        "metadata": {
            "provider_type": "ai_server",
            "provider_id": 1,
            "provider_name": "one",
            "purpose": "chat",
        },
    }
    assert found.to_wilmer_config() == {
        "provider_type": "ai_server",
        "provider_id": 1,
        "provider_name": "one",
        "base_url": "http://127.0.0.1:9/v1",
        "api_key": KEY,
        "is_local": True,
        "supports_streaming": True,
        "metadata": {},
    }


async def test_a_warm_call_asks_nobody(pool: Any, rows: ApplicationRows) -> None:
    await two_servers(rows)
    async with integrated(pool) as integration:
        await listening(integration)
        first = await serving(integration)
        with counted(pool) as said:
            for _ in range(5000):
                assert await integration.get_active_llm_provider("chat") is first
        assert said == []


async def test_many_that_ask_at_once_are_one_question(pool: Any, rows: ApplicationRows) -> None:
    await two_servers(rows)
    async with integrated(pool) as integration:
        await listening(integration)
        integration.clear_cache()
        with counted(pool) as said:
            found = await asyncio.gather(*(serving(integration) for _ in range(50)))
        assert len({id(one) for one in found}) == 1
        assert len([query for query in said if "active_providers" in query]) == 1


async def test_whoever_gives_up_waiting_spoils_nothing_for_the_others(
    pool: Any, rows: ApplicationRows
) -> None:
    await two_servers(rows)
    async with integrated(pool) as integration:
        await listening(integration)
        integration.clear_cache()
        one, other = (asyncio.create_task(integration.get_active_llm_provider("chat")) for _ in range(2))
        await asyncio.sleep(0)
        one.cancel()
        assert await other is not None
        with pytest.raises(asyncio.CancelledError):
            await one


async def test_the_next_call_after_a_change_sees_it(pool: Any, rows: ApplicationRows) -> None:
    one, two = await two_servers(rows)
    async with integrated(pool) as integration:
        await listening(integration)

        def moved(since: int) -> bool:
            return integration._watch.epoch > since

        for number, (wanted, name) in enumerate([(two, "two"), (one, "one")] * 5):
            epoch = integration._watch.epoch
            if number % 2:
                await rows.set_active("chat", wanted)
            else:
                await rows.connection.execute("SELECT pg_notify('monitor_active', '{}')")
                await rows.set_active("chat", wanted)
            await until(partial(moved, epoch))
            await named(integration, name)
        await rows.change(one, model_path="m-new")
        async with asyncio.timeout(5):
            while True:
                if (await serving(integration)).model == "m-new":
                    break
                await asyncio.sleep(0.001)


async def test_a_load_that_began_before_a_change_is_not_kept(pool: Any, rows: ApplicationRows) -> None:
    _, two = await two_servers(rows)
    async with integrated(pool) as integration:
        await listening(integration)
        integration.clear_cache()
        early = asyncio.create_task(integration.get_active_llm_provider("chat"))
        reads = integration._load
        held, read = asyncio.Event(), asyncio.Event()

        async def slow(purpose: Any) -> Any:
            entry = await reads(purpose)
            read.set()
            await held.wait()
            return entry

        integration._load = slow  # type: ignore[method-assign]
        async with asyncio.timeout(10):
            await read.wait()
            integration._load = reads  # type: ignore[method-assign]
            epoch = integration._watch.epoch
            await rows.set_active("chat", two)
            await until(lambda: integration._watch.epoch > epoch)
            # Asked after the change: does not wait for the one that read before it.
            assert (await serving(integration)).provider_name == "two"
            held.set()
            before = await early
        assert before is not None
        assert before.provider_name == "one"
        assert (await serving(integration)).provider_name == "two"


async def test_nobody_serves_nobody_and_unknown_purposes(pool: Any, rows: ApplicationRows) -> None:
    async with integrated(pool) as integration:
        with capture_logs() as lines:
            for purpose in ("chat", "embeddings", "reranking"):
                assert await integration.get_active_llm_provider(purpose) is None
        assert [line["event"] for line in lines] == ["provider_incomplete"] * 3
        with capture_logs() as lines:
            assert await integration.get_active_llm_provider("images") is None
        assert [line["event"] for line in lines] == ["purpose_unknown"]
        odd: Any = ["chat"]
        assert await integration.get_active_llm_provider(odd) is None
        await listening(integration)
        await integration.get_active_llm_provider("chat")
        await two_servers(rows)
        await named(integration, "one")


@pytest.mark.parametrize("spoil", ["key", "url", "disabled", "deleted", "metadata", "no keyring"])
async def test_a_row_that_cannot_be_called_is_none_and_one_error(
    pool: Any, rows: ApplicationRows, spoil: str
) -> None:
    keyring = Keyring(generate())
    token = (Keyring(generate()) if spoil == "key" else keyring).seal(KEY).text
    one = await rows.add_server("one", "vllm", "http://127.0.0.1:9", model_path="m", api_key=token)
    await rows.set_active("chat", one)
    match spoil:
        case "url":
            await rows.change(one, base_url="ftp://nowhere")
        case "disabled":
            await rows.change(one, enabled=False)
        case "deleted":
            await rows.delete(one)
        case "metadata":
            await rows.change(one, metadata={"model_aliases": ["gpt-4o"]})
        case _:
            pass
    async with integrated(pool, None if spoil == "no keyring" else keyring) as integration:
        with capture_logs() as lines:
            assert await integration.get_active_llm_provider("chat") is None
            integration.clear_cache()
            assert await integration.get_active_llm_provider("chat") is None
    errors = [line for line in lines if line["log_level"] == "error"]
    assert [line["event"] for line in errors] == ["provider_unusable"]
    assert one in errors[0]["problem"]
    assert KEY not in str(lines)
    assert token not in str(lines)


async def test_aliases_and_prefixes_of_models(pool: Any, rows: ApplicationRows) -> None:
    key = Keyring(generate())
    one = await rows.add_key(
        "openrouter",
        key.seal(KEY).text,
        metadata={
            "model_aliases": {"gpt-4o-mini": "openai/gpt-4o-mini"},
            "models": {"chat": "openrouter/auto"},
        },
    )
    await rows.set_active("chat", one)
    async with integrated(pool, key) as integration:
        found = await serving(integration)
    assert found.provider_name == "openrouter"
    assert found.server_type is None
    assert found.to_litellm_config()["model"] == "openrouter/openrouter/auto"
    assert found.to_litellm_config(model="gpt-4o-mini")["model"] == "openrouter/openai/gpt-4o-mini"
    assert found.to_litellm_config("meta/llama")["model"] == "openrouter/meta/llama"
    config = found.to_litellm_config()
    config["metadata"]["x"] = 1
    assert found.to_litellm_config()["metadata"] == {
        "provider_type": "api_key",
        "provider_id": 1,
        "provider_name": "openrouter",
        "purpose": "chat",
    }


async def test_the_key_slips_into_nothing(pool: Any, rows: ApplicationRows) -> None:
    await two_servers(rows)
    async with integrated(pool) as integration:
        found = await serving(integration)
        assert KEY not in repr(integration)
    assert KEY not in f"{found!r} {found} {dataclasses.asdict(found)}"
    with pytest.raises(TypeError):
        json.dumps(dataclasses.asdict(found), default=dict)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(found)
    assert copy.deepcopy(found) == copy.copy(found) == found
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.purpose = "x"  # type: ignore[misc]


async def test_an_application_that_closes_its_pool_does_not_wait_for_us(
    database: Address, rows: ApplicationRows
) -> None:
    await two_servers(rows)
    pool = await create_pool(database, min_size=1, max_size=2)
    integration = LLMProviderIntegration(SimpleNamespace(pool=pool, keyring=None))
    await listening(integration)
    async with asyncio.timeout(3):
        await pool.close()
    integration.clear_cache()
    with pytest.raises(IntegrationClosed, match="pool is closed"):
        await integration.get_active_llm_provider("chat")


async def test_a_pool_of_one_is_left_to_the_application(database: Address, rows: ApplicationRows) -> None:
    await two_servers(rows)
    pool = await create_pool(database, min_size=1, max_size=1)
    with capture_logs() as lines:
        async with integrated(pool) as integration:
            await serving(integration)
            await until(lambda: integration._watch.mode == "polling")
            async with pool.acquire():
                assert await serving(integration) is await serving(integration)
            await rows.set_active("chat", "ai_server:2")
            await named(integration, "two")
    await pool.close()
    assert len([line for line in lines if line["event"] == "providers_polled"]) == 1


async def test_any_pool_will_do(database: Address, rows: ApplicationRows) -> None:
    """With the application's own codecs, or none, and without a cache of statements."""
    await rows.add_key("openai", KEY, enabled=True)
    await two_servers(rows)

    async def as_text(connection: Any) -> None:
        for name in ("json", "jsonb"):
            await connection.set_type_codec(
                name, encoder=str, decoder=lambda text: f"<{text}>", schema="pg_catalog"
            )

    for settings in ({}, {"init": as_text}, {"statement_cache_size": 0}):
        pool = await asyncpg.create_pool(**database.arguments(), min_size=1, max_size=3, **settings)
        async with integrated(pool) as integration:
            assert (await serving(integration)).metadata == {}
            await listening(integration)
        await pool.close()


async def test_a_database_without_our_tables_says_what_to_call(empty_database: Address) -> None:
    pool = await create_pool(empty_database)
    async with integrated(pool) as integration:
        with pytest.raises(NotPrepared, match="initialize_defaults"):
            await integration.get_active_llm_provider("chat")
    await pool.close()


async def test_a_closed_door_is_an_error_with_a_name(rows: ApplicationRows, database: Address) -> None:
    await two_servers(rows)
    pool = await create_pool(database, min_size=1, max_size=2)
    async with integrated(pool) as integration:
        await listening(integration)
        kept = await serving(integration)
        pool.set_connect_args(host="/nonexistent", port=1)
        await rows.connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            " AND datname = current_database()"
        )
        await until(lambda: integration._watch.mode != "listening")
        # True seconds ago: served on, until it is ten seconds old.
        assert await serving(integration) is kept
        integration._entries["chat"] = dataclasses.replace(
            integration._entries["chat"], read_at=asyncio.get_running_loop().time() - 11
        )
        integration._watch._proved_at = float("-inf")
        with pytest.raises(DatabaseAway, match="database is away"):
            await integration.get_active_llm_provider("chat")
    pool.terminate()


READ = (
    "healths",
    "keys",
    "key_salt",
    "results",
    "preferences",
    "maintenance",
    "embedding_references",
    "daemons",
)


async def test_a_role_that_may_only_read_will_do(database: Address, rows: ApplicationRows) -> None:
    """The tables that the documentation names, and no others."""
    await two_servers(rows)
    await rows.connection.execute("CREATE ROLE reader")
    try:
        for table in (
            "ai_servers",
            "llm_api_keys",
            "active_providers",
            *(f"monitor.{name}" for name in READ),
        ):
            await rows.connection.execute(f"GRANT SELECT ON {table} TO reader")

        async def become(connection: Any) -> None:
            await connection.execute("SET ROLE reader")

        pool = await asyncpg.create_pool(**database.arguments(), min_size=1, max_size=3, setup=become)
        async with integrated(pool) as integration:
            with pytest.raises(NotPrepared, match="InsufficientPrivilege"):
                await integration.get_active_llm_provider("chat")
            await rows.connection.execute("GRANT USAGE ON SCHEMA monitor TO reader")
            await listening(integration)
            fallback = await integration.get_fallback_provider(await serving(integration))
            assert fallback is not None
            assert fallback.provider_name == "two"
        await pool.close()
    finally:
        await rows.connection.execute("DROP OWNED BY reader")
        await rows.connection.execute("DROP ROLE reader")
