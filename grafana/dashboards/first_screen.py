"""The first screen of the overview, which answers an operator's three questions without scrolling."""

from grafana_foundation_sdk.models.dashboard import Panel

from grafana.dashboards.asked import CERTIFICATE_DAYS, CREDIT_USD, asked, asked_count
from grafana.dashboards.frame import FROM_CELL, FROM_SERIES, provider_link
from grafana.dashboards.panels import Face, Query, stat, timeline
from grafana.dashboards.purposes import NO_DAEMON, SHARE_SERVED
from grafana.dashboards.queries import (
    PURPOSE,
    failed_share,
    first_token,
    health,
    in_state,
    latency,
    moves,
    named,
    select,
    served_share,
    serving,
    standing,
)
from grafana.dashboards.tables import Column, Labels, table
from grafana.dashboards.words import (
    BLUE,
    GREEN,
    HEALTH,
    ORANGE,
    RED,
    SERVES,
    SHARE_FAILED,
    STANDING,
    STORE,
    Word,
    steps,
)

TO_PROVIDER = provider_link(FROM_CELL)


def verdicts() -> list[Panel]:
    """The first line: six answers in a word or a number."""
    broken = f"sum(max by (name) ({named(in_state('down', 'blocked'))}))"
    none_red = steps(GREEN, (1, RED))
    return [
        stat(
            "Asked of you",
            "How many things wait for a person; the table below names them.",
            Query(asked_count()),
            Face(unit="none", empty=NO_DAEMON, words={0: Word("nothing", GREEN)}, thresholds=none_red),
        ),
        stat(
            "Purposes nobody serves",
            "Purposes whose provider is down or blocked while no other is fit to take over.",
            Query(f"sum(max by (purpose) ({select('purpose_stranded', PURPOSE)}))"),
            Face(unit="none", empty=NO_DAEMON, words={0: Word("none", GREEN)}, thresholds=none_red),
        ),
        stat(
            "Providers broken",
            "Providers that are down, or blocked by key, quota, model or maintenance, in any purpose.",
            Query(broken),
            Face(
                unit="none",
                empty=NO_DAEMON,
                words={0: Word("none", GREEN)},
                thresholds=steps(GREEN, (1, ORANGE)),
            ),
        ),
        stat(
            "Daemons that act",
            "One should act; others on the same database stand by. 0 also when Prometheus reaches none.",
            Query(f"sum({select('daemon_active')}) or vector(0)"),
            Face(
                unit="none",
                empty=NO_DAEMON,
                words={0: Word("nobody acts", RED), 1: Word("one acts", GREEN)},
                thresholds=steps(BLUE),
            ),
        ),
        stat(
            "Database",
            "Whether it answers the daemon. While it is away nothing moves: no move without a record.",
            Query(f"min({select('store_up')})"),
            Face(unit="none", empty=NO_DAEMON, words=STORE),
        ),
        stat(
            "Moves",
            "How often a purpose was moved within the time range, by the rules or by a person.",
            Query(f"sum({moves()})"),
            Face(
                unit="none",
                empty=NO_DAEMON,
                decimals=0,
                words={0: Word("none", GREEN)},
                thresholds=steps(BLUE, (5, ORANGE)),
            ),
        ),
    ]


def who_serves() -> Panel:
    """The second question: who serves now."""
    changed = f"changes({select('active_generation', PURPOSE)}[$__rate_interval]) > 0"
    return table(
        "Who serves",
        "Each purpose, who serves it by name, how that one is, how long it has been so, and how the purpose "
        "stands: by the rules, paused, pinned or stranded. Time served leaves out what is unknown.",
        Labels(
            titles={"purpose": "Purpose", "name": "Serves"},
            links={"name": TO_PROVIDER},
            widths={"purpose": 110},
        ),
        [
            Column(title="", expr=serving('name=~".+"')),
            Column(title="It is", expr=_active_health(), words=HEALTH, width=90),
            Column(title="Stands", expr=standing(), words=STANDING, width=130),
            Column(
                title="Last move",
                expr=f"time() - max by (purpose) (max_over_time(timestamp({changed})[$__range:]))",
                unit="s",
                decimals=0,
                width=110,
            ),
            Column(title="Moves", expr=moves("purpose"), decimals=0, width=80),
            Column(
                title="Time served",
                expr=served_share(),
                unit="percentunit",
                decimals=2,
                thresholds=SHARE_SERVED,
                width=110,
            ),
        ],
        empty="No purpose has a provider yet.",
        sort=("Stands", True),
    )


def _active_health() -> str:
    code = health('name=~".+"', "job, instance, provider_type, provider_id, purpose")
    key = "job, instance, provider_type, provider_id, purpose"
    return f"max by (purpose) ({select('active_provider', PURPOSE)} * on ({key}) group_left () {code})"


def asked_of_you() -> Panel:
    """The third question: what waits for a person."""
    return table(
        "What is asked of you",
        "Everything that waits for a person: stranded and paused purposes, a pin onto one that is not fit, "
        f"refused keys, used-up quotas, missing models, credit under {CREDIT_USD} USD, certificates that end "
        f"within {CERTIFICATE_DAYS} days, rows that can't be read, a database or a daemon that is away.",
        Labels(
            titles={"asked": "What", "purpose": "Purpose", "name": "Provider"},
            links={"name": TO_PROVIDER},
            widths={"purpose": 110, "name": 160},
        ),
        [Column(title="", expr=asked())],
        empty="Nothing is asked of you.",
    )


def providers() -> Panel:
    """The first question: who is broken, the unwell first."""
    age = f"time() - max by (purpose, name) ({named(_last_probe())})"
    return table(
        "Providers",
        "Every provider in each of its purposes, the unwell first: its health, the share of its deep probes "
        "that failed, how long they took, and when the last one ended.",
        Labels(
            titles={"name": "Provider", "purpose": "Purpose"},
            links={"name": TO_PROVIDER},
            widths={"purpose": 110},
        ),
        [
            Column(title="Health", expr=health(), words=HEALTH, width=90),
            Column(title="Serves", expr=serving(), words=SERVES, width=80),
            Column(
                title="Failed",
                expr=failed_share("purpose, name"),
                unit="percentunit",
                decimals=0,
                thresholds=SHARE_FAILED,
                width=80,
            ),
            Column(title="p95", expr=latency("0.95", "purpose, name"), unit="s", decimals=2, width=80),
            Column(title="First token p95", expr=first_token("0.95", "purpose, name"), unit="s", decimals=2),
            Column(title="Last deep probe", expr=age, unit="s", decimals=0),
        ],
        empty="No provider is known: is a daemon scraped, and does a row name one?",
        sort=("Health", True),
    )


def _last_probe() -> str:
    return select("provider_last_probe_timestamp_seconds", 'kind="deep"', PURPOSE)


def healths() -> Panel:
    """Since when."""
    return timeline(
        "Health over time",
        "What was believed of each provider in each purpose; a gap is a time without data.",
        [Query(health(), "{{name}} · {{purpose}}")],
        Face(unit="none", empty=NO_DAEMON, words=HEALTH, links=[provider_link(FROM_SERIES)]),
    )
