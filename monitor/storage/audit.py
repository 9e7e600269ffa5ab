"""The application's audit trail, in whichever form it has it."""

import json
from collections.abc import Mapping
from typing import Any

from monitor.storage.application_tables import AUDIT_TIMES, ColumnMissing
from monitor.storage.queries import QUERIES

_INTEGERS = frozenset({"smallint", "integer", "bigint"})
_UTC = "clock_timestamp() AT TIME ZONE 'UTC'"


async def record_audit(
    connection: Any,
    *,
    action: str,
    entity_type: str,
    entity_id: str | None,
    user_id: str,
    changes: Mapping[str, object],
) -> None:
    """Write one row, in the transaction of what it records; its time is UTC.

    Args:
        connection: any, also one whose owner reads and writes JSON in a way of its own.
        action: `create`, `update`, `promote`, ...
        entity_type: what was changed.
        entity_id: which; where the column is a number and this is none, it stays empty.
        user_id: who did it.
        changes: what is new; never a key.

    Raises:
        ColumnMissing: the table has no time column.
    """
    types = {row["name"]: row["type"] for row in await connection.fetch(QUERIES["read_audit_types"])}
    time_column = next((name for name in AUDIT_TIMES if name in types), None)
    if time_column is None:
        raise ColumnMissing("llm_config_audit", " or ".join(AUDIT_TIMES))
    numbers = types["entity_id"] in _INTEGERS
    query = QUERIES["record_audit"].format(
        time_column=f'"{time_column}"',
        time="clock_timestamp()" if types[time_column] == "timestamp with time zone" else _UTC,
        entity_id=f"($3::text)::{types['entity_id']}" if numbers else "$3::text",
    )
    kept = entity_id if not numbers or (entity_id or "").isdecimal() else None
    await connection.execute(query, action, entity_type, kept, user_id, json.dumps(dict(changes)))
