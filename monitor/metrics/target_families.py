"""The families about targets, written down family by family from the targets' series."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from monitor.metrics.target_series import (
    DURATION_BOUNDS,
    NAMESPACE,
    STATES,
    TTFT_BOUNDS,
    Histogram,
    TargetSeries,
)
from monitor.metrics.text import TextFormat, header, number

# So many targets are written before the thread lets go: the event loop waits for one batch and not for the
# interpreter's switch interval, and no join or encode of megabytes holds it up.
_BATCH = 50

# Stands for a target's labels in a text that is otherwise the same for all targets: two C calls write a whole
# histogram.
_LABELS = "\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One metric of every target.

    Attributes:
        name: without `_total` for a counter.
        kind: counter, gauge or histogram.
        about: its HELP line.
        text: the samples of one target, "" without any.
    """

    name: str
    kind: str
    about: str
    text: Callable[[TargetSeries], str]


def write(fmt: TextFormat, series: Sequence[TargetSeries]) -> Iterator[bytes]:
    """Every family that has a sample, in pieces of at most some hundred kilobytes."""
    for family in FAMILIES:
        head = header(fmt, f"{NAMESPACE}_{family.name}", family.kind, family.about)
        for start in range(0, len(series), _BATCH):
            text = "".join([family.text(one) for one in series[start : start + _BATCH]])
            if text:
                yield (head + text).encode("utf-8", "replace")
                head = ""
                time.sleep(0)


def _template(name: str, bounds: tuple[float, ...]) -> str:
    name = f"{NAMESPACE}_{name}"
    buckets = [f'{name}_bucket{{{_LABELS},le="{bound}"}} %d\n' for bound in (*bounds, "+Inf")]
    return f"{''.join(buckets)}{name}_count{{{_LABELS}}} %d\n{name}_sum{{{_LABELS}}} %s\n"


_DURATION = _template("probe_duration_seconds", DURATION_BOUNDS)
_TTFT = _template("probe_ttft_seconds", TTFT_BOUNDS)
_HEALTH = {
    believed: "".join(
        f'{NAMESPACE}_provider_health{{{_LABELS},state="{state}"}} {int(state == believed)}\n'
        for state in STATES
    )
    for believed in STATES
}


def _histogram(template: str, labels: str, histogram: Histogram) -> str:
    return (template % histogram.values()).replace(_LABELS, labels)


def _probes(series: TargetSeries) -> str:
    counts = list(series.probes.items())
    return "".join(
        [f"{NAMESPACE}_probes_total{{{series.labels}{labels}}} {count}\n" for labels, count in counts],
    )


def _durations(series: TargetSeries) -> str:
    durations = list(series.durations.items())
    return "".join([_histogram(_DURATION, series.labels + kind, histogram) for kind, histogram in durations])


def _ttft(series: TargetSeries) -> str:
    return "" if series.ttft is None else _histogram(_TTFT, series.labels, series.ttft)


def _health(series: TargetSeries) -> str:
    return "" if series.state is None else _HEALTH[series.state].replace(_LABELS, series.labels)


def _blocks(series: TargetSeries) -> str:
    return "".join(
        [f'{NAMESPACE}_provider_block{{{series.labels},block="{block}"}} 1\n' for block in series.blocks]
    )


def _last_probes(series: TargetSeries) -> str:
    name = f"{NAMESPACE}_provider_last_probe_timestamp_seconds"
    instants = list(series.last_probes.items())
    return "".join([f"{name}{{{series.labels}{kind}}} {number(instant)}\n" for kind, instant in instants])


def _intervals(series: TargetSeries) -> str:
    name = f"{NAMESPACE}_provider_probe_interval_seconds"
    intervals = list(series.intervals.items())
    return "".join(
        [f'{name}{{{series.labels},kind="{kind.value}"}} {number(length)}\n' for kind, length in intervals]
    )


def _reports(series: TargetSeries) -> str:
    name = f"{NAMESPACE}_reports_total"
    counts = list(series.reports.items())
    return "".join([f'{name}{{{series.labels},outcome="{outcome}"}} {count}\n' for outcome, count in counts])


def _tokens(series: TargetSeries) -> str:
    name = f"{NAMESPACE}_probe_tokens_total"
    counts = list(series.tokens.items())
    return "".join([f'{name}{{{series.labels},direction="{way}"}} {count}\n' for way, count in counts])


def _limits(series: TargetSeries) -> str:
    name = f"{NAMESPACE}_ratelimit_remaining"
    limits = list(series.limits.items())
    return "".join([f'{name}{{{series.labels},limit="{limit}"}} {number(left)}\n' for limit, left in limits])


def _cost(series: TargetSeries) -> str:
    return _sample("probe_cost_usd_total", series, series.cost_usd)


def _credit(series: TargetSeries) -> str:
    return _sample("credit_remaining_usd", series, series.credit_remaining_usd)


def _tls(series: TargetSeries) -> str:
    return _sample("tls_expires_timestamp_seconds", series, series.tls_expires)


def _sample(name: str, series: TargetSeries, value: float | None) -> str:
    return "" if value is None else f"{NAMESPACE}_{name}{{{series.labels}}} {number(value)}\n"


FAMILIES = (
    Family(name="probes", kind="counter", about="Probes by what they showed.", text=_probes),
    Family(
        name="probe_duration_seconds",
        kind="histogram",
        about="Start of a probe to the last byte of its answer; probes without an answer are not in it.",
        text=_durations,
    ),
    Family(
        name="probe_ttft_seconds",
        kind="histogram",
        about="Start of a deep probe to the first token of its stream.",
        text=_ttft,
    ),
    Family(
        name="provider_health",
        kind="gauge",
        about="What is believed of a target: 1 for its state, 0 for the others.",
        text=_health,
    ),
    Family(
        name="provider_block",
        kind="gauge",
        about="What keeps a target from being chosen: 1 while it does.",
        text=_blocks,
    ),
    Family(
        name="provider_last_probe_timestamp_seconds",
        kind="gauge",
        about="End of the last probe, Unix time.",
        text=_last_probes,
    ),
    Family(
        name="provider_probe_interval_seconds",
        kind="gauge",
        about="How often a target is probed now, in seconds.",
        text=_intervals,
    ),
    Family(
        name="reports",
        kind="counter",
        about="Requests that applications reported, by what they showed.",
        text=_reports,
    ),
    Family(name="probe_tokens", kind="counter", about="Tokens that probes used, where told.", text=_tokens),
    Family(name="probe_cost_usd", kind="counter", about="What probes cost, where known.", text=_cost),
    Family(
        name="ratelimit_remaining", kind="gauge", about="What is left of a limit, as last told.", text=_limits
    ),
    Family(
        name="credit_remaining_usd",
        kind="gauge",
        about="Credit left on the account, as last told.",
        text=_credit,
    ),
    Family(
        name="tls_expires_timestamp_seconds",
        kind="gauge",
        about="End of the server's certificate, Unix time.",
        text=_tls,
    ),
)
