"""What is exported of one target, kept so that counting costs microseconds.

A daemon may have 10,000 targets of up to sixty lines each. prometheus_client needs 17 µs a line, which is ten
seconds a page; here the labels of a target are written once, when it is first seen.
"""

import math
from bisect import bisect_left
from collections.abc import Collection, Iterable
from itertools import accumulate

from monitor.domain.outcome import Outcome, ProbeResult, Readings
from monitor.domain.reports import Report
from monitor.domain.target import ProbeKind, ProviderRef, Target
from monitor.metrics.text import escaped, number

DURATION_BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 60.0, 130.0)
TTFT_BOUNDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
STATES = ("up", "down", "unknown", "blocked")
LIMITS = ("requests", "tokens", "input_tokens", "output_tokens")
NAMESPACE = "llm_monitor"

_KIND_LABEL = {kind: f',kind="{kind.value}"' for kind in ProbeKind}
_OUTCOME_LABELS = {
    (kind, outcome): f',kind="{kind.value}",outcome="{outcome.value}"'
    for kind in ProbeKind
    for outcome in Outcome
}


def provider_labels(provider: ProviderRef, entry: str) -> str:
    """The labels of one provider, without braces; `entry` is the catalog's name."""
    return f'provider_type="{provider.type.value}",provider_id="{provider.id}",provider="{escaped(entry)}"'


class Histogram:
    """Observed seconds by upper bound; one thread observes while another may write them down."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one observation."""
        self.sum += seconds
        self.counts[bisect_left(self.bounds, seconds)] += 1

    def values(self) -> tuple[int | str, ...]:
        """The cumulative count of each bucket, the last one being all, then the count, then the sum."""
        cumulative = tuple(
            accumulate(self.counts.copy())
        )  # a copy, so that all agree whatever is observed meanwhile
        return (*cumulative, cumulative[-1], number(self.sum))


class TargetSeries:
    """All that was measured of one target; None and empty where nothing was.

    One thread writes, and another may read at any time: every value is replaced at once, and dictionaries are
    copied before they are walked.
    """

    __slots__ = (
        "_fingerprint",
        "blocks",
        "cost_usd",
        "credit_remaining_usd",
        "durations",
        "entry",
        "intervals",
        "labels",
        "last_probes",
        "limits",
        "probes",
        "reports",
        "state",
        "tls_expires",
        "tokens",
        "ttft",
    )

    def __init__(self, target: Target) -> None:
        self.entry = target.provider
        purpose = target.id.purpose.value if target.id.purpose else "none"
        self.labels = f'{provider_labels(target.id.provider, target.provider)},purpose="{purpose}"'
        self.probes: dict[str, int] = {}
        self.last_probes: dict[str, float] = {}
        self.intervals: dict[ProbeKind, float] = {}
        self.reports: dict[str, int] = {}
        self.durations: dict[str, Histogram] = {}
        self.ttft: Histogram | None = None
        self.tokens: dict[str, int] = {}
        self.cost_usd: float | None = None
        self.limits: dict[str, float] = {}
        self.credit_remaining_usd: float | None = None
        self.tls_expires: float | None = None
        self.state: str | None = None
        self.blocks: tuple[str, ...] = ()
        self._fingerprint = target.fingerprint

    def observe(self, result: ProbeResult) -> None:
        """Count one probe and keep what its answer told."""
        outcome, kind = _OUTCOME_LABELS[result.kind, result.outcome], _KIND_LABEL[result.kind]
        self.probes[outcome] = self.probes.get(outcome, 0) + 1
        self.last_probes[kind] = result.ended_at.timestamp()
        if result.latency_seconds is not None:
            duration = self.durations.get(kind)
            if duration is None:
                duration = self.durations[kind] = Histogram(DURATION_BOUNDS)
            duration.observe(result.latency_seconds)
        if result.ttft_seconds is not None:
            if self.ttft is None:
                self.ttft = Histogram(TTFT_BOUNDS)
            self.ttft.observe(result.ttft_seconds)
        for direction, count in (("in", result.tokens_in), ("out", result.tokens_out)):
            if count is not None and count >= 0:
                self.tokens[direction] = self.tokens.get(direction, 0) + count
        if result.cost_usd is not None and math.isfinite(result.cost_usd) and result.cost_usd >= 0:
            self.cost_usd = (self.cost_usd or 0.0) + result.cost_usd
        if (
            result.fingerprint != self._fingerprint
        ):  # another key or address: what the old one had left is not its own
            self._fingerprint = result.fingerprint
            self.limits, self.credit_remaining_usd, self.tls_expires = {}, None, None
        self._keep(result.readings)

    def count_reports(self, reports: Iterable[Report]) -> None:
        """Count requests of applications by what they showed."""
        for report in reports:
            outcome = report.outcome.value
            self.reports[outcome] = self.reports.get(outcome, 0) + 1

    def set_health(self, state: str, blocks: Collection[str]) -> None:
        """Keep what is believed now.

        Raises:
            ValueError: the state is none of `STATES`.
        """
        if state not in STATES:
            raise ValueError(f"{state!r} is no state of health: it is one of {', '.join(STATES)}")
        self.state, self.blocks = state, tuple(sorted(str(block) for block in blocks))

    def _keep(self, readings: Readings) -> None:
        for limit in LIMITS:  # a closed list: the names of limits come from a provider's headers
            if limit in readings.ratelimit_remaining:
                self.limits[limit] = readings.ratelimit_remaining[limit]
        if readings.credit_remaining_usd is not None:
            self.credit_remaining_usd = readings.credit_remaining_usd
        if readings.tls_expires_at is not None:
            self.tls_expires = readings.tls_expires_at.timestamp()
