"""What an application manages its LLM providers with."""

import os

from monitor.integration.manage_active import ActiveManagement
from monitor.integration.manage_api_keys import ApiKeyManagement
from monitor.integration.manage_servers import ServerManagement
from monitor.storage.migrations import migrate

USER = "monitor"
OPENROUTER_KEY = "OPENROUTER_API_KEY"


class LLMConfigManager(ServerManagement, ApiKeyManagement, ActiveManagement):
    """Servers, keys and who serves, over a pool that the application owns.

    The pool's own JSON codecs do not matter, nor does its statement cache; behind pgbouncer in transaction
    mode the pool wants `statement_cache_size=0`.

    Args:
        db_pool: an `asyncpg.Pool`; it is never closed here.
        encryption_key: the Fernet key of stored keys; None: rows are read, keys neither opened nor written.
        old_encryption_keys: earlier ones, which still open what they sealed; None for those of
            MONITOR_OLD_ENCRYPTION_KEYS.

    Attributes:
        pool: as given.
        keyring: None without an encryption key.

    Raises:
        KeyringError: a key is no Fernet key.
    """

    async def initialize_defaults(self) -> list[str]:
        """Adopt the application's tables, or make them; take up OPENROUTER_API_KEY where it is set and new.

        May be called at every start, by every process.

        Returns:
            What was taken up, a line each; keys are masked.

        Raises:
            SchemaError: the database can't be adopted as it is; the message names the mend.
        """
        key = os.environ.get(OPENROUTER_KEY, "").strip()
        async with self.connection() as connection:
            await migrate(connection)
            if not key:
                return []
            # Only here, because it takes along what looks for servers.
            from monitor.jobs.adopt_environment import FoundKey, adopt

            offers = [FoundKey(provider="openrouter", key=key)]
            return await adopt(connection, self.keyring, offers, self.catalog, by=USER)

    async def close(self) -> None:
        """End what the manager began, which is nothing that outlives a call; the pool stays open."""
