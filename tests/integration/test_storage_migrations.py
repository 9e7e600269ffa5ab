"""The schema: made, adopted, watched and removed."""

import asyncio
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from monitor.storage import migrations
from monitor.storage.address import Address, connect
from monitor.storage.application_tables import ColumnMissing, SchemaError
from monitor.storage.migrations import Standing, compare, load_migrations, migrate, read_migration

APPLICATION_TABLES = ("ai_servers", "llm_api_keys", "active_providers", "llm_config_audit")


def application(text: str, time_column: str) -> str:
    """The application's own DDL, in one of its two spellings, with rows."""
    return f"""
    CREATE TABLE ai_servers (
        id SERIAL PRIMARY KEY, name {text} UNIQUE NOT NULL, server_type {text} NOT NULL,
        base_url {text} NOT NULL, api_key {text}, model_path {text}, enabled BOOLEAN DEFAULT true,
        use_for_chat BOOLEAN DEFAULT false,
        use_for_embeddings BOOLEAN DEFAULT false, use_for_reranking BOOLEAN DEFAULT false,
        last_health_check TIMESTAMP, health_status {text}, metadata JSONB DEFAULT '{{}}', created_by {text},
        created_at TIMESTAMP DEFAULT now(), updated_at TIMESTAMP DEFAULT now());
    CREATE TABLE llm_api_keys (
        id SERIAL PRIMARY KEY, provider {text} NOT NULL, key_name {text} NOT NULL,
        encrypted_key TEXT NOT NULL, enabled BOOLEAN DEFAULT true, use_for_ops_center BOOLEAN DEFAULT false,
        last_used TIMESTAMP,
        requests_count INTEGER DEFAULT 0, tokens_used BIGINT DEFAULT 0, cost_usd NUMERIC(10,4) DEFAULT 0,
        metadata JSONB DEFAULT '{{}}', created_by {text}, created_at TIMESTAMP DEFAULT now(),
        updated_at TIMESTAMP DEFAULT now(), UNIQUE (provider, key_name));
    CREATE TABLE active_providers (
        purpose {text} PRIMARY KEY, provider_type {text} NOT NULL, provider_id INTEGER NOT NULL,
        fallback_provider_type {text}, fallback_provider_id INTEGER, updated_by {text},
        updated_at TIMESTAMP DEFAULT now());
    CREATE TABLE llm_config_audit (
        id SERIAL PRIMARY KEY, action {text} NOT NULL, entity_type {text} NOT NULL, entity_id {text},
        user_id {text}, changes JSONB, {time_column} TIMESTAMP DEFAULT now());
    INSERT INTO ai_servers (id, name, server_type, base_url, use_for_chat)
    VALUES (7, 'main', 'vllm', 'http://a', true);
    SELECT setval('ai_servers_id_seq', 41);
    INSERT INTO llm_api_keys (provider, key_name, encrypted_key) VALUES ('openai', 'ours', 'gAAAAAx');
    INSERT INTO active_providers (purpose, provider_type, provider_id) VALUES ('chat', 'ai_server', 7);
    INSERT INTO llm_config_audit (action, entity_type, entity_id, {time_column})
    VALUES ('create', 'ai_server', '7', '2024-01-01');
    """


async def everything(connection: Any) -> dict[str, object]:
    """Rows, columns and sequences of the application's tables."""
    state: dict[str, object] = {
        table: [tuple(row.values()) for row in await connection.fetch(f"SELECT * FROM {table} ORDER BY 1")]
        for table in APPLICATION_TABLES
    }
    state["columns"] = [
        tuple(row.values())
        for row in await connection.fetch(
            "SELECT table_name, column_name, column_default, data_type FROM information_schema.columns "
            "WHERE table_name = ANY($1::text[]) ORDER BY table_name, ordinal_position",
            list(APPLICATION_TABLES),
        )
    ]
    state["sequence"] = await connection.fetchval("SELECT last_value FROM ai_servers_id_seq")
    return state


