"""Tokens of the HTTP API: only hashes are stored, and every act is audited."""

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from monitor.domain.access import Caller, TokenRole, digest, write_token
from monitor.storage.audit import record_audit
from monitor.storage.queries import QUERIES

TOKEN_CHANNEL = "monitor_tokens"  # noqa: S105 - a channel's name
SECRET_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token that was just made; its text is told once.

    Attributes:
        id: its row.
        text: what its owner keeps.
        expires_at: its end, or None.
    """

    id: int
    text: str = field(repr=False)
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundToken:
    """A token that may still be used.

    Attributes:
        caller: whom it speaks for.
        digest: SHA-256 of its secret.
        left_seconds: until it expires; None when it never does.
        note_use: its last use has to be noted.
    """

    caller: Caller
    digest: bytes = field(repr=False)
    left_seconds: float | None
    note_use: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """One token, for a list.

    Attributes:
        state: `valid`, `expired` or `revoked`.
    """

    id: int
    name: str
    role: TokenRole
    state: str
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    revoked_by: str | None
    last_used_at: datetime | None


async def create_token(
    connection: Any, *, name: str, role: TokenRole, lifetime: timedelta | None, by: str
) -> NewToken:
    """Make a token.

    Args:
        connection: in a transaction or not.
        name: whom it is for.
        role: what it is good for.
        lifetime: None for one without an end.
        by: who makes it.
    """
    secret = secrets.token_urlsafe(SECRET_BYTES)
    async with connection.transaction():
        row = await connection.fetchrow(QUERIES["add_token"], name, str(role), digest(secret), by, lifetime)
        end = row["expires_at"]
        await record_audit(
            connection,
            action="create",
            entity_type="token",
            entity_id=str(row["id"]),
            user_id=by,
            changes={"name": name, "role": str(role), "expires_at": end.isoformat() if end else None},
        )
    return NewToken(id=row["id"], text=write_token(row["id"], secret), expires_at=end)


async def first_token(connection: Any) -> bool:
    """Whether there has never been a token; in a transaction, until whose end nobody else is told so."""
    await connection.execute(QUERIES["lock_tokens"])
    return not await connection.fetchval(QUERIES["any_token"])


async def revoke_token(connection: Any, id_: int, by: str) -> str | None:
    """End a token at once, everywhere.

    Returns:
        Its name; None when there is none of that id that is not revoked yet.
    """
    async with connection.transaction():
        name: str | None = await connection.fetchval(QUERIES["revoke_token"], id_, by)
        if name is not None:
            await record_audit(
                connection,
                action="revoke",
                entity_type="token",
                entity_id=str(id_),
                user_id=by,
                changes={"name": name},
            )
    return name


async def find_token(connection: Any, id_: int) -> FoundToken | None:
    """A token by its id; None when it is unknown, expired, revoked, or of a role of a later version."""
    row = await connection.fetchrow(QUERIES["find_token"], id_)
    if row is None or row["role"] not in set(TokenRole):
        return None
    return FoundToken(
        caller=Caller(name=row["name"], role=TokenRole(row["role"]), token_id=row["id"]),
        digest=bytes(row["secret_sha256"]),
        left_seconds=row["left_seconds"],
        note_use=row["note_use"],
    )


async def note_use(connection: Any, id_: int) -> None:
    """Note that a token was used, at most once a minute."""
    await connection.execute(QUERIES["note_token_use"], id_)


async def list_tokens(connection: Any) -> list[TokenRow]:
    """Every token that there has ever been, by id."""
    return [
        TokenRow(**{**row, "role": TokenRole(row["role"])})
        for row in await connection.fetch(QUERIES["list_tokens"])
    ]
