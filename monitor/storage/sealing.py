"""Every stored key, read and sealed anew under locks that keep writers out and let readers pass."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from monitor.domain.provider import ProviderRef, ProviderType
from monitor.domain.target import SealedKey
from monitor.storage.audit import record_audit
from monitor.storage.columns import provider_in
from monitor.storage.keys import note_key_written, read_key_notes
from monitor.storage.providers import is_token
from monitor.storage.queries import QUERIES

_RESEAL = {ProviderType.AI_SERVER: "reseal_server_key", ProviderType.API_KEY: "reseal_api_key"}


class SealingRefused(Exception):
    """The database can't take the keys now; nothing was changed, and the message says what to mend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """One.

    Attributes:
        ref: its row.
        name: the row's.
        key: as it stands there; a hosted provider's always counts as sealed.
        ours: whether this program wrote what stands there.
    """

    ref: ProviderRef
    name: str
    key: SealedKey
    ours: bool


async def read_stored_keys(connection: Any) -> list[StoredKey]:
    """Every key that is stored, in the order of the rows."""
    notes = await read_key_notes(connection)
    found = []
    for row in await connection.fetch(QUERIES["read_stored_keys"]):
        ref = provider_in(row)
        text, sealed = row["text"], ref.type is ProviderType.API_KEY or is_token(row["text"])
        found.append(
            StoredKey(
                ref=ref,
                name=row["name"],
                key=SealedKey(text, encrypted=sealed, identity=notes.identity(ref, text, sealed=sealed)),
                ours=sealed and notes.is_ours(ref, text),
            )
        )
    return found


async def claim_sealing(connection: Any) -> None:
    """Be the only one who seals keys anew, until the session ends.

    Raises:
        SealingRefused: somebody else is.
    """
    if not await connection.fetchval(QUERIES["try_lock_sealing"]):
        raise SealingRefused("another program seals the stored keys at this moment: wait for it")


@asynccontextmanager
async def sealing(connection: Any) -> AsyncIterator[None]:
    """The one transaction in which keys are sealed: whoever would write one meanwhile waits for it.

    Raises:
        SealingRefused: somebody else seals, or holds a row for long, or a column is too narrow.
    """
    await claim_sealing(connection)
    try:
        async with connection.transaction():
            await connection.execute(QUERIES["limit_lock_wait"])
            await connection.fetch(QUERIES["lock_server_keys"])
            await connection.fetch(QUERIES["lock_api_keys"])
            yield
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
        raise SealingRefused(
            "another transaction holds a row with a key: end it (pg_stat_activity shows it) and try again; "
            "nothing was changed"
        ) from None
    except asyncpg.StringDataRightTruncationError:
        raise SealingRefused(
            "a sealed key is longer than its column takes: ALTER TABLE ai_servers ALTER COLUMN api_key TYPE "
            "TEXT (llm_api_keys: encrypted_key); nothing was changed"
        ) from None


async def reseal(connection: Any, stored: StoredKey, sealed: str) -> None:
    """Write the same key, sealed otherwise, inside of `sealing`; it keeps its identity."""
    await connection.execute(QUERIES[_RESEAL[stored.ref.type]], stored.ref.id, sealed)
    await note_key_written(connection, stored.ref, sealed, identity=stored.key.identity)


async def record_sealing(
    connection: Any, *, action: str, by: str, sealed: Sequence[StoredKey], more: Mapping[str, object]
) -> None:
    """The audit row of it, which names rows and no key."""
    changes = {"count": len(sealed), "providers": [str(one.ref) for one in sealed], **more}
    await record_audit(
        connection, action=action, entity_type="encryption", entity_id="keys", user_id=by, changes=changes
    )
