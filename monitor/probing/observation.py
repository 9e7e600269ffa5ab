"""What one probe is asked and what it saw, between the kinds of prober and their door."""

from dataclasses import dataclass, field
from datetime import timedelta

from monitor.domain.catalog import CatalogEntry
from monitor.domain.classification import Evidence
from monitor.domain.outcome import Readings
from monitor.domain.policy import Policy
from monitor.domain.target import ProbeKind, Target
from monitor.probing.deadline import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One probe to make; it holds the opened key for as long as it lasts."""

    target: Target
    key: str | None = field(repr=False)
    policy: Policy
    limits: Limits

    @property
    def entry(self) -> CatalogEntry:
        """What is known of the target's provider, its row's own words included."""
        return self.target.entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What was seen: the evidence for the outcome, and the figures.

    Attributes:
        evidence: what the outcome is decided from.
        latency_seconds: start to the last byte, or None.
        ttft_seconds: start to the first token, or None.
        model: the model asked for.
        retry_after: how long the provider asked us to wait.
        tokens_in: of the prompt.
        tokens_out: of the answer.
        cost_usd: of this probe.
        readings: what else was told.
        text: for a person; the provider's words, not yet redacted.
    """

    evidence: Evidence
    latency_seconds: float | None = None
    ttft_seconds: float | None = None
    model: str | None = None
    retry_after: timedelta | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost_usd: float | None = None
    readings: Readings = field(default_factory=Readings)
    text: str = field(default="", repr=False)

    @classmethod
    def ours(cls, kind: ProbeKind, fault: str, text: str, model: str | None = None) -> "Observation":
        """A probe that could not be made, by a fault of ours or of the configuration."""
        return cls(evidence=Evidence(kind=kind, own_fault=fault), text=text, model=model)
