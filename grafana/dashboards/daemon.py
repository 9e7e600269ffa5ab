"""Whether the monitor itself is well."""

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from grafana.dashboards import variables
from grafana.dashboards.frame import Heading, Line, frame
from grafana.dashboards.panels import Face, Query, curves, stat, timeline
from grafana.dashboards.purposes import NO_DAEMON
from grafana.dashboards.queries import DAEMON, RANGE, select
from grafana.dashboards.tables import Column, Labels, table
from grafana.dashboards.words import GREEN, ORANGE, RED, ROLE, SCRAPED, STORE, Word, steps

PERCENTILES = (("p50", "0.5"), ("p95", "0.95"), ("p99", "0.99"))
LATE_SECONDS = 1


def daemon() -> Dashboard:
    """The whole dashboard."""
    return frame(
        "daemon",
        "Whether the monitor itself is well: reached, acting, on time, able to store, and what it uses.",
        variables.daemons(),
        [
            Line(4, [(_scraped(), 5), (_role(), 5), (_store(), 5), (_problems(), 5), (_lost(), 4)]),
            Line(7, [(_over_time(), 12), (_builds(), 12)]),
            Heading("Its work"),
            Line(9, [(_probes(), 8), (_lag(), 8), (_pending(), 8)]),
            Heading("What it uses"),
            Line(9, [(_cpu(), 8), (_memory(), 8), (_descriptors(), 8)]),
            Line(8, [(_scrape(), 12), (_samples(), 12)]),
        ],
    )


def _own(metric: str) -> str:
    """A family that is not only ours, of the chosen daemons."""
    return f"{metric}{{{DAEMON}}}"


def _scraped() -> Panel:
    return stat(
        "Reached by Prometheus",
        "Whether the last scrape of each daemon succeeded.",
        Query(f"min by (instance) ({_own('up')})", "{{instance}}"),
        Face(unit="none", empty=NO_DAEMON, words=SCRAPED),
    )


def _role() -> Panel:
    return stat(
        "Role",
        "Which daemon acts; others on the same database probe nothing and wait for it to go.",
        Query(f"max by (instance) ({select('daemon_active')})", "{{instance}}"),
        Face(unit="none", empty=NO_DAEMON, words=ROLE),
    )


def _store() -> Panel:
    return stat(
        "Database",
        "Whether it answers. While it is away results wait on disk and nothing moves.",
        Query(f"min by (instance) ({select('store_up')})", "{{instance}}"),
        Face(unit="none", empty=NO_DAEMON, words=STORE),
    )


def _problems() -> Panel:
    return stat(
        "Rows that are skipped",
        "Rows of the configuration that can't be used; llm-monitor status names each with its mend.",
        Query(f"max({select('config_problems')})"),
        Face(
            unit="none",
            empty=NO_DAEMON,
            decimals=0,
            words={0: Word("none", GREEN)},
            thresholds=steps(GREEN, (1, ORANGE)),
        ),
    )


def _lost() -> Panel:
    return stat(
        "Results lost",
        "Results of probes that were never stored, within the time range.",
        Query(f"round(sum(increase({select('results_dropped_total')}{RANGE})))"),
        Face(
            unit="none",
            empty=NO_DAEMON,
            decimals=0,
            words={0: Word("none", GREEN)},
            thresholds=steps(GREEN, (1, RED)),
        ),
    )


def _over_time() -> Panel:
    return timeline(
        "Reached and acting, over time",
        "Each daemon as Prometheus reached it, and whether it acted or stood by.",
        [
            Query(f"{_own('up')} == 0 or on (job, instance) 1 + {select('daemon_active')}", "{{instance}}"),
        ],
        Face(
            unit="none",
            empty=NO_DAEMON,
            words={0: SCRAPED[0], 1: ROLE[0], 2: ROLE[1]},
        ),
    )


def _builds() -> Panel:
    started = f"time() - max by (instance) ({_own('process_start_time_seconds')})"
    return table(
        "Running programs",
        "Which version each daemon runs, on which Python, and for how long.",
        Labels(titles={"instance": "Daemon", "version": "Version", "python": "Python"}),
        [
            Column(title="", expr=f"max by (instance, version, python) ({select('build_info')})"),
            Column(title="Running for", expr=started, unit="s", decimals=0),
        ],
        empty=NO_DAEMON,
    )


def _probes() -> Panel:
    probes = select("probes_total")
    return curves(
        "Probes a second",
        "How many probes end in a second, by kind: light ones are free checks, deep ones real requests.",
        [Query(f"sum by (kind) (rate({probes}[$__rate_interval]))", "{{kind}}")],
        Face(unit="reqps", empty="no probe in this time", least=0),
    )


def _lag() -> Panel:
    buckets = f"rate({select('schedule_lag_seconds_bucket')}[$__rate_interval])"
    return curves(
        "How late probes start",
        "From the moment a probe was due to its start. Over a second the daemon has more to do than it can.",
        [Query(f"histogram_quantile({share}, sum by (le) ({buckets}))", word) for word, share in PERCENTILES],
        Face(unit="s", empty="no probe in this time", least=0, thresholds=steps(GREEN, (LATE_SECONDS, RED))),
        limit_shown=True,
    )


def _pending() -> Panel:
    return curves(
        "Results that wait to be stored",
        "They go with the next batch, within seconds; more and more of them means that the database is away.",
        [Query(f"max by (instance) ({select('results_pending')})", "{{instance}}")],
        Face(unit="short", empty=NO_DAEMON, decimals=0, least=0),
    )


def _cpu() -> Panel:
    return curves(
        "CPU",
        "The share of one core that each daemon uses.",
        [
            Query(
                f"max by (instance) (rate({_own('process_cpu_seconds_total')}[$__rate_interval]))",
                "{{instance}}",
            )
        ],
        Face(unit="percentunit", empty=NO_DAEMON, least=0),
    )


def _memory() -> Panel:
    return curves(
        "Memory",
        "What each daemon holds in memory.",
        [Query(f"max by (instance) ({_own('process_resident_memory_bytes')})", "{{instance}}")],
        Face(unit="bytes", empty=NO_DAEMON, least=0),
    )


def _descriptors() -> Panel:
    return curves(
        "Open files and connections",
        "The share of its file descriptors that each daemon has open; without any left probes say nothing.",
        [
            Query(
                f"max by (instance) ({_own('process_open_fds')} / {_own('process_max_fds')})",
                "{{instance}}",
            )
        ],
        Face(unit="percentunit", empty=NO_DAEMON, decimals=2, least=0, thresholds=steps(GREEN, (0.8, RED))),
        limit_shown=True,
    )


def _scrape() -> Panel:
    return curves(
        "How long a scrape takes",
        "From Prometheus' request to the last byte of /metrics.",
        [Query(f"max by (instance) ({_own('scrape_duration_seconds')})", "{{instance}}")],
        Face(unit="s", empty=NO_DAEMON, least=0),
    )


def _samples() -> Panel:
    return curves(
        "Series of a scrape",
        "How many series each daemon exports: they grow with the providers and their purposes.",
        [Query(f"max by (instance) ({_own('scrape_samples_scraped')})", "{{instance}}")],
        Face(unit="short", empty=NO_DAEMON, decimals=0, least=0),
    )
