"""One look at everything that a person asks after: who serves, how the providers are, what moved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from monitor.domain.application_status import ApplicationStatus, HealthWarning
from monitor.domain.eligibility import Block
from monitor.domain.health import HealthState
from monitor.domain.maintenance import Maintenance
from monitor.domain.outcome import Outcome
from monitor.domain.provider import ProviderRef, Purpose
from monitor.storage.columns import NO_PURPOSE, provider_in, ref_columns
from monitor.storage.daemons import DaemonRow, list_daemons
from monitor.storage.paced import paced
from monitor.storage.problems import Problem, list_problems
from monitor.storage.purposes import read_ref
from monitor.storage.queries import QUERIES


@dataclass(frozen=True, slots=True, kw_only=True)
class PurposeStatus:
    """Who serves a purpose.

    Attributes:
        purpose: as it stands in `active_providers`.
        active: the one that serves; None when the row names nobody.
        fallback: the second one in the row, or None.
        is_seen: a daemon has seen the row as it stands; False just after an edit, or when none runs.
        generation: counts the moves; None before a daemon has seen the purpose.
        since: since when the active one serves.
        rule: by which rule, `operator` or `adopted`.
        stranded_since: since when nobody serves, or None.
        paused: an operator paused it.
        paused_since: when; None while it is not paused.
        pinned: whom a pin names, or None.
        pinned_until: its end; None without one.
        held: an operator promoted somebody, and no return is made by itself.
        held_until: its end; None without one.
    """

    purpose: str
    active: ProviderRef | None
    fallback: ProviderRef | None
    is_seen: bool
    generation: int | None
    since: datetime | None
    rule: str | None
    stranded_since: datetime | None
    paused: bool
    pinned: ProviderRef | None
    pinned_until: datetime | None
    held: bool = False
    held_until: datetime | None = None
    paused_since: datetime | None = None


class LastResult(NamedTuple):
    """What the last deep probe of a target measured.

    Attributes:
        latency_seconds: of the whole answer.
        ttft_seconds: to the first token.
        model: the model asked for.
        detail: what was wrong, for a person.
    """

    latency_seconds: float | None = None
    ttft_seconds: float | None = None
    model: str | None = None
    detail: str = ""


NO_RESULT = LastResult()
_Results = Mapping[tuple[str, int, str | None], LastResult]
"""By a target's columns."""
_TARGET = itemgetter("provider_type", "provider_id", "purpose")


@dataclass(frozen=True, slots=True, kw_only=True)
class Belief:
    """What is believed of a target, and its last deep result.

    Attributes:
        purpose: None for a target that is only probed lightly.
        state: unknown, up or down.
        since: when the state was entered.
        eligible: whether its purpose might be moved onto it.
        status: the application's word.
        blocks: what keeps it from serving.
        warnings: reasons to look.
        stale_at: from when on the belief is too old to act on.
        last_outcome: of the last deep probe.
        last_started_at: its start.
        light_outcome: of the last light probe.
        light_started_at: when that ran.
        result: the last deep one, as far as it is kept.
    """

    purpose: Purpose | None
    state: HealthState
    since: datetime | None
    eligible: bool
    status: ApplicationStatus
    blocks: tuple[Block, ...]
    warnings: tuple[HealthWarning, ...]
    stale_at: datetime | None
    last_outcome: Outcome | None
    last_started_at: datetime | None
    light_outcome: Outcome | None
    light_started_at: datetime | None
    result: LastResult


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderStatus:
    """One provider of the application.

    Attributes:
        ref: its row.
        name: the operator's.
        kind: `vllm`, `openrouter`, ...; as it stands in the row.
        enabled: whether it is to be used.
        beliefs: one for each of its targets; empty when it is not probed.
        maintenance: the one that lasts or is planned, or None.
        maintenance_by: who set it, and why.
    """

    ref: ProviderRef
    name: str
    kind: str
    enabled: bool
    beliefs: tuple[Belief, ...]
    maintenance: Maintenance | None = None
    maintenance_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitionRow:
    """One move of the past."""

    purpose: str
    generation: int
    rule: str
    left: ProviderRef | None
    left_name: str | None
    onto: ProviderRef | None
    onto_name: str | None
    reason: str
    failure_began_at: datetime | None
    decided_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """All of it at one instant.

    Attributes:
        as_of: the database's clock, by which ages are reckoned.
        daemons: those that did not take their leave, the active one first.
        purposes: by name.
        providers: servers first, by id.
        problems: rows and settings that cannot be used, the oldest first.
        transitions: the last moves, the newest first.
        by_ref: the providers by their rows.
    """

    as_of: datetime
    daemons: tuple[DaemonRow, ...]
    purposes: tuple[PurposeStatus, ...]
    providers: tuple[ProviderStatus, ...]
    problems: tuple[Problem, ...]
    transitions: tuple[TransitionRow, ...]
    by_ref: Mapping[ProviderRef, ProviderStatus] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_ref", {one.ref: one for one in self.providers})


