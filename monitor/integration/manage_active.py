"""Who serves each purpose: asked, and set by an operator."""

from typing import Any

from monitor.domain.application_status import ApplicationStatus
from monitor.domain.provider import ProviderRef, ProviderType, Purpose
from monitor.integration.fields import FieldRefused, read_who
from monitor.integration.held import Held
from monitor.integration.shown import show_api_key, show_server
from monitor.storage.actives import ActiveProvider, read_active_providers
from monitor.storage.operator import KEEP, ActRefused, By, Keep, choose
from monitor.storage.provider_rows import API_KEYS, SERVERS, find_row
from monitor.storage.refusals import Refused, RowMissing
from monitor.storage.writing import LARGEST_ID


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

    async def set_active_provider(
        self,
        purpose: str,
        provider_type: str,
        provider_id: int,
        fallback_provider_type: str | Keep | None = KEEP,
        fallback_provider_id: int | Keep | None = KEEP,
        *,
        updated_by: str | None = None,
        user_id: str | None = None,
        reason: str | None = None,
        via: str = "library",
        force: bool = False,
    ) -> dict[str, Any]:
        """Name who serves a purpose from now on; returns what `get_active_provider` then says.

        It is the operator's new preference and is active at once. What stands there already changes nothing.

        Args:
            purpose: `chat`, `embeddings` or `reranking`.
            provider_type: `ai_server` or `api_key`.
            provider_id: its row.
            fallback_provider_type: left out: the fallback is kept; None: there is none.
            fallback_provider_id: as the type.
            updated_by: stands in the row; `user_id` comes before it.
            user_id: who does it.
            reason: why; stands in the audit.
            via: `library` or `api`.
            force: let embeddings change their vector space: everything has to be embedded anew.

        Raises:
            PurposeUnknown: it is none of the three.
            FieldRefused: a type is unknown, or a fallback is named by half.
            RowMissing: there is no such provider.
            ProviderDisabled: one of the two is disabled.
            ActInvalid: both are the same.
            ActRefused: the vectors of the two would not stand in one index; or the row is locked.
        """
        wanted = read_purpose(purpose)
        active = _reference("provider", provider_type, provider_id)
        fallback = _fallback(fallback_provider_type, fallback_provider_id)
        by = By(user_id=read_who(user_id, updated_by), reason=reason, via=via)
        async with self.connection() as connection:
            await choose(connection, wanted, active, fallback, by, force=force)
        found = await self._actives(wanted)
        if not found:
            raise ActRefused(f"somebody else has just deleted the row of {wanted}: look, and try again")
        return found[0]

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


def _reference(name: str, type_: object, number: object) -> ProviderRef:
    if type_ not in set(ProviderType):
        raise FieldRefused(f"{name}_type", f"{name}_type is unknown: write {' or '.join(ProviderType)}")
    if not isinstance(number, int) or isinstance(number, bool):
        raise FieldRefused(f"{name}_id", f"{name}_id is no number: write the id of a row")
    ref = ProviderRef(type=ProviderType(str(type_)), id=number)
    if not 0 < number <= LARGEST_ID:
        raise RowMissing(ref)
    return ref


def _fallback(type_: str | Keep | None, number: int | Keep | None) -> ProviderRef | Keep | None:
    if type_ is KEEP and number is KEEP:
        return KEEP
    if {type_, number} <= {None, KEEP}:
        return None
    if type_ in (KEEP, None) or number in (KEEP, None):
        absent = "fallback_provider_type" if type_ in (KEEP, None) else "fallback_provider_id"
        raise FieldRefused(absent, f"{absent} is missing: name the fallback's type and its id, or neither")
    return _reference("fallback_provider", type_, number)


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
