"""Everything about one provider."""

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from grafana.dashboards import variables
from grafana.dashboards.asked import CERTIFICATE_DAYS, CREDIT_USD
from grafana.dashboards.frame import Heading, Line, frame
from grafana.dashboards.panels import Face, Query, bars, curves, heat, stat, timeline
from grafana.dashboards.queries import (
    PURPOSE,
    THIS_PROVIDER,
    failed_share,
    first_token,
    health,
    latency,
    named,
    select,
    serving,
)
from grafana.dashboards.tables import Column, Labels, table
from grafana.dashboards.words import BLOCKED, GREEN, GREY, HEALTH, ORANGE, RED, SERVES, SHARE_FAILED, steps

NOT_KNOWN = "not known"
NO_PROBE = "no deep probe in this time"
PERCENTILES = (("p50", "0.5"), ("p95", "0.95"), ("p99", "0.99"))


def provider() -> Dashboard:
    """The whole dashboard."""
    return frame(
        "provider",
        "One provider, by the name its operator gave it: health, speed, outcomes, what is left.",
        [*variables.daemons(), variables.one_provider(), variables.purpose(), variables.window()],
        [
            Line(4, [(_health(), 6), (_serves(), 6), (_failed(), 4), (_age(), 4), (_certificate(), 4)]),
            Line(7, [(_health_over_time(), 12), (_blocks(), 12)]),
            Heading("How fast"),
            Line(9, [(_latency(), 12), (_first_token(), 12)]),
            Line(9, [(_heat("deep"), 12), (_heat("light"), 12)]),
            Heading("What its probes showed"),
            Line(9, [(_outcomes("deep"), 12), (_outcomes("light"), 12)]),
            Line(8, [(_failed_over_time(), 12), (_rate(), 12)]),
            Heading("What is left, and what probes use"),
            Line(8, [(_limits(), 8), (_credit(), 8), (_cost(), 8)]),
            Line(7, [(_tokens(), 12), (_rows(), 12)]),
        ],
    )


def mine(expr: str) -> str:
    """An expression about targets, of this provider alone."""
    return named(expr, THIS_PROVIDER)


def _health() -> Panel:
    return stat(
        "Health",
        "What is believed of it in each purpose.",
        Query(health(THIS_PROVIDER, "purpose"), "{{purpose}}"),
        Face(unit="none", empty="no provider of that name", words=HEALTH),
    )


def _serves() -> Panel:
    return stat(
        "Serves",
        "The purposes that it serves now.",
        Query(serving(THIS_PROVIDER, "purpose"), "{{purpose}}"),
        Face(unit="none", empty="nothing", words=SERVES),
    )


def _failed() -> Panel:
    return stat(
        "Failed deep probes",
        "The share of its deep probes that were no pass, over the chosen time.",
        Query(failed_share("name", THIS_PROVIDER)),
        Face(
            unit="percentunit",
            empty=NO_PROBE,
            decimals=1,
            least=0,
            most=1,
            thresholds=SHARE_FAILED,
        ),
    )


def _age() -> Panel:
    last = select("provider_last_probe_timestamp_seconds", 'kind="deep"', PURPOSE)
    return stat(
        "Last deep probe",
        "How long ago the last one ended. A standby's come every five minutes, Ollama's hourly.",
        Query(f"time() - max({mine(last)})"),
        Face(unit="s", empty="none yet", decimals=0, thresholds=steps(GREEN, (900, ORANGE), (7200, RED))),
    )


def _certificate() -> Panel:
    ends = select("tls_expires_timestamp_seconds", PURPOSE)
    return stat(
        "Certificate ends in",
        "How long the server's certificate still holds, as a light probe saw it.",
        Query(f"min({mine(ends)}) - time()"),
        Face(
            unit="s",
            empty="no TLS seen",
            decimals=0,
            thresholds=steps(RED, (2 * 86400, ORANGE), (CERTIFICATE_DAYS * 86400, GREEN)),
        ),
    )


def _health_over_time() -> Panel:
    return timeline(
        "Health over time",
        "What was believed of it in each purpose; a gap is a time without data.",
        [
            Query(health(THIS_PROVIDER, "purpose"), "{{purpose}}"),
        ],
        Face(unit="none", empty=NOT_KNOWN, words=HEALTH),
    )


def _blocks() -> Panel:
    blocks = f"max by (purpose, block) ({mine(select('provider_block', PURPOSE))})"
    return timeline(
        "Blocks",
        "What kept it from serving, or from being moved onto: auth (key refused), quota, model_missing, "
        "maintenance, gone, rate_limited, starting.",
        [Query(blocks, "{{purpose}} · {{block}}")],
        Face(unit="none", empty="nothing blocked it", words=BLOCKED),
    )


