"""When a purpose moves, and when it does not: one pure function from a situation to a decision.

The rules are tried in the order of `Rule`; the first that speaks wins. Every move rests on the failure of the
one that serves (or on the recovery of a more preferred one) *and* on a qualification: a deep probe of the one
moved onto that began after that failure began (or after the hold ended).
"""

from dataclasses import replace
from datetime import datetime, timedelta

from monitor.domain.eligibility import limited_until
from monitor.domain.failure import Failure, failure_shown, is_too_early
from monitor.domain.outcome import ResultId
from monitor.domain.policy import Failback, Policy
from monitor.domain.preference import next_after
from monitor.domain.search import Search, gap_end, ineligible, look_for, obstacle, passed_after, sooner
from monitor.domain.situation import Action, Candidate, Decision, Rule, Situation, Switch
from monitor.domain.target import ProviderRef


def decide(situation: Situation, now: datetime, policy: Policy) -> Decision:
    """What to do for one purpose.

    Args:
        situation: healths already expired to `now`.
        now: UTC; also the instant that is stored with the decision.
        policy: the purpose's.
    """
    if situation.paused:
        return _keep(Rule.PAUSED, "paused by an operator")
    decision = _pinned(situation, now, policy) if situation.pinned else _decide(situation, now, policy)
    return replace(decision, wake_at=sooner(decision.wake_at, _next_change(situation, now, policy)))


def _pinned(situation: Situation, now: datetime, policy: Policy) -> Decision:
    # An operator may pin one of another vector space; whether it answers is another question.
    active = replace(situation.candidates[situation.active], same_space=True)
    unfit = obstacle(situation, active, now, policy)
    although = f", although it {unfit}" if unfit else ""
    return replace(
        _keep(Rule.PINNED, f"{situation.active} is pinned by an operator{although}"), alarm=unfit is not None
    )


def _decide(situation: Situation, now: datetime, policy: Policy) -> Decision:
    active = situation.candidates[situation.active]
    failure = failure_shown(situation, active, now, policy)
    too_early = is_too_early(failure, now)
    if failure is not None and not too_early:
        decision = _leave(situation, failure, now, policy)
        if decision is not None:
            return decision
    decision = _return(situation, now, policy)
    if decision.action is not Action.KEEP:
        return decision
    if failure is not None and too_early:
        # Its own next probe may be minutes away, and nobody else would ask again.
        decision = replace(decision, wake_at=sooner(decision.wake_at, failure.heeded_from))
    if situation.stranded_since is not None and passed_after(active, situation.stranded_since):
        return Decision(
            action=Action.RELIEVE,
            rule=Rule.STAND_DOWN,
            reason=f"{situation.active} answers again",
            evidence=_last_result(active),
            wake_at=decision.wake_at,
        )
    return decision


def fallback_after(
    situation: Situation, to: ProviderRef, now: datetime, policy: Policy
) -> ProviderRef | None:
    """Whom the application's fallback columns name once `to` serves.

    See `next_after`; the one that was left counts only if its row still stands.
    """
    left = situation.candidates.get(situation.active)
    return next_after(
        situation.preference,
        to,
        situation.active if left is not None and left.gone_since is None else None,
        lambda ref: ineligible(situation.candidates[ref], now, policy) is None,
    )


def hold_for(situation: Situation, now: datetime, policy: Policy) -> timedelta:
    """How long a more preferred candidate must have been eligible: doubled by each recent switch."""
    recent = len(_recent(situation, now, policy))
    doublings = min(max(recent - 1, 0), 16)
    return min(policy.hold * (1 << doublings), policy.hold_max)


def _leave(situation: Situation, failure: Failure, now: datetime, policy: Policy) -> Decision | None:
    recent = len(_recent(situation, now, policy))
    settled = policy.return_gap if recent >= policy.switch_limit else None
    search = look_for(situation, situation.preference, failure.qualify_after, now, policy, settled=settled)
    if search.found is not None:
        return _onto(search, Rule.FAIL_OVER, failure)
    # Those that fail their qualification are as good as down: waited for is only one that time will free.
    if search.waits or (search.waiting and not failure.strands):
        reason = f"{failure.reason}; waiting: {'; '.join(search.waiting)}"
        return _keep(Rule.FAIL_OVER, reason, wake_at=search.wake_at)
    if not failure.strands:
        return None
    if situation.stranded_since is None:
        reason = f"{failure.reason}, and no candidate is eligible"
        return Decision(
            action=Action.STRAND,
            rule=Rule.CALL_FOR_HELP,
            reason=reason,
            evidence=failure.evidence,
            heard=failure.heard,
            failure_began_at=failure.began_at,
        )
    since = max(situation.stranded_since, situation.deciding_since)
    return _rescue(situation, since, failure, now, policy)