async def catalog(connection: Any) -> list[tuple[object, ...]]:
    """Every object of the schema monitor with its identity, and every trigger."""
    rows = await connection.fetch(
        "SELECT 'class', oid::text, relname FROM pg_class WHERE relnamespace = to_regnamespace('monitor') "
        "UNION ALL SELECT 'function', oid::text, proname FROM pg_proc "
        "WHERE pronamespace = to_regnamespace('monitor') "
        "UNION ALL SELECT 'trigger', oid::text, tgname FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2"
    )
    return [tuple(row.values()) for row in rows]


async def test_an_empty_database_gets_the_whole_schema_and_the_second_time_nothing(
    empty_database: Address,
) -> None:
    connection = await connect(empty_database)
    names = [migration.name for migration in load_migrations()]
    assert await compare(connection) == Standing(pending=tuple(names), newer=())
    assert await migrate(connection) == names
    assert await compare(connection) == Standing(pending=(), newer=())
    before = (await catalog(connection), await everything(connection))
    assert await migrate(connection) == []
    assert (await catalog(connection), await everything(connection)) == before
    tables = await connection.fetch(
        "SELECT schemaname FROM pg_tables WHERE tablename = ANY($1)", APPLICATION_TABLES
    )
    assert [row[0] for row in tables] == ["public"] * 4
    await connection.close()


async def test_created_rows_get_the_defaults_of_the_contract(connection: Any) -> None:
    row = await connection.fetchrow(
        "INSERT INTO ai_servers (name, server_type, base_url) VALUES ('a', 'vllm', 'http://a') RETURNING *"
    )
    assert (row["enabled"], row["use_for_chat"], row["metadata"], row["health_status"]) == (
        True,
        False,
        {},
        None,
    )
    key = await connection.fetchrow(
        "INSERT INTO llm_api_keys (provider, key_name, encrypted_key) VALUES ('openai', 'a', 'x') RETURNING *"
    )
    assert (key["enabled"], key["use_for_ops_center"], key["requests_count"], key["tokens_used"]) == (
        True,
        False,
        0,
        0,
    )
    assert (key["cost_usd"], key["metadata"]) == (0, {})
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute(
            "INSERT INTO llm_api_keys (provider, key_name, encrypted_key) VALUES ('openai', 'a', 'x')"
        )


@pytest.mark.parametrize(("text", "time_column"), [("TEXT", "timestamp"), ("VARCHAR(100)", "created_at")])
async def test_both_spellings_are_adopted_with_rows_ids_and_sequences(
    empty_database: Address, text: str, time_column: str
) -> None:
    connection = await connect(empty_database)
    await connection.execute(application(text, time_column))
    before = await everything(connection)
    await migrate(connection)
    assert await everything(connection) == before
    await migrate(connection)
    assert await everything(connection) == before
    await connection.close()


async def test_tables_are_found_by_the_search_path_and_only_missing_ones_are_made(
    empty_database: Address,
) -> None:
    connection = await connect(empty_database)
    await connection.execute(
        "CREATE SCHEMA center; SET search_path = fresh, center, public; CREATE SCHEMA fresh"
    )
    await connection.execute("SET search_path = center")
    await connection.execute(application("TEXT", "timestamp"))
    await connection.execute("DROP TABLE llm_config_audit; SET search_path = fresh, center")
    await migrate(connection)
    places = await connection.fetch(
        "SELECT tablename, schemaname FROM pg_tables WHERE tablename = ANY($1)", APPLICATION_TABLES
    )
    assert {row[0]: row[1] for row in places} == {
        "ai_servers": "center",
        "llm_api_keys": "center",
        "active_providers": "center",
        "llm_config_audit": "fresh",
    }
    await connection.close()


async def test_the_applications_tables_never_land_in_our_schema(empty_database: Address) -> None:
    """A role named monitor has our schema first in its default search path."""
    connection = await connect(empty_database)
    await connection.execute('CREATE SCHEMA monitor; SET search_path = "$user", public')
    await migrate(connection)
    assert await connection.fetchval("SELECT to_regclass('public.ai_servers') IS NOT NULL")
    assert await connection.fetchval("SELECT to_regclass('monitor.ai_servers') IS NULL")
    await connection.close()


