"""Writing nothing is no statement: asyncpg would leave the server inside a transaction that nobody ends."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from monitor.domain.provider import Purpose
from monitor.storage.address import Address
from monitor.storage.healths import forget_healths, save_healths
from monitor.storage.journal import add_entries
from monitor.storage.leader import LeaderSession
from monitor.storage.purposes import write_preference
from monitor.storage.results import insert_results

WRITES: dict[str, Callable[[Any], Awaitable[object]]] = {
    "results": lambda connection: insert_results(connection, []),
    "healths": lambda connection: save_healths(connection, []),
    "forgotten healths": lambda connection: forget_healths(connection, []),
    "journal": lambda connection: add_entries(connection, [], "00000000000000000000000000000000"),
    "preference": lambda connection: write_preference(connection, Purpose.CHAT, []),
}


@pytest.mark.parametrize("what", WRITES)
async def test_a_transaction_of_any_kind_begins_after_nothing_was_written(connection: Any, what: str) -> None:
    await WRITES[what](connection)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        assert await connection.fetchval("SELECT 1") == 1


async def test_a_session_whose_transactions_are_in_disorder_ends(database: Address) -> None:
    session = LeaderSession(database)
    await session.open()
    async with session.use() as connection:
        await connection.executemany("SELECT $1::int", [])
    with pytest.raises(Exception, match="ISOLATION LEVEL"):
        async with session.use() as connection, connection.transaction(isolation="repeatable_read"):
            pass
    assert session.lost.is_set(), "everything after it would be refused"
    await session.close()
