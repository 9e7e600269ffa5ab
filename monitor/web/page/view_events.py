"""What happened, newest first: moves and the results they rest on, strandings, and what operators did."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from monitor.domain.acts import OPERATORS
from monitor.domain.history import Line, tell_history
from monitor.domain.outcome import OUTCOME_WORDS, Outcome
from monitor.domain.provider import ProviderRef
from monitor.domain.reports import read_recorded
from monitor.storage.page import PurposeRecord
from monitor.storage.record import RecordedMove
from monitor.web.page.views import EventView, EvidenceView
from monitor.web.page.words import Tone, age, reason_in_words

MOST_EVENTS = 25

_WORDS = {
    "fail_over": "Moved away",
    "fail_back": "Moved back",
    "call_for_help": "Moved to the first that passed",
    "operator": "An operator chose",
    "adopted": "Adopted",
    "promote": "An operator promoted",
    "pin": "An operator pinned",
    "pinned": "An operator pinned",
    "unpinned": "Pin taken off",
    "stranded": "Nobody fit to serve",
    "paused": "Paused",
    "resumed": "Resumed",
    "order": "Order changed",
    "fallback": "Fallback changed",
    "maintenance": "Maintenance",
    "gone": "Provider gone",
    "back": "Provider there again",
    "deleted": "Purpose deleted",
}
_TONES = {"fail_over": Tone.WARN, "call_for_help": Tone.WARN, "stranded": Tone.BAD, "fail_back": Tone.OK}


def view_events(
    record: PurposeRecord, since: datetime, names: Mapping[ProviderRef, str]
) -> tuple[EventView, ...]:
    """What happened to one purpose since an instant, newest first."""

    def name(ref: ProviderRef | None) -> str:
        return "nobody" if ref is None else names.get(ref, f"{ref} (deleted)")

    purpose = str(record.noted.purpose)
    moves = {(one.turn.at, one.turn.rule): one for one in record.moves}
    lines = tell_history(
        [(one.turn, one.evidence) for one in record.moves], record.entries, name, record.acts
    )
    shown = [line for line in lines if line.at >= since and (line.until is None or line.until >= since)]
    return tuple(_event(line, purpose, moves.get((line.at, line.what)), name) for line in reversed(shown))


def merge(events: Sequence[Sequence[EventView]], most: int = MOST_EVENTS) -> tuple[EventView, ...]:
    """Those of all purposes in one line, newest first."""
    found = [one for some in events for one in some]
    return tuple(sorted(found, key=lambda one: one.at, reverse=True)[:most])


def _event(line: Line, purpose: str, move: RecordedMove | None, name: Any) -> EventView:
    turn = move.turn if move is not None else None
    began = turn.failure_began_at if turn is not None else None
    took = f"{age(line.at - began)} after the first failure" if began is not None else ""
    if line.what == "stranded":
        took = "" if line.until is None else f"for {age(max(line.until - line.at, timedelta(0)))}"
    return EventView(
        at=line.at,
        until=line.until,
        purpose=purpose,
        what=line.what,
        word=_WORDS.get(line.what, line.what),
        tone=_TONES.get(line.what, Tone.OFF),
        left=name(turn.left) if turn is not None and turn.left else "",
        onto=name(turn.onto) if turn is not None else "",
        text=reason_in_words(
            turn.reason if turn is not None and turn.rule not in OPERATORS else line.text, name
        ),
        took=took,
        evidence=tuple(_evidence(one, name) for one in move.evidence) if move is not None else (),
    )


def _evidence(result: Mapping[str, Any], name: Any) -> EvidenceView:
    who = name(ProviderRef.parse(f"{result['provider_type']}:{result['provider_id']}"))
    if (reports := read_recorded(result)) is not None:
        return EvidenceView(at=reports[0], who=who, outcome=f"reported: {reports[1]}", status="", detail="")
    outcome, status = str(result["outcome"]), result.get("http_status")
    known = outcome in {str(one) for one in Outcome}
    return EvidenceView(
        at=datetime.fromisoformat(result["started_at"]),
        who=who,
        outcome=OUTCOME_WORDS[Outcome(outcome)] if known else outcome,
        status="" if status is None else str(status),
        detail=result.get("detail") or "",
    )
