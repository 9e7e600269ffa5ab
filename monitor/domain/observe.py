"""How one more result changes what we believe of a target.

Only deep results change health. Results of a target are taken in the order of their starts; one that is older
than the last, or that speaks of another fingerprint, changes nothing. Passes and failures stand in a window;
blocking results stand in runs, which a pass ends.
"""

from collections.abc import Mapping
from dataclasses import replace

from monitor.domain.eligibility import is_eligible
from monitor.domain.health import Health, HealthState, Observation, elapsed, expire, fall
from monitor.domain.outcome import Outcome, ProbeResult, Vote
from monitor.domain.policy import Policy
from monitor.domain.target import ProbeKind

RUN_LENGTH = 20
USUAL_LATENCY_WEIGHT = 0.05
RECENT_LATENCY_WEIGHT = 0.5
USUAL_LATENCY_SAMPLES = 20


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


def _judge(health: Health, result: ProbeResult, policy: Policy) -> Health:
    vote = result.vote
    starting_since = health.starting_since
    if vote is Vote.STARTING:
        starting_since = starting_since or result.started_at
        if elapsed(starting_since, result.ended_at) >= policy.starting_grace:
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
        heard=None if rises else health.heard,
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


def _mean(old: float | None, new: float, weight: float) -> float:
    return new if old is None else old + weight * (new - old)
