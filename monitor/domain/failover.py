"""When a purpose moves, and when it does not: one pure function from a situation to a decision.

The rules are tried in the order of `Rule`; the first that speaks wins. Every move rests on the failure of the
one that serves (or on the recovery of a more preferred one) *and* on a qualification: a deep probe of the one
moved onto that began after that failure began (or after the hold ended).
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from monitor.domain.eligibility import (
    PROBED_BLOCKS,
    blocking_run,
    blocks,
    demoting_limit,
    eligible_from,
    is_eligible,
)
from monitor.domain.health import HealthState, Heard, Observation, fall, is_stale, window_failures
from monitor.domain.outcome import ResultId, Vote
from monitor.domain.policy import Failback, Policy
from monitor.domain.preference import next_after
from monitor.domain.reports import fell_from, words
from monitor.domain.situation import Action, Candidate, Decision, Rule, Situation, Switch
from monitor.domain.target import ProviderRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why the one that serves ought to be left.

    Attributes:
        reason: in plain words.
        began_at: the start of its first evidence.
        qualify_after: a qualification has to begin after this.
        evidence: the results.
        heard: what applications reported, where that is evidence too.
        strands: whether it is a dead one; a rate limit alone is no reason to call for help.
        heeded_from: not heeded before this, in the first moments after a start; None when it is at once.
    """

    reason: str
    began_at: datetime
    qualify_after: datetime
    evidence: tuple[ResultId, ...] = ()
    heard: Heard | None = None
    strands: bool = True
    heeded_from: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Obstacle:
    reason: str
    until: datetime | None = None
    failed: bool = False


@dataclass(slots=True)
class _Search:
    """The first candidate worth a move or a probe, and why the others are not."""

    found: Candidate | None = None
    qualified: bool = False
    wake_at: datetime | None = None
    waiting: list[str] = field(default_factory=list)
    waits: bool = False


def decide(situation: Situation, now: datetime, policy: Policy) -> Decision:
    """What to do for one purpose.

    Args:
        situation: healths already expired to `now`.
        now: UTC; also the instant that is stored with the decision.
        policy: the purpose's.
    """
    active = situation.candidates[situation.active]
    if situation.paused:
        return _keep(Rule.PAUSED, "paused by an operator")
    if situation.pinned:
        unfit = obstacle(situation, active, now, policy)
        although = f", although it {unfit}" if unfit else ""
        return _keep(Rule.PINNED, f"{situation.active} is pinned by an operator{although}")
    failure = _failure_shown(situation, active, policy)
    too_early = _is_too_early(failure, now)
    if failure is not None and not too_early:
        decision = _leave(situation, failure, now, policy)
        if decision is not None:
            return decision
    decision = _return(situation, now, policy)
    if decision.action is not Action.KEEP:
        return decision
    if failure is not None and too_early:
        # Its own next probe may be minutes away, and nobody else would ask again.
        decision = replace(decision, wake_at=_sooner(decision.wake_at, failure.heeded_from))
    if situation.stranded_since is not None and _passed_after(active, situation.stranded_since):
        return Decision(
            action=Action.RELIEVE,
            rule=Rule.STAND_DOWN,
            reason=f"{situation.active} answers again",
            evidence=_last_result(active),
            wake_at=decision.wake_at,
        )
    return decision


def failure_of(situation: Situation, active: Candidate, now: datetime, policy: Policy) -> Failure | None:
    """Why the one that serves ought to be left, or None.

    After an operator's act only evidence that began after it counts; in the first moments after a start, only
    evidence from before it.
    """
    failure = _failure_shown(situation, active, policy)
    return None if _is_too_early(failure, now) else failure


def obstacle(situation: Situation, candidate: Candidate, now: datetime, policy: Policy) -> str | None:
    """Why a purpose may not be moved onto the candidate, in plain words; None when it may."""
    found = _ineligible(candidate, now, policy)
    return found.reason if found else None


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
        lambda ref: _ineligible(situation.candidates[ref], now, policy) is None,
    )


def hold_for(situation: Situation, now: datetime, policy: Policy) -> timedelta:
    """How long a more preferred candidate must have been eligible: doubled by each recent switch."""
    recent = len(_recent(situation, now, policy))
    doublings = min(max(recent - 1, 0), 16)
    return min(policy.hold * (1 << doublings), policy.hold_max)


