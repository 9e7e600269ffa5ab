"""Rows of providers, read, written and deleted by a person, each change with its audit row."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from monitor.domain.provider import ProviderRef, ProviderType
from monitor.storage.audit import record_audit
from monitor.storage.keys import forget_key, note_key_written
from monitor.storage.providers import decode_metadata
from monitor.storage.queries import QUERIES
from monitor.storage.refusals import InUse, NameTaken, RowMissing
from monitor.storage.writing import LARGEST_ID, writing

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One of the two tables of providers.

    Attributes:
        type: what the rows of it are.
        entity: its word in the audit.
        columns: those that a person writes, in the order of the queries, without key and metadata.
        key: the column of the key.
        inserted: the columns of a new row, in the order of the query.
        queries: what is done, and the name of the query that does it.
    """

    type: ProviderType
    entity: str
    columns: tuple[str, ...]
    key: str
    inserted: tuple[str, ...]
    queries: Mapping[str, str]


async def list_rows(connection: Any, table: Table, *, enabled_only: bool = False) -> list[Row]:
    """Every row by id; instants are UTC, metadata is decoded."""
    return [_row(found) for found in await connection.fetch(_query(table, "list"), None, enabled_only)]


async def find_row(connection: Any, table: Table, number: int) -> Row | None:
    """One row, or None."""
    if not 0 < number <= LARGEST_ID:
        return None
    found = await connection.fetchrow(_query(table, "list"), number, False)
    return None if found is None else _row(found)


async def insert_row(connection: Any, table: Table, values: Mapping[str, object], user_id: str) -> Row:
    """Add a row.

    Args:
        connection: outside of a transaction.
        table: where.
        values: every column of the table, its key, `metadata` and `created_by`.
        user_id: who does it, for the audit.

    Raises:
        NameTaken: its name is taken.
        Refused: the database takes no such row.
    """
    async with writing(connection, table.type, values, user_id):
        number = await connection.fetchval(_query(table, "insert"), *_arguments(table, values))
        if number is None:
            raise NameTaken(table.type)
        await _note_key(connection, ProviderRef(type=table.type, id=number), values[table.key])
        await _audit(connection, table, "create", number, user_id, _told(table, values))
        row = await find_row(connection, table, number)
    if row is None:
        raise RowMissing(ProviderRef(type=table.type, id=number))
    return row


async def update_row(
    connection: Any, table: Table, number: int, changes: Mapping[str, object], user_id: str
) -> Row:
    """Change some columns of a row; what is not among the changes stays as it is.

    Args:
        connection: outside of a transaction.
        table: where.
        number: the row.
        changes: by column; those that change nothing are left out of the audit.
        user_id: who does it, for the audit.

    Raises:
        RowMissing: there is none.
        NameTaken: another row has that name.
        Refused: the database takes no such row.
    """
    ref = ProviderRef(type=table.type, id=number)
    if not 0 < number <= LARGEST_ID:
        raise RowMissing(ref)
    async with writing(connection, table.type, changes, user_id):
        if await connection.fetchval(_query(table, "lock"), number) is None:
            raise RowMissing(ref)
        before = await find_row(connection, table, number)
        if before is None:
            raise RowMissing(ref)
        new = {name: value for name, value in changes.items() if before[name] != value}
        if new:
            after = before | new
            scalars = [after[name] for name in table.columns]
            if await connection.fetchval(_query(table, "update"), number, *scalars) is None:
                raise NameTaken(table.type)
            if "metadata" in new:
                await connection.execute(_query(table, "metadata"), number, json.dumps(new["metadata"]))
            if table.key in new:
                await connection.execute(_query(table, "key"), number, new[table.key])
                await _note_key(connection, ref, new[table.key])
            await _audit(connection, table, "update", number, user_id, _told(table, new))
        row = await find_row(connection, table, number)
    return row or before


