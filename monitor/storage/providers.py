"""The application's providers: read with all their rows at one instant, and told what we believe of them."""

import json
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any

from monitor.domain.provider import ProviderRef, ProviderType, Purpose
from monitor.domain.rows import ActiveRow, ConfigurationRows, KeyRow, PreferenceRow, ServerRow
from monitor.domain.target import SealedKey
from monitor.storage.keys import KeyNotes, read_key_notes
from monitor.storage.queries import QUERIES

_FERNET_PREFIX = "gAAAAA"  # version 0x80 and the zero bytes that any time stamp begins with, in base64


async def read_rows(connection: Any) -> ConfigurationRows:
    """Everything that decides what is probed, as of one instant; nothing in it is judged here."""
    async with _snapshot(connection):
        servers = await connection.fetch(QUERIES["read_servers"])
        keys = await connection.fetch(QUERIES["read_keys"])
        actives = await connection.fetch(QUERIES["read_actives"])
        preferences = await connection.fetch(QUERIES["read_preferences"])
        notes = await read_key_notes(connection)
    return ConfigurationRows(
        servers=tuple(server_row(row, notes) for row in servers),
        keys=tuple(key_row(row, notes) for row in keys),
        actives=tuple(ActiveRow(**row) for row in actives),
        preferences=tuple(PreferenceRow(**row) for row in preferences),
    )


async def write_server_health(connection: Any, server_id: int, status: str, checked_at: datetime) -> bool:
    """Tell the application what we believe of a server.

    Args:
        connection: any.
        server_id: the row; a deleted one is no error.
        status: `healthy`, `degraded`, `down` or `unknown`; written when it changes.
        checked_at: written at most once a minute.

    Returns:
        Whether the row now says so; False when it is gone, or locked by another transaction: try again later.
    """
    return bool(await connection.fetchval(QUERIES["write_server_health"], server_id, status, checked_at))


def is_token(text: str) -> bool:
    """Whether a server's key is sealed; in rows of the older application it stands there as it is."""
    return text.startswith(_FERNET_PREFIX)


def server_row(row: Any, notes: KeyNotes) -> ServerRow:
    """A server from the columns of `read_servers`."""
    ref = ProviderRef(type=ProviderType.AI_SERVER, id=row["id"])
    key = row["api_key"]
    return ServerRow(
        id=row["id"],
        name=row["name"],
        server_type=row["server_type"],
        base_url=row["base_url"],
        api_key=_sealed(ref, key, notes, sealed=is_token(key)) if key else None,
        model_path=row["model_path"],
        enabled=row["enabled"],
        purposes=frozenset(purpose for purpose in Purpose if row[f"use_for_{purpose}"]),
        health_status=row["health_status"],
        metadata=decode_metadata(row["metadata"]),
    )


def key_row(row: Any, notes: KeyNotes) -> KeyRow:
    """A key from the columns of `read_keys`."""
    ref = ProviderRef(type=ProviderType.API_KEY, id=row["id"])
    return KeyRow(
        id=row["id"],
        provider=row["provider"],
        key_name=row["key_name"],
        key=_sealed(ref, row["encrypted_key"], notes, sealed=True),
        enabled=row["enabled"],
        metadata=decode_metadata(row["metadata"]),
    )


def _sealed(ref: ProviderRef, text: str, notes: KeyNotes, *, sealed: bool) -> SealedKey:
    return SealedKey(text, encrypted=sealed, identity=notes.identity(ref, text, sealed=sealed))


def read_server_key(text: str | None) -> SealedKey | None:
    """A server's key as it stands in its row: sealed, or in plain text where it was written before that."""
    return SealedKey(text, encrypted=text.startswith(_FERNET_PREFIX)) if text else None


def decode_metadata(text: str | None) -> object:
    """JSON as Python; text that is no JSON stays text, for the reader of metadata to complain about."""
    if text is None:
        return {}
    try:
        decoded: object = json.loads(text)
    except ValueError:
        return text
    return decoded


def _snapshot(connection: Any) -> AbstractAsyncContextManager[Any]:
    if connection.is_in_transaction():
        transaction: AbstractAsyncContextManager[Any] = connection.transaction()
    else:
        transaction = connection.transaction(isolation="repeatable_read", readonly=True)
    return transaction
