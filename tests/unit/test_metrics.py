"""What /metrics says, read back with Prometheus' own parsers."""

import threading
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_plain

from monitor.domain.catalog import CatalogEntry
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
from monitor.metrics import Metrics, TextFormat

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY_1 = ProviderRef(type=ProviderType.API_KEY, id=1)
SERVER_2 = ProviderRef(type=ProviderType.AI_SERVER, id=2)
LABELS_1 = {"provider_type": "api_key", "provider_id": "1", "provider": "openai", "purpose": "chat"}
NO_MEASUREMENT = {"build", "transitions", "failover_seconds", "results_dropped", "schedule_lag_seconds"}

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def _target(
    ref: ProviderRef = KEY_1,
    purpose: Purpose | None = Purpose.CHAT,
    provider: str = "openai",
    fingerprint: str = "f1",
) -> Target:
    return Target(
        id=TargetId(provider=ref, purpose=purpose),
        name="main key",
        provider=provider,
        entry=CatalogEntry(name=provider, type=ref.type, litellm_providers={}, models={}),
        base_url=None,
        model=None,
        model_named=False,
        key=None,
        network=Network.OFF_HOST,
        probe=ProbeSettings(),
        fingerprint=fingerprint,
    )


def _result(target: Target, **changes: object) -> ProbeResult:
    result = ProbeResult(
        id=ResultId("0"),
        target=target.id,
        fingerprint=target.fingerprint,
        kind=ProbeKind.DEEP,
        outcome=Outcome.OK,
        started_at=NOW,
        ended_at=NOW + timedelta(seconds=1),
    )
    return replace(result, **changes)  # type: ignore[arg-type]


def _samples(metrics: Metrics, fmt: TextFormat = TextFormat.PLAIN) -> Samples:
    read = read_plain if fmt is TextFormat.PLAIN else read_openmetrics
    found: Samples = {}
    for family in read(metrics.render(fmt).decode()):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, f"{key} is there twice"
            found[key] = sample.value
    return found


def _value(samples: Samples, name: str, labels: dict[str, str] | None = None) -> float | None:
    return samples.get((f"llm_monitor_{name}", frozenset((labels or {}).items())))


def _names(samples: Iterable[tuple[str, frozenset[tuple[str, str]]]]) -> set[str]:
    return {name for name, _ in samples}


def _mentions(metrics: Metrics, **labels: str) -> list[str]:
    return [name for name, found in _samples(metrics) if all(item in found for item in labels.items())]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(version="1.2.3")


def test_nothing_is_exported_before_it_is_measured(metrics: Metrics) -> None:
    samples = _samples(metrics)
    gauges = {"store_up", "results_pending", "config_problems", "daemon_active", "active_generation"}
    assert not _names(samples) & {f"llm_monitor_{name}" for name in gauges}
    ours = {name for name in _names(samples) if name.startswith("llm_monitor_")}
    assert all(name.removeprefix("llm_monitor_").startswith(tuple(NO_MEASUREMENT)) for name in ours), ours


def test_the_process_and_the_build_are_described(metrics: Metrics) -> None:
    samples = _samples(metrics)
    assert {"process_resident_memory_bytes", "process_open_fds"} <= _names(samples)
    [build] = [dict(labels) for name, labels in samples if name == "llm_monitor_build_info"]
    assert build["version"] == "1.2.3"