def _latency() -> Panel:
    return curves(
        "Whole answer",
        "How long its deep probes took to the last byte, over the chosen time.",
        [Query(latency(share, "name", THIS_PROVIDER), word) for word, share in PERCENTILES],
        Face(unit="s", empty=NO_PROBE, least=0),
    )


def _first_token() -> Panel:
    return curves(
        "First token",
        "How long its deep probes waited for the first token of a stream, over the chosen time.",
        [Query(first_token(share, "name", THIS_PROVIDER), word) for word, share in PERCENTILES],
        Face(unit="s", empty="no stream in this time", least=0),
    )


def _heat(kind: str) -> Panel:
    buckets = select("probe_duration_seconds_bucket", f'kind="{kind}"', PURPOSE)
    return heat(
        f"How {kind} probes spread",
        f"How many {kind} probes took how long: a second band is a provider with two minds.",
        Query(f"sum by (le) ({mine(f'increase({buckets}[$__rate_interval])')})", "{{le}}"),
        Face(unit="s", empty=f"no {kind} probe with an answer in this time"),
    )


def _outcomes(kind: str) -> Panel:
    probes = select("probes_total", f'kind="{kind}"', PURPOSE)
    note = {
        "deep": "Real requests of the purpose; they alone change health.",
        "light": "Free checks of reachability and key; they only warn.",
    }[kind]
    return bars(
        f"Outcomes of {kind} probes",
        f"How many {kind} probes ended in which way. {note}",
        [Query(f"sum by (outcome) ({mine(f'increase({probes}[$__rate_interval])')})", "{{outcome}}")],
        Face(unit="short", empty=f"no {kind} probe in this time", decimals=1, least=0),
    )


def _failed_over_time() -> Panel:
    return curves(
        "Failed deep probes over time",
        "The share of deep probes that were no pass, by purpose, over the chosen time.",
        [Query(failed_share("purpose", THIS_PROVIDER), "{{purpose}}")],
        Face(unit="percentunit", empty=NO_PROBE, least=0, most=1, thresholds=SHARE_FAILED),
        limit_shown=True,
    )


def _rate() -> Panel:
    probes = select("probes_total", PURPOSE)
    return curves(
        "Probes a minute",
        "How often it is probed; more often while a streak speaks against what is believed.",
        [Query(f"60 * sum by (kind) ({mine(f'rate({probes}[$__rate_interval])')})", "{{kind}}")],
        Face(unit="short", empty="no probe in this time", decimals=1, least=0),
    )


def _limits() -> Panel:
    left = select("ratelimit_remaining", PURPOSE)
    return curves(
        "Left of its rate limits",
        "What is left of each limit before it answers 429, as it told last.",
        [Query(f"min by (limit) ({mine(left)})", "{{limit}}")],
        Face(unit="short", empty="it tells no limit", decimals=0, least=0),
        steps_shown=True,
    )


def _credit() -> Panel:
    left = select("credit_remaining_usd", PURPOSE)
    return curves(
        "Credit left",
        f"What is left on the account, as it told last; under {CREDIT_USD} USD the overview asks for more.",
        [Query(f"min({mine(left)})", "credit")],
        Face(
            unit="currencyUSD",
            empty="it tells no credit",
            decimals=2,
            least=0,
            thresholds=steps(RED, (CREDIT_USD, GREY)),
        ),
        steps_shown=True,
        limit_shown=True,
    )


def _cost() -> Panel:
    cost = select("probe_cost_usd_total", PURPOSE)
    return bars(
        "Cost of its probes in a day",
        "What its probes cost in the 24 hours before each bar, where it or its price list tells.",
        [Query(f"sum by (purpose) ({mine(f'increase({cost}[1d])')})", "{{purpose}}")],
        Face(unit="currencyUSD", empty="no probe told its cost", decimals=4, least=0),
        interval="1h",
    )


def _tokens() -> Panel:
    tokens = select("probe_tokens_total", PURPOSE)
    return bars(
        "Tokens of its probes in a day",
        "Tokens that its probes used in the 24 hours before each bar, into and out of the model.",
        [Query(f"sum by (direction) ({mine(f'increase({tokens}[1d])')})", "{{direction}}")],
        Face(unit="short", empty="no probe told its tokens", least=0),
        interval="1h",
    )


def _rows() -> Panel:
    return table(
        "Its row",
        "Where it stands in the application's tables, and what the monitor's catalogue calls it.",
        Labels(
            titles={"name": "Name", "provider_type": "Type", "provider_id": "Number", "provider": "Entry"}
        ),
        [
            Column(
                title="",
                expr=f"max by (name, provider_type, provider_id, provider) "
                f"({select('provider_info', THIS_PROVIDER)})",
            )
        ],
        empty="no provider of that name",
    )
