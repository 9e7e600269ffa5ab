"""What an application's own requests showed, and when that and one failed probe make a target down.

Reports alone never change a belief: one client's bad network would move everybody. A failed probe alone is
one blip. Both together, each of them fresh, are two pieces of evidence from two points of view.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from monitor.domain.health import Health, HealthState, Heard, elapsed
from monitor.domain.outcome import Outcome, Vote
from monitor.domain.policy import Policy
from monitor.domain.provider import ProviderRef

MOST_KEPT = 100
"""The most reports of a target that a window may hold."""


class ReportOutcome(StrEnum):
    """What one request showed: a closed list. A caller's own 4xx is no report."""

    OK = "ok"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    SERVER_ERROR = "server_error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One request of an application.

    Attributes:
        at: its end, by our clock.
        outcome: what it showed.
        source: which process reported it.
    """

    at: datetime
    outcome: ReportOutcome
    source: str = ""

    @property
    def failed(self) -> bool:
        """Whether it speaks against the target."""
        return self.outcome is not ReportOutcome.OK


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """What was heard of one target, with all that it was judged by besides results.

    Attributes:
        ref: the provider.
        fingerprint: the target's.
        reports: those that were known, oldest first.
        deciding_since: since when the daemon decided.
        chosen_at: the operator's last act, or None.
    """

    ref: ProviderRef
    fingerprint: str
    reports: tuple[Report, ...]
    deciding_since: datetime
    chosen_at: datetime | None = None


def keep(known: Iterable[Report], new: Iterable[Report], now: datetime, policy: Policy) -> tuple[Report, ...]:
    """The reports that may still matter, oldest first: one from the future is one of now."""
    found = [one if one.at <= now else replace(one, at=now) for one in (*known, *new)]
    found = [one for one in found if now - one.at <= policy.report_span]
    return tuple(sorted(found, key=_instant)[-_kept(policy) :])


def speaking(reports: tuple[Report, ...], policy: Policy) -> tuple[Report, ...]:
    """The reports that speak against the target, oldest first, or none.

    So many failures in a row, or a share of failures in a full window.

    Args:
        reports: those that count, oldest first.
        policy: `report_fall`, `report_window`, `report_share`.
    """
    streak = _failing_streak(reports)
    if len(streak) >= policy.report_fall:
        return streak[-max(policy.report_fall, policy.report_window) :]
    window = reports[-policy.report_window :]
    if len(window) < policy.report_window:
        return ()
    failures = sum(one.failed for one in window)
    return window if failures and failures >= policy.report_share * len(window) else ()


def heard(health: Health, hearing: Hearing, now: datetime, policy: Policy) -> Heard | None:
    """The failed probe and the reports that make the target down together, or None.

    Nothing counts from before an operator's act or before the daemon began to decide; of reports, nothing
    from before the last pass began: it has answered them.

    Args:
        health: its last deep result has to be a failure that ended within `report_span`. One that is down
            already is found so again only when an operator has chosen since.
        hearing: what was reported.
        now: the instant.
        policy: `report_*`; the probe may have begun before the first failed report by `recheck_interval`.
    """
    probe, since = health.last, hearing.deciding_since
    if hearing.chosen_at is not None:
        since = max(since, hearing.chosen_at)
    if probe is None or probe.counts_as is not Vote.FAILURE or probe.started_at <= since:
        return None
    if elapsed(probe.ended_at, now) > policy.report_span or _is_known(health, hearing.chosen_at):
        return None
    since = max(since, _last_pass(health) or since)
    counted = tuple(
        one for one in hearing.reports if one.at > since and elapsed(one.at, now) <= policy.report_span
    )
    found = speaking(counted, policy)
    failed = [one for one in found if one.failed]
    if not failed or elapsed(probe.started_at, failed[0].at) > policy.recheck_interval:
        return None
    return Heard(
        probe=probe,
        count=len(found),
        failures=len(failed),
        first_at=failed[0].at,
        last_at=found[-1].at,
        sources=tuple(sorted({one.source for one in failed})),
        outcomes={
            Outcome(outcome): count for outcome, count in Counter(one.outcome for one in found).items()
        },
    )


def hear(health: Health, found: Heard, now: datetime) -> Health:
    """The belief after reports and a failed probe have spoken together."""
    down = health.state is HealthState.DOWN
    return replace(
        health,
        state=HealthState.DOWN,
        since=health.since if down else now,
        fell_on=(found.probe,),
        heard=found,
        eligible_since=None,
    )


def fell_from(health: Health) -> datetime | None:
    """The beginning of what made the target down; None unless it is."""
    if health.heard is not None:
        return health.heard.began_at
    return health.fell_on[0].started_at if health.fell_on else None


def recorded(found: Heard, ref: ProviderRef) -> dict[str, Any]:
    """What was heard of a provider as JSON, to stand beside the results in a move's evidence."""
    return {
        "kind": "reports",
        "provider_type": str(ref.type),
        "provider_id": ref.id,
        "first_at": found.first_at.isoformat(),
        "last_at": found.last_at.isoformat(),
        "count": found.count,
        "failures": found.failures,
        "outcomes": {str(outcome): count for outcome, count in found.outcomes.items()},
        "sources": list(found.sources),
    }


def read_recorded(record: Mapping[str, Any]) -> tuple[datetime, str] | None:
    """When the recorded reports began, and what they said in words; None for evidence of another kind."""
    if record.get("kind") != "reports":
        return None
    outcomes = {Outcome(name): count for name, count in record["outcomes"].items()}
    said = _words(record["failures"], record["count"], outcomes, record["sources"])
    return datetime.fromisoformat(record["first_at"]), said


def words(found: Heard) -> str:
    """A sentence's part for a person: `12 of 20 requests failed (server_error 10, timeout 2; 3 clients)`."""
    return _words(found.failures, found.count, found.outcomes, found.sources)


def _words(failures: int, count: int, outcomes: Mapping[Outcome, int], sources: Sequence[str]) -> str:
    classes = ", ".join(
        f"{outcome} {count}" for outcome, count in sorted(outcomes.items()) if outcome is not Outcome.OK
    )
    clients = "1 client" if len(sources) == 1 else f"{len(sources)} clients"
    return f"{failures} of {count} requests failed ({classes}; {clients})"


def _is_known(health: Health, chosen_at: datetime | None) -> bool:
    began_at = fell_from(health)
    return health.state is HealthState.DOWN and (
        chosen_at is None or began_at is None or began_at > chosen_at
    )


def _failing_streak(reports: tuple[Report, ...]) -> tuple[Report, ...]:
    for index in range(len(reports) - 1, -1, -1):
        if not reports[index].failed:
            return reports[index + 1 :]
    return reports


def _last_pass(health: Health) -> datetime | None:
    return next((one.started_at for one in reversed(health.window) if one.passed), None)


def _kept(policy: Policy) -> int:
    return min(max(policy.report_window, policy.report_fall), MOST_KEPT)


def _instant(report: Report) -> datetime:
    return report.at