async def test_a_missing_column_is_named_and_nothing_is_half_done(empty_database: Address) -> None:
    connection = await connect(empty_database)
    await connection.execute(application("TEXT", "timestamp"))
    await connection.execute("ALTER TABLE active_providers DROP COLUMN fallback_provider_id")
    with pytest.raises(ColumnMissing, match="active_providers has no column fallback_provider_id") as caught:
        await migrate(connection)
    assert (caught.value.table, caught.value.column) == ("active_providers", "fallback_provider_id")
    assert await catalog(connection) == []
    assert await connection.fetchval("SELECT to_regnamespace('monitor') IS NULL")
    await connection.close()


async def test_an_audit_table_without_any_time_is_refused(empty_database: Address) -> None:
    connection = await connect(empty_database)
    await connection.execute(application("TEXT", "written_at"))
    with pytest.raises(ColumnMissing, match="timestamp or created_at"):
        await migrate(connection)
    await connection.close()


async def test_a_view_in_place_of_a_table_is_refused(empty_database: Address) -> None:
    connection = await connect(empty_database)
    await connection.execute("CREATE VIEW ai_servers AS SELECT 1 AS id")
    with pytest.raises(SchemaError, match="ai_servers is not a table"):
        await migrate(connection)
    await connection.close()


async def test_programs_that_migrate_at_once_apply_each_file_once(empty_database: Address) -> None:
    connections = [await connect(empty_database) for _ in range(4)]
    applied = await asyncio.gather(*(migrate(connection) for connection in connections))
    assert sorted(name for names in applied for name in names) == [
        migration.name for migration in load_migrations()
    ]
    for connection in connections:
        await connection.close()


async def test_an_edited_migration_is_refused(connection: Any) -> None:
    await connection.execute("UPDATE monitor.migrations SET checksum = 'other' WHERE number = 2")
    with pytest.raises(SchemaError, match="another 0002_monitor"):
        await migrate(connection)
    with pytest.raises(SchemaError, match="another 0002_monitor"):
        await compare(connection)


async def test_a_database_that_a_newer_program_only_added_to_is_lived_with(connection: Any) -> None:
    await connection.execute(
        "INSERT INTO monitor.migrations (number, name, checksum) VALUES (999, '0999_later', 'x');"
        "DROP TRIGGER monitor_truncated ON ai_servers; DROP TRIGGER monitor_changed ON ai_servers"
    )
    assert await compare(connection) == Standing(pending=(), newer=("0999_later",))
    with capture_logs() as logs:
        assert await migrate(connection) == []
    assert [(line["event"], line["log_level"]) for line in logs] == [
        ("database_newer", "warning"),
        ("triggers_attached", "info"),
    ]
    assert logs[0]["unknown"] == ["0999_later"]


async def test_a_database_that_a_newer_program_took_something_from_is_refused(connection: Any) -> None:
    await connection.execute(
        "INSERT INTO monitor.migrations (number, name, checksum, oldest) VALUES (999, '0999_later', 'x', 998)"
    )
    with pytest.raises(SchemaError, match="0999_later took away what this program needs: install the newer"):
        await migrate(connection)
    with pytest.raises(SchemaError, match="0999_later"):
        await compare(connection)


async def test_a_migration_that_takes_away_leaves_its_word_for_older_programs(connection: Any) -> None:
    ours = load_migrations()
    contract = read_migration("0999_contract", f"-- oldest program: {ours[-1].number + 1}\nSELECT 1;")
    assert await migrate(connection, [*ours, contract]) == ["0999_contract"]
    with pytest.raises(SchemaError, match="0999_contract"):
        await compare(connection)


async def test_another_programs_file_among_ours_is_refused(connection: Any) -> None:
    await connection.execute("UPDATE monitor.migrations SET number = 0 WHERE number = 4")
    with pytest.raises(SchemaError, match="0004_journal"):
        await compare(connection)


