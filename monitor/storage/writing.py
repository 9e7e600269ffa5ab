"""One change of the application's rows by a person: one transaction, and its failures in words."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from monitor.domain.provider import ProviderType
from monitor.storage.queries import QUERIES
from monitor.storage.refusals import NameTaken, Refused, RowRefused, TextTooLong

TABLES = {ProviderType.AI_SERVER: "ai_servers", ProviderType.API_KEY: "llm_api_keys"}
LARGEST_ID = 2**31 - 1


@asynccontextmanager
async def writing(
    connection: Any, type_: ProviderType, texts: Mapping[str, object], user_id: str
) -> AsyncIterator[None]:
    """The transaction; what the database says of the values is told without them.

    Args:
        connection: outside of a transaction, of anybody's pool.
        type_: whose table is written.
        texts: what is written, by column, to find the one that is too long.
        user_id: who writes; it stands in the audit.

    Raises:
        Refused: the database takes no such row.
    """
    table = TABLES[type_]
    try:
        async with connection.transaction():
            await connection.execute(QUERIES["limit_waiting"])
            yield
    except asyncpg.StringDataRightTruncationError:
        refusal: Refused = await _too_long(
            connection, {table: texts, "llm_config_audit": {"user_id": user_id}}
        )
    except asyncpg.UniqueViolationError:
        refusal = NameTaken(type_)
    except asyncpg.IntegrityConstraintViolationError as error:
        refusal = RowRefused(error.table_name or table, error.constraint_name or error.column_name or "")
    else:
        return
    raise refusal


async def _too_long(connection: Any, written: Mapping[str, Mapping[str, object]]) -> Refused:
    for row in await connection.fetch(QUERIES["read_text_limits"], list(written)):
        text = written[row["table_name"]].get(row["column_name"])
        if isinstance(text, str) and len(text) > row["most"]:
            return TextTooLong(row["table_name"], row["column_name"], row["most"])
    return RowRefused(next(iter(written)), "of the length of its texts")
