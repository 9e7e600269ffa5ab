"""The first dashboard: what is broken, who serves now, and whether anything is asked of you."""

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from grafana.dashboards import variables
from grafana.dashboards.first_screen import (
    TO_PROVIDER,
    asked_of_you,
    healths,
    providers,
    verdicts,
    who_serves,
)
from grafana.dashboards.frame import FROM_SERIES, Heading, Line, frame, provider_link
from grafana.dashboards.panels import Face, Query, bars, curves, timeline
from grafana.dashboards.purposes import NO_DAEMON, time_served
from grafana.dashboards.queries import (
    PURPOSE,
    failed_share,
    first_token,
    latency,
    named,
    select,
    served,
)
from grafana.dashboards.tables import Column, Labels, table
from grafana.dashboards.words import SERVED, SHARE_FAILED

NO_PROBE = "no deep probe in this time"
PERCENTILES = {"p50": "0.5", "p95": "0.95", "p99": "0.99"}


def overview() -> Dashboard:
    """The whole dashboard."""
    return frame(
        "overview",
        "What is broken, who serves now, and what is asked of you; then how fast, how reliable, how dear.",
        [
            *variables.daemons(),
            variables.purpose(),
            variables.providers(),
            variables.window(),
            variables.percentile(),
        ],
        [
            Line(4, [(panel, 4) for panel in verdicts()]),
            Line(8, [(who_serves(), 14), (asked_of_you(), 10)]),
            Line(8, [(providers(), 14), (healths(), 10)]),
            Heading("How fast"),
            Line(8, [(_speeds(), 24)]),
            Line(9, [(_latency(), 12), (_first_token(), 12)]),
            Heading("How reliable"),
            Line(9, [(_failed(), 12), (_outcomes(), 12)]),
            Line(6, [(time_served(), 8), (_served(), 16)]),
            Heading("What the probes cost"),
            Line(8, [(_cost(), 8), (_tokens(), 8), (_credit(), 8)]),
        ],
    )


def _speeds() -> Panel:
    columns = [
        Column(title=f"Answer {word}", expr=latency(share, "purpose, name"), unit="s", decimals=2)
        for word, share in PERCENTILES.items()
    ]
    columns += [
        Column(title=f"First token {word}", expr=first_token(share, "purpose, name"), unit="s", decimals=2)
        for word, share in PERCENTILES.items()
    ]
    return table(
        "Percentiles by provider",
        "How long deep probes took to their last byte and to their first token, over the chosen time. Probes "
        "without an answer have no latency; they count as failed below.",
        Labels(
            titles={"name": "Provider", "purpose": "Purpose"},
            links={"name": TO_PROVIDER},
        ),
        columns,
        empty=NO_PROBE,
        sort=("Answer p95", True),
    )


def _latency() -> Panel:
    return curves(
        "Whole answer",
        "The chosen percentile of how long deep probes took to the last byte, by provider.",
        [Query(latency("$percentile"), "{{name}}")],
        Face(unit="s", empty=NO_PROBE, least=0, links=[provider_link(FROM_SERIES)]),
    )


def _first_token() -> Panel:
    return curves(
        "First token",
        "The chosen percentile of how long deep probes waited for the first token, by provider.",
        [Query(first_token("$percentile"), "{{name}}")],
        Face(unit="s", empty=NO_PROBE, least=0, links=[provider_link(FROM_SERIES)]),
    )


def _failed() -> Panel:
    return curves(
        "Failed deep probes",
        "The share of deep probes that were no pass, by provider; what says nothing of it is left out.",
        [Query(failed_share("name"), "{{name}}")],
        Face(
            unit="percentunit",
            empty=NO_PROBE,
            least=0,
            most=1,
            thresholds=SHARE_FAILED,
            links=[provider_link(FROM_SERIES)],
        ),
        limit_shown=True,
    )


def _outcomes() -> Panel:
    probes = select("probes_total", 'kind="deep"', 'outcome!="ok"', PURPOSE)
    return bars(
        "What deep probes showed besides passes",
        "How many deep probes ended in each way other than a usable answer.",
        [Query(f"sum by (outcome) ({named(f'increase({probes}[$__rate_interval])')}) > 0", "{{outcome}}")],
        Face(unit="short", empty="every deep probe passed", decimals=0, least=0),
    )


def _served() -> Panel:
    return timeline(
        "Was somebody serving?",
        "Whether the one that served each purpose was up; a gap is a time in which nobody can say.",
        [Query(served(), "{{purpose}}")],
        Face(unit="none", empty=NO_DAEMON, words=SERVED),
    )


def _cost() -> Panel:
    return bars(
        "Cost of the probes in a day",
        "What probes cost in the 24 hours before each bar, by provider, where it or its price list tells.",
        [Query(f"sum by (name) ({named(_day('probe_cost_usd_total'))})", "{{name}}")],
        Face(unit="currencyUSD", empty="no probe told its cost", decimals=4, least=0),
        interval="1h",
    )


def _tokens() -> Panel:
    return bars(
        "Tokens of the probes in a day",
        "Tokens that probes used in the 24 hours before each bar, into and out of the models.",
        [Query(f"sum by (direction) ({named(_day('probe_tokens_total'))})", "{{direction}}")],
        Face(unit="short", empty="no probe told its tokens", least=0),
        interval="1h",
    )


def _day(metric: str) -> str:
    return f"increase({select(metric, PURPOSE)}[1d])"


def _credit() -> Panel:
    return curves(
        "Credit left",
        "What is left on each account, as its provider told last.",
        [Query(f"min by (name) ({named(select('credit_remaining_usd', PURPOSE))})", "{{name}}")],
        Face(unit="currencyUSD", empty="no provider tells its credit", decimals=2, least=0),
        steps_shown=True,
    )
