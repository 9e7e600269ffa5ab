"""What we believe of a target: a window of passes and failures, runs of what blocks, and a state.

Everything else is derived from those: whether it may serve (`eligibility`), how one more result changes it
(`observe`), and what the application is told (`application_status`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from monitor.domain.outcome import Outcome, ResultId, Vote
from monitor.domain.policy import Policy

NO_TIME = timedelta(0)


class HealthState(StrEnum):
    """What we believe."""

    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What a health remembers of one deep result."""

    result_id: ResultId
    outcome: Outcome
    started_at: datetime
    ended_at: datetime
    retry_after: timedelta | None = None
    counts_as: Vote

    @property
    def passed(self) -> bool:
        """Whether it was a usable answer."""
        return self.counts_as is Vote.PASS


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A failed probe and what an application's own requests showed, which made a target down together.

    Attributes:
        probe: the failed one.
        count: the reports that spoke.
        failures: those of them that failed.
        first_at: the first failed one.
        last_at: the last one.
        sources: which processes reported failures, in alphabetical order.
        outcomes: the reports by what they showed.
    """

    probe: Observation
    count: int
    failures: int
    first_at: datetime
    last_at: datetime
    sources: tuple[str, ...] = ()
    outcomes: Mapping[Outcome, int] = field(default_factory=dict)

    @property
    def began_at(self) -> datetime:
        """The first of it all."""
        return min(self.first_at, self.probe.started_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What we believe of one target.

    Attributes:
        fingerprint: the target's; results of another one are not for this belief.
        state: unknown, up or down.
        since: when the state was entered; None before the first result.
        window: passes and failures, oldest first, at most the policy's window.
        runs: since the last pass, by outcome: what blocked or limited, oldest first.
        passes: passes in a row.
        fell_on: the failures that made it down; empty unless down.
        heard: the last time that reports and a failed probe spoke against it together; None unless down.
        last: the last deep result that said anything of the target (not indeterminate, not our own defect).
        last_started_at: the start of the last deep result of any kind: the order of results.
        light_started_at: the same of light ones.
        light_outcome: what the last light probe showed.
        starting_since: since when the server says that it is loading.
        eligible_since: since when it may be moved onto, or None.
        stale_at: from when on this belief is too old to act on.
        usual_latency_seconds: of passes, slowly moving mean.
        recent_latency_seconds: of passes, quickly moving mean.
        latency_samples: how many passes stand behind the two.
    """

    fingerprint: str
    state: HealthState = HealthState.UNKNOWN
    since: datetime | None = None
    window: tuple[Observation, ...] = ()
    runs: Mapping[Outcome, tuple[Observation, ...]] = field(default_factory=dict)
    passes: int = 0
    fell_on: tuple[Observation, ...] = ()
    heard: Heard | None = None
    last: Observation | None = None
    last_started_at: datetime | None = None
    light_started_at: datetime | None = None
    light_outcome: Outcome | None = None
    starting_since: datetime | None = None
    eligible_since: datetime | None = None
    stale_at: datetime | None = None
    usual_latency_seconds: float | None = None
    recent_latency_seconds: float | None = None
    latency_samples: int = 0


def expire(health: Health, now: datetime) -> Health:
    """The belief at `now`: one that is stale is no belief, and its old results are no evidence."""
    if health.stale_at is None or now < health.stale_at:
        return health
    return replace(
        health,
        state=HealthState.UNKNOWN,
        since=health.since if health.state is HealthState.UNKNOWN else health.stale_at,
        window=(),
        runs={},
        passes=0,
        fell_on=(),
        heard=None,
        starting_since=None,
        eligible_since=None,
        stale_at=None,
    )


def expect(health: Health, interval: timedelta, policy: Policy, timeout: timedelta | None = None) -> Health:
    """The belief that goes stale when results fail to come at `interval`; what it had is never shortened.

    Args:
        health: the belief.
        interval: of deep probes, now.
        policy: `stale_intervals`, and `timeout` when the target has none of its own.
        timeout: how long a probe of this target may take.
    """
    if health.last is None:
        return health
    stale_at = health.last.ended_at + policy.stale_intervals * interval + (timeout or policy.timeout)
    if health.stale_at is not None and health.stale_at >= stale_at:
        return health
    return replace(health, stale_at=stale_at)


def fall(
    window: tuple[Observation, ...], policy: Policy, after: datetime | None = None
) -> tuple[Observation, ...]:
    """The failures that make a target down, or none (fall: HAProxy's word).

    Args:
        window: passes and failures, oldest first.
        policy: `fall`, `fall_span`, `window`, `window_failures`.
        after: only results that began after this instant count.
    """
    counted = window if after is None else tuple(one for one in window if one.started_at > after)
    if not counted or counted[-1].passed:
        return ()
    streak = failing_streak(counted)
    if len(streak) >= policy.fall and elapsed(streak[0].ended_at, streak[-1].ended_at) >= policy.fall_span:
        return streak
    failures = tuple(one for one in counted[-policy.window :] if not one.passed)
    if len(counted) >= policy.window and len(failures) >= policy.window_failures:
        return failures
    return ()


def failing_streak(window: tuple[Observation, ...]) -> tuple[Observation, ...]:
    """The failures since the last pass, oldest first."""
    for index in range(len(window) - 1, -1, -1):
        if window[index].passed:
            return window[index + 1 :]
    return window


def is_stale(health: Health, now: datetime) -> bool:
    """Whether the belief is too old to act on."""
    return health.stale_at is not None and now >= health.stale_at


def window_failures(health: Health, policy: Policy) -> int:
    """Failures in the window."""
    return sum(not one.passed for one in health.window[-policy.window :])


def elapsed(start: datetime, end: datetime) -> timedelta:
    """The time from one instant to another, never negative."""
    # A clock that was set back must not make an age negative.
    return max(end - start, NO_TIME)