def _failure_shown(situation: Situation, active: Candidate, policy: Policy) -> Failure | None:
    # Whoever begins to decide (a start, a database that was away) looks once with its own eyes first.
    since = situation.deciding_since
    if active.gone_since is not None:
        return Failure(
            reason=f"{active.ref} was deleted or disabled",
            began_at=active.gone_since,
            qualify_after=max(active.gone_since, since),
        )
    if active.maintenance:
        # As long as the maintenance lasts any pass of the other one is a qualification that is fresh enough.
        began_at = situation.chosen_at or since
        return Failure(
            reason=f"{active.ref} is in maintenance", began_at=began_at, qualify_after=max(began_at, since)
        )
    failure = _shown_by_probes(active, situation.chosen_at, policy)
    if failure is None or active.health is None or active.health.last is None:
        return None
    if active.health.last.started_at <= since:
        return None
    return replace(
        failure,
        qualify_after=max(failure.qualify_after, since),
        heeded_from=since + policy.start_grace if failure.began_at >= since else None,
    )


def _is_too_early(failure: Failure | None, now: datetime) -> bool:
    return failure is not None and failure.heeded_from is not None and now < failure.heeded_from


def _leave(situation: Situation, failure: Failure, now: datetime, policy: Policy) -> Decision | None:
    recent = len(_recent(situation, now, policy))
    settled = policy.return_gap if recent >= policy.switch_limit else None
    search = _search(situation, situation.preference, failure.qualify_after, now, policy, settled=settled)
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
        barred = candidate.gone_since is not None or candidate.maintenance or candidate.same_space is not True
        if ref == situation.active or barred or not _passed_after(candidate, since):
            continue
        gap_ends = _gap_ends(situation, ref, policy)
        if gap_ends is not None and now < gap_ends:
            wake_at = _sooner(wake_at, gap_ends)
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
    recent = _recent(situation, now, policy)
    if len(recent) >= policy.switch_limit:
        frees = recent[-policy.switch_limit].at + policy.switch_window
        return _keep(
            Rule.HOLD, f"{len(recent)} switches within the hour: no return before {frees}", wake_at=frees
        )
    hold = hold_for(situation, now, policy)
    search = _search(situation, preferred, None, now, policy, settled=hold)
    if search.found is None:
        return _keep(
            Rule.HOLD, "; ".join(search.waiting) or "nobody preferred is eligible", wake_at=search.wake_at
        )
    return _onto(search, Rule.FAIL_BACK, None)


def _search(
    situation: Situation,
    order: tuple[ProviderRef, ...],
    failed_at: datetime | None,
    now: datetime,
    policy: Policy,
    *,
    settled: timedelta | None,
) -> _Search:
    search = _Search()
    for ref in order:
        if ref == situation.active:
            continue
        candidate = situation.candidates[ref]
        if _ineligible(candidate, now, policy) is not None or candidate.health is None:
            continue
        eligible_since = eligible_from(candidate.health, now, policy) or now
        ripe_at = eligible_since + settled if settled is not None else None
        asked_since = failed_at if failed_at is not None else max(ripe_at or now, situation.deciding_since)
        wait = _wait(situation, candidate, ripe_at, asked_since, now, policy)
        if wait is None:
            search.found = candidate
            search.qualified = _passed_after(candidate, asked_since)
            return search
        search.waiting.append(f"{ref} {wait.reason}")
        search.waits = search.waits or not wait.failed
        search.wake_at = _sooner(search.wake_at, wait.until)
    return search


def _wait(
    situation: Situation,
    candidate: Candidate,
    ripe_at: datetime | None,
    asked_since: datetime,
    now: datetime,
    policy: Policy,
) -> _Obstacle | None:
    if ripe_at is not None and now < ripe_at:
        return _Obstacle(f"has to stay eligible until {ripe_at:%H:%M:%S}", ripe_at)
    gap_ends = _gap_ends(situation, candidate.ref, policy)
    if gap_ends is not None and now < gap_ends:
        return _Obstacle(f"was left only just, wait until {gap_ends:%H:%M:%S}", gap_ends)
    # Whatever its newest probe was, if it was no pass it was no qualification: also one without a verdict.
    tried_at = candidate.health.last_started_at if candidate.health else None
    if tried_at is None or tried_at <= asked_since or _passed_after(candidate, asked_since):
        return None
    retry_at = tried_at + policy.qualification_retry
    if now >= retry_at:
        return None
    return _Obstacle(f"failed its qualification, wait until {retry_at:%H:%M:%S}", retry_at, failed=True)


