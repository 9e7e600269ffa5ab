"""What a replay amounts to: recorded and decided again side by side, as a page and as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from monitor.cli.console import age, mark, plain, show_table
from monitor.cli.purpose import instant
from monitor.domain.comparison import PROBING, Fate, Figures, fates, figures, policy_changes, tell
from monitor.domain.policy import Policy, policy_record
from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.replay import Difference, Replayed, replay
from monitor.domain.timeline import Turn, sicknesses
from monitor.storage.purposes import AUTOMATIC
from monitor.storage.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Both courses.

    Attributes:
        purpose: whose.
        since: the beginning of what is compared.
        until: its end.
        recorded: the recorded course in numbers; None when the journal has nothing.
        replayed: the other one.
        fates: of each recorded move.
        extra: moves of the replay that are not recorded.
        differences: in the order of time; empty with another policy.
        others: settings that were others when moves were recorded, or that --set has changed.
        without_effect: changed settings that only say what is probed.
        names: the operator's.
    """

    purpose: Purpose
    since: datetime
    until: datetime
    recorded: Figures | None
    replayed: Figures | None
    fates: tuple[Fate, ...]
    extra: tuple[Turn, ...]
    differences: tuple[Difference, ...]
    others: tuple[str, ...]
    without_effect: tuple[str, ...]
    names: Mapping[ProviderRef, str]

    @property
    def reproduced(self) -> bool:
        """Whether every recorded move is decided again, and nothing else."""
        return all(fate.reproduced for fate in self.fates) and not self.differences


def compare(purpose: Purpose, record: Record, since: datetime, policy: Policy, *, free: bool) -> Report:
    """Decide again what is recorded.

    Args:
        purpose: whose.
        record: all that is recorded of the span.
        since: the span's beginning.
        policy: to decide by.
        free: another policy decides: the record is not followed.
    """
    moves = record.automatic_since(since)
    begin = record.entries[0].at if record.entries else since
    known = [one.turn for one in record.automatic_since(begin)]
    again = (purpose, policy, record.entries, record.results, record.until)
    followed = replay(*again, known)
    alone = replay(*again) if free or (followed is not None and followed.differences) else followed
    chosen = alone if free else followed
    since_known = max(since, begin)
    found = fates(
        [(one.turn, one.policy) for one in moves],
        chosen,
        policy,
        frozenset(result.id for result in record.results),
    )
    recorded = {(one.turn.at, one.turn.rule, one.turn.onto) for one in moves}
    turns = alone.course.timeline.turns if alone is not None else []
    last = moves[-1].policy if moves else {}
    changed = policy_changes(last or _policy_of(record), policy)
    return Report(
        purpose=purpose,
        since=since_known,
        until=record.until,
        recorded=_figures(followed, since_known, record),
        replayed=_figures(alone, since_known, record),
        fates=tuple(found),
        extra=tuple(
            turn
            for turn in turns
            if turn.rule in set(AUTOMATIC)
            and turn.at >= since_known
            and (turn.at, turn.rule, turn.onto) not in recorded
        ),
        differences=()
        if free or followed is None
        else tuple(one for one in followed.differences if one.at >= since),
        others=tuple(changed),
        without_effect=tuple(one for one in changed if one.split(" ")[0] in PROBING),
        names=record.names,
    )


def show(report: Report, *, span: str) -> None:
    """Print it for a person."""
    print(f"{report.purpose}, the last {span}: {instant(report.since)} to {instant(report.until)}\n")
    if report.recorded is None or report.replayed is None:
        print("Nothing is noted yet of what decisions rest on: the daemon notes it from its next start on.")
    else:
        rows = [
            ["switches", str(report.recorded.switches), str(report.replayed.switches)],
            ["time stranded", age(report.recorded.stranded), age(report.replayed.stranded)],
            ["time on a sick provider", age(report.recorded.on_sick), age(report.replayed.on_sick)],
        ]
        show_table("Both courses", ["", "recorded", "replayed"], rows)
    _show_moves(report)
    for one in report.others:
        print(f"policy: {one}")
    if report.without_effect:
        print(
            "What only says when and how is probed changes nothing here: the results are the recorded ones."
        )
    if report.differences:
        first = report.differences[0]
        print(f"first difference, {instant(first.at)}: {plain(tell(first))}")
    total = len(report.fates)
    print(
        f"{sum(fate.reproduced for fate in report.fates)} of {total} recorded moves are decided again alike."
    )


def as_json(report: Report) -> dict[str, Any]:
    """The whole report under names that stay."""
    return {
        "purpose": report.purpose,
        "since": report.since.isoformat(),
        "until": report.until.isoformat(),
        "reproduced": report.reproduced,
        "recorded": _numbers(report.recorded),
        "replayed": _numbers(report.replayed),
        "moves": [
            {**_turn(fate.turn, report.names), "reproduced": fate.reproduced, "why_not": fate.why_not}
            for fate in report.fates
        ],
        "only_replayed": [_turn(turn, report.names) for turn in report.extra],
        "differences": [{"at": one.at.isoformat(), "text": tell(one)} for one in report.differences],
        "policy": list(report.others),
    }


def _policy_of(record: Record) -> Mapping[str, Any]:
    told = [entry.facts.policy for entry in record.entries if entry.facts and entry.facts.policy]
    return told[-1] if told else policy_record(Policy())


def _figures(replayed: Replayed | None, since: datetime, record: Record) -> Figures | None:
    if replayed is None:
        return None
    rules = [str(rule) for rule in AUTOMATIC]
    return figures(replayed.course.timeline, since, rules, sicknesses(record.results, record.until))


def _show_moves(report: Report) -> None:
    lines = [(fate.turn, fate) for fate in report.fates] + [(turn, None) for turn in report.extra]
    rows = [
        [
            instant(turn.at),
            turn.rule,
            _named(turn.left, report.names),
            _named(turn.onto, report.names),
            _said(fate),
        ]
        for turn, fate in sorted(lines, key=lambda line: line[0].at)
    ]
    if rows:
        show_table("Moves", ["decided", "rule", "from", "to", "replayed"], rows)


def _said(fate: Fate | None) -> str:
    if fate is None:
        return "only replayed"
    return mark(True).strip() if fate.reproduced else fate.why_not


def _named(ref: ProviderRef | None, names: Mapping[ProviderRef, str]) -> str:
    return "nobody" if ref is None else f"{ref} ({names.get(ref, 'deleted')})"


def _turn(turn: Turn, names: Mapping[ProviderRef, str]) -> dict[str, Any]:
    return {
        "at": turn.at.isoformat(),
        "rule": turn.rule,
        "from": _ref(turn.left, names),
        "to": _ref(turn.onto, names),
        "reason": turn.reason,
        "evidence": list(turn.evidence),
    }


def _ref(ref: ProviderRef | None, names: Mapping[ProviderRef, str]) -> dict[str, str | None] | None:
    return None if ref is None else {"provider": str(ref), "name": names.get(ref)}


def _numbers(figures: Figures | None) -> dict[str, float] | None:
    if figures is None:
        return None
    return {
        "switches": figures.switches,
        "stranded_seconds": _seconds(figures.stranded),
        "sick_seconds": _seconds(figures.on_sick),
    }


def _seconds(span: timedelta) -> float:
    return round(span.total_seconds(), 3)