@pytest.mark.parametrize("fmt", list(TextFormat))
def test_every_family_reads_back_in_both_formats(metrics: Metrics, fmt: TextFormat) -> None:
    target = _target()
    readings = Readings(
        ratelimit_remaining={"requests": 59.0, "tokens": 1e6, "x-made-up-by-the-server": 1.0},
        credit_remaining_usd=12.5,
        tls_expires_at=NOW,
    )
    metrics.set_provider(KEY_1, "openai", 'the "main"\nkey\\')
    metrics.observe_probe(
        target,
        _result(
            target,
            latency_seconds=0.3,
            ttft_seconds=0.12,
            tokens_in=9,
            tokens_out=3,
            cost_usd=0.0002,
            readings=readings,
        ),
    )
    metrics.observe_probe(target, _result(target, outcome=Outcome.TIMEOUT))
    metrics.observe_probe(target, _result(target, kind=ProbeKind.LIGHT, latency_seconds=0.02))
    metrics.set_health(target, "blocked", {"quota", "auth"})
    metrics.set_purpose(
        Purpose.CHAT,
        active=KEY_1,
        provider="openai",
        generation=3,
        stranded=False,
        pinned=True,
        paused=False,
        failed_over=True,
        serving=False,
    )
    metrics.count_transition(Purpose.CHAT, "fail_over", 54.0)
    metrics.set_store_up(True)
    metrics.set_results_pending(7)
    metrics.set_config_problems(2)
    metrics.set_active_daemon(False)
    metrics.count_results_dropped(4)
    metrics.observe_schedule_lag(0.002)

    samples = _samples(metrics, fmt)
    chat = {"purpose": "chat"}
    deep, light = {**LABELS_1, "kind": "deep"}, {**LABELS_1, "kind": "light"}
    expected: list[tuple[str, dict[str, str], float]] = [
        ("probes_total", {**deep, "outcome": "ok"}, 1),
        ("probes_total", {**deep, "outcome": "timeout"}, 1),
        ("probes_total", {**light, "outcome": "ok"}, 1),
        ("probe_duration_seconds_bucket", {**deep, "le": "0.25"}, 0),
        ("probe_duration_seconds_bucket", {**deep, "le": "0.5"}, 1),
        ("probe_duration_seconds_bucket", {**deep, "le": "+Inf"}, 1),
        ("probe_duration_seconds_count", deep, 1),
        ("probe_duration_seconds_sum", deep, 0.3),
        ("probe_duration_seconds_count", light, 1),
        ("probe_ttft_seconds_count", LABELS_1, 1),
        ("probe_ttft_seconds_sum", LABELS_1, 0.12),
        ("provider_health", {**LABELS_1, "state": "up"}, 0),
        ("provider_health", {**LABELS_1, "state": "down"}, 0),
        ("provider_health", {**LABELS_1, "state": "unknown"}, 0),
        ("provider_health", {**LABELS_1, "state": "blocked"}, 1),
        ("provider_block", {**LABELS_1, "block": "auth"}, 1),
        ("provider_block", {**LABELS_1, "block": "quota"}, 1),
        ("provider_last_probe_timestamp_seconds", deep, NOW.timestamp() + 1),
        ("probe_tokens_total", {**LABELS_1, "direction": "in"}, 9),
        ("probe_tokens_total", {**LABELS_1, "direction": "out"}, 3),
        ("probe_cost_usd_total", LABELS_1, 0.0002),
        ("ratelimit_remaining", {**LABELS_1, "limit": "requests"}, 59),
        ("ratelimit_remaining", {**LABELS_1, "limit": "tokens"}, 1e6),
        ("credit_remaining_usd", LABELS_1, 12.5),
        ("tls_expires_timestamp_seconds", LABELS_1, NOW.timestamp()),
        (
            "provider_info",
            {
                "provider_type": "api_key",
                "provider_id": "1",
                "provider": "openai",
                "name": 'the "main"\nkey\\',
            },
            1,
        ),
        (
            "active_provider",
            {"purpose": "chat", "provider_type": "api_key", "provider_id": "1", "provider": "openai"},
            1,
        ),
        ("active_generation", chat, 3),
        ("purpose_stranded", chat, 0),
        ("purpose_pinned", chat, 1),
        ("purpose_paused", chat, 0),
        ("purpose_failed_over", chat, 1),
        ("purpose_serving", chat, 0),
        ("transitions_total", {**chat, "rule": "fail_over"}, 1),
        ("failover_seconds_sum", chat, 54),
        ("failover_seconds_bucket", {**chat, "le": "45.0"}, 0),
        ("failover_seconds_bucket", {**chat, "le": "60.0"}, 1),
        ("store_up", {}, 1),
        ("results_pending", {}, 7),
        ("config_problems", {}, 2),
        ("daemon_active", {}, 0),
        ("results_dropped_total", {}, 4),
        ("schedule_lag_seconds_count", {}, 1),
    ]
    assert {(name, *labels.items()): _value(samples, name, labels) for name, labels, _ in expected} == {
        (name, *labels.items()): value for name, labels, value in expected
    }
    assert "x-made-up-by-the-server" not in metrics.render(fmt).decode()
    assert not any(name.endswith("_created") for name in _names(samples))


