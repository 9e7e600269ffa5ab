"""Why a purpose stands as it does, and what would move it, in plain words."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitor.domain.application_status import warnings
from monitor.domain.course import health_word
from monitor.domain.eligibility import PROBED_BLOCKS, blocking_run
from monitor.domain.failover import decide, hold_for
from monitor.domain.failure import failure_of
from monitor.domain.health import Health, HealthState, failing_streak
from monitor.domain.outcome import Vote
from monitor.domain.policy import Failback, Policy
from monitor.domain.provider import ProviderRef
from monitor.domain.search import eligible_since, gap_end, obstacle
from monitor.domain.situation import Action, Candidate, Decision, Situation

LAST = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Standpoint:
    """How one candidate stands.

    Attributes:
        ref: the provider.
        place: its place in the order of preference, from 1; None for one that only serves.
        serves: whether it serves now.
        health: `up`, `down`, `unknown`, `blocked: auth`; `not probed` without a belief.
        since: since when its state is that; None before the first result.
        eligible: whether the purpose may be moved onto it.
        obstacle: why not; empty when it may.
        warnings: reasons to look.
        last: its last results, the oldest first: when each began, and its outcome.
    """

    ref: ProviderRef
    place: int | None
    serves: bool
    health: str
    since: datetime | None
    eligible: bool
    obstacle: str
    warnings: tuple[str, ...]
    last: tuple[tuple[datetime, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A purpose at one instant.

    Attributes:
        decision: what the rules say now.
        candidates: the one that serves and the preferred ones, in the order of preference.
        next_moves: what would have to happen for the next move, a sentence each.
    """

    decision: Decision
    candidates: tuple[Standpoint, ...]
    next_moves: tuple[str, ...]


def explain(
    situation: Situation, now: datetime, policy: Policy, name: Callable[[ProviderRef], str]
) -> Explanation:
    """Explain a purpose.

    Args:
        situation: with beliefs that are expired to `now`.
        now: the instant.
        policy: the purpose's.
        name: how a provider is called.
    """
    order = [*situation.preference]
    if situation.active not in order:
        order.append(situation.active)
    decision = decide(situation, now, policy)
    return Explanation(
        decision=decision,
        candidates=tuple(_standpoint(situation, ref, now, policy) for ref in order),
        next_moves=tuple(_next_moves(situation, decision, now, policy, name)),
    )


def _standpoint(situation: Situation, ref: ProviderRef, now: datetime, policy: Policy) -> Standpoint:
    candidate = situation.candidates[ref]
    health, unfit = candidate.health, obstacle(situation, candidate, now, policy)
    return Standpoint(
        ref=ref,
        place=situation.preference.index(ref) + 1 if ref in situation.preference else None,
        serves=ref == situation.active,
        health=health_word(health, now, policy) if health else "not probed",
        since=health.since if health else None,
        eligible=unfit is None,
        obstacle=unfit or "",
        warnings=tuple(sorted(warnings(health, now, policy))) if health else (),
        last=_last(health) if health else (),
    )


def _last(health: Health) -> tuple[tuple[datetime, str], ...]:
    seen = {one.started_at: one for one in health.window}
    seen |= {one.started_at: one for run in health.runs.values() for one in run}
    if health.last is not None:
        seen[health.last.started_at] = health.last
    return tuple((at, str(seen[at].outcome)) for at in sorted(seen)[-LAST:])


def _next_moves(
    situation: Situation,
    decision: Decision,
    now: datetime,
    policy: Policy,
    name: Callable[[ProviderRef], str],
) -> Iterable[str]:
    if situation.paused:
        yield "Nothing moves until an operator resumes it."
        return
    if situation.pinned:
        until = f", until {_instant(situation.pinned_until)}" if situation.pinned_until else ""
        yield f"Nothing moves while the pin holds{until}."
        return
    active = situation.candidates[situation.active]
    span = active.maintenance
    if span is not None and span.next_change(now) == span.since:
        yield f"fail_over: {name(active.ref)} goes into maintenance at {_instant(span.since)}."
    if decision.action is Action.MOVE and decision.to is not None:
        yield f"The move onto {name(decision.to)} is due now ({decision.rule})."
    elif decision.action is Action.QUALIFY and decision.to is not None:
        yield f"{name(decision.to)} takes over when the probe it is asked for now passes ({decision.rule})."
    elif failure_of(situation, active, now, policy) is not None:
        yield from _while_failing(situation, decision, name)
    else:
        yield from _until_failing(situation, active, now, policy, name)
    if decision.action not in (Action.MOVE, Action.QUALIFY):
        yield from _until_return(situation, decision, now, policy, name)


def _while_failing(
    situation: Situation, decision: Decision, name: Callable[[ProviderRef], str]
) -> Iterable[str]:
    if situation.stranded_since is not None:
        yield (
            f"call_for_help: the first candidate that passes a probe takes over, or {name(situation.active)} "
            "when it passes again."
        )
    if decision.wake_at is not None:
        yield f"It is decided again at {decision.wake_at:%H:%M:%S}: {decision.reason}."
    elif situation.stranded_since is None:
        yield f"{decision.rule}: {decision.reason}."


