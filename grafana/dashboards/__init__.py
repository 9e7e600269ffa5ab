"""The dashboards, as code that writes what Grafana reads."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.dashboards.daemon import daemon
from grafana.dashboards.failover import failover
from grafana.dashboards.overview import overview
from grafana.dashboards.provider import provider

DASHBOARDS: Mapping[str, Callable[[], Dashboard]] = MappingProxyType(
    {"overview": overview, "provider": provider, "failover": failover, "daemon": daemon}
)
FOLDER = Path(__file__).parent / "json"


def text(dashboard: Dashboard) -> str:
    """The JSON of a dashboard, the same at every making."""
    return JSONEncoder(indent=2, sort_keys=True, ensure_ascii=False).encode(dashboard) + "\n"
