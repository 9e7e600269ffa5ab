"""The keys that open the stored ones, and the proof that they do."""

from pathlib import Path
from typing import Any

import structlog

from monitor.domain.target import KeyUndecryptable, SealedKey
from monitor.keyring import Keyring, KeyringError, is_token, load_or_create, read_keys
from monitor.storage.providers import read_rows

log = structlog.get_logger()

KEY_FILE = "encryption.key"


async def open_keyring(
    connection: Any, *, current: str | None, old: tuple[str, ...], key_folder: Path | None
) -> Keyring | None:
    """The keyring of this installation, or None when there is no key and none is needed.

    A wrong key would make every hosted provider look refused at once, and move every purpose for no reason
    but our own: when not one of the stored keys opens, we do not start.

    Args:
        connection: to the migrated database.
        current: the key of the settings, or None.
        old: earlier keys, which still open what they sealed.
        key_folder: where a key is kept (and made at first) when the settings name none, or None.

    Raises:
        KeyringError: stored keys need one that is not there or does not fit; the message names the mend.
    """
    keyring = load_keyring(current, old, key_folder)
    rows = await read_rows(connection)
    sealed = [
        key
        for key in (*(row.key for row in rows.keys), *(row.api_key for row in rows.servers))
        if key is not None and key.encrypted
    ]
    if keyring is None:
        if sealed:
            raise KeyringError(
                f"BYOK_ENCRYPTION_KEY is not set, and {len(sealed)} stored keys need it: "
                "set it to the application's key"
            )
        return None
    closed = sum(not _opens(keyring, key) for key in sealed)
    tokens = [key for key in sealed if is_token(key)]
    if tokens and closed == len(sealed):
        raise KeyringError(
            f"BYOK_ENCRYPTION_KEY opens none of the {len(tokens)} stored keys: set it to the application's "
            "key, or name that one in MONITOR_OLD_ENCRYPTION_KEYS"
        )
    if closed:
        log.warning("keys_not_decrypted", count=closed, of=len(sealed))
    return keyring


def load_keyring(current: str | None, old: tuple[str, ...], key_folder: Path | None) -> Keyring | None:
    """The keyring of these settings, whether or not it opens anything; None without a key.

    Raises:
        KeyringError: a key is none, or the file of the key folder can't be used.
    """
    if current is not None:
        return Keyring(current, old)
    if key_folder is None:
        return None
    path = key_folder / KEY_FILE
    first, *others = load_or_create(path)
    return Keyring(first, [*others, *old], reread=lambda: read_keys(path))


def refuse_key(sealed: SealedKey) -> str:
    """Open a key without a keyring: those that were never encrypted.

    Raises:
        KeyUndecryptable: this one was.
    """
    if sealed.encrypted:
        raise KeyUndecryptable("BYOK_ENCRYPTION_KEY is not set")
    return sealed.text


def _opens(keyring: Keyring, key: SealedKey) -> bool:
    try:
        keyring.unseal(key)
    except KeyUndecryptable:
        return False
    return True
