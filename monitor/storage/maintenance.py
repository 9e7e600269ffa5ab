"""When providers are out of service by an operator's word: now, or in a span to come."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from monitor.domain.acts import Act
from monitor.domain.maintenance import Maintenance
from monitor.domain.provider import ProviderRef, ProviderType, Purpose
from monitor.storage.acting import (
    ActInvalid,
    ActRefused,
    By,
    ProviderMissing,
    begin_act,
    check_seen,
    end_of,
    in_utc,
    record_act,
    tell_configuration,
)
from monitor.storage.audit import record_audit
from monitor.storage.columns import provider_in
from monitor.storage.purposes import columns
from monitor.storage.queries import QUERIES

NAMED = {ProviderType.AI_SERVER: "server_name", ProviderType.API_KEY: "key_name"}
ENTITIES = {ProviderType.AI_SERVER: "ai_server", ProviderType.API_KEY: "llm_api_key"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceRow:
    """One provider's maintenance as it is kept.

    Attributes:
        span: from when to when.
        act: the number of the act that set or ended it.
        user_id: who.
        reason: why, or None.
    """

    span: Maintenance
    act: int
    user_id: str
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceSet:
    """What an act on a provider's maintenance came to.

    Attributes:
        provider: whose.
        name: the operator's.
        changed: whether anything did.
        span: from when to when; None when a planned one was called off.
        lasts: whether it lasts now.
        purposes: those that name the provider.
    """

    provider: ProviderRef
    name: str
    changed: bool
    span: Maintenance | None
    lasts: bool
    purposes: tuple[Purpose, ...]


async def set_maintenance(
    connection: Any,
    ref: ProviderRef,
    starts_at: datetime | None,
    ends_at: datetime | timedelta | None,
    by: By,
) -> MaintenanceSet:
    """Take a provider out of service in every purpose, now or for a span to come.

    One that lasts keeps its beginning and gets another end; one that is planned is replaced.

    Args:
        connection: any, outside of a transaction.
        ref: whom.
        starts_at: from when on; None for now.
        ends_at: until when: an instant, or how long from the beginning; None until `end_maintenance`.
        by: who acts.

    Raises:
        ProviderMissing: it has no row.
        ActInvalid: the end has passed, or comes before the beginning.
        ActRefused: it is in maintenance, and another one shall begin later; or a row is locked.
    """
    async with begin_act(connection, "a row of active_providers"):
        await connection.execute(QUERIES["lock_all_active"])
        name, now, before = await _find(connection, ref, by)
        begin = max(in_utc(starts_at, "the beginning"), now) if starts_at is not None else now
        end = _end(begin, ends_at, now)
        if before is not None and before.holds(now):
            if begin > now:
                raise ActRefused(f"{ref} ({name}) is in maintenance already", "end it first (--end)")
            begin = before.since
        span = Maintenance(since=begin, until=end)
        if span == before:
            return _result(ref, name, span, now, changed=False)
        detail: dict[str, object] = {
            "starts_at": begin.isoformat(),
            "ends_at": end.isoformat() if end else None,
        }
        return await _write(connection, Act.MAINTENANCE, ref, name, span, now, detail, by)


async def end_maintenance(connection: Any, ref: ProviderRef, by: By) -> MaintenanceSet:
    """End a provider's maintenance now, or call off the one that is planned; without one nothing changes.

    Raises:
        ProviderMissing: it has no row.
        ActRefused: a row is locked.
    """
    async with begin_act(connection, "a row of active_providers"):
        await connection.execute(QUERIES["lock_all_active"])
        name, now, before = await _find(connection, ref, by)
        if before is None or (before.until is not None and before.until <= now):
            return _result(ref, name, before, now, changed=False)
        began = before.since < now
        span = Maintenance(since=before.since, until=now) if began else None
        detail: dict[str, object] = {"ended_at": now.isoformat()}
        return await _write(connection, Act.END_MAINTENANCE, ref, name, span, now, detail, by)


def seen_of_maintenance(act: int | None) -> str:
    """A word for a provider's maintenance as it stands: another one after every act on it."""
    return str(act or "-")


async def load_maintenance(connection: Any) -> dict[ProviderRef, MaintenanceRow]:
    """Every maintenance that is planned, lasts, or ended a while ago."""
    return {
        provider_in(row): MaintenanceRow(
            span=Maintenance(since=row["starts_at"], until=row["ends_at"]),
            act=row["act"],
            user_id=row["user_id"],
            reason=row["reason"],
        )
        for row in await connection.fetch(QUERIES["load_maintenance"])
    }


async def prune_maintenance(connection: Any, before: datetime) -> None:
    """Forget those that ended before an instant; the acts stay."""
    await connection.execute(QUERIES["prune_maintenance"], before)


async def _find(connection: Any, ref: ProviderRef, by: By) -> tuple[str, datetime, Maintenance | None]:
    name: str | None = await connection.fetchval(QUERIES[NAMED[ref.type]], ref.id)
    if name is None:
        raise ProviderMissing(f"{ref}: there is no such row")
    now: datetime = await connection.fetchval(QUERIES["read_clock"])
    row = await connection.fetchrow(QUERIES["read_maintenance"], *columns(ref))
    check_seen(by, seen_of_maintenance(row["act"] if row else None), f"the maintenance of {ref} ({name})")
    return name, now, Maintenance(since=row["starts_at"], until=row["ends_at"]) if row else None


def _end(begin: datetime, ends_at: datetime | timedelta | None, now: datetime) -> datetime | None:
    end = end_of(ends_at, begin) if isinstance(ends_at, timedelta) else end_of(ends_at, now)
    if end is not None and end <= begin:
        raise ActInvalid("the end comes before the beginning: name a later one")
    return end


async def _write(
    connection: Any,
    act: Act,
    ref: ProviderRef,
    name: str,
    span: Maintenance | None,
    now: datetime,
    detail: dict[str, object],
    by: By,
) -> MaintenanceSet:
    wanted = await connection.fetch(QUERIES["purposes_naming"], *columns(ref))
    named = [row["purpose"] for row in wanted]
    number = await record_act(connection, act, by, now, {**detail, "purposes": named}, provider=ref)
    if span is None:
        await connection.execute(QUERIES["delete_maintenance"], *columns(ref))
    else:
        await connection.execute(
            QUERIES["write_maintenance"],
            *columns(ref),
            span.since,
            span.until,
            number,
            by.user_id,
            by.reason,
        )
    await connection.execute(QUERIES["note_maintenance"], number, named)
    await record_audit(
        connection,
        action=str(act),
        entity_type=ENTITIES[ref.type],
        entity_id=str(ref.id),
        user_id=by.user_id,
        changes={"provider": str(ref), "name": name, **detail, "reason": by.reason, "via": by.via},
    )
    await tell_configuration(connection, f"maintenance:{ref}")
    return _result(ref, name, span, now, changed=True, purposes=named)


def _result(
    ref: ProviderRef,
    name: str,
    span: Maintenance | None,
    now: datetime,
    *,
    changed: bool,
    purposes: Sequence[str] = (),
) -> MaintenanceSet:
    return MaintenanceSet(
        provider=ref,
        name=name,
        changed=changed,
        span=span,
        lasts=span is not None and span.holds(now),
        purposes=tuple(Purpose(one) for one in purposes if one in set(Purpose)),
    )
