"""The dashboards' JSON as Grafana reads it: their panels, and the queries with what Grafana fills in."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.daemon import ROOT

FOLDER = ROOT / "grafana" / "dashboards" / "json"
NAMES = ("overview", "provider", "failover", "daemon")


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelQuery:
    """One query of one panel; the panel `annotation` or `variable` is none of the grid."""

    dashboard: str
    panel: str
    ref: str
    expr: str
    instant: bool

    @property
    def place(self) -> tuple[str, str, str]:
        """Where it stands."""
        return self.dashboard, self.panel, self.ref


def load(name: str) -> dict[str, Any]:
    """A dashboard as it is committed."""
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


def panels(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Its panels; headings are none."""
    for panel in dashboard["panels"]:
        if panel["type"] != "row":
            yield panel


def queries() -> Iterator[PanelQuery]:
    """Every expression of every dashboard: panels, annotations and variables."""
    for name in NAMES:
        dashboard = load(name)
        for panel in panels(dashboard):
            for target in panel["targets"]:
                yield PanelQuery(
                    dashboard=name,
                    panel=panel["title"],
                    ref=target["refId"],
                    expr=target["expr"],
                    instant=target["instant"],
                )
        for mark in dashboard["annotations"]["list"]:
            yield PanelQuery(
                dashboard=name, panel="annotation", ref=mark["name"], expr=mark["expr"], instant=False
            )
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                asked = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"])
                assert asked is not None, variable["query"]
                expr = f"count by ({asked[2]}) ({asked[1]})"
                yield PanelQuery(
                    dashboard=name, panel="variable", ref=variable["name"], expr=expr, instant=True
                )


def filled(expr: str, values: Mapping[str, str]) -> str:
    """An expression with Grafana's variables replaced.

    Raises:
        KeyError: it names one that has no value.
    """
    return re.sub(r"\$(\w+)", lambda found: values[found[1]], expr)
