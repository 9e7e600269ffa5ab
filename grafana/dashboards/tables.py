"""Tables whose rows are labels and whose columns are expressions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase

from grafana_foundation_sdk.builders import common
from grafana_foundation_sdk.builders import table as table_panel
from grafana_foundation_sdk.models.common import (
    TableCellBackgroundDisplayMode,
    TableColoredBackgroundCellOptions,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardLink,
    DataTransformerConfig,
    DynamicConfigValue,
    Panel,
    ThresholdsConfig,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from grafana.dashboards.panels import Face, Query, dressed
from grafana.dashboards.words import Words, mappings


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A table's column that an expression fills."""

    title: str
    expr: str
    unit: str = "none"
    decimals: int | None = None
    words: Words | None = None
    thresholds: ThresholdsConfig | None = None
    width: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """The columns of a table that come from labels: titles by label, and where a click on one leads."""

    titles: dict[str, str]
    links: dict[str, DashboardLink] = field(default_factory=dict)
    widths: dict[str, int] = field(default_factory=dict)


def table(
    title: str,
    about: str,
    labels: Labels,
    columns: Sequence[Column],
    *,
    empty: str,
    sort: tuple[str, bool] | None = None,
) -> Panel:
    """One row for each combination of the labels, now.

    Args:
        title: of the panel.
        about: its description.
        labels: the columns that are labels, in their order.
        columns: the columns that are values; one without a title is not shown.
        empty: what stands where there is no row.
        sort: a column's title and whether the largest comes first.
    """
    built = table_panel.Panel().show_header(True)
    if sort is not None:
        by, largest_first = sort
        built = built.sort_by([common.TableSortByFieldState().display_name(by).desc(largest_first)])
    for column in columns:
        if column.title:
            built = built.override_by_name(column.title, _column_look(column))
    for label, shown in labels.titles.items():
        look = []
        if label in labels.links:
            look.append(DynamicConfigValue("links", [labels.links[label]]))
        if label in labels.widths:
            look.append(DynamicConfigValue("custom.width", labels.widths[label]))
        if look:
            built = built.override_by_name(shown, look)
    queries = [Query(column.expr) for column in columns]
    face = Face(unit="none", empty=empty)
    found = dressed(built.build(), title, about, queries, face, instant=True, shape=PromQueryFormat.TABLE)
    found.transformations = _arrangement(labels, columns)
    return found


def _arrangement(labels: Labels, columns: Sequence[Column]) -> list[DataTransformerConfig]:
    single = len(columns) == 1
    fields = ["Value"] if single else [f"Value #{ascii_uppercase[index]}" for index in range(len(columns))]
    titles = labels.titles | {name: one.title for name, one in zip(fields, columns, strict=True) if one.title}
    hidden = ["Time", *(name for name, one in zip(fields, columns, strict=True) if not one.title)]
    organize = {
        "excludeByName": dict.fromkeys(hidden, True),
        "indexByName": {name: index for index, name in enumerate(titles)},
        "renameByName": titles,
    }
    arranged = DataTransformerConfig(id_val="organize", options=organize)
    return [arranged] if single else [DataTransformerConfig(id_val="merge", options={}), arranged]


def _column_look(column: Column) -> list[DynamicConfigValue]:
    look = [DynamicConfigValue("unit", column.unit), DynamicConfigValue("noValue", "-")]
    if column.decimals is not None:
        look.append(DynamicConfigValue("decimals", column.decimals))
    if column.words is not None:
        look.append(DynamicConfigValue("mappings", mappings(column.words)))
    if column.thresholds is not None:
        look.append(DynamicConfigValue("thresholds", column.thresholds))
    if column.words is not None or column.thresholds is not None:
        cell = TableColoredBackgroundCellOptions(mode=TableCellBackgroundDisplayMode.BASIC)
        look.append(DynamicConfigValue("custom.cellOptions", cell))
    if column.width is not None:
        look.append(DynamicConfigValue("custom.width", column.width))
    return look
