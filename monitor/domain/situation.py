"""What a decision rests on, and what it says."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from monitor.domain.health import Health, Heard
from monitor.domain.maintenance import Maintenance
from monitor.domain.outcome import ResultId
from monitor.domain.target import ProviderRef, Purpose


class Rule(StrEnum):
    """The rules, in their order."""

    PAUSED = "paused"
    PINNED = "pinned"
    FAIL_OVER = "fail_over"
    CALL_FOR_HELP = "call_for_help"
    FAIL_BACK = "fail_back"
    STAND_DOWN = "stand_down"
    HOLD = "hold"


class Action(StrEnum):
    """What a decision asks for."""

    KEEP = "keep"
    MOVE = "move"
    QUALIFY = "qualify"
    STRAND = "strand"
    RELIEVE = "relieve"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One provider that an operator wants for the purpose, or that serves it.

    Attributes:
        ref: the provider.
        health: what we believe of its target; None before it has one.
        gone_since: when its row was seen deleted or disabled; None while it stands.
        maintenance: when an operator takes, took or had taken it out of service; None for never.
        same_space: its vectors may stand beside the preferred one's (True where that does not matter);
            None when it is not known.
    """

    ref: ProviderRef
    health: Health | None = None
    gone_since: datetime | None = None
    maintenance: Maintenance | None = None
    same_space: bool | None = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """One automatic move of the past."""

    at: datetime
    left: ProviderRef
    onto: ProviderRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """All that a decision rests on.

    Attributes:
        purpose: whose.
        active: the one that `active_providers` names.
        preference: the operator's order, best first, without duplicates.
        candidates: of the preference and of the active one.
        deciding_since: when this daemon began to decide, or found its records again.
        chosen_at: when an operator last said who serves, or None.
        ordered_at: when an operator last set the order without saying who serves, or None.
        switches: automatic moves, at least those of the policy's switch window.
        stranded_since: since when nobody serves, or None.
        paused: an operator paused the purpose.
        pinned: an operator's pin holds.
        pinned_until: its end; None without one.
        held: an operator promoted somebody: nothing returns by itself.
        held_until: the end of that; None without one.
    """

    purpose: Purpose
    active: ProviderRef
    preference: tuple[ProviderRef, ...]
    candidates: Mapping[ProviderRef, Candidate]
    deciding_since: datetime
    chosen_at: datetime | None = None
    ordered_at: datetime | None = None
    switches: tuple[Switch, ...] = ()
    stranded_since: datetime | None = None
    paused: bool = False
    pinned: bool = False
    pinned_until: datetime | None = None
    held: bool = False
    held_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do, by which rule, and on what.

    Attributes:
        action: keep; move onto `to`; qualify `to` with a deep probe now; strand or relieve the purpose.
        rule: the rule that spoke.
        to: the provider that is moved onto or qualified.
        reason: in plain words.
        evidence: the results it rests on, oldest first.
        heard: what applications reported, where that is evidence too.
        failure_began_at: the start of the first failure behind a move; None for a return.
        wake_at: when to decide again although no result has come; None when only a result can change it.
        alarm: a person has to look: what he pinned is not fit to serve.
    """

    action: Action
    rule: Rule
    to: ProviderRef | None = None
    reason: str
    evidence: tuple[ResultId, ...] = ()
    heard: Heard | None = None
    failure_began_at: datetime | None = None
    wake_at: datetime | None = None
    alarm: bool = False
