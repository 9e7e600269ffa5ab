"""The application's rows: read as they are, written as little as can be."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from monitor.domain.provider import ProviderRef, ProviderType, Purpose
from monitor.domain.rows import ActiveRow, PreferenceRow
from monitor.domain.target import SealedKey
from monitor.storage.address import Address, connect
from monitor.storage.adoption import add_api_key, add_server, set_active_if_absent
from monitor.storage.audit import record_audit
from monitor.storage.providers import read_rows, write_server_health

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
SERVER = "INSERT INTO ai_servers (name, server_type, base_url) VALUES ('a', 'vllm', 'http://a') RETURNING id"


async def test_rows_are_read_with_their_keys_sealed(connection: Any) -> None:
    await connection.execute(
        """
        INSERT INTO ai_servers
            (name, server_type, base_url, api_key, model_path, use_for_chat, metadata)
        VALUES
            ('old', 'vllm', 'http://a', 'sk-plain', 'm', true, '{"model": "x"}'),
            ('new', 'ollama', 'http://b', 'gAAAAABx', NULL, false, '[1]'),
            ('open', 'ollama', 'http://c', '', NULL, false, NULL);
        UPDATE ai_servers SET enabled = NULL WHERE name = 'open';
        INSERT INTO llm_api_keys (provider, key_name, encrypted_key) VALUES ('openai', 'k', 'gAAAAABy');
        INSERT INTO active_providers VALUES ('chat', 'ai_server', 1, 'api_key', 1);
        INSERT INTO monitor.preferences VALUES ('chat', 1, 'api_key', 1), ('chat', 0, 'ai_server', 1);
        """
    )
    rows = await read_rows(connection)
    old, new, open_ = rows.servers
    assert (old.api_key, new.api_key, open_.api_key) == (
        SealedKey("sk-plain", encrypted=False),
        SealedKey("gAAAAABx", encrypted=True),
        None,
    )
    assert (old.purposes, new.purposes) == (frozenset({Purpose.CHAT}), frozenset())
    assert (old.metadata, new.metadata, open_.metadata) == ({"model": "x"}, [1], {})
    assert (old.enabled, open_.enabled) == (True, False)
    assert rows.keys[0].key == SealedKey("gAAAAABy")
    assert rows.actives == (
        ActiveRow(
            purpose="chat",
            provider_type="ai_server",
            provider_id=1,
            fallback_provider_type="api_key",
            fallback_provider_id=1,
        ),
    )
    assert [(row.position, row.provider_type) for row in rows.preferences] == [
        (0, "ai_server"),
        (1, "api_key"),
    ]
    assert isinstance(rows.preferences[0], PreferenceRow)
    assert "sk-plain" not in repr(rows)
    assert "gAAAAAB" not in repr(rows)


async def test_rows_are_read_inside_a_transaction_too_and_from_text_metadata(connection: Any) -> None:
    await connection.execute("ALTER TABLE ai_servers ALTER metadata DROP DEFAULT, ALTER metadata TYPE text")
    await connection.execute(
        "INSERT INTO ai_servers (name, server_type, base_url, metadata) VALUES ('a', 'vllm', 'x', '{oops')"
    )
    async with connection.transaction():
        rows = await read_rows(connection)
    assert rows.servers[0].metadata == "{oops"


async def server_state(connection: Any) -> tuple[object, ...]:
    row = await connection.fetchrow(
        "SELECT health_status, last_health_check, updated_at, xmin::text FROM ai_servers"
    )
    return tuple(row.values())


async def test_health_is_written_when_it_changes_and_its_time_once_a_minute(connection: Any) -> None:
    number = await connection.fetchval(SERVER)
    updated_at = (await server_state(connection))[2]
    naive = NOON.replace(tzinfo=None)

    async def write(status: str, seconds: float) -> tuple[object, ...]:
        assert await write_server_health(connection, number, status, NOON + timedelta(seconds=seconds))
        state = await server_state(connection)
        assert state[2] == updated_at
        return state

    first = await write("healthy", 0)
    assert first[:2] == ("healthy", naive)
    assert (await write("healthy", 59))[:2] == ("healthy", naive)
    assert (await write("down", 59))[:2] == ("down", naive)
    assert (await write("down", 60))[:2] == ("down", naive + timedelta(seconds=60))


async def test_a_locked_or_deleted_server_is_left_alone_at_once(database: Address, connection: Any) -> None:
    number = await connection.fetchval(SERVER)
    other = await connect(database)
    async with other.transaction():
        await other.execute("UPDATE ai_servers SET name = 'b'")
        async with asyncio.timeout(2):
            assert not await write_server_health(connection, number, "down", NOON)
    assert await write_server_health(connection, number, "down", NOON)
    assert not await write_server_health(connection, 999, "down", NOON)
    await other.close()


async def test_what_was_found_is_added_once_with_its_audit(connection: Any) -> None:
    key = await add_api_key(
        connection,
        provider="openai",
        key_name="environment",
        encrypted_key="gAAAAABsecret",
        created_by="monitor",
    )
    server = await add_server(
        connection,
        name="ollama",
        server_type="ollama",
        base_url="http://127.0.0.1:11434",
        purposes={Purpose.EMBEDDINGS},
        created_by="monitor",
        metadata={"model": "x"},
    )
    assert key == ProviderRef(type=ProviderType.API_KEY, id=1)
    assert server == ProviderRef(type=ProviderType.AI_SERVER, id=1)
    assert await set_active_if_absent(connection, Purpose.CHAT, key, fallback=server, updated_by="monitor")
    assert not await set_active_if_absent(connection, Purpose.CHAT, server, updated_by="monitor")
    assert await add_api_key(
        connection, provider="openai", key_name="environment", encrypted_key="x", created_by="monitor"
    ) is None  # fmt: skip
    assert await add_server(
        connection, name="ollama", server_type="vllm", base_url="x", purposes=(), created_by="monitor"
    ) is None  # fmt: skip
    rows = await read_rows(connection)
    assert rows.servers[0].purposes == {Purpose.EMBEDDINGS}
    assert rows.servers[0].metadata == {"model": "x"}
    assert (rows.actives[0].provider_id, rows.actives[0].fallback_provider_type) == (1, "ai_server")
    audit = await connection.fetch(
        "SELECT action, entity_type, entity_id, user_id, changes FROM llm_config_audit"
    )
    assert [tuple(row.values())[:4] for row in audit] == [
        ("create", "llm_api_key", "1", "monitor"),
        ("create", "ai_server", "1", "monitor"),
        ("set_active", "active_provider", "chat", "monitor"),
    ]
    assert "secret" not in str([row["changes"] for row in audit])


@pytest.mark.parametrize("column", ["timestamp", "created_at"])
@pytest.mark.parametrize("kind", ["timestamp", "timestamptz"])
@pytest.mark.parametrize("entity", ["text", "integer", "varchar(50)"])
async def test_the_audit_knows_every_form_of_its_table(
    connection: Any, column: str, kind: str, entity: str
) -> None:
    await connection.execute(
        "DROP TABLE llm_config_audit; SET timezone = 'Asia/Tokyo'; CREATE TABLE llm_config_audit ("
        f"id serial, action text, entity_type text, entity_id {entity}, user_id text, "
        f"changes jsonb, {column} {kind})"
    )
    for entity_id in ("7", "chat", None):
        await record_audit(
            connection,
            action="promote",
            entity_type="x",
            entity_id=entity_id,
            user_id="monitor",
            changes={"a": 1},
        )
    rows = await connection.fetch("SELECT * FROM llm_config_audit ORDER BY id")
    numbers = entity == "integer"
    assert [row["entity_id"] for row in rows] == [7 if numbers else "7", None if numbers else "chat", None]
    written = rows[0][column]
    now = datetime.now(UTC) if kind == "timestamptz" else datetime.now(UTC).replace(tzinfo=None)
    assert abs(now - written) < timedelta(seconds=60)
    assert rows[0]["changes"] == {"a": 1}


@pytest.mark.parametrize("codec", ["none", "text", "python"])
@pytest.mark.parametrize("column", ["jsonb", "json", "text"])
async def test_rows_and_audit_do_not_depend_on_how_a_connection_speaks_json(
    database: Address, codec: str, column: str
) -> None:
    """The connection may be an application's own, which takes Python values, text or nothing at all."""
    connection = await asyncpg.connect(**database.arguments(), statement_cache_size=0)
    if codec != "none":
        encode, decode = (json.dumps, json.loads) if codec == "python" else (str, str)
        await connection.set_type_codec("jsonb", encoder=encode, decoder=decode, schema="pg_catalog")
    for table, name in (("llm_config_audit", "changes"), ("llm_api_keys", "metadata")):
        await connection.execute(f"ALTER TABLE {table} ALTER {name} DROP DEFAULT")
        await connection.execute(
            f"ALTER TABLE {table} ALTER {name} TYPE {column} USING {name}::text::{column}"
        )
    await add_api_key(
        connection,
        provider="openai",
        key_name="environment",
        encrypted_key="gAAAAABx",
        created_by="me",
        metadata={"model": "ü"},
    )
    rows = await read_rows(connection)
    assert rows.keys[0].metadata == {"model": "ü"}
    changes = await connection.fetchval("SELECT changes::text FROM llm_config_audit")
    assert json.loads(changes) == {"provider": "openai", "key_name": "environment"}
    await connection.close()