def test_openmetrics_ends_as_it_must(metrics: Metrics) -> None:
    metrics.observe_probe(_target(), _result(_target()))
    assert metrics.render(TextFormat.OPENMETRICS).endswith(b"# EOF\n")
    assert b"# EOF" not in metrics.render()


def test_a_value_on_a_bound_belongs_to_its_bucket(metrics: Metrics) -> None:
    target = _target()
    for seconds in (0.25, 130.0, 131.0):
        metrics.observe_probe(target, _result(target, latency_seconds=seconds))
    samples = _samples(metrics)
    buckets = {
        bound: _value(samples, "probe_duration_seconds_bucket", {**LABELS_1, "kind": "deep", "le": bound})
        for bound in ("0.1", "0.25", "60.0", "130.0", "+Inf")
    }
    assert buckets == {"0.1": 0, "0.25": 1, "60.0": 1, "130.0": 2, "+Inf": 3}


def test_a_probe_without_figures_exports_none(metrics: Metrics) -> None:
    metrics.observe_probe(_target(), _result(_target(), outcome=Outcome.UNREACHABLE))
    exported = {name for name in _names(_samples(metrics)) if "probe" in name}
    assert exported == {"llm_monitor_probes_total", "llm_monitor_provider_last_probe_timestamp_seconds"}


@pytest.mark.parametrize("cost", [float("nan"), float("inf"), -1.0])
def test_a_cost_that_is_none_never_spoils_the_counter(metrics: Metrics, cost: float) -> None:
    metrics.observe_probe(_target(), _result(_target(), cost_usd=0.5))
    metrics.observe_probe(_target(), _result(_target(), cost_usd=cost, tokens_in=-3))
    samples = _samples(metrics, TextFormat.OPENMETRICS)
    assert _value(samples, "probe_cost_usd_total", LABELS_1) == 0.5
    assert _value(samples, "probe_tokens_total", {**LABELS_1, "direction": "in"}) is None


def test_a_light_only_target_has_the_purpose_none(metrics: Metrics) -> None:
    target = _target(purpose=None)
    metrics.observe_probe(target, _result(target, kind=ProbeKind.LIGHT))
    assert _mentions(metrics, purpose="none")


def test_the_readings_of_another_key_go_with_it(metrics: Metrics) -> None:
    before, after = _target(), _target(fingerprint="f2")
    readings = Readings(ratelimit_remaining={"requests": 1.0}, credit_remaining_usd=5.0, tls_expires_at=NOW)
    metrics.observe_probe(before, _result(before, readings=readings))
    metrics.observe_probe(after, _result(after, readings=Readings(credit_remaining_usd=9.0)))
    samples = _samples(metrics)
    assert _value(samples, "credit_remaining_usd", LABELS_1) == 9
    assert not {"llm_monitor_ratelimit_remaining", "llm_monitor_tls_expires_timestamp_seconds"} & _names(
        samples
    )
    assert _value(samples, "probes_total", {**LABELS_1, "kind": "deep", "outcome": "ok"}) == 2


def test_a_block_that_is_lifted_goes(metrics: Metrics) -> None:
    metrics.set_health(_target(), "blocked", {"auth"})
    metrics.set_health(_target(), "up", ())
    samples = _samples(metrics)
    assert _value(samples, "provider_health", {**LABELS_1, "state": "up"}) == 1
    assert _value(samples, "provider_health", {**LABELS_1, "state": "blocked"}) == 0
    assert "llm_monitor_provider_block" not in _names(samples)


def test_another_word_is_no_state(metrics: Metrics) -> None:
    with pytest.raises(
        ValueError, match="'sick' is no state of health: it is one of up, down, unknown, blocked"
    ):
        metrics.set_health(_target(), "sick", ())


def test_a_removed_target_takes_its_series_along_and_no_others(metrics: Metrics) -> None:
    chat, embeddings = _target(), _target(purpose=Purpose.EMBEDDINGS)
    for target in (chat, embeddings):
        metrics.observe_probe(target, _result(target, latency_seconds=1.0))
        metrics.set_health(target, "up", ())
    metrics.remove_target(chat.id)
    metrics.remove_target(chat.id)
    assert not _mentions(metrics, purpose="chat")
    assert _mentions(metrics, purpose="embeddings")


