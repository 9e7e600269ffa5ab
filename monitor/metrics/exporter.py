"""What the daemon counts, and its pages for a scraper; the only importer of prometheus_client."""

import math
import platform
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    Info,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.process_collector import ProcessCollector

from monitor.domain.outcome import ProbeResult, Vote
from monitor.domain.reports import Report
from monitor.domain.situation import Rule
from monitor.domain.target import ProbeKind, ProviderRef, Purpose, Target, TargetId
from monitor.metrics import target_families
from monitor.metrics.facts import Facts, PurposeFacts
from monitor.metrics.target_series import NAMESPACE, TargetSeries, provider_labels
from monitor.metrics.text import TextFormat, escaped, header

_LAG_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_AUTOMATIC = (Rule.FAIL_OVER, Rule.CALL_FOR_HELP, Rule.FAIL_BACK)
_SPOKEN = {Vote.PASS: "passed", Vote.FAILURE: "failed", Vote.BLOCK: "failed"}
_FAILOVER_BOUNDS = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0)


class Metrics:
    """Every metric of the daemon; what was never measured is not exported.

    All methods but `render` and `chunks` belong to the event loop's thread; those two may run in any thread
    at any time.
    """

    def __init__(self, registry: CollectorRegistry | None = None, *, version: str) -> None:
        # A creation time for each series lengthens the page and says nothing that the counters do not.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry or CollectorRegistry()
        self._targets: dict[TargetId, TargetSeries] = {}
        self._providers: dict[ProviderRef, str] = {}
        self._facts = Facts()
        self._registry.register(self._facts)
        self._transitions = Counter(
            "transitions",
            "Committed moves of a purpose by the rule that decided.",
            ("purpose", "rule"),
            namespace=NAMESPACE,
            registry=self._registry,
        )
        self._failover_seconds = Histogram(
            "failover_seconds",
            "First failed probe to the committed move.",
            ("purpose",),
            namespace=NAMESPACE,
            registry=self._registry,
            buckets=_FAILOVER_BOUNDS,
        )
        self._serving_probes = Counter(
            "purpose_probes",
            "Deep probes of the one that served; those that say nothing are not in it.",
            ("purpose", "result"),
            namespace=NAMESPACE,
            registry=self._registry,
        )
        self._results_dropped = Counter(
            "results_dropped",
            "Results that were never stored.",
            namespace=NAMESPACE,
            registry=self._registry,
        )
        self._schedule_lag = Histogram(
            "schedule_lag_seconds",
            "How late probes start.",
            namespace=NAMESPACE,
            registry=self._registry,
            buckets=_LAG_BOUNDS,
        )
        build = Info("build", "The running program.", namespace=NAMESPACE, registry=self._registry)
        build.info({"version": version, "python": platform.python_version()})
        ProcessCollector(registry=self._registry)

    def observe_probe(self, target: Target, result: ProbeResult) -> None:
        """Count one probe of a target that is still configured."""
        self._series(target).observe(result)

    def set_interval(self, target: Target, kind: ProbeKind, interval: timedelta) -> None:
        """Export how often a target is probed now."""
        self._series(target).intervals[kind] = interval.total_seconds()

    def count_reports(self, target: Target, reports: Iterable[Report]) -> None:
        """Count what applications reported of their requests to a target."""
        self._series(target).count_reports(reports)

    def set_health(self, target: Target, state: str, blocks: Collection[str]) -> None:
        """Export what is believed of a target.

        Args:
            target: one that is still configured.
            state: `up`, `down`, `unknown` or `blocked`.
            blocks: the names of all its blocks.

        Raises:
            ValueError: the state is another word.
        """
        self._series(target).set_health(state, blocks)

    def set_provider(self, ref: ProviderRef, provider: str, name: str) -> None:
        """Join the operator's name of a provider to its series."""
        labels = f'{provider_labels(ref, provider)},name="{escaped(name)}"'
        self._providers[ref] = f"{NAMESPACE}_provider_info{{{labels}}} 1\n"

    def remove_target(self, target: TargetId) -> None:
        """Drop all series of a target."""
        self._targets.pop(target, None)

    def remove_provider(self, ref: ProviderRef) -> None:
        """Drop all series of a provider: its name, its targets, and that it is active."""
        self._providers.pop(ref, None)
        for target in [target for target in self._targets if target.provider == ref]:
            del self._targets[target]
        self._facts.forget_active(ref)

    def set_purpose(
        self,
        purpose: Purpose,
        *,
        active: ProviderRef | None,
        provider: str | None,
        generation: int,
        stranded: bool,
        pinned: bool,
        paused: bool,
        failed_over: bool,
        serving: bool | None,
    ) -> None:
        """Export the state of a purpose in place of the former one.

        Args:
            purpose: which.
            active: the provider that serves, or None.
            provider: the catalog's entry of the active one, or None.
            generation: counts the purpose's switches.
            stranded: the active one is down and nobody else is eligible.
            pinned: an operator's pin holds.
            paused: an operator paused the purpose.
            failed_over: a move of the daemon's own keeps it from the first of the operator's order.
            serving: the last deep probe of the active one passed; None when nobody knows.
        """
        if purpose not in self._facts.purposes:
            # Since its start this daemon has moved nothing: a rate needs the 0 before the first 1.
            for rule in _AUTOMATIC:
                self._transitions.labels(purpose.value, rule.value)
            for result in sorted(set(_SPOKEN.values())):
                self._serving_probes.labels(purpose.value, result)
            self._failover_seconds.labels(purpose.value)
        self._facts.purposes[purpose] = PurposeFacts(
            active=active,
            provider=provider or "",
            generation=generation,
            stranded=stranded,
            pinned=pinned,
            paused=paused,
            failed_over=failed_over,
            serving=serving,
        )

    def remove_purpose(self, purpose: Purpose) -> None:
        """Drop the state of a purpose; its counters stay."""
        self._facts.forget_purpose(purpose)

    def set_last_decision(self, purpose: Purpose, at: datetime) -> None:
        """Export when it was last decided who serves a purpose."""
        self._facts.decided[purpose] = at.timestamp()

    def count_serving_probe(self, purpose: Purpose, vote: Vote) -> None:
        """Count a deep probe of the one that serves; one without a vote says nothing."""
        if (result := _SPOKEN.get(vote)) is not None:
            self._serving_probes.labels(purpose.value, result).inc()

    def count_transition(self, purpose: Purpose, rule: str, failover_seconds: float | None) -> None:
        """Count one committed switch.

        Args:
            purpose: which moved.
            rule: the name of the rule that decided.
            failover_seconds: the first failed probe to the commit; None for a switch that no failure caused.
        """
        self._transitions.labels(purpose.value, str(rule)).inc()
        if failover_seconds is not None:
            self._failover_seconds.labels(purpose.value).observe(max(failover_seconds, 0.0))

    def set_active_daemon(self, active: bool) -> None:
        """Export whether this daemon acts or stands by."""
        self._facts.daemon["daemon_active"] = float(active)

    def set_store_up(self, up: bool) -> None:
        """Export whether the database answers."""
        self._facts.daemon["store_up"] = float(up)

    def set_results_pending(self, count: int) -> None:
        """Export how many results wait to be stored."""
        self._facts.daemon["results_pending"] = float(count)

    def set_config_problems(self, count: int) -> None:
        """Export how many rows of the configuration are skipped."""
        self._facts.daemon["config_problems"] = float(count)

    def count_results_dropped(self, count: int = 1) -> None:
        """Count results that will never be stored."""
        self._results_dropped.inc(count)

    def observe_schedule_lag(self, seconds: float) -> None:
        """Count how late one probe started; early is on time."""
        if math.isfinite(seconds):
            self._schedule_lag.observe(max(seconds, 0.0))

    def render(self, fmt: TextFormat = TextFormat.PLAIN) -> bytes:
        """The whole page."""
        return b"".join(self.chunks(fmt))

    def chunks(self, fmt: TextFormat = TextFormat.PLAIN) -> Iterator[bytes]:
        """The page in pieces, so that no step of it keeps the event loop waiting."""
        providers = list(self._providers.values())
        if providers:
            head = header(
                fmt,
                f"{NAMESPACE}_provider_info",
                "gauge",
                "Joins the operator's name of a provider: always 1.",
            )
            yield (head + "".join(providers)).encode("utf-8", "replace")
        yield from target_families.write(fmt, list(self._targets.values()))
        # Last, because OpenMetrics ends with a line that prometheus_client writes.
        if fmt is TextFormat.PLAIN:
            yield generate_latest(self._registry)
        else:
            yield generate_openmetrics(self._registry)  # type: ignore[no-untyped-call]

    def _series(self, target: Target) -> TargetSeries:
        series = self._targets.get(target.id)
        # A row whose type was changed has another label, and its former series go.
        if series is None or series.entry != target.provider:
            series = self._targets[target.id] = TargetSeries(target)
        return series
