"""Beliefs, kept so that a restart forgets nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from pydantic import TypeAdapter, ValidationError

from monitor.domain.application_status import ApplicationStatus
from monitor.domain.health import Health
from monitor.domain.outcome import Outcome
from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.target import TargetId
from monitor.storage.address import execute_each
from monitor.storage.columns import NO_PURPOSE, target_in
from monitor.storage.queries import QUERIES

log = structlog.get_logger()
HEALTH = TypeAdapter(Health)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredHealth:
    """A belief with what people and pages read of it.

    Attributes:
        target: whose.
        health: the belief itself.
        eligible: whether it may be moved onto now.
        warnings: sorted.
        block: the blocks, sorted and joined by commas, or None.
        status: the application's word.
        last_outcome: what the last deep probe showed.
    """

    target: TargetId
    health: Health
    eligible: bool
    warnings: tuple[str, ...]
    block: str | None
    status: ApplicationStatus
    last_outcome: Outcome | None = None


async def load_healths(connection: Any) -> dict[TargetId, Health]:
    """Every stored belief; one that can't be read (a later version wrote it) is left out and said so."""
    return _read_healths(await connection.fetch(QUERIES["load_healths"]))


async def load_healths_of(
    connection: Any, purpose: Purpose, refs: Sequence[ProviderRef]
) -> dict[ProviderRef, Health]:
    """The stored beliefs of some providers in a purpose, as far as they can be read."""
    rows = await connection.fetch(
        QUERIES["load_healths_of"], str(purpose), [str(ref.type) for ref in refs], [ref.id for ref in refs]
    )
    return {target.provider: health for target, health in _read_healths(rows).items()}


def read_health(stored: object) -> Health:
    """A belief from its JSON.

    Raises:
        ValidationError: it has another form.
    """
    return HEALTH.validate_python(stored)


async def save_healths(connection: Any, healths: Iterable[StoredHealth]) -> None:
    """Write beliefs, each over its predecessor."""
    await execute_each(connection, QUERIES["save_health"], [_arguments(one) for one in healths])


async def forget_healths(connection: Any, targets: Iterable[TargetId]) -> None:
    """Drop the beliefs of targets that are no longer wanted; their results stay."""
    rows = [(str(one.provider.type), one.provider.id, one.purpose or NO_PURPOSE) for one in targets]
    await execute_each(connection, QUERIES["forget_health"], rows)


def _arguments(one: StoredHealth) -> tuple[object, ...]:
    health = one.health
    moment: datetime | None = health.last_started_at
    return (
        str(one.target.provider.type),
        one.target.provider.id,
        one.target.purpose or NO_PURPOSE,
        health.fingerprint,
        str(health.state),
        health.since,
        one.eligible,
        str(one.last_outcome) if one.last_outcome else None,
        moment,
        list(one.warnings),
        one.block,
        str(one.status),
        HEALTH.dump_python(health, mode="json"),
    )


def _read_healths(rows: Iterable[Any]) -> dict[TargetId, Health]:
    found: dict[TargetId, Health] = {}
    for row in rows:
        target = target_in(row)
        try:
            found[target] = read_health(row["health"])
        except ValidationError as error:
            log.warning("health_unreadable", target=str(target), problems=error.error_count())
    return found