def _until_failing(
    situation: Situation,
    active: Candidate,
    now: datetime,
    policy: Policy,
    name: Callable[[ProviderRef], str],
) -> Iterable[str]:
    health, who = active.health, name(situation.active)
    others = [ref for ref in situation.preference if ref != situation.active]
    fit = [ref for ref in others if obstacle(situation, situation.candidates[ref], now, policy) is None]
    then = (
        f"then {name(fit[0])} takes over once it passes a probe"
        if fit
        else "then the purpose is stranded, for nobody else is eligible"
    )
    if health is None:
        yield f"fail_over: {who} has no belief yet; it has to be probed first."
        return
    if health.state is HealthState.DOWN and health.last is not None and health.last.passed:
        yield f"fail_over: {who} is down but answered last; its next probe says whether it stays, {then}."
        return
    yield f"fail_over: {_failures_wanted(health, situation, now, policy, who)}, {then}."
    for outcome in PROBED_BLOCKS:
        run = tuple(
            one
            for one in health.runs.get(outcome, ())
            if situation.chosen_at is None or one.started_at > situation.chosen_at
        )
        if run and not blocking_run(health, outcome, policy, situation.chosen_at):
            more = max(policy.block_count - len(run), 1)
            yield f"fail_over: {more} more {outcome} of {who} as well, {then}."
    yield f"fail_over: {_requests_wanted(health, situation, now, policy, who)}, {then}."
    grace = situation.deciding_since + policy.start_grace
    if now < grace:
        yield f"Not before {grace:%H:%M:%S}, unless it failed before the daemon began to decide."


def _failures_wanted(health: Health, situation: Situation, now: datetime, policy: Policy, who: str) -> str:
    # What was before an operator's act, or before it rose, speaks against it no more.
    rose_at = health.since if health.state is HealthState.UP else None
    limits = [instant for instant in (situation.chosen_at, rose_at) if instant is not None]
    counted = tuple(one for one in health.window if all(one.started_at > instant for instant in limits))
    streak = failing_streak(counted)
    more = max(policy.fall - len(streak), 1)
    words = f"{more} more failure{'s' if more > 1 else ''} of {who} in a row"
    if streak:
        ends = streak[0].ended_at + policy.fall_span
        if ends > now:
            words += f", the last of them not before {ends:%H:%M:%S} (in {_seconds(ends - now)} s)"
    else:
        words += f", at least {_seconds(policy.fall_span)} s from the first to the last"
    failures = sum(not one.passed for one in counted[-policy.window :])
    if failures:
        left = max(policy.window_failures - failures, 1)
        words += f", or {left} more among its last {policy.window} results"
    return words


def _requests_wanted(health: Health, situation: Situation, now: datetime, policy: Policy, who: str) -> str:
    wanted = (
        f"{policy.report_fall} failed requests in a row, or {policy.report_share:.0%} of "
        f"{policy.report_window}, reported within {_seconds(policy.report_span)} s"
    )
    probe, since = health.last, situation.deciding_since
    if situation.chosen_at is not None:
        since = max(since, situation.chosen_at)
    if probe is not None and probe.counts_as is Vote.FAILURE and probe.started_at > since:
        ends = probe.ended_at + policy.report_span
        if ends > now:
            return f"{wanted} beside the last failure of {who}, before {ends:%H:%M:%S}"
    return f"1 more failure of {who} with {wanted}"


def _until_return(
    situation: Situation,
    decision: Decision,
    now: datetime,
    policy: Policy,
    name: Callable[[ProviderRef], str],
) -> Iterable[str]:
    place = (
        situation.preference.index(situation.active)
        if situation.active in situation.preference
        else len(situation.preference)
    )
    preferred = situation.preference[:place]
    if not preferred:
        return
    if policy.failback is not Failback.AUTO:
        yield f"No return by itself: failback is {policy.failback}."
        return
    if situation.held:
        until = f" until {situation.held_until:%Y-%m-%d %H:%M:%S}" if situation.held_until else ""
        yield f"No return by itself{until}: an operator's promotion holds it."
        return
    hold = hold_for(situation, now, policy)
    recent = [one for one in situation.switches if now - one.at < policy.switch_window]
    if len(recent) >= policy.switch_limit:
        frees = recent[-policy.switch_limit].at + policy.switch_window
        yield (
            f"fail_back: {len(recent)} moves lie within the last {_seconds(policy.switch_window)} s; "
            f"no return before {frees:%H:%M:%S}."
        )
        return
    for ref in preferred:
        candidate = situation.candidates[ref]
        unfit = obstacle(situation, candidate, now, policy)
        if unfit is not None:
            yield (
                f"fail_back: {name(ref)} {unfit}; it has to be eligible again and stay so for "
                f"{_seconds(hold)} s, and pass a probe."
            )
        elif candidate.health is not None:
            since = eligible_since(candidate, now, policy)
            if situation.ordered_at is not None:
                since = max(since, situation.ordered_at)
            ripe = max(since + hold, gap_end(situation, ref, policy) or now)
            when = f"not before {ripe:%H:%M:%S} (in {_seconds(ripe - now)} s)" if ripe > now else "now"
            yield f"fail_back: back to {name(ref)} {when}, if it stays eligible and passes a probe then."


def _instant(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():.0f}"