def _onto(search: _Search, rule: Rule, failure: Failure | None) -> Decision:
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


def _shown_by_probes(active: Candidate, after: datetime | None, policy: Policy) -> Failure | None:
    health = active.health
    if health is None:
        return None
    for outcome, block in PROBED_BLOCKS.items():
        run = blocking_run(health, outcome, policy, after)
        if run:
            return _failure(f"{active.ref} is blocked: {block}", run, policy)
    # One that answers again is not left: its next probe, a re-check away, says whether it has risen.
    if health.state is HealthState.DOWN and health.last is not None and not health.last.passed:
        evidence, heard, began_at = health.fell_on, health.heard, fell_from(health)
        if after is not None and began_at is not None and began_at <= after:
            evidence, heard = fall(health.window, policy, after), None
        if evidence:
            reason = f"{active.ref} is down: {evidence[-1].outcome}"
            if heard is not None:
                failure = _failure(f"{reason}, and {words(heard)}", evidence, policy)
                return replace(failure, began_at=heard.began_at, qualify_after=heard.began_at, heard=heard)
            return _failure(reason, evidence, policy)
    limit = demoting_limit(health, policy, after)
    if limit:
        return _failure(f"{active.ref} is rate limited", limit, policy, strands=False)
    return None


def _failure(
    reason: str, evidence: tuple[Observation, ...], policy: Policy, *, strands: bool = True
) -> Failure:
    return Failure(
        reason=reason,
        began_at=evidence[0].started_at,
        # A brownout's evidence reaches far back: only its last failures say when it has to be passed again.
        qualify_after=evidence[-policy.fall :][0].started_at,
        evidence=tuple(one.result_id for one in evidence),
        strands=strands,
    )


def _ineligible(candidate: Candidate, now: datetime, policy: Policy) -> _Obstacle | None:
    health = candidate.health
    if candidate.gone_since is not None:
        return _Obstacle("was deleted or disabled")
    if candidate.maintenance:
        return _Obstacle("is in maintenance")
    if candidate.same_space is None:
        return _Obstacle(
            "is not known to share the preferred one's vector space: set metadata.embedding_space on both"
        )
    if candidate.same_space is False:
        return _Obstacle("has another vector space than the preferred one")
    if health is None:
        return _Obstacle("has not been probed yet")
    if health.state is not HealthState.UP:
        return _Obstacle(f"is {health.state}")
    blocked = blocks(health, now, policy)
    if blocked:
        return _Obstacle(f"is blocked: {', '.join(sorted(blocked))}")
    if is_stale(health, now):
        return _Obstacle("has no recent result")
    if not is_eligible(health, now, policy):
        return _Obstacle(f"failed {window_failures(health, policy)} of its last {policy.window} probes")
    return None


def _more_preferred(situation: Situation) -> tuple[ProviderRef, ...]:
    if situation.active not in situation.preference:
        return situation.preference
    return situation.preference[: situation.preference.index(situation.active)]


def _recent(situation: Situation, now: datetime, policy: Policy) -> tuple[Switch, ...]:
    return tuple(one for one in situation.switches if now - one.at < policy.switch_window)


def _gap_ends(situation: Situation, ref: ProviderRef, policy: Policy) -> datetime | None:
    left = [one.at for one in situation.switches if one.left == ref]
    return max(left) + policy.return_gap if left else None


def _passed_after(candidate: Candidate, since: datetime) -> bool:
    health = candidate.health
    # A belief that went stale remembers its last result, but has no pass any more.
    if health is None or health.last is None or not health.passes:
        return False
    return health.last.counts_as is Vote.PASS and health.last.started_at > since


def _last_result(candidate: Candidate) -> tuple[ResultId, ...]:
    last = candidate.health.last if candidate.health else None
    return (last.result_id,) if last is not None else ()


def _sooner(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((instant for instant in (one, other) if instant is not None), default=None)


def _keep(rule: Rule, reason: str, *, wake_at: datetime | None = None) -> Decision:
    return Decision(action=Action.KEEP, rule=rule, reason=reason, wake_at=wake_at)
