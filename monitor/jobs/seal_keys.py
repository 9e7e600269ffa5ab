"""Seals stored keys anew with the current encryption key, once everybody can open what it seals."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from monitor.domain.provider import ProviderType
from monitor.domain.target import KeyUndecryptable
from monitor.keyring import Keyring
from monitor.storage.daemons import DaemonRow, list_daemons
from monitor.storage.sealing import (
    SealingRefused,
    StoredKey,
    read_stored_keys,
    record_sealing,
    reseal,
    sealing,
)

ALIVE = timedelta(seconds=30)
LOOK_SECONDS = 0.5
_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """The stored keys, by what opens them.

    Attributes:
        current: the current key does.
        stale: only an earlier one does.
        unreadable: none of ours does.
        plain: servers' keys that nobody has sealed.
    """

    current: tuple[StoredKey, ...]
    stale: tuple[StoredKey, ...]
    unreadable: tuple[StoredKey, ...]
    plain: tuple[StoredKey, ...]


async def survey(connection: Any, keyring: Keyring) -> Survey:
    """Try every stored key."""
    found: dict[str, list[StoredKey]] = {"current": [], "stale": [], "unreadable": [], "plain": []}
    for stored in await read_stored_keys(connection):
        found[_kind(keyring, stored)].append(stored)
    return Survey(**{kind: tuple(some) for kind, some in found.items()})


def refuse_others(keys: Iterable[StoredKey]) -> None:
    """See that this program wrote them all: another one knows one encryption key alone, or none.

    Raises:
        SealingRefused: the message names the rows and what to do.
    """
    others = [one for one in keys if not one.ours]
    if others:
        raise SealingRefused(
            f"{name_rows(others)}: last written by another program, which could not read what is sealed now: "
            "stop it and say --application-stopped; nothing was changed"
        )


async def wait_for_daemons(connection: Any, key_id: str, seconds: float = 0.0) -> None:
    """See that every living daemon opens what this encryption key seals, for so long.

    Raises:
        SealingRefused: one does not; the message names it and the mend.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        without = [one for one in await living_daemons(connection) if key_id not in one.key_ids]
        if not without:
            return
        if loop.time() >= deadline:
            raise SealingRefused(
                f"the daemon on {without[0].host} (pid {without[0].pid}) does not hold the current "
                "encryption key: add it to its MONITOR_OLD_ENCRYPTION_KEYS and restart it; nothing was sealed"
            )
        await asyncio.sleep(LOOK_SECONDS)


async def living_daemons(connection: Any) -> list[DaemonRow]:
    """Those that were heard of lately."""
    return [one for one in await list_daemons(connection) if one.silent < ALIVE]


async def rotate(
    connection: Any, keyring: Keyring, *, application_stopped: bool, skip_unreadable: bool, by: str
) -> Survey:
    """Seal with the current key what an earlier one sealed: all of it, or nothing.

    Args:
        connection: outside of a transaction.
        keyring: opens what is stored; its current key seals.
        application_stopped: whether rows that another program wrote are sealed too.
        skip_unreadable: whether keys that do not open may stay as they are.
        by: stands in the audit.

    Returns:
        What was found; `stale` is what was sealed.

    Raises:
        SealingRefused: nothing was changed; the message names the mend.
    """
    async with sealing(connection):
        found = await survey(connection, keyring)
        if found.unreadable and not skip_unreadable:
            raise SealingRefused(f"{name_rows(found.unreadable)}: does not open; nothing was changed")
        if not application_stopped:
            refuse_others(found.stale)
        await _seal(connection, keyring, found.stale)
        if found.stale:
            skipped = [str(one.ref) for one in found.unreadable]
            await record_sealing(
                connection, action="rotate_keys", by=by, sealed=found.stale, more={"skipped": skipped}
            )
    return found


async def encrypt_server_keys(connection: Any, keyring: Keyring, *, by: str) -> tuple[StoredKey, ...]:
    """Seal every server's key that stands in plain text: all of them, or nothing.

    Args:
        connection: outside of a transaction.
        keyring: its current key seals.
        by: stands in the audit.

    Returns:
        What was sealed.

    Raises:
        SealingRefused: nothing was changed; the message names the mend.
    """
    async with sealing(connection):
        found = (await survey(connection, keyring)).plain
        await _seal(connection, keyring, found)
        if found:
            await record_sealing(connection, action="encrypt_server_keys", by=by, sealed=found, more={})
    return found


def name_rows(keys: Sequence[StoredKey]) -> str:
    """For a person: `api_key:1 (openai/main), ai_server:3 (gpu) and 2 more`."""
    named = ", ".join(f"{one.ref} ({one.name})" for one in keys[:_NAMED])
    return named + (f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else "")


async def _seal(connection: Any, keyring: Keyring, keys: Iterable[StoredKey]) -> None:
    for stored in keys:
        key = keyring.unseal(stored.key)
        sealed = keyring.seal(key)
        if not keyring.is_current(sealed) or keyring.unseal(sealed) != key:
            raise SealingRefused(f"{stored.ref}: what was sealed does not open again; nothing was changed")
        await reseal(connection, stored, sealed.text)


def _kind(keyring: Keyring, stored: StoredKey) -> str:
    if not stored.key.encrypted:
        return "plain" if stored.ref.type is ProviderType.AI_SERVER else "unreadable"
    if keyring.is_current(stored.key):
        return "current"
    try:
        keyring.unseal(stored.key)
    except KeyUndecryptable:
        return "unreadable"
    return "stale"
