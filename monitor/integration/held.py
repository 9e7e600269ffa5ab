"""What every part of the manager works with: the application's pool, and the keys that open its keys."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from monitor.integration.plain_key import open_keyring
from monitor.keyring import Keyring
from monitor.probing.catalog import load_catalog

WAIT_SECONDS = 5.0


class Held:
    """An application's pool and keys.

    Attributes:
        pool: the application's; it is never closed here.
        keyring: None without an encryption key.
        catalog: what is known of each kind of provider.
    """

    def __init__(
        self,
        db_pool: asyncpg.Pool,
        encryption_key: str | bytes | None,
        *,
        old_encryption_keys: Sequence[str | bytes] | None = None,
    ) -> None:
        self.pool = db_pool
        self.keyring: Keyring | None = open_keyring(encryption_key, old_encryption_keys)
        self.catalog = load_catalog()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(pool={type(self.pool).__name__}, keyring={self.keyring!r})"

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """A connection of the pool.

        Raises:
            TimeoutError: none is free within 5 s.
        """
        async with self.pool.acquire(timeout=WAIT_SECONDS) as connection:
            yield connection
