"""`llm-monitor rotate-key` and `encrypt-server-keys` on an external database."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from monitor.domain.provider import ProviderRef
from monitor.domain.target import SealedKey
from monitor.keyring import Keyring, generate
from monitor.storage.address import Address
from monitor.storage.daemons import DaemonRow, beat
from monitor.storage.keys import note_key_written, read_key_notes
from monitor.storage.providers import read_rows
from tests.application_rows import ApplicationRows
from tests.command_line import Answer, environment, llm_monitor
from tests.targets import PLANTED_KEY

OLD, NEW = generate(), generate()
TOUCHED = "SELECT updated_at FROM llm_api_keys UNION ALL SELECT updated_at FROM ai_servers ORDER BY 1"
WAITS = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
)
BOTH = {"BYOK_ENCRYPTION_KEY": NEW, "MONITOR_OLD_ENCRYPTION_KEYS": OLD}


@pytest.fixture
def rows(connection: Any) -> ApplicationRows:
    return ApplicationRows(connection)


async def until(holds: Callable[[], Awaitable[Any]]) -> None:
    async with asyncio.timeout(30):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.02)


async def run(database: Address, *arguments: str, env: Mapping[str, str] = BOTH) -> Answer:
    answer = await llm_monitor(*arguments, env=environment(database, **env))
    for secret in (OLD, NEW, PLANTED_KEY):
        assert secret not in answer.out + answer.err
    return answer


async def stored(connection: Any) -> dict[str, SealedKey]:
    """The keys of all rows by their reference."""
    found = await read_rows(connection)
    return {str(row.ref): row.key for row in found.keys} | {
        str(row.ref): row.api_key for row in found.servers if row.api_key
    }


async def fill(connection: Any, rows: ApplicationRows) -> dict[str, SealedKey]:
    """Two sealed keys of ours, one server's among them, and an open one."""
    sealed = Keyring(OLD).seal(PLANTED_KEY).text
    for ref in (
        await rows.add_key("openai", sealed),
        await rows.add_server("gpu", "vllm", "http://127.0.0.1:1", api_key=Keyring(OLD).seal("k").text),
    ):
        await note_key_written(connection, ProviderRef.parse(ref), (await stored(connection))[ref].text)
    await rows.add_server("plain", "vllm", "http://127.0.0.1:2", api_key="in the clear")
    return await stored(connection)


async def test_every_sealed_key_is_sealed_anew_and_stays_the_same_key(
    database: Address, connection: Any, rows: ApplicationRows
) -> None:
    before = await fill(connection, rows)
    touched = await connection.fetch(TOUCHED)
    dry = await run(database, "rotate-key", "--dry-run")
    assert (dry.code, dry.out) == (0, "would seal 2 stored keys with the current key\n")
    assert await stored(connection) == before
    answer = await run(database, "rotate-key")
    assert answer.code == 0, answer.err
    assert (
        "sealed 2 stored keys with the current key: ai_server:1 (gpu), api_key:1 (openai/main)" in answer.out
    )
    assert "in plain text: ai_server:2 (plain)" in answer.out
    after, alone = await stored(connection), Keyring(NEW)
    assert [alone.unseal(after[ref]) for ref in ("api_key:1", "ai_server:1")] == [PLANTED_KEY, "k"]
    assert {ref: one.identity for ref, one in after.items()} == {
        ref: one.identity for ref, one in before.items()
    }
    assert after["ai_server:2"] == before["ai_server:2"]
    assert touched == await connection.fetch(TOUCHED)
    audit = await connection.fetchrow("SELECT action, user_id, changes::text FROM llm_config_audit")
    assert audit["action"] == "rotate_keys"
    assert audit["user_id"].endswith("(llm-monitor rotate-key)")
    assert json.loads(audit["changes"]) == {
        "count": 2,
        "providers": ["ai_server:1", "api_key:1"],
        "skipped": [],
    }
    again = await run(database, "rotate-key", env={"BYOK_ENCRYPTION_KEY": NEW})
    assert again.code == 0
    assert again.out.startswith("nothing to do: the current key has sealed all 2 stored keys\n")
    assert await stored(connection) == after
    assert await connection.fetchval("SELECT count(*) FROM llm_config_audit") == 1


