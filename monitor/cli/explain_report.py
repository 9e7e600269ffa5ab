"""An explanation as a page and as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from monitor.cli.console import age, mark, plain
from monitor.cli.purpose import instant
from monitor.cli.refusal import Refused
from monitor.domain.explanation import Explanation, Standpoint, explain
from monitor.domain.health import expire
from monitor.domain.journal import Facts
from monitor.domain.policy import Policy
from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.replay import Replayed, replay
from monitor.domain.reports import read_recorded
from monitor.storage.record import Record, RecordedMove


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A purpose at one instant.

    Attributes:
        purpose: whose.
        at: the instant.
        facts: how it stood.
        explanation: why, and what would move it; None when nobody serves it.
        move: the move that brought the one that serves; None when it was there from the first.
        names: the operator's.
    """

    purpose: Purpose
    at: datetime
    facts: Facts
    explanation: Explanation | None
    move: RecordedMove | None
    names: Mapping[ProviderRef, str]

    def name(self, ref: ProviderRef) -> str:
        """How a provider is called."""
        return f"{self.names.get(ref, 'deleted')} ({ref})"


def explain_record(purpose: Purpose, record: Record, policy: Policy, *, now: bool) -> Report:
    """Explain the end of what is recorded.

    Args:
        purpose: whose.
        record: up to the instant.
        policy: in force.
        now: the instant is now: the beliefs as they are kept, which may have gone stale.

    Raises:
        Refused: nothing is known of that instant.
    """
    replayed = _replay(purpose, record, policy)
    facts = replayed.course.facts
    if facts is None:
        raise Refused(f"{purpose}: nothing is known of {instant(record.until)}")
    healths = record.healths if now else replayed.course.healths
    current = {ref: expire(health, record.until) for ref, health in healths.items()}
    situation = replayed.course.situation(record.until, current)

    def name(ref: ProviderRef) -> str:
        return f"{record.names.get(ref, 'deleted')} ({ref})"

    brought = [one for one in record.moves if one.turn.at <= record.until and one.turn.onto == facts.active]
    return Report(
        purpose=purpose,
        at=record.until,
        facts=facts,
        explanation=explain(situation, record.until, policy, name) if situation is not None else None,
        move=brought[-1] if brought else None,
        names=record.names,
    )


def _replay(purpose: Purpose, record: Record, policy: Policy) -> Replayed:
    if not record.entries or record.entries[0].at > record.until:
        raise Refused(
            f"{purpose}: nothing is noted of what decisions rested on at {instant(record.until)}; "
            "llm-monitor run notes it from its start on"
        )
    begin = record.entries[0].at
    found = replay(
        purpose,
        policy,
        record.entries,
        record.results,
        record.until,
        [one.turn for one in record.automatic_since(begin)],
    )
    if found is None:
        raise Refused(f"{purpose}: nothing is noted yet")
    return found


def show(report: Report) -> None:
    """Print it for a person."""
    facts, explanation = report.facts, report.explanation
    print(f"{report.purpose} at {instant(report.at)}\n")
    if facts.active is None or explanation is None:
        print("Nobody serves it: the application's row names no provider.")
        return
    since = f" since {instant(facts.since)} ({age(report.at - facts.since)})" if facts.since else ""
    print(f"{plain(report.name(facts.active))} serves{since}, by the rule {facts.rule or 'adopted'}.")
    if report.move is not None and report.move.turn.rule == facts.rule and report.move.automatic:
        print(f"Why: {plain(report.move.turn.reason)}")
        for result in report.move.evidence:
            who = f"{result['provider_type']}:{result['provider_id']}"
            print(f"    {plain(' '.join(_words(who, result)))}")
    if facts.stranded_since is not None:
        print(f"Nobody is fit to serve since {instant(facts.stranded_since)}.")
    print(f"\nNow: {explanation.decision.rule}: {plain(explanation.decision.reason)}\n\nCandidates")
    for one in explanation.candidates:
        _show_candidate(report, one)
    print("\nThe next move")
    for sentence in explanation.next_moves or ("Nothing is about to move.",):
        print(f"  {plain(sentence)}")


def as_json(report: Report) -> dict[str, Any]:
    """The whole report under names that stay."""
    facts, explanation = report.facts, report.explanation
    return {
        "purpose": report.purpose,
        "at": report.at.isoformat(),
        "active": _ref(facts.active, report.names),
        "since": facts.since.isoformat() if facts.since else None,
        "rule": facts.rule,
        "reason": report.move.turn.reason if report.move else None,
        "evidence": list(report.move.turn.evidence) if report.move else [],
        "reports": [one for one in report.move.evidence if one.get("kind") == "reports"]
        if report.move
        else [],
        "stranded_since": facts.stranded_since.isoformat() if facts.stranded_since else None,
        "paused": facts.paused,
        "pinned": _ref(facts.pinned, report.names),
        "held": facts.held,
        "decision": None
        if explanation is None
        else {
            "rule": explanation.decision.rule,
            "action": explanation.decision.action,
            "reason": explanation.decision.reason,
        },
        "candidates": [_candidate(one, report) for one in explanation.candidates] if explanation else [],
        "next": list(explanation.next_moves) if explanation else [],
    }


def _show_candidate(report: Report, one: Standpoint) -> None:
    place = f"{one.place}." if one.place is not None else "-"
    since = f" since {instant(one.since)}" if one.since else ""
    serves = ", serves" if one.serves else ""
    fit = "eligible" if one.eligible else one.obstacle
    print(f"  {place} {mark(one.eligible)} {plain(report.name(one.ref))}: {one.health}{since}{serves}; {fit}")
    if one.warnings:
        print(f"       worth a look: {', '.join(one.warnings)}")
    if one.last:
        print(f"       last results: {', '.join(f'{at:%H:%M:%S} {word}' for at, word in one.last)}")


def _candidate(one: Standpoint, report: Report) -> dict[str, Any]:
    return {
        **(_ref(one.ref, report.names) or {}),
        "place": one.place,
        "serves": one.serves,
        "health": one.health,
        "since": one.since.isoformat() if one.since else None,
        "eligible": one.eligible,
        "obstacle": one.obstacle or None,
        "warnings": list(one.warnings),
        "last": [{"at": at.isoformat(), "outcome": word} for at, word in one.last],
    }


def _words(who: str, result: Mapping[str, Any]) -> tuple[str, ...]:
    if (reports := read_recorded(result)) is not None:
        return (f"{reports[0]:%H:%M:%S}", who, f"reported: {reports[1]}")
    began = datetime.fromisoformat(str(result["started_at"]))
    detail = str(result.get("detail") or "")
    return (f"{began:%H:%M:%S}", who, str(result["outcome"]), *([f"({detail})"] if detail else []))


def _ref(ref: ProviderRef | None, names: Mapping[ProviderRef, str]) -> dict[str, str | None] | None:
    return None if ref is None else {"provider": str(ref), "name": names.get(ref)}
