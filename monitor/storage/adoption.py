"""New rows for what was found on the machine: keys of the environment, servers on loopback."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from monitor.domain.provider import ProviderRef, ProviderType, Purpose
from monitor.storage.audit import record_audit
from monitor.storage.keys import note_key_written
from monitor.storage.queries import QUERIES


async def add_api_key(
    connection: Any,
    *,
    provider: str,
    key_name: str,
    encrypted_key: str,
    created_by: str,
    metadata: Mapping[str, object] | None = None,
) -> ProviderRef | None:
    """Add a key, with its audit row.

    Args:
        connection: any.
        provider: the catalog's name.
        key_name: unique within the provider.
        encrypted_key: a Fernet token.
        created_by: stands in the row and in the audit.
        metadata: the row's.

    Returns:
        The new row, or None when that provider has a key of that name.
    """
    async with connection.transaction():
        number = await connection.fetchval(
            QUERIES["add_api_key"],
            provider,
            key_name,
            encrypted_key,
            json.dumps(dict(metadata or {})),
            created_by,
        )
        if number is None:
            return None
        ref = ProviderRef(type=ProviderType.API_KEY, id=number)
        await note_key_written(connection, ref, encrypted_key)
        await record_audit(
            connection,
            action="create",
            entity_type="llm_api_key",
            entity_id=str(number),
            user_id=created_by,
            changes={"provider": provider, "key_name": key_name},
        )
    return ref


async def add_server(
    connection: Any,
    *,
    name: str,
    server_type: str,
    base_url: str,
    purposes: Collection[Purpose],
    created_by: str,
    model_path: str | None = None,
    metadata: Mapping[str, object] | None = None,
) -> ProviderRef | None:
    """Add a server without a key, with its audit row.

    Returns:
        The new row, or None when there is a server of that name.
    """
    async with connection.transaction():
        number = await connection.fetchval(
            QUERIES["add_server"],
            name,
            server_type,
            base_url,
            model_path,
            *(purpose in purposes for purpose in (Purpose.CHAT, Purpose.EMBEDDINGS, Purpose.RERANKING)),
            json.dumps(dict(metadata or {})),
            created_by,
        )
        if number is None:
            return None
        await record_audit(
            connection,
            action="create",
            entity_type="ai_server",
            entity_id=str(number),
            user_id=created_by,
            changes={"name": name, "server_type": server_type, "base_url": base_url},
        )
    return ProviderRef(type=ProviderType.AI_SERVER, id=number)


async def set_active_if_absent(
    connection: Any,
    purpose: Purpose,
    provider: ProviderRef,
    *,
    fallback: ProviderRef | None = None,
    updated_by: str,
) -> bool:
    """Give a purpose its first row, with its audit row; False when it has one."""
    second = (str(fallback.type), fallback.id) if fallback else (None, None)
    async with connection.transaction():
        written = await connection.fetchval(
            QUERIES["set_active_if_absent"],
            str(purpose),
            str(provider.type),
            provider.id,
            *second,
            updated_by,
        )
        if written is None:
            return False
        await record_audit(
            connection,
            action="set_active",
            entity_type="active_provider",
            entity_id=str(purpose),
            user_id=updated_by,
            changes={"provider": str(provider), "fallback": str(fallback) if fallback else None},
        )
    return True
