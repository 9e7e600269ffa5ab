"""What all dashboards share: what they open with, links to each other, and where panels lie."""

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.models.dashboard import (
    AnnotationContainer,
    Dashboard,
    DashboardCursorSync,
    DashboardDashboardTemplating,
    DashboardDashboardTime,
    DashboardLink,
    DashboardLinkType,
    GridPos,
    Panel,
    RowPanel,
    VariableModel,
)

from grafana.dashboards.annotations import annotations

TITLES = {
    "overview": "LLM monitor: overview",
    "provider": "LLM monitor: one provider",
    "failover": "LLM monitor: failover",
    "daemon": "LLM monitor: the daemon",
}
WIDTH = 24
"""Columns of Grafana's grid."""


@dataclass(frozen=True, slots=True)
class Line:
    """Panels side by side; each with its width in columns."""

    height: int
    panels: Sequence[tuple[Panel, int]]


@dataclass(frozen=True, slots=True)
class Heading:
    """A title over the lines that follow."""

    title: str


def uid(name: str) -> str:
    """The identity of a dashboard, which every link rests on."""
    return f"llm-monitor-{name}"


def frame(
    name: str,
    about: str,
    variables: Sequence[VariableModel],
    parts: Sequence[Line | Heading],
    *,
    span: str = "6h",
) -> Dashboard:
    """A whole dashboard; `span` is the time range that it opens with."""
    return Dashboard(
        uid=uid(name),
        title=TITLES[name],
        description=about,
        tags=["llm-monitor"],
        timezone="browser",
        editable=True,
        graph_tooltip=DashboardCursorSync.CROSSHAIR,
        time=DashboardDashboardTime(from_val=f"now-{span}", to="now"),
        refresh="30s",
        templating=DashboardDashboardTemplating(list_val=list(variables)),
        annotations=AnnotationContainer(
            list_val=annotations(by_purpose=any(one.name == "purpose" for one in variables))
        ),
        links=[_link(other) for other in TITLES if other != name],
        panels=_placed(parts),
    )


class DataLink(DashboardLink):
    """A link from a value, which knows less than one from a dashboard."""

    def to_json(self) -> dict[str, object]:
        """What Grafana reads of it."""
        return {"title": self.title, "url": self.url, "targetBlank": self.target_blank}


def provider_link(name: str) -> DataLink:
    """From something about a provider to its own dashboard; `name` is Grafana's variable with its name."""
    kept = "&".join(f"${{{variable}:queryparam}}" for variable in ("datasource", "job", "instance"))
    return DataLink(
        title="Everything about it",
        url=f"/d/{uid('provider')}?${{__url_time_range}}&{kept}&var-provider=${{{name}:percentencode}}",
    )


FROM_CELL = "__value.raw"
FROM_SERIES = "__field.labels.name"


def _link(name: str) -> DashboardLink:
    return DashboardLink(
        title=TITLES[name].partition(": ")[2].capitalize(),
        type_val=DashboardLinkType.LINK,
        icon="dashboard",
        tooltip=TITLES[name],
        url=f"/d/{uid(name)}",
        include_vars=True,
        keep_time=True,
    )


def _placed(parts: Sequence[Line | Heading]) -> list[Panel | RowPanel]:
    found: list[Panel | RowPanel] = []
    top = 0
    for part in parts:
        if isinstance(part, Heading):
            place = GridPos(h=1, w=WIDTH, x=0, y=top)
            found.append(RowPanel(title=part.title, id_val=len(found) + 1, grid_pos=place))
            top += 1
            continue
        left = 0
        for panel, width in part.panels:
            panel.id_val = len(found) + 1
            panel.grid_pos = GridPos(h=part.height, w=width, x=left, y=top)
            found.append(panel)
            left += width
        top += part.height
    return found
