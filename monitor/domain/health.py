"""What we believe of a target, and how one more result changes that belief.

Only deep results change health. Results of a target are taken in the order of their starts; one that is older
than the last, or that speaks of another fingerprint, changes nothing. Passes and failures stand in a window;
blocking results stand in runs, which a pass ends. Everything else here is derived from those two.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from monitor.domain.outcome import VOTES, Outcome, ProbeResult, ResultId, Vote
from monitor.domain.policy import Policy
from monitor.domain.target import ProbeKind

RUN_LENGTH = 20
USUAL_LATENCY_WEIGHT = 0.05
RECENT_LATENCY_WEIGHT = 0.5
USUAL_LATENCY_SAMPLES = 20
NO_TIME = timedelta(0)


class HealthState(StrEnum):
    """What we believe."""

    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"


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


def observe(health: Health, result: ProbeResult, policy: Policy) -> Health:
    """The belief after one more result."""
    if result.fingerprint != health.fingerprint:
        return health
    if result.kind is ProbeKind.LIGHT:
        if health.light_started_at is not None and result.started_at <= health.light_started_at:
            return health
        return replace(health, light_started_at=result.started_at, light_outcome=result.outcome)
    if health.last_started_at is not None and result.started_at <= health.last_started_at:
        return health
    health = replace(health, last_started_at=result.started_at)
    if result.outcome in (Outcome.INDETERMINATE, Outcome.PROBE_INVALID):
        return health
    health = _judge(expire(health, result.started_at), result, policy)
    if not is_eligible(health, result.ended_at, policy):
        return replace(health, eligible_since=None)
    return health if health.eligible_since else replace(health, eligible_since=result.ended_at)


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
    if len(streak) >= policy.fall and _span(streak[0].ended_at, streak[-1].ended_at) >= policy.fall_span:
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


def blocking_run(
    health: Health, outcome: Outcome, policy: Policy, after: datetime | None = None
) -> tuple[Observation, ...]:
    """The results that block, or none: enough of them since the last pass, far enough apart."""
    run = tuple(one for one in health.runs.get(outcome, ()) if after is None or one.started_at > after)
    if len(run) < policy.block_count:
        return ()
    apart = NO_TIME if outcome is Outcome.MODEL_MISSING else policy.block_span
    return run if _span(run[0].started_at, run[-1].started_at) >= apart else ()


def blocks(health: Health, now: datetime, policy: Policy) -> frozenset[Block]:
    """What keeps the target from serving or from being moved onto, as far as probes show it."""
    found = {block for outcome, block in PROBED_BLOCKS.items() if blocking_run(health, outcome, policy)}
    limited = health.runs.get(Outcome.RATE_LIMITED)
    # Asked as an age: the end of what a server asks for may lie beyond the calendar.
    if limited and _span(limited[-1].ended_at, now) < _asked_wait(limited[-1], policy):
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
    long_enough = _span(run[0].started_at, run[-1].started_at) >= policy.rate_limit_span
    return run if len(run) >= policy.rate_limit_count and long_enough else ()


def is_stale(health: Health, now: datetime) -> bool:
    """Whether the belief is too old to act on."""
    return health.stale_at is not None and now >= health.stale_at


def window_failures(health: Health, policy: Policy) -> int:
    """Failures in the window."""
    return sum(not one.passed for one in health.window[-policy.window :])


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
    order = list(ApplicationStatus)
    return max(statuses, key=order.index, default=ApplicationStatus.UNKNOWN)


def _judge(health: Health, result: ProbeResult, policy: Policy) -> Health:
    vote = result.vote
    starting_since = health.starting_since
    if vote is Vote.STARTING:
        starting_since = starting_since or result.started_at
        if _span(starting_since, result.ended_at) >= policy.starting_grace:
            vote = Vote.FAILURE
    seen = Observation(
        result_id=result.id,
        outcome=result.outcome,
        started_at=result.started_at,
        ended_at=result.ended_at,
        retry_after=result.retry_after,
        counts_as=vote,
    )
    health = replace(health, last=seen, stale_at=None)
    match vote:
        case Vote.PASS:
            return _passed(health, seen, result.latency_seconds, policy)
        case Vote.FAILURE:
            return _failed(replace(health, starting_since=starting_since), seen, policy)
        case Vote.STARTING:
            return replace(health, starting_since=starting_since, passes=0)
        case Vote.BLOCK:
            return replace(health, runs=_with(health.runs, seen), passes=0)
        case Vote.LIMIT:
            return replace(health, runs=_with(health.runs, seen))
        case Vote.NONE:
            return health


def _passed(health: Health, seen: Observation, latency_seconds: float | None, policy: Policy) -> Health:
    passes = health.passes + 1
    needed = 1 if health.state is HealthState.UNKNOWN else policy.rise
    rises = health.state is not HealthState.UP and passes >= needed
    health = replace(
        health,
        window=(*health.window, seen)[-policy.window :],
        runs={},
        passes=passes,
        starting_since=None,
        state=HealthState.UP if rises else health.state,
        since=seen.ended_at if rises else health.since,
        fell_on=() if rises else health.fell_on,
    )
    if latency_seconds is None:
        return health
    return replace(
        health,
        usual_latency_seconds=_mean(health.usual_latency_seconds, latency_seconds, USUAL_LATENCY_WEIGHT),
        recent_latency_seconds=_mean(health.recent_latency_seconds, latency_seconds, RECENT_LATENCY_WEIGHT),
        latency_samples=min(health.latency_samples + 1, USUAL_LATENCY_SAMPLES),
    )


def _failed(health: Health, seen: Observation, policy: Policy) -> Health:
    window = (*health.window, seen)[-policy.window :]
    health = replace(health, window=window, passes=0)
    # What made it down once is spent: after a rise, a window of its own has to fill before it speaks again.
    evidence = fall(window, policy, after=health.since if health.state is HealthState.UP else None)
    if health.state is HealthState.DOWN or not evidence:
        return health
    return replace(health, state=HealthState.DOWN, since=seen.ended_at, fell_on=evidence)


def _with(
    runs: Mapping[Outcome, tuple[Observation, ...]], seen: Observation
) -> Mapping[Outcome, tuple[Observation, ...]]:
    # The first of a run stays when it grows long: how far apart its ends lie is what is asked of it.
    run = (*runs.get(seen.outcome, ()), seen)
    if len(run) > RUN_LENGTH:
        run = (run[0], *run[-RUN_LENGTH + 1 :])
    return {**runs, seen.outcome: run}


def _asked_wait(limited: Observation, policy: Policy) -> timedelta:
    return limited.retry_after or policy.rate_limit_default


def _span(start: datetime, end: datetime) -> timedelta:
    # A clock that was set back must not make an age negative.
    return max(end - start, NO_TIME)


def _mean(old: float | None, new: float, weight: float) -> float:
    return new if old is None else old + weight * (new - old)
