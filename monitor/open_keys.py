"""The encryption keys that the daemon opens stored keys with, from its start on and after each rotation."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from monitor.domain.target import SealedKey
from monitor.jobs.open_keyring import open_keyring, refuse_key
from monitor.keyring import Keyring, KeyringError
from monitor.settings import Settings

log = structlog.get_logger()


class OpenKeys:
    """One daemon's keyring.

    Attributes:
        keyring: None before it was opened, and where there is no key and none is needed.
    """

    def __init__(self, conceal: Callable[[str], None] | None, on_change: Callable[[], None]) -> None:
        """Nothing is opened yet.

        Args:
            conceal: told of every key that is opened, so that no log ever shows it.
            on_change: told that somebody has rotated the encryption keys.
        """
        self._conceal = conceal
        self._on_change = on_change
        self._complaint: str | None = None
        self.keyring: Keyring | None = None

    async def open(self, connection: Any, settings: Settings, key_folder: Path | None) -> None:
        """Open the keyring, and see that it fits.

        Args:
            connection: to the migrated database.
            settings: name the keys, or none.
            key_folder: where a key is kept when they name none, or None.

        Raises:
            KeyringError: stored keys need one that is not there or does not fit.
        """
        current, old = settings.encryption_key, settings.old_encryption_keys
        self.keyring = await open_keyring(
            connection,
            current=current.get_secret_value() if current else None,
            old=tuple(key.get_secret_value() for key in old),
            key_folder=key_folder,
        )

    def unseal(self, sealed: SealedKey) -> str:
        """A stored key in plain text.

        Raises:
            KeyUndecryptable: it does not open.
        """
        key = (self.keyring.unseal if self.keyring else refuse_key)(sealed)
        if self._conceal is not None:
            self._conceal(key)
        return key

    def ids(self) -> tuple[str, ...]:
        """Which encryption keys open, after a look at whether somebody has rotated them."""
        if self.keyring is None:
            return ()
        try:
            if self.keyring.refresh():
                log.info("encryption_keys_changed", count=len(self.keyring.ids))
                self._on_change()
            self._complaint = None
        except KeyringError as error:
            if self._complaint != str(error):
                self._complaint = str(error)
                log.warning("encryption_keys_unreadable", reason=self._complaint)
        return self.keyring.ids
