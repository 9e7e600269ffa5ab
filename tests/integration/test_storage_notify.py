"""What plain SQL on the application's tables tells us, and what it never may do to the application."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from monitor.storage.address import Address, connect
from monitor.storage.migrations import migrate


class Heard:
    """Payloads on our channel; a mark on another channel tells when all before it have arrived."""

    def __init__(self, listener: Any, speaker: Any) -> None:
        self._listener = listener
        self._speaker = speaker
        self._payloads: list[str] = []

    async def start(self) -> None:
        await self._listener.add_listener("monitor_config", lambda *words: self._payloads.append(words[3]))

    async def take(self) -> list[str]:
        marked = asyncio.Event()

        def mark(*_: object) -> None:
            marked.set()

        await self._listener.add_listener("mark", mark)
        await self._speaker.execute("NOTIFY mark")
        await asyncio.wait_for(marked.wait(), 5)
        await self._listener.remove_listener("mark", mark)
        taken, self._payloads = self._payloads, []
        return taken


@pytest.fixture
async def heard(database: Address, connection: Any) -> AsyncIterator[Heard]:
    listener = await connect(database)
    ears = Heard(listener, connection)
    await ears.start()
    yield ears
    await listener.close()


SERVER = "INSERT INTO ai_servers (name, server_type, base_url) VALUES ('{}', 'vllm', 'http://a')"
KEY = "INSERT INTO llm_api_keys (provider, key_name, encrypted_key) VALUES ('a', 'b', 'c')"


async def test_every_change_of_configuration_is_told(connection: Any, heard: Heard) -> None:
    for statement, payload in [
        (SERVER.format("a"), "ai_servers"),
        ("UPDATE ai_servers SET base_url = 'http://b'", "ai_servers"),
        ("UPDATE ai_servers SET metadata = '{\"model\": \"x\"}'", "ai_servers"),
        ("UPDATE ai_servers SET enabled = false", "ai_servers"),
        ("DELETE FROM ai_servers", "ai_servers"),
        (KEY, "llm_api_keys"),
        ("UPDATE llm_api_keys SET encrypted_key = 'd'", "llm_api_keys"),
        ("TRUNCATE llm_api_keys", "llm_api_keys"),
        ("INSERT INTO active_providers (purpose, provider_type, provider_id) VALUES ('chat', 'api_key', 1)",
         "active_providers:chat"),
        ("UPDATE active_providers SET provider_id = 2", "active_providers:chat"),
        ("DELETE FROM active_providers", "active_providers:chat"),
        ("INSERT INTO monitor.preferences VALUES ('chat', 0, 'api_key', 1)", "preferences:chat"),
    ]:  # fmt: skip
        await connection.execute(statement)
        assert await heard.take() == [payload], statement


async def test_health_usage_and_identical_writes_are_silent(connection: Any, heard: Heard) -> None:
    await connection.execute(SERVER.format("a"))
    await connection.execute(
        "INSERT INTO llm_api_keys (provider, key_name, encrypted_key) VALUES ('a', 'b', 'c')"
    )
    await heard.take()
    await connection.execute("UPDATE ai_servers SET health_status = 'down', last_health_check = now()")
    await connection.execute("UPDATE ai_servers SET name = name, base_url = base_url, updated_at = now()")
    await connection.execute(
        "UPDATE llm_api_keys SET requests_count = requests_count + 1, tokens_used = 5, cost_usd = 1, "
        "last_used = now()"
    )
    assert await heard.take() == []


async def test_many_rows_in_one_transaction_are_one_word(connection: Any, heard: Heard) -> None:
    await connection.execute(
        "INSERT INTO ai_servers (name, server_type, base_url) "
        "SELECT n::text, 'vllm', 'x' FROM generate_series(1, 500) n"
    )
    assert await heard.take() == ["ai_servers"]


async def test_a_notification_that_fails_does_not_fail_the_statement(connection: Any, heard: Heard) -> None:
    purpose = "x" * 9000  # no notification can carry that
    await connection.execute("INSERT INTO active_providers VALUES ($1, 'api_key', 1)", purpose)
    assert await connection.fetchval("SELECT count(*) FROM active_providers") == 1
    assert await heard.take() == []


async def test_a_role_without_any_right_on_our_schema_writes_and_is_heard(
    database: Address, connection: Any, heard: Heard
) -> None:
    await connection.execute("DROP ROLE IF EXISTS app; CREATE ROLE app LOGIN; GRANT ALL ON ai_servers TO app")
    await connection.execute("GRANT ALL ON SEQUENCE ai_servers_id_seq TO app")
    application = await connect(Address(host=database.host, user="app", database=database.database))
    await application.execute(SERVER.format("theirs"))
    assert await heard.take() == ["ai_servers"]
    await application.close()
    await connection.execute("DROP OWNED BY app; DROP ROLE app")


async def test_the_application_may_alter_and_drop_its_columns(connection: Any) -> None:
    await connection.execute("ALTER TABLE ai_servers ALTER COLUMN name TYPE VARCHAR(200)")
    await connection.execute("ALTER TABLE ai_servers ALTER COLUMN metadata DROP DEFAULT")
    await connection.execute("ALTER TABLE ai_servers ALTER COLUMN metadata TYPE JSON")
    await connection.execute(SERVER.format("a"))
    await connection.execute("UPDATE ai_servers SET model_path = 'm'")
    await connection.execute("ALTER TABLE ai_servers DROP COLUMN model_path")
    await connection.execute("UPDATE ai_servers SET name = 'b'")


async def test_a_table_made_anew_is_watched_again(connection: Any, heard: Heard) -> None:
    await connection.execute("ALTER TABLE ai_servers RENAME TO old_servers")
    await connection.execute(
        "CREATE TABLE ai_servers (LIKE old_servers INCLUDING ALL); DROP TABLE old_servers CASCADE"
    )
    await connection.execute(
        "CREATE SEQUENCE servers; ALTER TABLE ai_servers ALTER id SET DEFAULT nextval('servers')"
    )
    assert await migrate(connection) == []
    await connection.execute(SERVER.format("a"))
    assert await heard.take() == ["ai_servers"]
