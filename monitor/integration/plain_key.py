"""Keys on their way between the application, its rows and a person's eyes."""

import os
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from monitor.domain.target import KeyUndecryptable, SealedKey
from monitor.keyring import Keyring
from monitor.storage.refusals import Refused

MASK = "****"
OLD_KEYS = "MONITOR_OLD_ENCRYPTION_KEYS"
_SHOWN = 4
_LONG_ENOUGH = 16  # of a shorter key, four characters tell too much


class PlainKey(str):
    """A key in plain text, as any other string but for its `repr`, which is masked."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(mask(self))


class KeyringMissing(Refused):
    """There is nothing to seal a key with."""

    def __init__(self) -> None:
        super().__init__(
            "BYOK_ENCRYPTION_KEY is not set, so no key can be stored: set it to the application's key "
            "(llm-monitor generate-key makes a new one) and start again"
        )


def mask(key: str) -> str:
    """A key as it may be shown: its last four characters, none of a short one."""
    return MASK + (key[-_SHOWN:] if len(key) >= _LONG_ENOUGH else "")


def shown_key(keyring: Keyring | None, sealed: SealedKey | None) -> tuple[str | None, str | None]:
    """What a person is shown of a stored key, and what is wrong with it; no key is (None, None)."""
    if sealed is None:
        return None, None
    try:
        return mask(unseal(keyring, sealed)), None
    except KeyUndecryptable as error:
        return MASK, str(error)


def unseal(keyring: Keyring | None, sealed: SealedKey) -> PlainKey:
    """Open a stored key.

    Raises:
        KeyUndecryptable: no key of ours opens it, or there is none; the message says which.
    """
    if keyring is not None:
        return PlainKey(keyring.unseal(sealed))
    if sealed.encrypted:
        raise KeyUndecryptable("BYOK_ENCRYPTION_KEY is not set: the stored key can't be opened without it")
    return PlainKey(sealed.text)


def open_keyring(current: str | bytes | None, old: Sequence[str | bytes] | None) -> Keyring | None:
    """The keyring of an application.

    Args:
        current: its key; without one stored keys can neither be opened nor written.
        old: earlier keys; None for those that the environment names, apart by commas or blanks.

    Raises:
        KeyringError: one of them is no Fernet key.
    """
    if not current:
        return None
    if old is None:
        old = [word for word in re.split(r"[,\s]+", os.environ.get(OLD_KEYS, "")) if word]
    return Keyring(current, old)


def shown_url(url: str) -> str:
    """An address without the credentials that an old row may carry in it."""
    try:
        netloc = urlsplit(url).netloc
    except ValueError:
        return MASK
    login, at, _ = netloc.rpartition("@")
    return url.replace(f"{login}{at}", f"{MASK}@", 1) if at else url
