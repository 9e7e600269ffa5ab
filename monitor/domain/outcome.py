"""What one probe showed: the closed list of outcomes, and the one table that decides which."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

from monitor.domain.target import ModelName, ProbeKind, TargetId

ResultId = NewType("ResultId", str)


class Outcome(StrEnum):
    """What one probe showed."""

    OK = "ok"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    SERVER_ERROR = "server_error"
    BAD_RESPONSE = "bad_response"
    BUSY = "busy"
    RATE_LIMITED = "rate_limited"
    QUOTA_EXHAUSTED = "quota_exhausted"
    AUTH_FAILED = "auth_failed"
    MODEL_MISSING = "model_missing"
    STARTING = "starting"
    PROBE_INVALID = "probe_invalid"
    INDETERMINATE = "indeterminate"


class Vote(StrEnum):
    """What an outcome says about health."""

    PASS = "pass"  # noqa: S105
    FAILURE = "failure"
    BLOCK = "block"
    LIMIT = "limit"
    STARTING = "starting"
    NONE = "none"


VOTES: dict[Outcome, Vote] = {
    Outcome.OK: Vote.PASS,
    Outcome.UNREACHABLE: Vote.FAILURE,
    Outcome.TIMEOUT: Vote.FAILURE,
    Outcome.SERVER_ERROR: Vote.FAILURE,
    Outcome.BAD_RESPONSE: Vote.FAILURE,
    Outcome.BUSY: Vote.NONE,
    Outcome.RATE_LIMITED: Vote.LIMIT,
    Outcome.QUOTA_EXHAUSTED: Vote.BLOCK,
    Outcome.AUTH_FAILED: Vote.BLOCK,
    Outcome.MODEL_MISSING: Vote.BLOCK,
    Outcome.STARTING: Vote.STARTING,
    Outcome.PROBE_INVALID: Vote.NONE,
    Outcome.INDETERMINATE: Vote.NONE,
}

OUTCOME_WORDS = {
    Outcome.OK: "a usable answer",
    Outcome.UNREACHABLE: "no connection could be made",
    Outcome.TIMEOUT: "no answer in time",
    Outcome.SERVER_ERROR: "the server reports an error of its own",
    Outcome.BAD_RESPONSE: "an answer that can't be used",
    Outcome.BUSY: "no answer in time, but the server works: it is busy",
    Outcome.RATE_LIMITED: "too many requests",
    Outcome.QUOTA_EXHAUSTED: "the account's quota or credit is used up",
    Outcome.AUTH_FAILED: "the key is refused or can't be opened",
    Outcome.MODEL_MISSING: "the provider does not know the model",
    Outcome.STARTING: "the server is still loading",
    Outcome.PROBE_INVALID: "the probe itself is wrong: this says nothing of the provider",
    Outcome.INDETERMINATE: "nothing can be said: there is nothing to check, or the fault is on this machine",
}
"""What each outcome means, for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What an answer told besides its outcome; None where it did not say.

    Attributes:
        ratelimit_remaining: what is left, by limit (`requests`, `tokens`).
        credit_remaining_usd: credit left on the account, USD.
        tls_expires_at: the end of the server's certificate.
        models: the model names the server lists, in its order.
        model_listed: whether the served model stands in that list.
        embedding: the probe's vector, for the comparison of vector spaces.
    """

    ratelimit_remaining: dict[str, float] = field(default_factory=dict)
    credit_remaining_usd: float | None = None
    tls_expires_at: datetime | None = None
    models: tuple[str, ...] | None = None
    model_listed: bool | None = None
    embedding: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """One probe, from its start to its end.

    Attributes:
        id: unique and ordered in time (UUIDv7, hexadecimal), the key that stores a result once.
        target: what was probed.
        fingerprint: the target's at the start of the probe.
        kind: light or deep.
        outcome: what it showed.
        started_at: UTC.
        ended_at: UTC, never before started_at.
        latency_seconds: start to the last byte of the answer; None without an answer.
        ttft_seconds: start to the first token of a stream; None otherwise.
        model: the model asked for, or None.
        http_status: the answer's, or None without one.
        retry_after: how long the provider asked us to wait, or None.
        tokens_in: tokens of the prompt, or None when not told.
        tokens_out: tokens of the answer, or None when not told.
        cost_usd: what this probe cost, or None when not known.
        detail: at most 300 characters for a person; no key, no raw body.
        readings: what else the answer told.
        reach: from its start on, for how long its word holds when nothing follows: until the belief that
            rests on it goes stale. None when it does not say.
    """

    id: ResultId
    target: TargetId
    fingerprint: str
    kind: ProbeKind
    outcome: Outcome
    started_at: datetime
    ended_at: datetime
    latency_seconds: float | None = None
    ttft_seconds: float | None = None
    model: ModelName | None = None
    http_status: int | None = None
    retry_after: timedelta | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost_usd: float | None = None
    detail: str = ""
    readings: Readings = field(default_factory=Readings)
    reach: timedelta | None = None

    @property
    def vote(self) -> Vote:
        """What this result says about health."""
        return VOTES[self.outcome]
