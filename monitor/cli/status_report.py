"""What a status amounts to: the word for each purpose, the bad news, and the whole of it as JSON."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from monitor.domain.application_status import ApplicationStatus
from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.target import TargetId
from monitor.domain.uptime import SPANS, Uptime
from monitor.storage.daemons import DaemonRow
from monitor.storage.status import Belief, ProviderStatus, PurposeStatus, Status, TransitionRow
from monitor.storage.status_words import (
    effective,
    find_provider,
    in_maintenance,
    is_held,
    is_pinned,
    is_pinned_to_unfit,
    purpose_health,
)

SILENT = timedelta(seconds=20)
"""A daemon says every 5 s that it lives; after this long without a word it counts as gone."""


def is_alive(daemon: DaemonRow) -> bool:
    """Whether a daemon has spoken lately."""
    return daemon.silent < SILENT


def bad_news(status: Status) -> list[str]:
    """What makes the answer bad news; empty when nothing does."""
    found = _about_daemons(status)
    for purpose in status.purposes:
        if purpose.stranded_since is not None:
            found.append(f"{purpose.purpose} is stranded: nobody is fit to serve it")
        elif is_pinned_to_unfit(status, purpose):
            who = _called(status, purpose.active)
            mend = f"llm-monitor unpin {purpose.purpose}"
            found.append(f"{purpose.purpose} is pinned to {who}, which is not fit to serve: {mend}")
        elif purpose_health(status, purpose) is ApplicationStatus.DOWN:
            found.append(f"{purpose.purpose} is down: {_why_down(status, purpose)}")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Uptimes:
    """By span.

    Attributes:
        targets: for how long each was up.
        purposes: for how long somebody served each.
    """

    targets: Mapping[TargetId, Mapping[str, Uptime]]
    purposes: Mapping[Purpose, Mapping[str, Uptime]]


def as_json(status: Status, database: str, uptimes: Uptimes | None = None) -> dict[str, Any]:
    """The whole status under names that stay.

    Args:
        status: as it was read.
        database: how to reach the database, without a password.
        uptimes: left out when they were not read.
    """
    news = bad_news(status)
    return {
        "status": "bad" if news else "ok",
        "bad_news": news,
        "as_of": status.as_of.isoformat(),
        "database": database,
        "daemons": [_daemon(one) for one in status.daemons],
        "purposes": [_purpose(status, one, uptimes) for one in status.purposes],
        "providers": [_provider(status, one, uptimes) for one in status.providers],
        "problems": [
            {"subject": one.subject, "message": one.message, "since": one.since.isoformat()}
            for one in status.problems
        ],
        "transitions": [_transition(one) for one in status.transitions],
    }


def _about_daemons(status: Status) -> list[str]:
    if any(one.role == "active" and is_alive(one) for one in status.daemons):
        return []
    if not status.daemons:
        return ["no daemon runs: start llm-monitor run"]
    if any(is_alive(one) for one in status.daemons):
        return ["no daemon decides: those that run are waiting to take over"]
    last = min(one.silent for one in status.daemons)
    return [f"no daemon has been seen for {int(last.total_seconds())} s: start llm-monitor run"]


def _why_down(status: Status, purpose: PurposeStatus) -> str:
    if purpose.active is None:
        return "its row names no provider"
    provider = find_provider(status, purpose.active)
    if provider is None:
        return f"{purpose.active} was deleted"
    if not provider.enabled:
        return f"{purpose.active} ({provider.name}) is disabled"
    if in_maintenance(provider, status.as_of):
        return f"{purpose.active} ({provider.name}) serves it and is in maintenance"
    return f"{purpose.active} ({provider.name}) serves it and does not answer as it should"


def _called(status: Status, ref: ProviderRef | None) -> str:
    provider = find_provider(status, ref)
    return f"{ref} ({provider.name})" if provider else str(ref)


def _daemon(daemon: DaemonRow) -> dict[str, Any]:
    return {
        "instance": str(daemon.instance),
        "role": daemon.role,
        "alive": is_alive(daemon),
        "silent_seconds": round(daemon.silent.total_seconds(), 3),
        "host": daemon.host,
        "pid": daemon.pid,
        "version": daemon.version,
        "listen": daemon.listen,
        "started_at": daemon.started_at.isoformat(),
    }


def _purpose(status: Status, purpose: PurposeStatus, uptimes: Uptimes | None) -> dict[str, Any]:
    pinned, held = is_pinned(purpose, status.as_of), is_held(purpose, status.as_of)
    return {
        "purpose": purpose.purpose,
        "health": purpose_health(status, purpose),
        "active": _named(status, purpose.active),
        "fallback": _named(status, purpose.fallback),
        "since": _instant(purpose.since),
        "rule": purpose.rule,
        "generation": purpose.generation,
        "seen": purpose.is_seen,
        "stranded_since": _instant(purpose.stranded_since),
        "paused": purpose.paused,
        "pinned": _named(status, purpose.pinned) if pinned else None,
        "pinned_until": _instant(purpose.pinned_until) if pinned else None,
        "held": held,
        "held_until": _instant(purpose.held_until) if held else None,
        **({} if uptimes is None else {"uptime": _spans(_of_purpose(uptimes, purpose.purpose))}),
    }


def _named(status: Status, ref: ProviderRef | None) -> Mapping[str, str | None] | None:
    if ref is None:
        return None
    provider = find_provider(status, ref)
    return {"provider": str(ref), "name": provider.name if provider else None}


def _provider(status: Status, provider: ProviderStatus, uptimes: Uptimes | None) -> dict[str, Any]:
    now = status.as_of
    return {
        "provider": str(provider.ref),
        "name": provider.name,
        "kind": provider.kind,
        "enabled": provider.enabled,
        "serves": [one.purpose for one in status.purposes if one.active == provider.ref],
        "maintenance": _maintenance(provider, now),
        "targets": [
            _target(one, now)
            | ({} if uptimes is None else {"uptime": _probed_spans(_of_target(uptimes, provider.ref, one))})
            for one in provider.beliefs
        ],
    }


def _maintenance(provider: ProviderStatus, now: datetime) -> dict[str, Any] | None:
    span = provider.maintenance
    if span is None:
        return None
    return {
        "lasts": span.holds(now),
        "starts_at": span.since.isoformat(),
        "ends_at": _instant(span.until),
        "by": provider.maintenance_by,
    }


def _target(belief: Belief, now: datetime) -> dict[str, Any]:
    return {
        "purpose": belief.purpose,
        "status": effective(belief, now),
        "state": belief.state,
        "since": _instant(belief.since),
        "eligible": belief.eligible,
        "blocks": list(belief.blocks),
        "warnings": list(belief.warnings),
        "last_outcome": belief.last_outcome,
        "last_probe_at": _instant(belief.last_started_at),
        "light_outcome": belief.light_outcome,
        "light_probe_at": _instant(belief.light_started_at),
        "latency_seconds": belief.result.latency_seconds,
        "ttft_seconds": belief.result.ttft_seconds,
        "model": belief.result.model,
        "detail": belief.result.detail,
    }


def _transition(move: TransitionRow) -> dict[str, Any]:
    return {
        "purpose": move.purpose,
        "generation": move.generation,
        "rule": move.rule,
        "from": {"provider": str(move.left), "name": move.left_name} if move.left else None,
        "to": {"provider": str(move.onto), "name": move.onto_name} if move.onto else None,
        "reason": move.reason,
        "failure_began_at": _instant(move.failure_began_at),
        "decided_at": move.decided_at.isoformat(),
    }


def _of_purpose(uptimes: Uptimes, purpose: str) -> Mapping[str, Uptime]:
    return next((found for one, found in uptimes.purposes.items() if one == purpose), {})


def _of_target(uptimes: Uptimes, ref: ProviderRef, belief: Belief) -> Mapping[str, Uptime]:
    return uptimes.targets.get(TargetId(provider=ref, purpose=belief.purpose), {})


def _spans(found: Mapping[str, Uptime]) -> dict[str, dict[str, Any]]:
    known = {name: found.get(name, Uptime()) for name in SPANS}
    return {
        name: {"share": one.share, "covered_seconds": round(one.known.total_seconds())}
        for name, one in known.items()
    }


def _probed_spans(found: Mapping[str, Uptime]) -> dict[str, dict[str, Any]]:
    return {
        name: shown | {"passed": found[name].passed, "failed": found[name].failed}
        if name in found
        else shown | {"passed": 0, "failed": 0}
        for name, shown in _spans(found).items()
    }


def uptime_rows(status: Status, uptimes: Uptimes) -> list[tuple[str, ...]]:
    """Purposes, then providers, each with its share of the known time in which it was up, by span."""
    rows = [
        (one.purpose, "somebody served", *_shares(_of_purpose(uptimes, one.purpose)))
        for one in status.purposes
    ]
    for provider in status.providers:
        rows += [
            (
                belief.purpose or "none",
                f"{provider.ref} {provider.name}",
                *_shares(_of_target(uptimes, provider.ref, belief)),
            )
            for belief in provider.beliefs
        ]
    return [row for row in rows if set(row[2:]) != {"-"}]


def _shares(found: Mapping[str, Uptime]) -> list[str]:
    shares = [found[name].share if name in found else None for name in SPANS]
    # What is not quite all of it is never shown as all of it.
    return ["-" if one is None else f"{math.floor(one * 10_000) / 100:.2f} %" for one in shares]


def _instant(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
