"""Who serves each purpose, as a person is told: the application's row beside what we know of it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from monitor.domain.application_status import ApplicationStatus
from monitor.domain.provider import ProviderRef, Purpose
from monitor.storage.purposes import read_ref
from monitor.storage.queries import QUERIES


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveProvider:
    """One purpose's row, and our own knowledge of it.

    Attributes:
        purpose: whose.
        active: the one that serves; None when the row names nobody.
        fallback: the second one of the row, or None.
        updated_by: who wrote the row last.
        updated_at: when, UTC.
        generation: counts the moves; 0 before a daemon has seen the purpose.
        as_of: when this was read, by the database's clock.
        is_watched: a daemon acts and was heard of within 20 s.
        stale_at: from when on the belief in the active one is too old to act on; None without one.
        status: the belief, in the application's word; None without one.
        pinned: whom a pin that holds names, or None.
        stranded: nobody is fit to serve.
    """

    purpose: Purpose
    active: ProviderRef | None
    fallback: ProviderRef | None
    updated_by: str | None
    updated_at: datetime | None
    generation: int
    as_of: datetime
    is_watched: bool
    stale_at: datetime | None
    status: ApplicationStatus | None
    pinned: ProviderRef | None
    stranded: bool

    @property
    def stale(self) -> bool:
        """Whether nothing fresh is known of the one that serves."""
        return not self.is_watched or self.stale_at is None or self.stale_at <= self.as_of

    @property
    def health(self) -> ApplicationStatus:
        """What is known of it now."""
        return ApplicationStatus.UNKNOWN if self.stale or self.status is None else self.status


async def read_active_providers(connection: Any, purpose: Purpose | None = None) -> list[ActiveProvider]:
    """The row of one purpose, or of all that have one; rows of purposes that nobody knows are left out."""
    return [
        _active(row)
        for row in await connection.fetch(QUERIES["read_active_providers"], list(Purpose), purpose)
    ]


def _active(row: Any) -> ActiveProvider:
    updated = row["updated_at"]
    return ActiveProvider(
        purpose=Purpose(row["purpose"]),
        active=read_ref(row["provider_type"], row["provider_id"]),
        fallback=read_ref(row["fallback_provider_type"], row["fallback_provider_id"]),
        updated_by=row["updated_by"],
        updated_at=updated if updated is None or updated.tzinfo else updated.replace(tzinfo=UTC),
        generation=row["generation"],
        as_of=row["as_of"],
        is_watched=row["is_watched"],
        stale_at=row["stale_at"],
        status=None if row["status"] is None else ApplicationStatus(row["status"]),
        pinned=read_ref(row["pinned_provider_type"], row["pinned_provider_id"]),
        stranded=row["stranded"],
    )