async def delete_row(connection: Any, table: Table, number: int, user_id: str) -> None:
    """Delete a row that no purpose names.

    Args:
        connection: outside of a transaction.
        table: where.
        number: the row.
        user_id: who does it, for the audit.

    Raises:
        RowMissing: there is none.
        InUse: a purpose names it to serve, as the fallback, as a candidate or by a pin.
        Refused: a table of the application refers to it.
    """
    ref = ProviderRef(type=table.type, id=number)
    if not 0 < number <= LARGEST_ID:
        raise RowMissing(ref)
    async with writing(connection, table.type, {}, user_id):
        await connection.execute(QUERIES["lock_uses"])
        await connection.execute(QUERIES["lock_providers"])
        if await connection.fetchval(_query(table, "lock"), number) is None:
            raise RowMissing(ref)
        # Only now, for whoever waited for the row before us may just have named it.
        uses = [found["purpose"] for found in await connection.fetch(QUERIES["find_uses"], *_place(ref))]
        if uses:
            raise InUse(table.type, uses)
        before = await find_row(connection, table, number)
        await connection.execute(QUERIES["forget_candidate"], *_place(ref))
        await forget_key(connection, ref)
        await connection.execute(_query(table, "delete"), number)
        await _audit(connection, table, "delete", number, user_id, _named(table, before or {}))


def _query(table: Table, act: str) -> str:
    return QUERIES[table.queries[act]]


def _place(ref: ProviderRef) -> tuple[str, int]:
    return str(ref.type), ref.id


def _arguments(table: Table, values: Mapping[str, object]) -> list[object]:
    texts = dict(values) | {"metadata": json.dumps(values["metadata"])}
    return [texts[name] for name in table.inserted]


async def _note_key(connection: Any, ref: ProviderRef, sealed: Any) -> None:
    if sealed is None:
        await forget_key(connection, ref)
    else:
        await note_key_written(connection, ref, sealed)


def _named(table: Table, values: Mapping[str, object]) -> dict[str, object]:
    # An old row's address may carry credentials.
    return {name: values.get(name) for name in table.columns[:2]}


def _told(table: Table, values: Mapping[str, object]) -> dict[str, object]:
    """What the audit may tell: no key, and of metadata, which is the application's, only that it changed."""
    told: dict[str, object] = {name: values[name] for name in table.columns if name in values}
    if table.key in values:
        told["key_changed"] = True
    if "metadata" in values:
        told["metadata_changed"] = True
    return told


async def _audit(
    connection: Any, table: Table, action: str, number: int, user_id: str, changes: Mapping[str, object]
) -> None:
    await record_audit(
        connection,
        action=action,
        entity_type=table.entity,
        entity_id=str(number),
        user_id=user_id,
        changes=changes,
    )


def _row(found: Any) -> Row:
    row: Row = {name: _aware(value) for name, value in found.items()}
    return row | {"metadata": decode_metadata(found["metadata"])}


def _aware(value: Any) -> Any:
    # The application's instants are UTC, in columns without a zone.
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


SERVERS = Table(
    type=ProviderType.AI_SERVER,
    entity="ai_server",
    columns=(
        "name", "server_type", "base_url", "model_path", "enabled", "use_for_chat", "use_for_embeddings",
        "use_for_reranking",
    ),
    key="api_key",
    inserted=(
        "name", "server_type", "base_url", "api_key", "model_path", "enabled", "use_for_chat",
        "use_for_embeddings", "use_for_reranking", "metadata", "created_by",
    ),
    queries={
        "list": "list_servers",
        "lock": "lock_server",
        "insert": "insert_server",
        "update": "update_server",
        "key": "update_server_key",
        "metadata": "update_server_metadata",
        "delete": "delete_server",
    },
)  # fmt: skip
API_KEYS = Table(
    type=ProviderType.API_KEY,
    entity="llm_api_key",
    columns=("provider", "key_name", "enabled", "use_for_ops_center"),
    key="encrypted_key",
    inserted=(
        "provider", "key_name", "encrypted_key", "enabled", "use_for_ops_center", "metadata", "created_by",
    ),
    queries={
        "list": "list_api_keys",
        "lock": "lock_api_key",
        "insert": "insert_api_key",
        "update": "update_api_key",
        "key": "update_encrypted_key",
        "metadata": "update_api_key_metadata",
        "delete": "delete_api_key",
    },
)  # fmt: skip