async def test_a_key_that_does_not_open_stops_all_of_it_unless_it_may_be_left(
    database: Address, connection: Any, rows: ApplicationRows
) -> None:
    await fill(connection, rows)
    await rows.add_key("groq", Keyring(generate()).seal("lost").text)
    await rows.add_key("cohere", "typed in by hand")
    before = await stored(connection)
    answer = await run(database, "rotate-key")
    assert answer.code == 1
    assert "opens with none of the keys: api_key:2 (groq/main), api_key:3 (cohere/main)" in answer.out
    assert await stored(connection) == before
    told = await run(database, "rotate-key", "--json")
    assert (told.code, told.json["done"], told.json["sealed"]) == (1, False, [])
    assert [one["provider"] for one in told.json["unreadable"]] == ["api_key:2", "api_key:3"]
    answer = await run(database, "rotate-key", "--skip-unreadable", "--json")
    assert (answer.code, answer.json["done"], answer.json["key_file"]) == (0, True, None)
    assert {one["provider"] for one in answer.json["sealed"]} == {"ai_server:1", "api_key:1"}
    assert answer.json["plain"] == [{"provider": "ai_server:2", "name": "plain"}]
    after = await stored(connection)
    assert Keyring(NEW).unseal(after["api_key:1"]) == PLANTED_KEY
    assert [after[ref] for ref in ("api_key:2", "api_key:3")] == [before["api_key:2"], before["api_key:3"]]


async def test_what_another_program_wrote_is_sealed_only_when_that_is_stopped(
    database: Address, connection: Any, rows: ApplicationRows
) -> None:
    await fill(connection, rows)
    await rows.change("api_key:1", encrypted_key=Keyring(OLD).seal(PLANTED_KEY).text)
    before = await stored(connection)
    refused = await run(database, "rotate-key")
    assert refused.code == 2
    assert "api_key:1 (openai/main): last written by another program" in refused.err
    assert "--application-stopped" in refused.err
    assert len(refused.err.splitlines()) == 1
    assert await stored(connection) == before
    assert (await run(database, "rotate-key", "--application-stopped")).code == 0
    after = await stored(connection)
    assert after["api_key:1"].identity == before["api_key:1"].identity
    assert (await read_key_notes(connection)).is_ours(ProviderRef.parse("api_key:1"), after["api_key:1"].text)
    back = {"BYOK_ENCRYPTION_KEY": OLD, "MONITOR_OLD_ENCRYPTION_KEYS": NEW}
    assert (await run(database, "rotate-key", env=back)).code == 0  # all of them are ours now


async def test_a_living_daemon_has_to_hold_the_new_key_first(
    database: Address, connection: Any, rows: ApplicationRows
) -> None:
    before = await fill(connection, rows)
    daemon = DaemonRow(
        instance=uuid4(),
        host="box",
        pid=77,
        version="1",
        role="active",
        listen="",
        started_at=datetime.now(UTC),
    )
    await beat(connection, replace(daemon, key_ids=Keyring(OLD).ids))
    refused = await run(database, "rotate-key")
    assert refused.code == 2
    assert "the daemon on box (pid 77) does not hold the current encryption key" in refused.err
    assert (await run(database, "rotate-key", "--dry-run", "--json")).refused()
    assert await stored(connection) == before
    await beat(connection, replace(daemon, key_ids=Keyring(OLD, [NEW]).ids))
    done = await run(database, "rotate-key")
    assert done.code == 0
    assert "the daemon on box (pid 77) still seals with an earlier key" in done.out
    told = (await run(database, "rotate-key", "--json")).json
    assert (told["done"], told["sealed"], told["current"]) == (True, [], 2)
    assert told["daemons_behind"] == [{"host": "box", "pid": 77}]
    await beat(connection, daemon)
    await connection.execute("UPDATE monitor.daemons SET heartbeat_at = now() - interval '1 minute'")
    back = {"BYOK_ENCRYPTION_KEY": OLD, "MONITOR_OLD_ENCRYPTION_KEYS": NEW}
    assert (await run(database, "rotate-key", env=back)).code == 0  # the dead are not asked


