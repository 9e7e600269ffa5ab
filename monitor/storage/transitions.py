"""Every move, whoever made it, kept for good."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from monitor.domain.provider import ProviderRef, Purpose
from monitor.storage.purposes import columns
from monitor.storage.queries import QUERIES


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One move as it is recorded.

    Attributes:
        purpose: whose.
        generation: of the purpose, from then on.
        rule: by which rule, or which act of an operator.
        left: who served before, or None.
        onto: who serves from then on.
        reason: in plain words.
        decided_at: when.
        instance: the daemon that made it; None when it was an operator's act.
        failure_began_at: the start of the first failure behind it, or None.
        policy: in force, durations in seconds; empty for an operator's move.
        evidence: copies of the results it rests on, as JSON has them.
    """

    purpose: Purpose
    generation: int
    rule: str
    left: ProviderRef | None
    onto: ProviderRef
    reason: str
    decided_at: datetime
    instance: str | None
    failure_began_at: datetime | None = None
    policy: Mapping[str, Any] = field(default_factory=dict)
    evidence: Sequence[Mapping[str, Any]] = ()


async def record_transition(connection: Any, one: Transition, names: Mapping[ProviderRef, str]) -> None:
    """Write down a move; within its transaction."""
    await connection.execute(
        QUERIES["record_transition"],
        str(one.purpose),
        one.generation,
        one.rule,
        *columns(one.left),
        names.get(one.left) if one.left else None,
        *columns(one.onto),
        names.get(one.onto),
        one.reason,
        one.failure_began_at,
        one.decided_at,
        one.instance,
        json.dumps(one.policy),
        json.dumps(one.evidence),
    )
