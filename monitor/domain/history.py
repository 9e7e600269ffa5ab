"""What happened to a purpose, told line by line: who served, why it moved, and what operators did."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from monitor.domain.acts import ADOPTED, OPERATOR, OPERATORS, Act, ActRecord
from monitor.domain.journal import Entry, EntryKind, Facts
from monitor.domain.provider import ProviderRef
from monitor.domain.reports import read_recorded
from monitor.domain.timeline import Turn

CHOSE = {OPERATOR: "chose", ADOPTED: "chose", str(Act.PROMOTE): "promoted", str(Act.PIN): "pinned"}
BY_SQL = "an operator chose who serves"
WHAT = {
    str(Act.CHOOSE): "fallback",
    str(Act.PROMOTE): "promote",
    str(Act.PIN): "pinned",
    str(Act.UNPIN): "unpinned",
    str(Act.PAUSE): "paused",
    str(Act.RESUME): "resumed",
    str(Act.CANDIDATES): "order",
    str(Act.MAINTENANCE): "maintenance",
    str(Act.END_MAINTENANCE): "maintenance",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that happened.

    Attributes:
        at: when.
        until: the end of what lasts; None when it has none yet, or lasts no time.
        what: one word for programs: `adopted`, `operator`, a rule, `stranded`, `order`, `paused`, `resumed`,
            `pinned`, `unpinned`, `promote`, `pin`, `fallback`, `maintenance`, `gone`, `back`, `deleted`.
        text: in plain words.
        served: from here on who serves, when it changed.
        results: what it rests on, oldest first, each in a few words.
        result_ids: their ids.
    """

    at: datetime
    until: datetime | None = None
    what: str
    text: str
    served: ProviderRef | None = None
    results: tuple[str, ...] = ()
    result_ids: tuple[str, ...] = ()


def tell_history(
    moves: Sequence[tuple[Turn, Sequence[Mapping[str, Any]]]],
    entries: Sequence[Entry],
    name: Callable[[ProviderRef | None], str],
    acts: Sequence[ActRecord] = (),
) -> list[Line]:
    """Everything in the order of time.

    Args:
        moves: each with copies of the results it rests on, oldest first.
        entries: of the journal, in their order; the first that tells facts says only how things stood.
        name: how a provider is called.
        acts: what operators did by command and API; one that moved the purpose is told with its move.
    """
    lines = [_moved(turn, evidence, name) for turn, evidence in moves]
    lines += _strandings(entries, moves)
    lines += _changes(entries, name)
    moved = {turn.at for turn, _ in moves if turn.rule in OPERATORS}
    lines += [_did(one, name) for one in acts if one.provider is not None or one.at not in moved]
    return sorted(lines, key=lambda line: line.at)


def _moved(
    turn: Turn, evidence: Sequence[Mapping[str, Any]], name: Callable[[ProviderRef | None], str]
) -> Line:
    if turn.rule in OPERATORS:
        text = f"an operator {CHOSE[turn.rule]} {name(turn.onto)}"
        text += f" over {name(turn.left)}" if turn.left else ""
        text += f" ({turn.reason})" if turn.reason and turn.reason != BY_SQL else ""
    else:
        text = f"{turn.rule}: from {name(turn.left)} to {name(turn.onto)}: {turn.reason}"
    return Line(
        at=turn.at,
        what=turn.rule,
        text=text,
        served=turn.onto,
        results=tuple(_short(one, name) for one in evidence),
        result_ids=tuple(str(one["id"]) for one in evidence if "id" in one),
    )


def _did(one: ActRecord, name: Callable[[ProviderRef | None], str]) -> Line:
    # The first choice of a purpose moves it from nobody, which is no move.
    what = OPERATOR if one.detail.get("first") else WHAT.get(one.act, one.act)
    return Line(at=one.at, what=what, text=f"{_deed(one, name)} ({one.by})")


