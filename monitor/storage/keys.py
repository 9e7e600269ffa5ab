"""What we know of the stored keys: which of them this program wrote, and which one each is, but no key."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from monitor.domain.provider import ProviderRef
from monitor.storage.columns import provider_in
from monitor.storage.queries import QUERIES

_IDENTITY_CHARACTERS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyNotes:
    """All of them.

    Attributes:
        written: by row, the hash of the sealed text that this program wrote there and the key's identity.
        salt: goes into the identity of a key in plain text.
    """

    written: Mapping[ProviderRef, tuple[str, str]]
    salt: str

    def identity(self, ref: ProviderRef, text: str, *, sealed: bool) -> str:
        """Which key it is: the same after it was sealed anew, another for another key.

        Args:
            ref: the row.
            text: as it stands there.
            sealed: whether that is a token; else it is the key in plain text.
        """
        if not sealed:
            return hmac.digest(self.salt.encode(), text.encode(), "sha256").hex()[:_IDENTITY_CHARACTERS]
        return self.written[ref][1] if self.is_ours(ref, text) else _hash(text)[:_IDENTITY_CHARACTERS]

    def is_ours(self, ref: ProviderRef, sealed: str) -> bool:
        """Whether this program wrote the sealed text that stands in the row."""
        return ref in self.written and self.written[ref][0] == _hash(sealed)


async def read_key_notes(connection: Any) -> KeyNotes:
    """Read them all."""
    rows = await connection.fetch(QUERIES["read_key_notes"])
    return KeyNotes(
        written={
            provider_in(row): (
                row["sealed_sha256"],
                row["identity"],
            )
            for row in rows
        },
        salt=await connection.fetchval(QUERIES["read_key_salt"]) or "",
    )


async def note_key_written(
    connection: Any, ref: ProviderRef, sealed: str, *, identity: str | None = None
) -> None:
    """Note that this program wrote a sealed key into a row, in the transaction that writes it.

    Args:
        connection: in that transaction.
        ref: the row.
        sealed: the token as it stands there now.
        identity: of the key, when it is the same as before and was only sealed anew; None for a new key.
    """
    await connection.execute(
        QUERIES["note_key_written"],
        str(ref.type),
        ref.id,
        _hash(sealed),
        identity or _hash(sealed)[:_IDENTITY_CHARACTERS],
    )


async def forget_key(connection: Any, ref: ProviderRef) -> None:
    """Forget a row that is deleted, or holds no sealed key any more."""
    await connection.execute(QUERIES["forget_key"], str(ref.type), ref.id)


async def forget_keys_of_deleted_rows(connection: Any) -> None:
    """Forget the rows that somebody else deleted."""
    await connection.execute(QUERIES["forget_keys_of_deleted_rows"])


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()
