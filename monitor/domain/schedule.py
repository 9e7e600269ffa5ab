"""How often a target is probed, from what it does for its purpose and from what we believe of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from monitor.domain.eligibility import DEMOTING, PROBED_BLOCKS, blocking_run, blocks
from monitor.domain.health import Health, HealthState, failing_streak, fall
from monitor.domain.outcome import Outcome
from monitor.domain.policy import Policy
from monitor.domain.reports import fell_from
from monitor.domain.target import Network, Target, TargetId


class Role(StrEnum):
    """What a target does for its purpose."""

    SERVING = "serving"
    RETURNING = "returning"
    STANDBY = "standby"
    STRANDED = "stranded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What has to change so that what is wanted is what runs.

    Attributes:
        start: targets that are new.
        change: targets that run with another description.
        stop: targets that are no longer wanted.
    """

    start: tuple[Target, ...]
    change: tuple[Target, ...]
    stop: tuple[TargetId, ...]


def plan(wanted: Mapping[TargetId, Target], running: Mapping[TargetId, Target]) -> Plan:
    """Compare what is wanted with what runs."""
    return Plan(
        start=tuple(target for id_, target in wanted.items() if id_ not in running),
        change=tuple(target for id_, target in wanted.items() if id_ in running and running[id_] != target),
        stop=tuple(id_ for id_ in running if id_ not in wanted),
    )


def light_interval(target: Target, policy: Policy) -> timedelta:
    """The interval of light probes."""
    if target.probe.light_interval is not None:
        return target.probe.light_interval
    own = target.network is not Network.OFF_HOST
    return policy.light_interval_local if own else policy.light_interval


def deep_interval(
    target: Target,
    role: Role,
    health: Health,
    now: datetime,
    policy: Policy,
    chosen_at: datetime | None = None,
) -> timedelta:
    """The interval of deep probes, before the daily cost limit.

    Args:
        target: its own settings win over the policy's base interval.
        role: what it does for its purpose.
        health: what we believe.
        now: UTC.
        policy: the purpose's.
        chosen_at: when an operator last chose who serves: what was seen before has to be seen again, soon.
    """
    base = _base(target, role, policy)
    if health.runs.get(Outcome.RATE_LIMITED) and health.last and health.last.outcome is Outcome.RATE_LIMITED:
        return max(base, policy.rate_limited_interval)
    if role is Role.STRANDED:
        return base
    if is_contested(health, now, policy) or (role is Role.SERVING and _unproven(health, policy, chosen_at)):
        return min(policy.recheck_interval, base)
    if blocks(health, now, policy) & DEMOTING:
        return max(policy.blocked_interval, base)
    if health.state is HealthState.DOWN:
        return policy.down_interval
    return base


def is_contested(health: Health, now: datetime, policy: Policy) -> bool:
    """Whether the last results speak against the state, so that the next one is wanted soon."""
    last = health.last
    if last is None:
        return False
    if health.state is HealthState.DOWN:
        return last.passed or (last.outcome is Outcome.BUSY and health.passes > 0)
    if last.passed or last.outcome is Outcome.RATE_LIMITED:
        return False
    blocked = blocks(health, now, policy) & DEMOTING
    if last.outcome is Outcome.BUSY:
        # It has no vote: what stood open before it is open still.
        refused = any(health.runs.get(outcome) for outcome in PROBED_BLOCKS)
        return not blocked and (refused or bool(failing_streak(health.window)))
    return last.outcome not in PROBED_BLOCKS or PROBED_BLOCKS[last.outcome] not in blocked


def _unproven(health: Health, policy: Policy, chosen_at: datetime | None) -> bool:
    """Whether an operator chose one that is believed unfit, and nothing since has shown that it is."""
    if chosen_at is None:
        return False
    if health.state is HealthState.DOWN:
        began_at = fell_from(health)
        older = began_at is not None and began_at <= chosen_at
        return older and not fall(health.window, policy, chosen_at)
    blocking = [outcome for outcome in PROBED_BLOCKS if blocking_run(health, outcome, policy)]
    return bool(blocking) and not any(blocking_run(health, one, policy, chosen_at) for one in blocking)


def _base(target: Target, role: Role, policy: Policy) -> timedelta:
    if role is Role.STRANDED:
        return policy.stranded_interval
    if target.probe.interval is not None:
        return target.probe.interval
    if role in (Role.SERVING, Role.RETURNING):
        return policy.deep_interval
    return policy.slow_start_interval if target.probe.slow_start else policy.standby_interval
