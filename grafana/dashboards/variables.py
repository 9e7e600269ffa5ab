"""What a person chooses at the top of a dashboard."""

from grafana_foundation_sdk.models.dashboard import (
    VariableModel,
    VariableOption,
    VariableRefresh,
    VariableSort,
    VariableType,
)

from grafana.dashboards.panels import DATASOURCE
from grafana.dashboards.queries import select

_ALL = VariableOption(text="All", value="$__all", selected=True)


class Variable(VariableModel):
    """A variable without the fields that only an interval's has."""

    def to_json(self) -> dict[str, object]:
        """What Grafana reads of it."""
        return {name: value for name, value in super().to_json().items() if not name.startswith("auto")}


def daemons() -> list[VariableModel]:
    """Which Prometheus, and which daemons of those that it scrapes."""
    return [
        Variable(
            type_val=VariableType.DATASOURCE,
            name="datasource",
            label="Prometheus",
            description="The data source that scrapes the daemon.",
            query="prometheus",
            refresh=VariableRefresh.ON_DASHBOARD_LOAD,
        ),
        # Without a value of its own for all: `up` is asked by job, and every job of the house has one.
        _many(
            "job", "Job", "Prometheus' job of the daemon.", "label_values(llm_monitor_build_info, job)", None
        ),
        _many(
            "instance",
            "Daemon",
            "Which daemon, where one stands by for another.",
            'label_values(llm_monitor_build_info{job=~"$job"}, instance)',
        ),
    ]


def purpose() -> VariableModel:
    """Which purposes."""
    query = f"label_values({select('active_generation')}, purpose)"
    return _many("purpose", "Purpose", "What providers serve.", query)


def providers() -> VariableModel:
    """Which providers, by name."""
    return _many("provider", "Provider", "By the operator's names.", _PROVIDERS)


def one_provider() -> VariableModel:
    """One provider, by name."""
    return Variable(
        type_val=VariableType.QUERY,
        name="provider",
        label="Provider",
        description="By the operator's name.",
        query=_PROVIDERS,
        datasource=DATASOURCE,
        refresh=VariableRefresh.ON_TIME_RANGE_CHANGED,
        sort=VariableSort.NATURAL_ASC,
    )


def window() -> VariableModel:
    """Over how long shares and percentiles are taken."""
    about = "Shares and percentiles are taken over this; a standby is probed every five minutes."
    return _chosen(
        "window", "Taken over", about, {one: one for one in ("5m", "15m", "1h", "6h", "1d")}, "15m"
    )


def percentile() -> VariableModel:
    """Which percentile the graphs of latency show."""
    words = {"median": "0.5", "p95": "0.95", "p99": "0.99"}
    return _chosen("percentile", "Percentile", "Of the graphs of latency.", words, "p95")


_PROVIDERS = f"label_values({select('provider_info')}, name)"


def _many(name: str, label: str, about: str, query: str, all_value: str | None = ".+") -> VariableModel:
    return Variable(
        type_val=VariableType.QUERY,
        name=name,
        label=label,
        description=about,
        query=query,
        datasource=DATASOURCE,
        current=_ALL,
        multi=True,
        include_all=True,
        all_value=all_value,
        refresh=VariableRefresh.ON_TIME_RANGE_CHANGED,
        sort=VariableSort.NATURAL_ASC,
    )


def _chosen(name: str, label: str, about: str, words: dict[str, str], chosen: str) -> VariableModel:
    options = [
        VariableOption(text=text, value=value, selected=text == chosen) for text, value in words.items()
    ]
    return Variable(
        type_val=VariableType.CUSTOM,
        name=name,
        label=label,
        description=about,
        query=",".join(f"{text} : {value}" for text, value in words.items()),
        current=VariableOption(text=chosen, value=words[chosen], selected=True),
        options=options,
    )
