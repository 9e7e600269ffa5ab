"""`llm-monitor token`: as an operator types it."""

import asyncio
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from monitor.domain.access import read_token
from monitor.jobs.first_token import FILE, keep_first_token
from monitor.storage.address import Address
from monitor.storage.tokens import list_tokens, revoke_token
from monitor.web.access import Access
from tests.command_line import environment, llm_monitor


async def test_a_token_is_printed_once_and_alone(database: Address, connection: Any, pool: Any) -> None:
    env = environment(database)
    made = await llm_monitor("token", "create", "ops team", "--role", "admin", "--expires", "90d", env=env)
    assert made.code == 0
    text = made.out.strip()
    assert made.out == f"{text}\n"
    assert read_token(text) is not None
    assert text not in made.err
    assert "revoke 1" in made.err
    caller = await Access(lambda: pool, lambda: 0.0).identify(text)
    assert caller is not None
    assert (caller.name, caller.role) == ("ops team", "admin")
    row = (await list_tokens(connection))[0]
    assert row.expires_at is not None
    assert (row.expires_at - row.created_at).days == 90
    audit = await connection.fetchrow("SELECT user_id, action, entity_type FROM llm_config_audit")
    assert tuple(audit) == (row.created_by, "create", "token")


async def test_tokens_are_listed_without_their_secrets(database: Address) -> None:
    env = environment(database)
    empty = await llm_monitor("token", "list", env=env)
    assert (empty.code, "token create" in empty.out) == (0, True)
    made = await llm_monitor("token", "create", "--role", "viewer", env=env)
    shown = await llm_monitor("token", "list", env=env)
    as_json = await llm_monitor("token", "list", "--json", env=env)
    read = read_token(made.out.strip())
    assert read is not None
    for answer in (shown, as_json):
        assert answer.code == 0
        assert read[1] not in answer.out
    assert "viewer" in shown.out
    one = as_json.json[0]
    assert (one["id"], one["role"], one["state"], one["expires_at"]) == (read[0], "viewer", "valid", None)
    assert one["name"], "the account's name, when none is given"
    assert not {"secret_sha256", "text"} & set(one)


async def test_a_token_is_made_and_revoked_in_json(database: Address, pool: Any) -> None:
    env = environment(database)
    made = (await llm_monitor("token", "create", "ops", "--role", "viewer", "--json", env=env)).json
    assert (made["id"], made["name"], made["role"], made["expires_at"]) == (1, "ops", "viewer", None)
    caller = await Access(lambda: pool, lambda: 0.0).identify(made["token"])
    assert caller is not None
    assert caller.name == "ops"
    for revoked, name in ((True, "ops"), (False, None)):
        told = await llm_monitor("token", "revoke", "1", "--json", env=env)
        assert (told.code, told.json) == (0, {"id": 1, "name": name, "revoked": revoked})
    assert "there is none" in (await llm_monitor("token", "revoke", "7", "--json", env=env)).refused()


async def test_a_token_is_revoked_for_good(database: Address, connection: Any, pool: Any) -> None:
    env = environment(database)
    made = await llm_monitor("token", "create", "ops", "--role", "viewer", env=env)
    first = await llm_monitor("token", "revoke", "1", env=env)
    again = await llm_monitor("token", "revoke", "1", env=env)
    assert (first.code, again.code) == (0, 0)
    assert "before" in again.out
    assert await Access(lambda: pool, lambda: 0.0).identify(made.out.strip()) is None
    assert "token list" in (await llm_monitor("token", "revoke", "7", env=env)).refused()
    assert (await list_tokens(connection))[0].revoked_by


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("ops",), "--role"),
        (("ops", "--role", "root"), "--role"),
        (("", "--role", "viewer"), "NAME"),
        (("a\nb", "--role", "viewer"), "NAME"),
        (("ops", "--role", "viewer", "--expires", "soon"), "--expires"),
        (("ops", "--role", "viewer", "--expires", "0"), "--expires"),
    ],
)
async def test_what_is_no_token_is_refused(database: Address, arguments: tuple[str, ...], named: str) -> None:
    answer = await llm_monitor("token", "create", *arguments, env=environment(database))
    assert named in answer.refused()


async def test_the_first_token_is_kept_for_its_owner_alone(
    connection: Any, pool: Any, tmp_path: Path
) -> None:
    path = await keep_first_token(connection, tmp_path)
    assert path == tmp_path / FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert await asyncio.to_thread(os.listdir, tmp_path) == [FILE]
    caller = await Access(lambda: pool, lambda: 0.0).identify(path.read_text().strip())
    assert caller is not None
    assert caller.role == "admin"


async def test_nobody_is_overruled_at_the_next_start(connection: Any, tmp_path: Path) -> None:
    path = await keep_first_token(connection, tmp_path)
    assert path is not None
    text = path.read_text()
    assert await keep_first_token(connection, tmp_path) is None
    assert path.read_text() == text
    path.unlink()
    assert await keep_first_token(connection, tmp_path) is None
    assert not path.exists(), "whoever deletes it has put it somewhere else"
    await revoke_token(connection, 1, "x")
    assert await keep_first_token(connection, tmp_path) is None
    assert len(await list_tokens(connection)) == 1


async def test_a_file_that_opens_nothing_is_written_anew(connection: Any, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    other.write_text("somebody else's")
    (tmp_path / FILE).symlink_to(other)
    path = await keep_first_token(connection, tmp_path)
    assert path is not None
    assert read_token(path.read_text().strip()) is not None
    assert other.read_text() == "somebody else's"


async def test_without_a_place_for_the_file_there_is_no_token(connection: Any, tmp_path: Path) -> None:
    assert await keep_first_token(connection, tmp_path / "missing") is None
    assert await list_tokens(connection) == []
    assert await keep_first_token(connection, tmp_path) is not None
