"""From a provider's row to what an application calls; a row that can't be used is said so, once."""

import os
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import structlog

from monitor.domain.catalog import Catalog
from monitor.domain.metadata import RowProblem, read_metadata
from monitor.domain.one_target import Row, read_target
from monitor.domain.provider import Purpose
from monitor.domain.rows import ServerRow
from monitor.domain.target import KeyUndecryptable, Target
from monitor.integration.configuration import ProviderConfiguration, Secret
from monitor.jobs.open_keyring import refuse_key
from monitor.keyring import Keyring
from monitor.storage.purposes import columns
from monitor.storage.served import Served

_METADATA_ADDRESSES = "MONITOR_ALLOW_METADATA_ADDRESSES"

log = structlog.get_logger()

FindModel = Callable[[Target, str | None], Awaitable[str | None]]


class Store(Protocol):
    """What of the manager is needed to read: the application's pool, and the keys that open its keys."""

    @property
    def pool(self) -> Any:
        """An asyncpg pool."""

    @property
    def keyring(self) -> Keyring | None:
        """None when the application encrypts nothing."""


class Unusable(Exception):
    """A provider that can't be called; the message names its row and the mend."""


def metadata_addresses_allowed() -> bool:
    """The word of this process's operator, by the daemon's own variable."""
    return os.environ.get(_METADATA_ADDRESSES, "").strip().lower() in ("1", "true", "yes", "on", "t", "y")


def open_key(store: Store, row: Row, target: Target) -> str | None:
    """The key of a target in plain text; None for an open server.

    Raises:
        Unusable: it does not open.
    """
    if target.key is None:
        return None
    try:
        return (store.keyring.unseal if store.keyring is not None else refuse_key)(target.key)
    except KeyUndecryptable as error:
        raise Unusable(
            f"{row.ref} ({target.name}): {error}; "
            "name that one in MONITOR_OLD_ENCRYPTION_KEYS, or store the key anew"
        ) from None


async def load(
    store: Store, catalog: Catalog, served: Served, purpose: Purpose, find_model: FindModel
) -> ProviderConfiguration:
    """The provider that a row describes.

    Args:
        store: opens its key.
        catalog: what is known of its kind.
        served: the row, and who names it.
        purpose: what it is wanted for.
        find_model: asks for the model of a server whose row names none; given the target and the key.

    Raises:
        Unusable: the row is gone, disabled or wrong, or its key does not open.
    """
    row = served.row
    if row is None:
        raise Unusable(
            f"{purpose}: {served.active or 'the row'} names no provider that exists: choose another"
        )
    if not row.enabled:
        raise Unusable(f"{purpose}: {row.ref} is disabled: enable it, or choose another")
    try:
        target = read_target(row, purpose, catalog, allow_metadata_addresses=metadata_addresses_allowed())
        metadata = read_metadata(row.metadata)
    except RowProblem as problem:
        raise Unusable(str(problem)) from None
    key = open_key(store, row, target)
    model: str | None = target.model
    if model is None:
        model = await find_model(target, key) or target.entry.models.get(purpose)
    fallback_type, fallback_id = columns(served.fallback)
    return ProviderConfiguration(
        provider_type=str(row.ref.type),
        provider_id=row.id,
        provider_name=row.name if isinstance(row, ServerRow) else row.provider,
        server_type=row.server_type if isinstance(row, ServerRow) else None,
        base_url=target.base_url,
        model_path=row.model_path if isinstance(row, ServerRow) else None,
        secret=None if key is None else Secret(key),
        enabled=row.enabled,
        purpose=str(purpose),
        fallback_provider_type=fallback_type,
        fallback_provider_id=fallback_id,
        health_status=served.health_status,
        last_health_check=served.last_health_check,
        metadata=dict(row.metadata) if isinstance(row.metadata, dict) else {},
        model=model,
        model_aliases=metadata.model_aliases,
        entry=target.entry,
    )
