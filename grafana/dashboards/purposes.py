"""What more than one dashboard shows of purposes."""

from grafana_foundation_sdk.models.dashboard import Panel

from grafana.dashboards.panels import Face, Query, gauges
from grafana.dashboards.queries import served_share
from grafana.dashboards.words import GREEN, ORANGE, RED, steps

NO_DAEMON = "no data: is a daemon scraped?"
SHARE_SERVED = steps(RED, (0.99, ORANGE), (0.999, GREEN))


def time_served() -> Panel:
    """The uptime of purposes."""
    return gauges(
        "Time served",
        "How much of the time range the one that served each purpose was up; what is unknown is left out.",
        Query(served_share(), "{{purpose}}"),
        Face(unit="percentunit", empty=NO_DAEMON, decimals=2, least=0, most=1, thresholds=SHARE_SERVED),
    )
