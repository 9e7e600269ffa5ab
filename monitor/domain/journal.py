"""What decisions rested on besides results, as it is kept: from both everything can be decided again.

Every judgement of a purpose has an instant of its own, later than every earlier one, and the results of the
purpose stand in the same order. What no result shows (who is wanted, who is gone, an operator's act, a belief
begun anew) is noted at the first judgement that rests on it, before that judgement.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from monitor.domain.health import Health
from monitor.domain.maintenance import Maintenance
from monitor.domain.outcome import ResultId
from monitor.domain.provider import ProviderRef
from monitor.domain.reports import Hearing
from monitor.domain.situation import Decision, Situation, Switch


class EntryKind(StrEnum):
    """What is noted."""

    REIGN = "reign"
    """A daemon begins to decide, or found its records again: everything, anew."""
    DAY = "day"
    """Everything, once a day, so that nobody has to begin far back."""
    CHANGE = "change"
    """Something that no result shows has changed."""
    STRANDED = "stranded"
    """Nobody serves from here on."""
    RELIEVED = "relieved"
    """The one that serves answers again."""
    SETTLED = "settled"
    """A decision that was being recorded is recorded, or has failed; results in between were not judged."""
    REPORTED = "reported"
    """What applications reported of a target, at a judgement that rests on it."""
    AWAY = "away"
    """The records are out of reach: nothing is decided until the next reign."""


WHOLE = frozenset({EntryKind.REIGN, EntryKind.DAY})


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One candidate as no result shows it.

    Attributes:
        ref: the provider.
        gone_since: when its row was seen deleted or disabled, or None.
        maintenance: when it is, or was, out of service by an operator's word, or None.
        same_space: its vectors may stand beside the preferred one's; None when that is not known.
        told: whether `health` is told here; else it goes on from the results.
        health: the belief at this instant; None for one that is not probed.
    """

    ref: ProviderRef
    gone_since: datetime | None = None
    maintenance: Maintenance | None = None
    same_space: bool | None = True
    told: bool = False
    health: Health | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that a purpose's decisions rest on besides results.

    Attributes:
        active: who serves; None while the application names nobody.
        chosen: somebody else than we has named the active one since the last entry.
        preference: the operator's order.
        standings: of the active one and of the preference.
        deciding_since: when the daemon began to decide.
        chosen_at: when an operator last said who serves, or None.
        ordered_at: when an operator last set the order by an act, or None.
        act: the number of the last act that was taken up.
        paused: an operator paused the purpose.
        pinned: whom a pin names, or None.
        pinned_until: the pin's end; None when it has none.
        held: an operator's promotion holds the return.
        held_until: the end of that; None when it has none.
        stranded_since: since when nobody serves, or None.
        since: since when the active one serves; in a whole entry.
        rule: by which rule, or `operator` or `adopted`; in a whole entry.
        switches: the automatic moves of the last hours; in a whole entry.
        policy: in force, durations in seconds; in a whole entry.
    """

    active: ProviderRef | None
    chosen: bool = False
    preference: tuple[ProviderRef, ...] = ()
    standings: tuple[Standing, ...] = ()
    deciding_since: datetime
    chosen_at: datetime | None = None
    ordered_at: datetime | None = None
    act: int = 0
    paused: bool = False
    pinned: ProviderRef | None = None
    pinned_until: datetime | None = None
    held: bool = False
    held_until: datetime | None = None
    stranded_since: datetime | None = None
    since: datetime | None = None
    rule: str | None = None
    switches: tuple[Switch, ...] = ()
    policy: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of a purpose's journal.

    Attributes:
        at: its place among the purpose's results and judgements.
        kind: what is noted.
        facts: of a reign, a day or a change.
        hearing: of what was reported.
        decided_at: of a settling, the instant of the decision.
        done: of a settling, whether the decision was recorded.
        again_at: of a settling that failed, when to decide again.
        rule: of a stranding or its end.
        reason: in plain words.
        evidence: the results behind a stranding or its end.
    """

    at: datetime
    kind: EntryKind
    facts: Facts | None = None
    hearing: Hearing | None = None
    decided_at: datetime | None = None
    done: bool = False
    again_at: datetime | None = None
    rule: str | None = None
    reason: str = ""
    evidence: tuple[ResultId, ...] = ()


def pin_holds(pinned: ProviderRef | None, until: datetime | None, now: datetime) -> bool:
    """Whether an operator's pin holds at `now`."""
    return pinned is not None and (until is None or until > now)


def promotion_holds(held: bool, until: datetime | None, now: datetime) -> bool:
    """Whether an operator's promotion holds the return at `now`."""
    return held and (until is None or until > now)


def told(standing: Standing, health: Health | None) -> Standing:
    """A standing with its belief, without what results of another kind or the mere passing of time change."""
    if health is not None:
        health = replace(health, stale_at=None, light_started_at=None, light_outcome=None)
    return replace(standing, told=True, health=health)


def standings_of(situation: Situation) -> tuple[Standing, ...]:
    """The candidates of a situation as no result shows them, in no order of preference."""
    return tuple(
        Standing(
            ref=one.ref,
            gone_since=one.gone_since,
            maintenance=one.maintenance,
            same_space=one.same_space,
        )
        for _, one in sorted(situation.candidates.items())
    )


def stranding(decision: Decision, at: datetime, since: datetime | None) -> Entry:
    """The entry of a decision that nobody serves since an instant, or with None that somebody does again."""
    return Entry(
        at=at,
        kind=EntryKind.STRANDED if since is not None else EntryKind.RELIEVED,
        rule=str(decision.rule),
        reason=decision.reason,
        evidence=decision.evidence,
    )
