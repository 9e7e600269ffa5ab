"""Onto whom a purpose may be moved: who is eligible, who has to wait for what, who has passed."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from monitor.domain.eligibility import blocks, eligible_from, is_eligible
from monitor.domain.health import HealthState, is_stale, window_failures
from monitor.domain.outcome import Vote
from monitor.domain.policy import Policy
from monitor.domain.situation import Candidate, Situation
from monitor.domain.target import ProviderRef


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why not onto somebody now, until when, and whether he has just failed his qualification."""

    reason: str
    until: datetime | None = None
    failed: bool = False


@dataclass(slots=True)
class Search:
    """The first candidate worth a move or a probe, and why the others are not."""

    found: Candidate | None = None
    qualified: bool = False
    wake_at: datetime | None = None
    waiting: list[str] = field(default_factory=list)
    waits: bool = False


def obstacle(situation: Situation, candidate: Candidate, now: datetime, policy: Policy) -> str | None:
    """Why a purpose may not be moved onto the candidate, in plain words; None when it may."""
    found = ineligible(candidate, now, policy)
    return found.reason if found else None


def look_for(
    situation: Situation,
    order: tuple[ProviderRef, ...],
    failed_at: datetime | None,
    now: datetime,
    policy: Policy,
    *,
    settled: timedelta | None,
) -> Search:
    """Find the first candidate worth a move or a probe.

    Args:
        situation: all there is.
        order: in which order.
        failed_at: a qualification has to begin after this; None for one after the hold.
        now: UTC.
        policy: the purpose's.
        settled: how long a candidate must have been eligible; None for no time.
    """
    search = Search()
    for ref in order:
        if ref == situation.active:
            continue
        candidate = situation.candidates[ref]
        if ineligible(candidate, now, policy) is not None or candidate.health is None:
            continue
        since = eligible_since(candidate, now, policy)
        if failed_at is None and situation.ordered_at is not None:
            # A new order is no reason for a sudden move: its hold begins with it.
            since = max(since, situation.ordered_at)
        ripe_at = since + settled if settled is not None else None
        asked_since = failed_at if failed_at is not None else max(ripe_at or now, situation.deciding_since)
        wait = _wait(situation, candidate, ripe_at, asked_since, now, policy)
        if wait is None:
            search.found = candidate
            search.qualified = passed_after(candidate, asked_since)
            return search
        search.waiting.append(f"{ref} {wait.reason}")
        search.waits = search.waits or not wait.failed
        search.wake_at = sooner(search.wake_at, wait.until)
    return search


def _wait(
    situation: Situation,
    candidate: Candidate,
    ripe_at: datetime | None,
    asked_since: datetime,
    now: datetime,
    policy: Policy,
) -> Obstacle | None:
    if ripe_at is not None and now < ripe_at:
        return Obstacle(f"has to stay eligible until {ripe_at:%H:%M:%S}", ripe_at)
    gap_ends = gap_end(situation, candidate.ref, policy)
    if gap_ends is not None and now < gap_ends:
        return Obstacle(f"was left only just, wait until {gap_ends:%H:%M:%S}", gap_ends)
    # Whatever its newest probe was, if it was no pass it was no qualification: also one without a verdict.
    tried_at = candidate.health.last_started_at if candidate.health else None
    if tried_at is None or tried_at <= asked_since or passed_after(candidate, asked_since):
        return None
    retry_at = tried_at + policy.qualification_retry
    if now >= retry_at:
        return None
    return Obstacle(f"failed its qualification, wait until {retry_at:%H:%M:%S}", retry_at, failed=True)


def ineligible(candidate: Candidate, now: datetime, policy: Policy) -> Obstacle | None:
    """Why a purpose may not be moved onto the candidate; None when it may."""
    health = candidate.health
    if candidate.gone_since is not None:
        return Obstacle("was deleted or disabled")
    if candidate.maintenance is not None and candidate.maintenance.holds(now):
        return Obstacle("is in maintenance")
    if candidate.same_space is None:
        return Obstacle(
            "is not known to share the preferred one's vector space: set metadata.embedding_space on both"
        )
    if candidate.same_space is False:
        return Obstacle("has another vector space than the preferred one")
    if health is None:
        return Obstacle("has not been probed yet")
    if health.state is not HealthState.UP:
        return Obstacle(f"is {health.state}")
    blocked = blocks(health, now, policy)
    if blocked:
        return Obstacle(f"is blocked: {', '.join(sorted(blocked))}")
    if is_stale(health, now):
        return Obstacle("has no recent result")
    if not is_eligible(health, now, policy):
        return Obstacle(f"failed {window_failures(health, policy)} of its last {policy.window} probes")
    return None


def eligible_since(candidate: Candidate, now: datetime, policy: Policy) -> datetime:
    """Since when one that is eligible has been so; its probes went on while it was in maintenance."""
    found = eligible_from(candidate.health, now, policy) if candidate.health is not None else None
    span = candidate.maintenance
    ended = span.until if span is not None and span.until is not None and span.until <= now else None
    return max(one for one in (found or now, ended) if one is not None)


def gap_end(situation: Situation, ref: ProviderRef, policy: Policy) -> datetime | None:
    """Until when nobody returns to one that was left; None when it was not."""
    left = [one.at for one in situation.switches if one.left == ref]
    return max(left) + policy.return_gap if left else None


def passed_after(candidate: Candidate, since: datetime) -> bool:
    """Whether its last result is a pass that began after an instant."""
    health = candidate.health
    # A belief that went stale remembers its last result, but has no pass any more.
    if health is None or health.last is None or not health.passes:
        return False
    return health.last.counts_as is Vote.PASS and health.last.started_at > since


def sooner(one: datetime | None, other: datetime | None) -> datetime | None:
    """The earlier of two; None when there is neither."""
    return min((instant for instant in (one, other) if instant is not None), default=None)
