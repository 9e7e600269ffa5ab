"""A daemon's metrics with everything measured once, as a scraper reads them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from prometheus_client.parser import text_string_to_metric_families

from monitor.domain.catalog import CatalogEntry
from monitor.domain.eligibility import Block
from monitor.domain.outcome import Outcome, ProbeResult, Readings, ResultId, Vote
from monitor.domain.reports import Report, ReportOutcome
from monitor.domain.target import (
    Network,
    ProbeKind,
    ProbeSettings,
    ProviderRef,
    ProviderType,
    Purpose,
    Target,
    TargetId,
)
from monitor.metrics import Metrics
from monitor.metrics.target_series import LIMITS

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PROVIDER = ProviderRef(type=ProviderType.API_KEY, id=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One metric as its page tells it; `labels` in the order of the page."""

    name: str
    kind: str
    about: str
    labels: tuple[str, ...]


def every_metric() -> Iterator[Told]:
    """All of ours."""
    for family in text_string_to_metric_families(measured().render().decode()):
        name = family.name + ("_total" if family.type == "counter" else "")
        if name.startswith("llm_monitor_"):
            labels = dict.fromkeys(label for sample in family.samples for label in sample.labels)
            kept = tuple(label for label in labels if label != "le")
            yield Told(name=name, kind=family.type, about=family.documentation.rstrip("."), labels=kept)


def measured() -> Metrics:
    """One of everything."""
    metrics, target = Metrics(version="0"), _target()
    metrics.set_provider(PROVIDER, "openai", "main key")
    for kind in ProbeKind:
        metrics.observe_probe(target, _result(target, kind))
        metrics.set_interval(target, kind, timedelta(seconds=30))
    metrics.count_reports(target, [Report(at=NOW, outcome=outcome) for outcome in ReportOutcome])
    metrics.set_health(target, "up", [Block.AUTH])
    metrics.set_purpose(
        Purpose.CHAT,
        active=PROVIDER,
        provider="openai",
        generation=1,
        stranded=False,
        pinned=False,
        paused=False,
        failed_over=False,
        serving=True,
    )
    metrics.set_last_decision(Purpose.CHAT, NOW)
    metrics.count_serving_probe(Purpose.CHAT, Vote.PASS)
    metrics.count_transition(Purpose.CHAT, "fail_over", 20.0)
    metrics.set_active_daemon(True)
    metrics.set_store_up(True)
    metrics.set_results_pending(0)
    metrics.set_config_problems(0)
    metrics.count_results_dropped()
    metrics.observe_schedule_lag(0.001)
    return metrics


def _target() -> Target:
    return Target(
        id=TargetId(provider=PROVIDER, purpose=Purpose.CHAT),
        name="main key",
        provider="openai",
        entry=CatalogEntry(name="openai", type=PROVIDER.type, litellm_providers={}, models={}),
        base_url=None,
        model=None,
        model_named=False,
        key=None,
        network=Network.OFF_HOST,
        probe=ProbeSettings(),
        fingerprint="f1",
    )


def _result(target: Target, kind: ProbeKind) -> ProbeResult:
    return ProbeResult(
        id=ResultId("0"),
        target=target.id,
        fingerprint=target.fingerprint,
        kind=kind,
        outcome=Outcome.OK,
        started_at=NOW,
        ended_at=NOW + timedelta(seconds=1),
        latency_seconds=1.0,
        ttft_seconds=0.5,
        tokens_in=1,
        tokens_out=1,
        cost_usd=0.1,
        readings=Readings(
            ratelimit_remaining=dict.fromkeys(LIMITS, 1.0), credit_remaining_usd=1.0, tls_expires_at=NOW
        ),
    )