def _rescue(
    situation: Situation, since: datetime, failure: Failure, now: datetime, policy: Policy
) -> Decision:
    wake_at: datetime | None = None
    for ref in situation.preference:
        candidate = situation.candidates[ref]
        away = candidate.maintenance is not None and candidate.maintenance.holds(now)
        barred = candidate.gone_since is not None or away or candidate.same_space is not True
        if ref == situation.active or barred or not passed_after(candidate, since):
            continue
        gap_ends = gap_end(situation, ref, policy)
        if gap_ends is not None and now < gap_ends:
            wake_at = sooner(wake_at, gap_ends)
            continue
        return Decision(
            action=Action.MOVE,
            rule=Rule.CALL_FOR_HELP,
            to=ref,
            reason=f"{failure.reason}; nobody was eligible and {ref} is the first to answer",
            evidence=(*failure.evidence, *_last_result(candidate)),
            heard=failure.heard,
            failure_began_at=failure.began_at,
        )
    return _keep(Rule.CALL_FOR_HELP, f"{failure.reason}, and no candidate is eligible", wake_at=wake_at)


def _return(situation: Situation, now: datetime, policy: Policy) -> Decision:
    if policy.failback is not Failback.AUTO:
        return _keep(Rule.HOLD, f"failback is {policy.failback}")
    preferred = _more_preferred(situation)
    if not preferred:
        return _keep(Rule.HOLD, "the preferred one serves")
    if situation.held:
        until = f" until {situation.held_until:%Y-%m-%d %H:%M:%S}" if situation.held_until else ""
        return _keep(Rule.HOLD, f"an operator's promotion holds the return{until}")
    recent = _recent(situation, now, policy)
    if len(recent) >= policy.switch_limit:
        frees = recent[-policy.switch_limit].at + policy.switch_window
        span = f"{policy.switch_window.total_seconds():g} s"
        return _keep(
            Rule.HOLD, f"{len(recent)} switches within {span}: no return before {frees}", wake_at=frees
        )
    hold = hold_for(situation, now, policy)
    search = look_for(situation, preferred, None, now, policy, settled=hold)
    if search.found is None:
        return _keep(
            Rule.HOLD, "; ".join(search.waiting) or "nobody preferred is eligible", wake_at=search.wake_at
        )
    return _onto(search, Rule.FAIL_BACK, None)


def _onto(search: Search, rule: Rule, failure: Failure | None) -> Decision:
    assert search.found is not None  # noqa: S101
    candidate = search.found
    why = failure.reason if failure else f"{candidate.ref} is preferred and has recovered"
    if not search.qualified:
        return Decision(
            action=Action.QUALIFY,
            rule=rule,
            to=candidate.ref,
            reason=f"{why}; {candidate.ref} has to pass a probe first",
            evidence=failure.evidence if failure else (),
            heard=failure.heard if failure else None,
            failure_began_at=failure.began_at if failure else None,
        )
    window = candidate.health.window if candidate.health else ()
    passes = tuple(one.result_id for one in window if one.passed)[-2:]
    return Decision(
        action=Action.MOVE,
        rule=rule,
        to=candidate.ref,
        reason=why,
        evidence=(*(failure.evidence if failure else ()), *(passes[-1:] if failure else passes)),
        heard=failure.heard if failure else None,
        failure_began_at=failure.began_at if failure else None,
    )


def _next_change(situation: Situation, now: datetime, policy: Policy) -> datetime | None:
    """When time alone changes what is decided on: the end of a pin, a hold, a limit, a maintenance."""
    instants = [situation.pinned_until if situation.pinned else None]
    instants.append(situation.held_until if situation.held else None)
    for candidate in situation.candidates.values():
        if candidate.maintenance is not None:
            instants.append(candidate.maintenance.next_change(now))
        if candidate.health is not None and candidate.ref != situation.active:
            instants.append(limited_until(candidate.health, policy))
    return min((instant for instant in instants if instant is not None and instant > now), default=None)


def _more_preferred(situation: Situation) -> tuple[ProviderRef, ...]:
    if situation.active not in situation.preference:
        return situation.preference
    return situation.preference[: situation.preference.index(situation.active)]


def _recent(situation: Situation, now: datetime, policy: Policy) -> tuple[Switch, ...]:
    return tuple(one for one in situation.switches if now - one.at < policy.switch_window)


def _last_result(candidate: Candidate) -> tuple[ResultId, ...]:
    last = candidate.health.last if candidate.health else None
    return (last.result_id,) if last is not None else ()


def _keep(rule: Rule, reason: str, *, wake_at: datetime | None = None) -> Decision:
    return Decision(action=Action.KEEP, rule=rule, reason=reason, wake_at=wake_at)