def _deed(one: ActRecord, name: Callable[[ProviderRef | None], str]) -> str:
    until = f" until {_second(one.detail['until'])}" if one.detail.get("until") else ""
    match one.act:
        case Act.PAUSE:
            return "an operator paused it"
        case Act.RESUME:
            return "an operator resumed it"
        case Act.UNPIN:
            return "an operator let the rules decide again"
        case Act.PROMOTE:
            return f"an operator promoted {_named(one, 'provider', name)}, which served already{until}"
        case Act.PIN:
            return f"an operator pinned {_named(one, 'provider', name)}{until}"
        case Act.CHOOSE if one.detail.get("first"):
            return f"an operator chose {_named(one, 'provider', name)}"
        case Act.CHOOSE:
            return f"an operator made {_named(one, 'fallback', name)} the fallback"
        case Act.CANDIDATES:
            order = [name(ProviderRef.parse(ref)) for ref in one.detail.get("candidates", ())]
            return f"an operator set the order {', '.join(order)}"
        case Act.MAINTENANCE:
            begin, end = one.detail.get("starts_at"), one.detail.get("ends_at")
            span = f" from {_second(begin)}" if begin else ""
            span += f" until {_second(end)}" if end else ""
            return f"an operator took {name(one.provider)} out of service{span}"
        case Act.END_MAINTENANCE:
            return f"an operator put {name(one.provider)} into service again"
        case _:
            return f"an operator's act: {one.act}"


def _named(one: ActRecord, field: str, name: Callable[[ProviderRef | None], str]) -> str:
    text = one.detail.get(field)
    return name(ProviderRef.parse(text) if text else None)


def _second(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S}"


def _short(result: Mapping[str, Any], name: Callable[[ProviderRef | None], str]) -> str:
    ref = ProviderRef.parse(f"{result['provider_type']}:{result['provider_id']}")
    if (reports := read_recorded(result)) is not None:
        return f"{reports[0]:%H:%M:%S} {name(ref)} reported: {reports[1]}"
    began = datetime.fromisoformat(result["started_at"])
    detail = f" ({result['detail']})" if result.get("detail") else ""
    return f"{began:%H:%M:%S} {name(ref)} {result['outcome']}{detail}"


def _strandings(entries: Sequence[Entry], moves: Iterable[tuple[Turn, object]]) -> list[Line]:
    ends = sorted(
        [turn.at for turn, _ in moves] + [one.at for one in entries if one.kind is EntryKind.RELIEVED]
    )
    return [
        Line(
            at=entry.at,
            until=next((end for end in ends if end > entry.at), None),
            what="stranded",
            text=f"nobody is fit to serve: {entry.reason}",
            result_ids=tuple(entry.evidence),
        )
        for entry in entries
        if entry.kind is EntryKind.STRANDED
    ]


def _changes(entries: Sequence[Entry], name: Callable[[ProviderRef | None], str]) -> list[Line]:
    lines: list[Line] = []
    before: Facts | None = None
    for entry in entries:
        facts = entry.facts
        if facts is None:
            continue
        if before is None and facts.rule == ADOPTED and facts.active is not None and facts.since is not None:
            text = f"{name(facts.active)} serves, as the application's row names it"
            lines.append(Line(at=facts.since, what=ADOPTED, text=text, served=facts.active))
        if before is not None:
            lines += [
                Line(at=entry.at, what=what, text=text) for what, text in _differences(before, facts, name)
            ]
        # Without a row nothing is said of a pause or a pin: they are as they were.
        before = facts if before is None or facts.active is not None else replace(before, active=None)
    return lines


def _differences(
    before: Facts, after: Facts, name: Callable[[ProviderRef | None], str]
) -> Iterable[tuple[str, str]]:
    if after.active is None:
        if before.active is not None:
            yield "deleted", "the purpose's row was deleted"
        return
    acted = before.act != after.act
    if before.active is not None and before.preference != after.preference and not acted:
        yield "order", f"the operator's order is now {', '.join(map(name, after.preference))}"
    if before.paused != after.paused and not acted:
        yield ("paused", "an operator paused it") if after.paused else ("resumed", "an operator resumed it")
    if (before.pinned, before.pinned_until) != (after.pinned, after.pinned_until) and not acted:
        if after.pinned is None:
            yield "unpinned", "the pin was taken off"
        else:
            until = f" until {after.pinned_until:%Y-%m-%d %H:%M:%S}" if after.pinned_until else ""
            yield "pinned", f"an operator pinned {name(after.pinned)}{until}"
    gone = {one.ref: one.gone_since is not None for one in before.standings}
    for one in after.standings:
        if one.ref in gone and gone[one.ref] != (one.gone_since is not None):
            yield (
                ("gone", f"{name(one.ref)} was deleted or disabled")
                if one.gone_since is not None
                else ("back", f"{name(one.ref)} is there again")
            )
