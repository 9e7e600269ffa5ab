"""A replay beside the record: what is reproduced, what is not, and why."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from monitor.domain.journal import Entry
from monitor.domain.outcome import ResultId
from monitor.domain.policy import Policy, policy_record
from monitor.domain.replay import Difference, Replayed
from monitor.domain.situation import Action
from monitor.domain.timeline import Sickness, Timeline, Turn

PROBING = frozenset(
    {
        "deep_interval",
        "standby_interval",
        "slow_start_interval",
        "light_interval",
        "light_interval_local",
        "down_interval",
        "blocked_interval",
        "rate_limited_interval",
        "stranded_interval",
        "jitter",
        "connect_timeout",
        "first_token_timeout",
        "first_token_timeout_loading",
        "stall_timeout",
        "timeout",
        "timeout_loading",
        "stale_intervals",
        "slow_factor",
        "light_forward_interval",
        "daily_cost_usd",
    }
)
"""What decides when and how is probed, and so which results there are: a replay has the recorded ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One timeline in numbers.

    Attributes:
        switches: automatic moves.
        stranded: how long nobody served.
        on_sick: how long one served that did not answer as it should, as its results show.
    """

    switches: int
    stranded: timedelta
    on_sick: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What became of one recorded move.

    Attributes:
        turn: the move.
        reproduced: decided again at the same instant, by the same rule, onto the same one.
        why_not: in plain words; empty when it is reproduced.
    """

    turn: Turn
    reproduced: bool
    why_not: str = ""


def figures(
    timeline: Timeline, since: datetime, automatic: Iterable[str], sick: Sequence[Sickness]
) -> Figures:
    """Count.

    Args:
        timeline: what happened.
        since: the span's beginning.
        automatic: the rules that move by themselves.
        sick: when whom, by the results.
    """
    rules = set(automatic)
    return Figures(
        switches=sum(turn.at >= since and turn.rule in rules for turn in timeline.turns),
        stranded=timeline.stranded(since),
        on_sick=timeline.on_sick(since, sick),
    )


def fates(
    moves: Sequence[tuple[Turn, Mapping[str, Any]]],
    replayed: Replayed | None,
    policy: Policy,
    kept: frozenset[ResultId],
) -> list[Fate]:
    """What became of the recorded moves in a replay.

    Args:
        moves: each with the policy that was in force.
        replayed: following the record or free; None when the journal has nothing.
        policy: of the replay.
        kept: the ids of the results that are still there.
    """
    if replayed is None:
        why = "nothing is noted of what decisions rested on before now"
        return [Fate(turn=turn, reproduced=False, why_not=why) for turn, _ in moves]
    again = {(turn.at, turn.rule, turn.onto) for turn in replayed.reproduced}
    if not replayed.follows:
        again = {(turn.at, turn.rule, turn.onto) for turn in replayed.course.timeline.turns}
    found = []
    for turn, then in moves:
        same = (turn.at, turn.rule, turn.onto) in again
        why = "" if same else _why_not(turn, then, replayed, policy, kept)
        found.append(Fate(turn=turn, reproduced=same, why_not=why))
    return found


def tell(difference: Difference) -> str:
    """A difference in plain words."""
    decided = difference.decided
    said = "nothing was to be decided then"
    if decided is not None:
        what = {
            Action.MOVE: f"moves onto {decided.to}",
            Action.QUALIFY: f"probes {decided.to} first",
            Action.STRAND: "calls for help",
            Action.RELIEVE: "withdraws the call for help",
            Action.KEEP: "keeps who serves",
        }[decided.action]
        said = f"deciding again {what} ({decided.rule}: {decided.reason})"
    match difference.recorded:
        case None:
            return f"nothing is recorded, but {said}"
        case Turn() as turn:
            return f"{turn.rule} onto {turn.onto} is recorded, but {said}"
        case Entry() as entry:
            return f"{entry.kind} is recorded, but {said}"


def policy_changes(then: Mapping[str, Any], policy: Policy) -> list[str]:
    """The names of a recorded policy that has other values now, with both."""
    now = policy_record(policy)
    return [
        f"{name} was {then[name]} and is {now[name]}"
        for name in now
        if name in then and then[name] != now[name]
    ]


def _why_not(
    turn: Turn, then: Mapping[str, Any], replayed: Replayed, policy: Policy, kept: frozenset[ResultId]
) -> str:
    begin = replayed.course.timeline.begin
    if turn.at < begin:
        return f"what it rested on besides results is noted only from {begin:%Y-%m-%d %H:%M:%S} on"
    lost = [one for one in turn.evidence if one not in kept]
    if lost:
        return f"{len(lost)} of the {len(turn.evidence)} results it rests on are no longer kept"
    changed = policy_changes(then, policy)
    if changed:
        return f"the policy is another: {', '.join(changed)}"
    said = [tell(one) for one in replayed.differences if one.at == turn.at]
    return said[0] if said else "deciding again does not lead there"
