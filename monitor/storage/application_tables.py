"""The application's tables: which columns they must have before we touch anything."""

from typing import Any

from monitor.storage.queries import QUERIES

_COLUMNS: dict[str, tuple[str, ...]] = {
    "ai_servers": (
        "id", "name", "server_type", "base_url", "api_key", "model_path", "enabled", "use_for_chat",
        "use_for_embeddings", "use_for_reranking", "last_health_check", "health_status", "metadata",
        "created_by", "created_at", "updated_at",
    ),
    "llm_api_keys": (
        "id", "provider", "key_name", "encrypted_key", "enabled", "use_for_ops_center", "last_used",
        "requests_count", "tokens_used", "cost_usd", "metadata", "created_by", "created_at", "updated_at",
    ),
    "active_providers": (
        "purpose", "provider_type", "provider_id", "fallback_provider_type", "fallback_provider_id",
        "updated_by", "updated_at",
    ),
    "llm_config_audit": ("id", "action", "entity_type", "entity_id", "user_id", "changes"),
}  # fmt: skip
AUDIT_TIMES = ("timestamp", "created_at")
_KINDS = frozenset({"r", "p"})  # ordinary and partitioned tables


class SchemaError(Exception):
    """The database is not in a state this program can work on; the message says what to do."""


class ColumnMissing(SchemaError):
    """A table of the application lacks what we need.

    Attributes:
        table: its name.
        column: the missing column, or the two that would do.
    """

    def __init__(self, table: str, column: str) -> None:
        super().__init__(
            f"the table {table} has no column {column}: add it (ALTER TABLE {table} ADD COLUMN ...), or "
            "point search_path at the application's schema; nothing was changed"
        )
        self.table = table
        self.column = column


async def check_application_tables(connection: Any) -> None:
    """Look at the tables that exist; the others will be created.

    Raises:
        ColumnMissing: one lacks a column.
        SchemaError: one is no table but, say, a view.
    """
    found: dict[str, set[str]] = {}
    for row in await connection.fetch(QUERIES["read_columns"], list(_COLUMNS)):
        if row["kind"] not in _KINDS:
            raise SchemaError(
                f"{row['table_name']} is not a table: put the table's schema first in search_path"
            )
        found.setdefault(row["table_name"], set()).add(row["column_name"])
    for table, columns in found.items():
        for column in _COLUMNS[table]:
            if column not in columns:
                raise ColumnMissing(table, column)
        if table == "llm_config_audit" and not columns.intersection(AUDIT_TIMES):
            raise ColumnMissing(table, " or ".join(AUDIT_TIMES))
