"""Who serves each purpose: asked, and set by an operator."""

from typing import Any

from monitor.domain.application_status import ApplicationStatus
from monitor.domain.provider import ProviderRef, ProviderType, Purpose
from monitor.integration.held import Held
from monitor.integration.shown import show_api_key, show_server
from monitor.storage.actives import ActiveProvider, read_active_providers
from monitor.storage.provider_rows import API_KEYS, SERVERS, find_row
from monitor.storage.refusals import Refused


class PurposeUnknown(Refused):
    """No such purpose."""

    def __init__(self) -> None:
        super().__init__(f"Unknown purpose: write one of {', '.join(Purpose)}")


class ActiveManagement(Held):
    """The part of the manager that concerns `active_providers`."""

    async def get_active_provider(self, purpose: str) -> dict[str, Any] | None:
        """Who serves a purpose; None when it has no row.

        Returns:
            `purpose`, `provider_type`, `provider_id`, `provider` (its row as `get_ai_server` or `get_api_key`
            give it; None when it was deleted), `fallback_provider_type`, `fallback_provider_id`,
            `updated_by`, `updated_at`, and of our own: `generation` (counts the moves), `as_of` (when this
            was read), `stale` (no daemon acts, or it knows nothing fresh of the one that serves), `pinned`,
            `stranded`.

        Raises:
            PurposeUnknown: it is none of the three.
        """
        found = await self._actives(read_purpose(purpose))
        return found[0] if found else None

    async def get_all_active_providers(self) -> list[dict[str, Any]]:
        """Who serves each purpose that has a row, chat first; see `get_active_provider`."""
        return await self._actives(None)

    async def get_purpose_healths(self) -> dict[str, str]:
        """The health of what serves each purpose, in the application's words, without names."""
        async with self.connection() as connection:
            return {str(one.purpose): str(one.health) for one in await read_active_providers(connection)}

    async def _actives(self, purpose: Purpose | None) -> list[dict[str, Any]]:
        async with (
            self.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            return [
                await self._shown(connection, one) for one in await read_active_providers(connection, purpose)
            ]

    async def _shown(self, connection: Any, one: ActiveProvider) -> dict[str, Any]:
        return {
            "purpose": str(one.purpose),
            **_columns("provider", one.active),
            "provider": None if one.active is None else await self._provider(connection, one.active),
            **_columns("fallback_provider", one.fallback),
            "updated_by": one.updated_by,
            "updated_at": one.updated_at,
            "generation": one.generation,
            "as_of": one.as_of,
            "stale": one.stale,
            "pinned": one.pinned is not None,
            "stranded": one.stranded,
        }

    async def _provider(self, connection: Any, ref: ProviderRef) -> dict[str, Any] | None:
        if ref.type is ProviderType.AI_SERVER:
            row = await find_row(connection, SERVERS, ref.id)
            return None if row is None else show_server(row, self.keyring)
        row = await find_row(connection, API_KEYS, ref.id)
        return None if row is None else show_api_key(row, self.keyring)


def read_purpose(purpose: str) -> Purpose:
    """The purpose of that name.

    Raises:
        PurposeUnknown: it is none of the three.
    """
    if purpose not in set(Purpose):
        raise PurposeUnknown
    return Purpose(purpose)


def worst_health(purposes: dict[str, str]) -> str:
    """The worst of the purposes' healths; `unknown` when there is none."""
    order = (
        ApplicationStatus.DOWN,
        ApplicationStatus.DEGRADED,
        ApplicationStatus.UNKNOWN,
        ApplicationStatus.HEALTHY,
    )
    return next((str(word) for word in order if word in purposes.values()), "unknown")


def _columns(name: str, ref: ProviderRef | None) -> dict[str, Any]:
    return {f"{name}_type": str(ref.type) if ref else None, f"{name}_id": ref.id if ref else None}