def test_a_removed_provider_takes_all_its_series_along(metrics: Metrics) -> None:
    removed, kept = _target(), _target(ref=SERVER_2, provider="vllm")
    for target in (removed, kept):
        metrics.set_provider(target.id.provider, target.provider, target.name)
        metrics.observe_probe(target, _result(target))
    for purpose, ref in ((Purpose.CHAT, KEY_1), (Purpose.EMBEDDINGS, SERVER_2)):
        metrics.set_purpose(
            purpose,
            active=ref,
            provider="x",
            generation=1,
            stranded=False,
            pinned=False,
            paused=False,
            failed_over=False,
            serving=None,
        )
    metrics.remove_provider(KEY_1)
    assert not _mentions(metrics, provider_id="1")
    assert set(_mentions(metrics, provider_id="2")) >= {
        "llm_monitor_provider_info",
        "llm_monitor_active_provider",
    }
    assert _value(_samples(metrics), "active_generation", {"purpose": "chat"}) == 1


def test_a_row_of_another_type_leaves_no_series_of_the_former(metrics: Metrics) -> None:
    for provider in ("ollama", "vllm"):
        target = _target(ref=SERVER_2, provider=provider)
        metrics.set_provider(SERVER_2, provider, "the server")
        metrics.observe_probe(target, _result(target))
    assert not _mentions(metrics, provider="ollama")
    assert _mentions(metrics, provider="vllm")


def test_a_purpose_has_one_active_provider_at_most(metrics: Metrics) -> None:
    for generation, (ref, provider) in enumerate([(KEY_1, "openai"), (SERVER_2, "vllm"), (None, None)]):
        metrics.set_purpose(
            Purpose.CHAT,
            active=ref,
            provider=provider,
            generation=generation,
            stranded=False,
            pinned=False,
            paused=False,
            failed_over=False,
            serving=None,
        )
        active = [dict(labels) for name, labels in _samples(metrics) if name == "llm_monitor_active_provider"]
        assert [labels["provider"] for labels in active] == ([provider] if provider else [])
    metrics.remove_purpose(Purpose.CHAT)
    counters = ("llm_monitor_transitions_total", "llm_monitor_purpose_probes_total")
    assert not [
        name
        for name in _mentions(metrics, purpose="chat")
        if name not in counters and not name.startswith("llm_monitor_failover_seconds")
    ]


def test_a_purpose_that_never_moved_counts_from_0_so_that_a_rate_sees_the_first_move(
    metrics: Metrics,
) -> None:
    _serve(metrics)
    samples = _samples(metrics)
    for rule in ("fail_over", "fail_back", "call_for_help"):
        assert _value(samples, "transitions_total", {"purpose": "chat", "rule": rule}) == 0
    for result in ("passed", "failed"):
        assert _value(samples, "purpose_probes_total", {"purpose": "chat", "result": result}) == 0
    assert _value(samples, "failover_seconds_count", {"purpose": "chat"}) == 0


def test_whether_a_purpose_is_served_is_not_said_while_nobody_knows(metrics: Metrics) -> None:
    for serving in (None, True, False):
        _serve(metrics, serving=serving)
        assert _value(_samples(metrics), "purpose_serving", {"purpose": "chat"}) == serving
    metrics.remove_provider(KEY_1)
    assert _value(_samples(metrics), "purpose_serving", {"purpose": "chat"}) is None


def test_the_last_decision_is_not_said_before_the_first_and_goes_with_its_purpose(metrics: Metrics) -> None:
    name, chat = "purpose_last_decision_timestamp_seconds", {"purpose": "chat"}
    _serve(metrics)
    assert _value(_samples(metrics), name, chat) is None
    metrics.set_last_decision(Purpose.CHAT, NOW)
    assert _value(_samples(metrics), name, chat) == NOW.timestamp()
    metrics.remove_purpose(Purpose.CHAT)
    _serve(metrics)
    assert _value(_samples(metrics), name, chat) is None


def test_a_probe_of_the_serving_one_without_a_vote_is_not_counted(metrics: Metrics) -> None:
    for vote in Vote:
        metrics.count_serving_probe(Purpose.CHAT, vote)
    samples = _samples(metrics)
    assert _value(samples, "purpose_probes_total", {"purpose": "chat", "result": "passed"}) == 1
    assert _value(samples, "purpose_probes_total", {"purpose": "chat", "result": "failed"}) == 2


