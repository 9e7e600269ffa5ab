"""The application's word for what we believe, and the warnings that make it a worse one."""

from datetime import datetime
from enum import StrEnum

from monitor.domain.eligibility import DEMOTING, Block, blocks
from monitor.domain.health import Health, HealthState, is_stale
from monitor.domain.observe import USUAL_LATENCY_SAMPLES
from monitor.domain.outcome import VOTES, Outcome, Vote
from monitor.domain.policy import Policy


class HealthWarning(StrEnum):
    """A reason to look, never a reason to move."""

    LIGHT_FAILING = "light_failing"
    BUSY = "busy"
    RATE_LIMITED = "rate_limited"
    STARTING = "starting"
    SLOW = "slow"


class ApplicationStatus(StrEnum):
    """The application's word for a health, as it stands in `ai_servers.health_status`; worst last."""

    HEALTHY = "healthy"
    UNKNOWN = "unknown"
    DEGRADED = "degraded"
    DOWN = "down"


def warnings(health: Health, now: datetime, policy: Policy) -> frozenset[HealthWarning]:
    """What an operator may want to look at."""
    found = set[HealthWarning]()
    light_fails = health.light_outcome is not None and VOTES[health.light_outcome] in (
        Vote.FAILURE,
        Vote.BLOCK,
    )
    if light_fails:
        found.add(HealthWarning.LIGHT_FAILING)
    if health.last is not None and health.last.outcome is Outcome.BUSY:
        found.add(HealthWarning.BUSY)
    # Until something passes: it is asked less often than most limits last, and would look well in between.
    if health.runs.get(Outcome.RATE_LIMITED):
        found.add(HealthWarning.RATE_LIMITED)
    if Block.STARTING in blocks(health, now, policy):
        found.add(HealthWarning.STARTING)
    usual, recent = health.usual_latency_seconds, health.recent_latency_seconds
    if (
        health.latency_samples >= USUAL_LATENCY_SAMPLES
        and usual
        and recent
        and recent > policy.slow_factor * usual
    ):
        found.add(HealthWarning.SLOW)
    return frozenset(found)


def application_status(
    health: Health, extra_blocks: frozenset[Block], now: datetime, policy: Policy
) -> ApplicationStatus:
    """The application's word for this belief.

    Args:
        health: the belief.
        extra_blocks: maintenance and gone, which no probe shows.
        now: UTC.
        policy: the policy in force.
    """
    if health.state is HealthState.DOWN or (blocks(health, now, policy) | extra_blocks) & DEMOTING:
        return ApplicationStatus.DOWN
    if health.state is HealthState.UNKNOWN or is_stale(health, now):
        return ApplicationStatus.UNKNOWN
    return ApplicationStatus.DEGRADED if warnings(health, now, policy) else ApplicationStatus.HEALTHY


def worst(statuses: tuple[ApplicationStatus, ...]) -> ApplicationStatus:
    """The status of a provider with several targets; unknown when it has none."""
    return max(statuses, key=_ORDER.__getitem__, default=ApplicationStatus.UNKNOWN)


_ORDER = {status: place for place, status in enumerate(ApplicationStatus)}
