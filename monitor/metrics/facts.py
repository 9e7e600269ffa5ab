"""The states of purposes and of the daemon, collected as they are in one instant."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from monitor.domain.target import ProviderRef, Purpose
from monitor.metrics.target_series import NAMESPACE

_DAEMON = {
    "daemon_active": "Whether this daemon acts (1) or stands by (0).",
    "store_up": "Whether the database answers.",
    "results_pending": "Results that wait to be stored.",
    "config_problems": "Rows of the configuration that are skipped.",
}
_PURPOSE = {
    "active_generation": "Counts the moves of a purpose, the operator's included.",
    "purpose_stranded": "Whether nobody is fit to serve the purpose.",
    "purpose_pinned": "Whether an operator's pin holds.",
    "purpose_paused": "Whether an operator paused the purpose.",
    "purpose_failed_over": "Whether a move of the daemon keeps the purpose from the first of the order.",
    "purpose_serving": "Whether the one that serves passed its last deep probe; absent while nobody knows.",
    "purpose_last_decision_timestamp_seconds": "When it was last decided who serves, Unix time.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PurposeFacts:
    """The state of one purpose.

    Attributes:
        serving: None while nobody knows.
    """

    active: ProviderRef | None
    provider: str
    generation: int
    stranded: bool
    pinned: bool
    paused: bool
    failed_over: bool
    serving: bool | None


class Facts(Collector):
    """Gauges that exist once they were set.

    Not prometheus_client's own gauges: one without labels says 0 before anything was measured, and a switch
    would show two active providers, or none, to a scrape between two calls.
    """

    def __init__(self) -> None:
        self.daemon: dict[str, float] = {}
        self.purposes: dict[Purpose, PurposeFacts] = {}
        self.decided: dict[Purpose, float] = {}

    def forget_active(self, ref: ProviderRef) -> None:
        """Show no active provider where this one was."""
        for purpose, facts in self.purposes.items():
            if facts.active == ref:
                self.purposes[purpose] = replace(facts, active=None, serving=None)

    def forget_purpose(self, purpose: Purpose) -> None:
        """Show nothing of a purpose any more."""
        self.purposes.pop(purpose, None)
        self.decided.pop(purpose, None)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The families that have a sample."""
        for name, value in list(self.daemon.items()):
            yield GaugeMetricFamily(f"{NAMESPACE}_{name}", _DAEMON[name], value=value)
        purposes, decided = list(self.purposes.items()), dict(self.decided)
        if not purposes:
            return
        serving = GaugeMetricFamily(
            f"{NAMESPACE}_active_provider",
            "1 for the provider that serves a purpose.",
            labels=("purpose", "provider_type", "provider_id", "provider"),
        )
        for purpose, facts in purposes:
            if facts.active is not None:
                ref = facts.active
                serving.add_metric((purpose.value, ref.type.value, str(ref.id), facts.provider), 1.0)
        yield serving
        for name, about in _PURPOSE.items():
            family = GaugeMetricFamily(f"{NAMESPACE}_{name}", about, labels=("purpose",))
            for purpose, facts in purposes:
                found: float | None = {
                    "active_generation": facts.generation,
                    "purpose_stranded": facts.stranded,
                    "purpose_pinned": facts.pinned,
                    "purpose_paused": facts.paused,
                    "purpose_failed_over": facts.failed_over,
                    "purpose_serving": facts.serving,
                    "purpose_last_decision_timestamp_seconds": decided.get(purpose),
                }[name]
                if found is not None:
                    family.add_metric((purpose.value,), float(found))
            if family.samples:
                yield family