def test_reports_and_intervals_of_a_target_are_told(metrics: Metrics) -> None:
    target = _target()
    metrics.set_interval(target, ProbeKind.DEEP, timedelta(seconds=30))
    outcomes = (ReportOutcome.OK, ReportOutcome.OK, ReportOutcome.TIMEOUT)
    metrics.count_reports(target, [Report(at=NOW, outcome=outcome) for outcome in outcomes])
    samples = _samples(metrics)
    interval = _value(samples, "provider_probe_interval_seconds", {**LABELS_1, "kind": "deep"})
    assert interval == 30
    assert _value(samples, "reports_total", {**LABELS_1, "outcome": "ok"}) == 2
    assert _value(samples, "reports_total", {**LABELS_1, "outcome": "timeout"}) == 1
    assert _value(samples, "reports_total", {**LABELS_1, "outcome": "server_error"}) is None
    assert _mentions(metrics, purpose="chat")
    metrics.remove_target(target.id)
    assert not _mentions(metrics, purpose="chat")


def _serve(metrics: Metrics, *, serving: bool | None = None) -> None:
    metrics.set_purpose(
        Purpose.CHAT,
        active=KEY_1,
        provider="openai",
        generation=1,
        stranded=False,
        pinned=False,
        paused=False,
        failed_over=False,
        serving=serving,
    )


def test_a_switch_that_no_failure_caused_has_no_failover_time(metrics: Metrics) -> None:
    metrics.count_transition(Purpose.CHAT, "promote", None)
    samples = _samples(metrics)
    assert _value(samples, "transitions_total", {"purpose": "chat", "rule": "promote"}) == 1
    assert _value(samples, "failover_seconds_count", {"purpose": "chat"}) is None


def test_rendering_survives_changes_from_another_thread(metrics: Metrics) -> None:
    """Every page that is written meanwhile reads back, and no histogram contradicts itself."""
    targets = [_target(ref=ProviderRef(type=ProviderType.API_KEY, id=number)) for number in range(60)]
    pages: list[bytes] = []
    done = threading.Event()

    def scrape() -> None:
        while not done.is_set():
            pages.append(metrics.render())

    scraper = threading.Thread(target=scrape)
    scraper.start()
    try:
        for turn in range(15):
            for number, target in enumerate(targets):
                outcome = list(Outcome)[(turn + number) % len(Outcome)]
                metrics.observe_probe(target, _result(target, outcome=outcome, latency_seconds=0.1 * turn))
                metrics.set_health(target, "up", ())
                if (turn + number) % 7 == 0:
                    metrics.remove_provider(target.id.provider)
                metrics.set_provider(target.id.provider, "openai", "main key")
    finally:
        done.set()
        scraper.join()
    for page in (pages[0], pages[len(pages) // 2], pages[-1]):
        samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in read_plain(page.decode())
            for sample in family.samples
        }
        for (name, labels), value in samples.items():
            if name == "llm_monitor_probe_duration_seconds_count":
                whole = ("llm_monitor_probe_duration_seconds_bucket", labels | {("le", "+Inf")})
                assert samples[whole] == value


@pytest.mark.parametrize(
    ("accept", "fmt"),
    [
        ("", TextFormat.PLAIN),
        ("*/*", TextFormat.PLAIN),
        ("text/plain;version=0.0.4", TextFormat.PLAIN),
        ("application/openmetrics-text", TextFormat.OPENMETRICS),
        ("application/openmetrics-text; version=0.0.1", TextFormat.PLAIN),
        ("application/openmetrics-text;version=2.0.0", TextFormat.PLAIN),
        ("application/openmetrics-text;q=0", TextFormat.PLAIN),
        ("application/openmetrics-text;q=nan,text/html;q=nonsense,;;==", TextFormat.PLAIN),
        ("application/openmetrics-text;version=1.0.0;q=0.2,text/plain;version=0.0.4;q=0.7", TextFormat.PLAIN),
        (
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
                "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
                "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
            ),
            TextFormat.OPENMETRICS,
        ),
    ],
)
def test_the_scraper_chooses_the_format(accept: str, fmt: TextFormat) -> None:
    assert TextFormat.choose(accept) is fmt