async def test_a_migration_that_fails_halfway_leaves_nothing_of_itself(connection: Any) -> None:
    before = await catalog(connection)
    later = [
        read_migration("0998_whole", "CREATE TABLE monitor.whole (n INTEGER);"),
        read_migration("0999_half", "CREATE TABLE monitor.half (n INTEGER); SELECT 1 / 0;"),
    ]
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(connection, [*load_migrations(), *later])
    assert {row[2] for row in set(await catalog(connection)) - set(before)} == {"whole"}
    assert (await compare(connection)).newer == ("0998_whole",)


async def test_a_program_that_migrates_for_long_is_waited_for(
    database: Address, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "_ATTEMPTS", 1)
    monkeypatch.setattr(migrations, "_PAUSE_SECONDS", 0.01)
    other = await connect(database)
    await other.execute("SELECT pg_advisory_lock(hashtextextended('monitor.migrations', 0))")
    with capture_logs() as logs:
        migrating = asyncio.create_task(migrate(connection))
        async with asyncio.timeout(20):
            while not logs:  # noqa: ASYNC110 - the log tells nobody
                await asyncio.sleep(0.01)
        assert not migrating.done()
        await other.close()
        assert await migrating == []
    assert {line["event"] for line in logs} == {"migration_waits_for_a_lock"}


async def test_nobody_else_waits_for_a_migration_that_waits(database: Address, connection: Any) -> None:
    await connection.execute("DROP SCHEMA monitor CASCADE")
    report = await connect(database)
    application = await connect(database, settings={"statement_timeout": "10s"})
    async with report.transaction():
        await report.execute(
            "INSERT INTO ai_servers (name, server_type, base_url) VALUES ('a', 'vllm', 'http://a')"
        )
        migrating = asyncio.create_task(migrate(connection))
        for number in range(20):
            await application.execute(
                "INSERT INTO ai_servers (name, server_type, base_url) VALUES ($1, 'vllm', 'http://b')",
                str(number),
            )
            await asyncio.sleep(0.05)
        assert not migrating.done()
    assert await migrating
    for one in (report, application):
        await one.close()


async def test_a_table_that_stays_locked_is_told_with_the_mend(
    database: Address, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "_ATTEMPTS", 2)
    await connection.execute(
        "DROP TRIGGER monitor_truncated ON ai_servers; DROP TRIGGER monitor_changed ON ai_servers"
    )
    other = await connect(database)
    async with other.transaction():
        await other.execute("LOCK TABLE ai_servers IN ROW EXCLUSIVE MODE")
        with pytest.raises(SchemaError, match=r"stays locked.*pg_stat_activity"):
            await migrate(connection)
    await other.close()


async def test_a_role_without_rights_is_told_what_to_grant(database: Address, connection: Any) -> None:
    await connection.execute(
        "DROP SCHEMA monitor CASCADE; DROP ROLE IF EXISTS modest; CREATE ROLE modest LOGIN"
    )
    modest = await connect(
        Address(host=database.host, port=database.port, user="modest", database=database.database)
    )
    with pytest.raises(SchemaError, match="grant it CREATE"):
        await migrate(modest)
    await modest.close()
    await connection.execute("DROP ROLE modest")


async def test_a_locked_table_is_waited_for(database: Address, connection: Any) -> None:
    await connection.execute("DROP SCHEMA monitor CASCADE")
    other = await connect(database)
    transaction = other.transaction()
    await transaction.start()
    await other.execute("LOCK TABLE ai_servers IN ROW EXCLUSIVE MODE")
    migrating = asyncio.create_task(migrate(connection))
    await asyncio.sleep(0.3)
    assert not migrating.done()
    await transaction.rollback()
    assert await migrating == [migration.name for migration in load_migrations()]
    await other.close()


async def test_without_our_schema_the_application_works_on_and_we_can_come_back(connection: Any) -> None:
    await connection.execute("DROP SCHEMA monitor CASCADE")
    assert await catalog(connection) == []
    await connection.execute(
        "INSERT INTO ai_servers (name, server_type, base_url) VALUES ('a', 'vllm', 'http://a')"
    )
    await connection.execute("UPDATE ai_servers SET base_url = 'http://b'")
    await connection.execute("DELETE FROM ai_servers")
    assert await migrate(connection) == [migration.name for migration in load_migrations()]
