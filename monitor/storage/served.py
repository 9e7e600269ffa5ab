"""Who serves a purpose, with all of its row that it takes to call it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from monitor.domain.preference import ordered
from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.rows import KeyRow, ServerRow
from monitor.domain.target import Target
from monitor.storage.keys import KeyNotes
from monitor.storage.providers import key_row, server_row
from monitor.storage.purposes import columns, read_ref
from monitor.storage.queries import QUERIES

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One purpose's row, and the row that it names.

    Attributes:
        active: whom it names; None when it names nobody that could be.
        row: that provider's own; None when it is gone.
        fallback: the second one it names, or None.
        health_status: the application's word for the provider.
        last_health_check: UTC; None before the first.
    """

    active: ProviderRef | None
    row: ServerRow | KeyRow | None
    fallback: ProviderRef | None
    health_status: str
    last_health_check: datetime | None


async def read_served(
    connection: Any, purpose: Purpose, other: ProviderRef | None = None, *, timeout: float | None = None
) -> Served | None:
    """Who serves a purpose, in one statement; None when nobody was chosen.

    Args:
        connection: any, with whatever codecs and caches its owner gave it.
        purpose: whose.
        other: this one in the place of who serves it, or None.
        timeout: seconds for the answer, or None.
    """
    row = await connection.fetchrow(QUERIES["read_served"], str(purpose), *columns(other), timeout=timeout)
    if row is None:
        return None
    server: bool = row["is_server"]
    read = server_row if server else key_row
    active = read_ref(row["provider_type"], row["provider_id"])
    written = {active: (row["sealed_sha256"], row["identity"])} if active and row["identity"] else {}
    return Served(
        active=active,
        row=read(row, KeyNotes(written=written, salt=row["salt"] or "")) if row["id"] is not None else None,
        fallback=read_ref(row["fallback_provider_type"], row["fallback_provider_id"]),
        health_status=(row["health_status"] if server else row["application_status"]) or UNKNOWN,
        last_health_check=_utc(row["last_health_check"] if server else row["last_started_at"]),
    )


async def read_proved_model(connection: Any, target: Target, *, timeout: float | None = None) -> str | None:
    """The model that a target's last good probe asked for; None when there is none such."""
    model: str | None = await connection.fetchval(
        QUERIES["read_proved_model"],
        *columns(target.id.provider),
        str(target.id.purpose),
        target.fingerprint,
        timeout=timeout,
    )
    return model


async def read_candidates(connection: Any, purpose: Purpose) -> tuple[ProviderRef, ...]:
    """Whom a purpose may be served by, best first; the one that serves and its fallback come last."""
    rows = await connection.fetch(QUERIES["read_candidates"], str(purpose))
    return ordered(read_ref(row["provider_type"], row["provider_id"]) for row in rows)


async def is_pooled(connection: Any, *, timeout: float | None = None) -> bool:
    """Whether something stands between us and the server that gives our statements to changing sessions.

    A pooler answers the protocol itself and makes up the process number; what LISTEN asks for would be told
    to a session that is no longer ours.
    """
    pid = await connection.fetchval(QUERIES["read_backend_pid"], timeout=timeout)
    return bool(pid != connection.get_server_pid())


def _utc(at: datetime | None) -> datetime | None:
    """The application's columns are UTC without a zone."""
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at
