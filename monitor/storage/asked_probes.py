"""Asking the daemon that decides for a probe, from anywhere that reaches the database."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from monitor.domain.outcome import Outcome
from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.target import ProbeKind, Target, TargetId
from monitor.storage.columns import NO_PURPOSE
from monitor.storage.purposes import columns
from monitor.storage.queries import QUERIES

PROBE_CHANNEL = "monitor_probe"


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedResult:
    """What an asked probe showed."""

    outcome: Outcome
    detail: str
    model: str | None
    latency_seconds: float | None
    started_at: datetime


async def find_prober(connection: Any, within: timedelta) -> tuple[bool, datetime]:
    """Whether a daemon that decides was heard of within that time, and the database's clock."""
    row = await connection.fetchrow(QUERIES["find_prober"], within)
    return row["alive"], row["now"]


async def ask_for_probe(connection: Any, target: TargetId) -> None:
    """Ask the deciding daemon to probe a target now."""
    words = {"provider": str(target.provider), "purpose": target.purpose}
    await connection.execute(QUERIES["ask_for_probe"], PROBE_CHANNEL, json.dumps(words))


def read_asked(payload: str) -> TargetId | None:
    """The target that a notification asks for; None when it names none."""
    try:
        words = json.loads(payload)
        purpose = words.get("purpose")
        return TargetId(
            provider=ProviderRef.parse(words["provider"]),
            purpose=None if purpose is None else Purpose(purpose),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


async def read_asked_result(
    connection: Any, target: Target, kind: ProbeKind, asked_at: datetime
) -> AskedResult | None:
    """The first result since then of a target as it is described now; None while there is none."""
    row = await connection.fetchrow(
        QUERIES["read_asked_result"],
        *columns(target.id.provider),
        str(target.id.purpose or NO_PURPOSE),
        str(kind),
        target.fingerprint,
        asked_at,
    )
    if row is None:
        return None
    return AskedResult(
        outcome=Outcome(row["outcome"]),
        detail=row["detail"],
        model=row["model"],
        latency_seconds=row["latency_seconds"],
        started_at=row["started_at"],
    )
