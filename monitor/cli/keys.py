"""The keys of a command, and the clock of its probes."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from monitor.domain.target import SealedKey

if TYPE_CHECKING:
    from monitor.settings import Settings


async def open_unseal(settings: "Settings", connection: Any) -> Callable[[SealedKey], str]:
    """What opens stored keys.

    Raises:
        KeyringError: stored keys need an encryption key that is not there, or that does not fit.
    """
    from monitor.jobs.open_keyring import open_keyring, refuse_key

    current, old = settings.encryption_key, settings.old_encryption_keys
    keyring = await open_keyring(
        connection,
        current=current.get_secret_value() if current else None,
        old=tuple(key.get_secret_value() for key in old),
        key_folder=settings.data_dir if settings.database is None else None,
    )
    return keyring.unseal if keyring is not None else refuse_key


async def database_clock(connection: Any) -> Callable[[], datetime]:
    """The database's clock, read once and carried on by our monotonic one."""
    from monitor.storage.queries import QUERIES

    began, read_at = await connection.fetchval(QUERIES["read_clock"]), time.monotonic()
    return lambda: began + timedelta(seconds=time.monotonic() - read_at)
