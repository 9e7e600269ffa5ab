"""Every number the judgement rests on, with its default; docs/failover.md gives the reasons."""

from dataclasses import asdict, dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any


class Failback(StrEnum):
    """Whether a purpose returns to a more preferred candidate that has recovered."""

    AUTO = "auto"
    MANUAL = "manual"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """When to probe, what to believe and when to move.

    Attributes:
        deep_interval: deep probes of the target that serves, and of a preferred one coming back.
        standby_interval: deep probes of the other candidates.
        slow_start_interval: the same where a probe loads the model (Ollama).
        light_interval: light probes of hosted providers.
        light_interval_local: light probes of own servers.
        recheck_interval: deep probes while a streak speaks against the state (HAProxy's fastinter).
        down_interval: deep probes of a target that is down.
        blocked_interval: deep probes of a target blocked by key, quota or model.
        rate_limited_interval: at most this often while the provider answers 429.
        stranded_interval: deep probes of every candidate while nobody serves.
        jitter: the share of an interval by which a probe strays from its grid point.
        connect_timeout: until the connection stands.
        first_token_timeout: until the first token.
        first_token_timeout_loading: the same when the server says that the model is not loaded.
        stall_timeout: between two tokens.
        timeout: the whole probe.
        timeout_loading: the whole probe when the server says that the model is not loaded.
        fall: failures in a row that make a target down (HAProxy's word).
        fall_span: and at least this long from the end of the first of them.
        window: how many of the last results are looked at together.
        window_failures: failures in a full window that make a target down, and not eligible until fewer.
        rise: passes in a row that make a down target up (HAProxy's word).
        block_count: blocking results in a row that block.
        block_span: and at least this long between the first and the last of them.
        starting_grace: how long "loading" is not a failure.
        rate_limit_default: how long a 429 without Retry-After counts.
        rate_limit_count: 429s in a row that demote,
        rate_limit_span: over at least this long,
        rate_limit_at_once: or a single one that asks for longer than this.
        report_fall: failed requests in a row, reported by applications, that with a failed probe are a fall,
        report_share: or this share of failed requests,
        report_window: among so many,
        report_span: neither those requests nor that probe older than this.
        stale_intervals: deep intervals without a result after which a belief is stale.
        slow_factor: latency above this multiple of the target's usual one is a warning.
        light_forward_interval: a failing light probe brings a deep one forward at most this often.
        daily_cost_usd: what probing one provider may cost a day.
        failback: auto, manual or never.
        hold: how long a more preferred candidate must have been eligible before the return.
        hold_max: the longest that doubling makes of the hold.
        switch_window: the span in which automatic switches are counted.
        switch_limit: no failback, and a stricter failover, from this many switches in the span on.
        return_gap: never back within this long onto a candidate that was left.
        qualification_retry: a candidate that fails its qualification is skipped for this long.
        start_grace: no demotion in this long after the start, unless earlier evidence still counts.
    """

    deep_interval: timedelta = timedelta(seconds=30)
    standby_interval: timedelta = timedelta(seconds=300)
    slow_start_interval: timedelta = timedelta(seconds=3600)
    light_interval: timedelta = timedelta(seconds=30)
    light_interval_local: timedelta = timedelta(seconds=10)
    recheck_interval: timedelta = timedelta(seconds=10)
    down_interval: timedelta = timedelta(seconds=60)
    blocked_interval: timedelta = timedelta(seconds=300)
    rate_limited_interval: timedelta = timedelta(seconds=60)
    stranded_interval: timedelta = timedelta(seconds=10)
    jitter: float = 0.1
    connect_timeout: timedelta = timedelta(seconds=5)
    first_token_timeout: timedelta = timedelta(seconds=10)
    first_token_timeout_loading: timedelta = timedelta(seconds=120)
    stall_timeout: timedelta = timedelta(seconds=15)
    timeout: timedelta = timedelta(seconds=20)
    timeout_loading: timedelta = timedelta(seconds=130)
    fall: int = 3
    fall_span: timedelta = timedelta(seconds=30)
    window: int = 20
    window_failures: int = 6
    rise: int = 2
    block_count: int = 2
    block_span: timedelta = timedelta(seconds=10)
    starting_grace: timedelta = timedelta(seconds=300)
    rate_limit_default: timedelta = timedelta(seconds=30)
    rate_limit_count: int = 3
    rate_limit_span: timedelta = timedelta(seconds=120)
    rate_limit_at_once: timedelta = timedelta(seconds=300)
    report_fall: int = 5
    report_share: float = 0.5
    report_window: int = 20
    report_span: timedelta = timedelta(seconds=60)
    stale_intervals: int = 3
    slow_factor: float = 3.0
    light_forward_interval: timedelta = timedelta(seconds=60)
    daily_cost_usd: float = 0.25
    failback: Failback = Failback.AUTO
    hold: timedelta = timedelta(seconds=300)
    hold_max: timedelta = timedelta(seconds=3600)
    switch_window: timedelta = timedelta(seconds=3600)
    switch_limit: int = 4
    return_gap: timedelta = timedelta(seconds=60)
    qualification_retry: timedelta = timedelta(seconds=60)
    start_grace: timedelta = timedelta(seconds=60)


def policy_record(policy: Policy) -> dict[str, Any]:
    """A policy as JSON; durations in seconds."""
    return {
        name: value.total_seconds() if isinstance(value, timedelta) else value
        for name, value in asdict(policy).items()
    }
