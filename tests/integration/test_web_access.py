"""Tokens as the HTTP door knows them: made, found, remembered for a moment, forgotten at once."""

from datetime import timedelta
from typing import Any

import pytest

from monitor.domain.access import TokenRole, read_token
from monitor.storage.address import Address, create_pool
from monitor.storage.tokens import NewToken, create_token, list_tokens, revoke_token
from monitor.web.access import Access, TokensAway


class Clock:
    """Monotonic seconds that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def access(pool: Any, clock: Clock) -> Access:
    return Access(lambda: pool, clock)


async def make(
    connection: Any, role: TokenRole = TokenRole.ADMIN, lifetime: timedelta | None = None
) -> NewToken:
    return await create_token(connection, name="ops", role=role, lifetime=lifetime, by="somebody")


async def test_a_token_speaks_for_its_name_and_role(connection: Any, access: Access) -> None:
    made = await make(connection, TokenRole.REPORTER)
    caller = await access.identify(made.text)
    assert caller is not None
    assert (caller.name, caller.role, caller.token_id) == ("ops", TokenRole.REPORTER, made.id)


async def test_no_other_text_does(connection: Any, access: Access) -> None:
    made = await make(connection)
    other = await make(connection)
    secret = read_token(made.text)
    assert secret is not None
    crossed = f"llmm_{other.id}_{secret[1]}"
    unknown = f"llmm_{made.id + 100}_{secret[1]}"
    for text in (
        "",
        "x",
        made.text[:-1],
        made.text + "A",
        made.text.upper(),
        crossed,
        unknown,
        f"llmm_0_{secret[1]}",
    ):
        assert await access.identify(text) is None, text
    assert await access.identify("llmm_99999999999_" + "a" * 43) is None
    assert await access.identify(made.text) is not None


async def test_only_a_hash_is_stored(connection: Any) -> None:
    made = await make(connection)
    read = read_token(made.text)
    assert read is not None
    row = await connection.fetchrow("SELECT to_jsonb(tokens)::text AS row FROM monitor.tokens")
    assert read[1] not in row["row"]
    assert read[1] not in repr(made)
    audit = await connection.fetch(
        "SELECT user_id, action, entity_type, entity_id, changes FROM llm_config_audit"
    )
    assert [(one["user_id"], one["action"], one["entity_type"], one["entity_id"]) for one in audit] == [
        ("somebody", "create", "token", str(made.id))
    ]
    assert read[1] not in str(audit[0]["changes"])


async def test_an_expired_token_is_none_to_the_moment(connection: Any, access: Access, clock: Clock) -> None:
    made = await make(connection, lifetime=timedelta(seconds=2))
    assert await access.identify(made.text) is not None
    clock.seconds += 1.9  # what is remembered ends with the token
    await connection.execute("UPDATE monitor.tokens SET expires_at = clock_timestamp() - interval '1 s'")
    clock.seconds += 0.2
    assert await access.identify(made.text) is None
    assert [one.state for one in await list_tokens(connection)] == ["expired"]


async def test_a_revoked_token_is_none_within_seconds_and_at_once_when_forgotten(
    connection: Any, access: Access, clock: Clock
) -> None:
    made, second = await make(connection), await make(connection)
    assert await access.identify(made.text) is not None
    assert await access.identify(second.text) is not None
    assert await revoke_token(connection, made.id, "somebody else") == "ops"
    assert await revoke_token(connection, made.id, "somebody else") is None
    access.forget(made.id)
    assert await access.identify(made.text) is None
    await revoke_token(connection, second.id, "somebody else")
    clock.seconds += 5  # nobody told
    assert await access.identify(second.text) is None


async def test_what_is_remembered_costs_no_query(connection: Any, clock: Clock, pool: Any) -> None:
    made = await make(connection)
    asked = 0

    def counted() -> Any:
        nonlocal asked
        asked += 1
        return pool

    access = Access(counted, clock)
    for _ in range(5):
        assert await access.identify(made.text) is not None
    assert asked == 1


async def test_the_last_use_is_noted_once_a_minute(connection: Any, access: Access, clock: Clock) -> None:
    made = await make(connection)
    await access.identify(made.text)
    first = (await list_tokens(connection))[0].last_used_at
    assert first is not None
    clock.seconds += 10
    await access.identify(made.text)
    assert (await list_tokens(connection))[0].last_used_at == first
    await connection.execute("UPDATE monitor.tokens SET last_used_at = last_used_at - interval '2 minutes'")
    clock.seconds += 10
    await access.identify(made.text)
    again = (await list_tokens(connection))[0].last_used_at
    assert again is not None
    assert again >= first


async def test_without_a_database_nobody_is_let_in(clock: Clock, pool: Any) -> None:
    with pytest.raises(TokensAway):
        await Access(lambda: None, clock).identify("llmm_1_" + "a" * 43)
    await pool.close()
    with pytest.raises(TokensAway):
        await Access(lambda: pool, clock).identify("llmm_1_" + "a" * 43)


async def test_a_database_that_takes_nothing_still_knows_its_tokens(
    connection: Any, database: Address, clock: Clock
) -> None:
    made = await make(connection)
    await connection.execute(f"ALTER DATABASE {database.database} SET default_transaction_read_only = on")
    pool = await create_pool(database)
    try:
        assert await Access(lambda: pool, clock).identify(made.text) is not None
    finally:
        await pool.close()
    assert (await list_tokens(connection))[0].last_used_at is None


async def test_every_change_of_a_token_is_told_and_its_use_is_not(connection: Any, database: Any) -> None:
    made = await make(connection)
    heard: list[str] = []
    await connection.add_listener("monitor_tokens", lambda *words: heard.append(words[3]))
    await connection.execute("UPDATE monitor.tokens SET last_used_at = clock_timestamp()")
    await connection.fetchval("SELECT 1")
    assert heard == []
    await connection.execute("UPDATE monitor.tokens SET expires_at = clock_timestamp()")
    await revoke_token(connection, made.id, "x")
    await connection.execute("DELETE FROM monitor.tokens")
    await connection.fetchval("SELECT 1")
    assert heard == [str(made.id)] * 3