async def test_a_row_that_somebody_holds_is_waited_for_and_then_nothing_is_changed(
    database: Address, connection: Any, pool: Any, rows: ApplicationRows
) -> None:
    before = await fill(connection, rows)
    async with pool.acquire() as other, other.transaction():
        await other.execute("UPDATE llm_api_keys SET requests_count = 1")
        refused = await run(database, "rotate-key")
    assert refused.code == 2
    assert "another transaction holds a row with a key" in refused.err
    assert await stored(connection) == before
    assert (await run(database, "rotate-key")).code == 0


async def test_a_rotation_that_is_killed_leaves_every_key_readable_and_is_done_again(
    database: Address, connection: Any, pool: Any, rows: ApplicationRows
) -> None:
    before = await fill(connection, rows)
    async with pool.acquire() as other, other.transaction():
        await other.execute("UPDATE llm_api_keys SET requests_count = 1")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "monitor", "rotate-key", cwd="/", env=environment(database, **BOTH)
        )
        await until(lambda: connection.fetchval(WAITS))
        process.kill()
        await process.wait()
    assert await stored(connection) == before

    async def is_done() -> bool:
        return (await run(database, "rotate-key")).code == 0

    await until(is_done)  # the server has to end the killed one's session first
    assert Keyring(NEW).unseal((await stored(connection))["api_key:1"]) == PLANTED_KEY


async def test_it_says_what_is_missing(database: Address, connection: Any, rows: ApplicationRows) -> None:
    await fill(connection, rows)
    none = await run(database, "rotate-key", env={})
    assert (none.code, none.out) == (2, "")
    assert "BYOK_ENCRYPTION_KEY is not set" in none.err
    prune = await run(database, "rotate-key", "--prune")
    assert prune.code == 2
    assert "MONITOR_OLD_ENCRYPTION_KEYS" in prune.err


async def test_servers_keys_in_plain_text_are_sealed_when_the_application_is_stopped(
    database: Address, connection: Any, rows: ApplicationRows
) -> None:
    before = await fill(connection, rows)
    refused = await run(database, "encrypt-server-keys")
    assert refused.code == 2
    assert "ai_server:2 (plain): the older application reads these keys as they stand" in refused.err
    dry = await run(database, "encrypt-server-keys", "--application-stopped", "--dry-run")
    assert (dry.code, dry.out) == (0, "would seal 1 stored key: ai_server:2 (plain)\n")
    told = await run(database, "encrypt-server-keys", "--application-stopped", "--dry-run", "--json")
    assert (told.code, told.json["done"], told.json["dry_run"]) == (0, False, True)
    assert told.json["sealed"] == [{"provider": "ai_server:2", "name": "plain"}]
    assert await stored(connection) == before
    done = await run(database, "encrypt-server-keys", "--application-stopped")
    assert (done.code, done.out) == (0, "sealed 1 stored key: ai_server:2 (plain)\n")
    after = await stored(connection)
    assert after["ai_server:2"].encrypted
    assert Keyring(NEW).unseal(after["ai_server:2"]) == "in the clear"
    assert after["ai_server:2"].identity == before["ai_server:2"].identity
    assert {ref: after[ref] for ref in ("api_key:1", "ai_server:1")} == {
        ref: before[ref] for ref in ("api_key:1", "ai_server:1")
    }
    audit = await connection.fetchrow("SELECT action, changes::text FROM llm_config_audit")
    assert (audit["action"], json.loads(audit["changes"])["providers"]) == (
        "encrypt_server_keys",
        ["ai_server:2"],
    )
    assert "in the clear" not in audit["changes"]
    again = await run(database, "encrypt-server-keys")
    assert (again.code, again.out) == (0, "nothing to do: no server's key stands in plain text\n")


async def test_a_column_that_is_too_narrow_is_named_and_nothing_is_lost(
    database: Address, connection: Any, rows: ApplicationRows
) -> None:
    await rows.add_server("plain", "vllm", "http://127.0.0.1:2", api_key=PLANTED_KEY)
    await connection.execute("ALTER TABLE ai_servers ALTER COLUMN api_key TYPE VARCHAR(60)")
    refused = await run(database, "encrypt-server-keys", "--application-stopped")
    assert refused.code == 2
    assert "longer than its column takes" in refused.err
    assert (await stored(connection))["ai_server:1"].text == PLANTED_KEY
