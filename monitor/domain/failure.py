"""Why the one that serves ought to be left: what speaks against it, since when, whether it counts."""

from dataclasses import dataclass, replace
from datetime import datetime

from monitor.domain.eligibility import PROBED_BLOCKS, blocking_run, demoting_limit
from monitor.domain.health import HealthState, Heard, Observation, fall
from monitor.domain.outcome import ResultId
from monitor.domain.policy import Policy
from monitor.domain.reports import fell_from, words
from monitor.domain.situation import Candidate, Situation


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


def failure_of(situation: Situation, active: Candidate, now: datetime, policy: Policy) -> Failure | None:
    """Why the one that serves ought to be left, or None.

    After an operator's act only evidence that began after it counts; in the first moments after a start, only
    evidence from before it.
    """
    failure = failure_shown(situation, active, now, policy)
    return None if is_too_early(failure, now) else failure


def failure_shown(situation: Situation, active: Candidate, now: datetime, policy: Policy) -> Failure | None:
    """The same, also while it is too early to heed it."""
    # Whoever begins to decide (a start, a database that was away) looks once with its own eyes first.
    since = situation.deciding_since
    if active.gone_since is not None:
        return Failure(
            reason=f"{active.ref} was deleted or disabled",
            began_at=active.gone_since,
            qualify_after=max(active.gone_since, since),
        )
    span, chosen_at = active.maintenance, situation.chosen_at
    # Whoever chose one that was in maintenance already meant it.
    if span is not None and span.holds(now) and (chosen_at is None or span.since > chosen_at):
        return Failure(
            reason=f"{active.ref} is in maintenance",
            began_at=span.since,
            qualify_after=max(span.since, since),
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


def is_too_early(failure: Failure | None, now: datetime) -> bool:
    """Whether it is not heeded yet, in the first moments after a start."""
    return failure is not None and failure.heeded_from is not None and now < failure.heeded_from


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
