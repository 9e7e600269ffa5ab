"""One move, one transaction: everything that speaks for it and everything that follows from it, or nothing.

Locks are taken in one order, always: the application's row first, then ours. The session is the leader's, so
the transaction can't commit once the lock is lost.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from monitor.domain.health import Health
from monitor.domain.journal import Entry
from monitor.domain.outcome import ProbeResult
from monitor.domain.policy import Policy, policy_record
from monitor.domain.preference import Pointers
from monitor.domain.provider import ProviderRef, ProviderType, Purpose
from monitor.domain.reports import recorded
from monitor.domain.situation import Decision, Rule
from monitor.storage.audit import record_audit
from monitor.storage.columns import provider_in
from monitor.storage.healths import StoredHealth, read_health, save_healths
from monitor.storage.history import store_history
from monitor.storage.journal import add_entries
from monitor.storage.purposes import columns, lock_active, mark_stranded, tell_active
from monitor.storage.queries import QUERIES
from monitor.storage.results import fetch_results
from monitor.storage.transitions import Transition, record_transition

USER = "monitor"


class SwitchAborted(Exception):
    """The move was not made because the world had changed; the message says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A decided move with all that its record needs.

    Attributes:
        purpose: whose.
        decision: what was decided; `to` is set.
        decided_at: the `now` it was decided with.
        seen: the pointers it was decided on.
        generation: of the purpose, as we last saw it.
        act: the last act of an operator that concerns it, as we last saw it.
        fallback: whom the fallback columns name afterwards.
        policy: in force.
        names: the operator's names.
        instance: this daemon.
    """

    purpose: Purpose
    decision: Decision
    decided_at: datetime
    seen: Pointers
    generation: int
    act: int
    fallback: ProviderRef | None
    policy: Policy
    names: Mapping[ProviderRef, str]
    instance: str


async def commit_move(
    connection: Any,
    move: Move,
    results: Sequence[ProbeResult],
    healths: Sequence[StoredHealth],
    decide_again: Callable[[Mapping[ProviderRef, Health]], Decision],
    journal: Sequence[tuple[Purpose, Entry]] = (),
) -> tuple[int, list[ProbeResult]]:
    """Make the move.

    Args:
        connection: the leader's.
        move: what to do.
        results: those of the purpose not stored yet; they are stored with the move.
        healths: beliefs not stored yet; likewise.
        decide_again: the decision on the stored beliefs; it has to be the same.
        journal: entries not written yet; likewise.

    Returns:
        The new generation, and the results that the database refuses, now and at every repetition: they are
        left out. The beliefs that rest on them are stored all the same, and the move is made on those.

    Raises:
        SwitchAborted: the row, the generation, the target or the decision is no longer what it was.
    """
    to = move.decision.to
    if to is None:
        raise ValueError("a move needs somebody to move onto")
    async with connection.transaction():
        if await lock_active(connection, move.purpose) != move.seen:
            raise SwitchAborted("somebody else has written the purpose's row")
        refused = await store_history(connection, results)
        await save_healths(connection, healths)
        await add_entries(connection, journal, move.instance)
        if not await _is_enabled(connection, to):
            raise SwitchAborted(f"{to} was deleted or disabled meanwhile")
        again = decide_again(await _stored_healths(connection, move.purpose))
        if (again.action, again.to) != (move.decision.action, to):
            raise SwitchAborted(f"a second look decides otherwise: {again.action}, {again.reason}")
        await connection.execute(
            QUERIES["write_active"], str(move.purpose), *columns(to), *columns(move.fallback), USER
        )
        generation: int | None = await connection.fetchval(
            QUERIES["advance_purpose"],
            str(move.purpose),
            move.generation,
            *columns(to),
            *columns(move.fallback),
            move.decided_at,
            str(move.decision.rule),
            move.act,
        )
        if generation is None:
            raise SwitchAborted("an operator has acted on the purpose, or another daemon has moved it")
        await _record(connection, move, to, generation)
    return generation, refused


async def commit_stranding(
    connection: Any,
    purpose: Purpose,
    since: datetime | None,
    act: int,
    results: Sequence[ProbeResult],
    healths: Sequence[StoredHealth],
    journal: Sequence[tuple[Purpose, Entry]],
    instance: str,
) -> list[ProbeResult]:
    """Record that nobody serves, or that somebody does again, with all that speaks for it.

    Args:
        connection: the leader's.
        purpose: whose.
        since: since when nobody serves; None withdraws it.
        act: the last act of an operator that was seen.
        results: those of the purpose not stored yet.
        healths: beliefs not stored yet.
        journal: entries not written yet, the one of this decision last.
        instance: this daemon.

    Returns:
        The results that the database refuses.

    Raises:
        SwitchAborted: an operator has acted meanwhile.
    """
    async with connection.transaction():
        if not await mark_stranded(connection, purpose, since, act):
            raise SwitchAborted("an operator has acted on the purpose")
        refused = await store_history(connection, results)
        await save_healths(connection, healths)
        await add_entries(connection, journal, instance)
    return refused


async def _record(connection: Any, move: Move, to: ProviderRef, generation: int) -> None:
    decision, left = move.decision, move.seen.active
    evidence = await fetch_results(connection, decision.evidence)
    if decision.heard is not None:
        evidence.append(recorded(decision.heard, left))
    await record_transition(
        connection,
        Transition(
            purpose=move.purpose,
            generation=generation,
            rule=str(decision.rule),
            left=left,
            onto=to,
            reason=decision.reason,
            decided_at=move.decided_at,
            instance=move.instance,
            failure_began_at=decision.failure_began_at,
            policy=policy_record(move.policy),
            evidence=evidence,
        ),
        move.names,
    )
    await record_audit(
        connection,
        action="failback" if decision.rule is Rule.FAIL_BACK else "promote",
        entity_type="active_provider",
        entity_id=str(move.purpose),
        user_id=USER,
        changes={
            "purpose": str(move.purpose),
            "rule": str(decision.rule),
            "from": str(left),
            "to": str(to),
            "fallback": str(move.fallback) if move.fallback else None,
            "generation": generation,
            "reason": decision.reason,
        },
    )
    await tell_active(connection, move.purpose, generation, to)


async def _is_enabled(connection: Any, ref: ProviderRef) -> bool:
    query = "is_enabled_server" if ref.type is ProviderType.AI_SERVER else "is_enabled_key"
    return bool(await connection.fetchval(QUERIES[query], ref.id))


async def _stored_healths(connection: Any, purpose: Purpose) -> dict[ProviderRef, Health]:
    found: dict[ProviderRef, Health] = {}
    for row in await connection.fetch(QUERIES["load_purpose_healths"], str(purpose)):
        ref = provider_in(row)
        try:
            found[ref] = read_health(row["health"])
        except ValidationError as error:
            raise SwitchAborted(f"the stored belief of {ref} can't be read") from error
    return found
