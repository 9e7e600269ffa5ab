"""Whether a target may serve, as far as probes show it: what blocks it, and since when nothing does."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from monitor.domain.health import (
    NO_TIME,
    Health,
    HealthState,
    Observation,
    elapsed,
    is_stale,
    window_failures,
)
from monitor.domain.outcome import Outcome
from monitor.domain.policy import Policy


class Block(StrEnum):
    """Why a target may not serve although it may be up; the first five also end its serving."""

    AUTH = "auth"
    QUOTA = "quota"
    MODEL_MISSING = "model_missing"
    MAINTENANCE = "maintenance"
    GONE = "gone"
    RATE_LIMITED = "rate_limited"
    STARTING = "starting"


DEMOTING = frozenset({Block.AUTH, Block.QUOTA, Block.MODEL_MISSING, Block.MAINTENANCE, Block.GONE})
PROBED_BLOCKS: Mapping[Outcome, Block] = MappingProxyType(
    {
        Outcome.AUTH_FAILED: Block.AUTH,
        Outcome.QUOTA_EXHAUSTED: Block.QUOTA,
        Outcome.MODEL_MISSING: Block.MODEL_MISSING,
    }
)


def blocking_run(
    health: Health, outcome: Outcome, policy: Policy, after: datetime | None = None
) -> tuple[Observation, ...]:
    """The results that block, or none: enough of them since the last pass, far enough apart."""
    run = tuple(one for one in health.runs.get(outcome, ()) if after is None or one.started_at > after)
    if len(run) < policy.block_count:
        return ()
    apart = NO_TIME if outcome is Outcome.MODEL_MISSING else policy.block_span
    return run if elapsed(run[0].started_at, run[-1].started_at) >= apart else ()


def blocks(health: Health, now: datetime, policy: Policy) -> frozenset[Block]:
    """What keeps the target from serving or from being moved onto, as far as probes show it."""
    found = {block for outcome, block in PROBED_BLOCKS.items() if blocking_run(health, outcome, policy)}
    limited = health.runs.get(Outcome.RATE_LIMITED)
    # Asked as an age: the end of what a server asks for may lie beyond the calendar.
    if limited and elapsed(limited[-1].ended_at, now) < _asked_wait(limited[-1], policy):
        found.add(Block.RATE_LIMITED)
    if health.starting_since is not None:
        found.add(Block.STARTING)
    return frozenset(found)


def demoting_limit(health: Health, policy: Policy, after: datetime | None = None) -> tuple[Observation, ...]:
    """The 429s that are reason enough to leave for one that is eligible, or none."""
    run = tuple(
        one for one in health.runs.get(Outcome.RATE_LIMITED, ()) if after is None or one.started_at > after
    )
    if not run:
        return ()
    if (run[-1].retry_after or NO_TIME) > policy.rate_limit_at_once:
        return run[-1:]
    long_enough = elapsed(run[0].started_at, run[-1].started_at) >= policy.rate_limit_span
    return run if len(run) >= policy.rate_limit_count and long_enough else ()


def is_eligible(health: Health, now: datetime, policy: Policy) -> bool:
    """Whether a purpose may be moved onto the target, as far as probes show it."""
    return (
        health.state is HealthState.UP
        and not is_stale(health, now)
        and not blocks(health, now, policy)
        and window_failures(health, policy) < policy.window_failures
    )


def eligible_from(health: Health, now: datetime, policy: Policy) -> datetime | None:
    """Since when a purpose may be moved onto the target; None when it may not.

    A rate limit ends by the mere passing of time, without a result that would say so.
    """
    if not is_eligible(health, now, policy):
        return None
    limited = health.runs.get(Outcome.RATE_LIMITED)
    if limited:
        return limited[-1].ended_at + _asked_wait(limited[-1], policy)
    return health.eligible_since or now


def limited_until(health: Health, policy: Policy) -> datetime | None:
    """When the rate limit that was told last ends; None without one, or beyond the calendar."""
    limited = health.runs.get(Outcome.RATE_LIMITED)
    try:
        return limited[-1].ended_at + _asked_wait(limited[-1], policy) if limited else None
    except OverflowError:
        return None


def _asked_wait(limited: Observation, policy: Policy) -> timedelta:
    return limited.retry_after or policy.rate_limit_default
