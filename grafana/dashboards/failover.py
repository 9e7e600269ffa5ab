"""When purposes moved, by which rule, how fast, and who served meanwhile."""

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from grafana.dashboards import variables
from grafana.dashboards.frame import FROM_SERIES, Heading, Line, frame, provider_link
from grafana.dashboards.panels import Face, Query, bars, curves, gauges, heat, stat, timeline
from grafana.dashboards.purposes import NO_DAEMON, time_served
from grafana.dashboards.queries import (
    EVERY_PROVIDER,
    PURPOSE,
    RANGE,
    moves,
    select,
    serving,
    standing,
)
from grafana.dashboards.words import BLUE, GREEN, ORANGE, RED, SERVES, STANDING, Word, steps

NO_FAILOVER = "no failover in this time"
OFTEN = 5
"""From this switch within an hour on the rules themselves grow wary."""


def failover() -> Dashboard:
    """The whole dashboard."""
    return frame(
        "failover",
        "When purposes moved, by which rule, how fast, and who served meanwhile.",
        [*variables.daemons(), variables.purpose()],
        [
            Line(4, [(_moves(), 6), (_by_the_rules(), 6), (_median(), 4), (_slowest(), 4), (_stranded(), 4)]),
            Line(8, [(_who(), 24)]),
            Line(6, [(_standing(), 16), (time_served(), 8)]),
            Heading("How often"),
            Line(8, [(_generation(), 8), (_by_rule(), 8), (_per_hour(), 8)]),
            Heading("How fast"),
            Line(9, [(_spread(), 12), (_per_day(), 12)]),
        ],
        span="7d",
    )


def _moves() -> Panel:
    return stat(
        "Moves",
        "How often each purpose was moved within the time range, by the rules or by a person.",
        Query(moves("purpose"), "{{purpose}}"),
        Face(
            unit="none",
            empty=NO_DAEMON,
            decimals=0,
            words={0: Word("none", GREEN)},
            thresholds=steps(BLUE, (20, ORANGE)),
        ),
    )


def _by_the_rules() -> Panel:
    total, by_rules = moves("purpose"), f"sum by (purpose) ({_increase('transitions_total')})"
    return stat(
        "Moves by the rules",
        "Those that the daemon decided; the others were a person's.",
        Query(f"round({by_rules}) and on (purpose) ({total})", "{{purpose}}"),
        Face(
            unit="none",
            empty=NO_DAEMON,
            decimals=0,
            words={0: Word("none", GREEN)},
            thresholds=steps(BLUE, (20, ORANGE)),
        ),
    )


def _increase(metric: str, window: str = RANGE) -> str:
    return f"increase({select(metric, PURPOSE)}{window})"


def _quantile(share: str, window: str) -> str:
    buckets = _increase("failover_seconds_bucket", window)
    return f"histogram_quantile({share}, sum by (purpose, le) ({buckets}))"


def _time_to_leave(title: str, about: str, share: str) -> Panel:
    return stat(
        title,
        about,
        Query(_quantile(share, RANGE), "{{purpose}}"),
        Face(
            unit="s",
            empty=NO_FAILOVER,
            decimals=0,
            thresholds=steps(GREEN, (90, ORANGE), (180, RED)),
        ),
    )


def _median() -> Panel:
    return _time_to_leave(
        "Median time to leave",
        "From the first failed probe to the committed move, half of the failovers within the time range.",
        "0.5",
    )


def _slowest() -> Panel:
    return _time_to_leave(
        "Slowest time to leave",
        "From the first failed probe to the committed move, 99 % of the failovers within the time range.",
        "0.99",
    )


def _stranded() -> Panel:
    share = f"avg_over_time({select('purpose_stranded', PURPOSE)}{RANGE})"
    return stat(
        "Time stranded",
        "How much of the time range each purpose had nobody fit to serve.",
        Query(f"max by (purpose) ({share} * $__range_s)", "{{purpose}}"),
        Face(
            unit="s",
            empty=NO_DAEMON,
            decimals=0,
            words={0: Word("none", GREEN)},
            thresholds=steps(GREEN, (1, RED)),
        ),
    )


def _who() -> Panel:
    return timeline(
        "Who served when",
        "A band for each provider that served, as long as it did; a mark over all bands is a move.",
        [Query(serving(EVERY_PROVIDER), "{{purpose}} · {{name}}")],
        Face(unit="none", empty=NO_DAEMON, words=SERVES, links=[provider_link(FROM_SERIES)]),
    )


def _standing() -> Panel:
    return timeline(
        "How purposes stood",
        "By the rules, paused or pinned by a person, pinned onto one that is not fit, or stranded.",
        [Query(standing(), "{{purpose}}")],
        Face(unit="none", empty=NO_DAEMON, words=STANDING),
    )


def _generation() -> Panel:
    return curves(
        "Generation",
        "Counts the moves of each purpose since its first; it never falls and never starts anew.",
        [Query(f"max by (purpose) ({select('active_generation', PURPOSE)})", "{{purpose}}")],
        Face(unit="none", empty=NO_DAEMON, decimals=0),
        steps_shown=True,
    )


def _by_rule() -> Panel:
    return gauges(
        "Moves by rule",
        "How many moves each rule made within the time range: fail_over left one that failed, fail_back "
        "returned to a preferred one, call_for_help took the first that answered.",
        Query(f"round(sum by (purpose, rule) ({_increase('transitions_total')}))", "{{purpose}} · {{rule}}"),
        Face(unit="none", empty="no move by the rules", decimals=0, least=0, thresholds=steps(BLUE)),
    )


def _per_hour() -> Panel:
    return curves(
        "Switches in an hour",
        "How often each purpose was moved in the hour before. From the fifth on the rules only move onto one "
        "that has been fit for a minute, and return to nobody.",
        [Query(moves("purpose").replace(RANGE, "[1h]"), "{{purpose}}")],
        Face(
            unit="none",
            empty=NO_DAEMON,
            decimals=0,
            least=0,
            thresholds=steps(GREEN, (OFTEN, RED)),
        ),
        steps_shown=True,
        limit_shown=True,
    )


def _spread() -> Panel:
    buckets = f"increase({select('failover_seconds_bucket', PURPOSE)}[$__rate_interval])"
    return heat(
        "How times to leave spread",
        "From the first failed probe to the committed move: how many failovers took how long.",
        Query(f"sum by (le) ({buckets})", "{{le}}"),
        Face(unit="s", empty=NO_FAILOVER),
    )


def _per_day() -> Panel:
    return bars(
        "Failovers in a day",
        "How many failovers lay in the 24 hours before each bar, by purpose.",
        [
            Query(
                f"round(sum by (purpose) (increase({select('failover_seconds_count', PURPOSE)}[1d])))",
                "{{purpose}}",
            )
        ],
        Face(unit="none", empty=NO_FAILOVER, decimals=0, least=0),
        interval="1h",
    )