async def read_status(connection: Any, *, transitions: int = 5) -> Status:
    """Read everything in one snapshot; nothing is written.

    Args:
        connection: outside of a transaction.
        transitions: how many of the last moves.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return await read_status_within(connection, transitions=transitions)


async def read_status_within(connection: Any, *, transitions: int = 0, results: bool = True) -> Status:
    """The same in a transaction that sees one snapshot.

    Args:
        connection: in that transaction.
        transitions: how many of the last moves.
        results: with each target's last deep result; without it, `with_results` tells it of some.
    """
    as_of: datetime = await connection.fetchval(QUERIES["status_clock"])
    purposes = await connection.fetch(QUERIES["status_purposes"])
    targets = await connection.fetch(QUERIES["status_targets"])
    moves = await connection.fetch(QUERIES["status_transitions"], transitions) if transitions else []
    daemons = await list_daemons(connection)
    problems = await list_problems(connection)
    last = await _read_results(connection, None) if results else {}
    return Status(
        as_of=as_of,
        daemons=tuple(daemons),
        purposes=tuple(_purpose(row) for row in purposes),
        providers=await _read_providers(targets, last),
        problems=tuple(problems),
        transitions=tuple(_transition(row) for row in moves),
    )


async def with_results(connection: Any, providers: Sequence[ProviderStatus]) -> tuple[ProviderStatus, ...]:
    """Providers with the last deep result of each of their targets.

    Args:
        connection: in the transaction that they were read in.
        providers: read without.
    """
    last = await _read_results(connection, [one.ref for one in providers])

    def told(ref: ProviderRef, belief: Belief) -> Belief:
        found = last.get((str(ref.type), ref.id, str(belief.purpose or NO_PURPOSE)))
        return belief if found is None else replace(belief, result=found)

    return tuple(
        replace(one, beliefs=tuple(told(one.ref, belief) for belief in one.beliefs)) for one in providers
    )


async def _read_results(connection: Any, refs: Sequence[ProviderRef] | None) -> _Results:
    rows = await connection.fetch(QUERIES["status_results"], *ref_columns(refs))
    return {
        _TARGET(row): LastResult(
            row["latency_seconds"], row["ttft_seconds"], row["model"], row["detail"] or ""
        )
        async for row in paced(rows)
    }


def _purpose(row: Any) -> PurposeStatus:
    seen = bool(row["is_seen"])
    return PurposeStatus(
        purpose=row["purpose"],
        active=read_ref(row["provider_type"], row["provider_id"]),
        fallback=read_ref(row["fallback_provider_type"], row["fallback_provider_id"]),
        is_seen=seen,
        generation=row["generation"],
        since=row["since"] if seen else None,
        rule=row["rule"] if seen else None,
        stranded_since=row["stranded_since"] if seen else None,
        paused=row["paused_at"] is not None,
        pinned=read_ref(row["pinned_provider_type"], row["pinned_provider_id"]),
        pinned_until=row["pinned_until"],
        held=row["held_at"] is not None,
        held_until=row["held_until"],
        paused_since=row["paused_at"],
    )


async def _read_providers(rows: list[Any], last: _Results) -> tuple[ProviderStatus, ...]:
    """Every provider; the rows of each stand together."""
    groups = (tuple(group) for _, group in groupby(rows, provider_in))
    return tuple([_provider(of_it, last) async for of_it in paced(groups)])


def _provider(rows: tuple[Any, ...], last: _Results) -> ProviderStatus:
    row = rows[0]
    return ProviderStatus(
        ref=provider_in(row),
        name=row["name"],
        kind=row["kind"],
        enabled=row["enabled"],
        beliefs=tuple(
            _belief(one, last.get(_TARGET(one), NO_RESULT)) for one in rows if one["purpose"] is not None
        ),
        maintenance=_maintenance(row),
        maintenance_by=": ".join(one for one in (row["maintenance_user"], row["maintenance_reason"]) if one),
    )


def _maintenance(row: Any) -> Maintenance | None:
    begin = row["maintenance_starts_at"]
    return None if begin is None else Maintenance(since=begin, until=row["maintenance_ends_at"])


def _belief(row: Any, result: LastResult) -> Belief:
    return Belief(
        purpose=None if row["purpose"] == NO_PURPOSE else Purpose(row["purpose"]),
        state=HealthState(row["state"]),
        since=row["since"],
        eligible=row["eligible"],
        status=ApplicationStatus(row["application_status"]),
        blocks=tuple(Block(word) for word in (row["block"] or "").split(",") if word),
        warnings=tuple(HealthWarning(word) for word in row["warnings"].split(",") if word),
        stale_at=row["stale_at"],
        last_outcome=None if row["last_outcome"] is None else Outcome(row["last_outcome"]),
        last_started_at=row["last_started_at"],
        light_outcome=None if row["light_outcome"] is None else Outcome(row["light_outcome"]),
        light_started_at=row["light_started_at"],
        result=result,
    )


def _transition(row: Any) -> TransitionRow:
    return TransitionRow(
        purpose=row["purpose"],
        generation=row["generation"],
        rule=row["rule"],
        left=read_ref(row["from_provider_type"], row["from_provider_id"]),
        left_name=row["from_name"],
        onto=read_ref(row["to_provider_type"], row["to_provider_id"]),
        onto_name=row["to_name"],
        reason=row["reason"],
        failure_began_at=row["failure_began_at"],
        decided_at=row["decided_at"],
    )
