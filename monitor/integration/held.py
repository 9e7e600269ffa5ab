"""What every part of the manager works with: the application's pool, and the keys that open its keys."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg

from monitor.integration.errors import DatabaseAway
from monitor.integration.plain_key import open_keyring
from monitor.keyring import Keyring
from monitor.probing.catalog import load_catalog
from monitor.storage.errors import ENDED_ERRORS, HOPELESS_ERRORS

WAIT_SECONDS = 5.0

_AWAY = (
    *ENDED_ERRORS,
    *HOPELESS_ERRORS,
    asyncpg.CannotConnectNowError,
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.InsufficientResourcesError,
    asyncpg.QueryCanceledError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,
)


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
            DatabaseAway: none is free within 5 s, or the database stops answering.
        """
        with away_told():
            async with self.pool.acquire(timeout=WAIT_SECONDS) as connection:
                yield connection


@contextmanager
def away_told() -> Iterator[None]:
    """Turn what a database that is away or slow raises into one error, without the driver's own text."""
    try:
        yield
    except _AWAY as error:
        raise DatabaseAway(f"the database does not answer ({type(error).__name__}): try again") from error
