"""The kinds of panel that the dashboards are made of, each with everything that a panel of ours has."""

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    statetimeline,
    timeseries,
)
from grafana_foundation_sdk.builders import (
    heatmap as heatmap_panel,
)
from grafana_foundation_sdk.builders import (
    stat as stat_panel,
)
from grafana_foundation_sdk.models.common import (
    AxisPlacement,
    BarGaugeDisplayMode,
    BigValueColorMode,
    BigValueGraphMode,
    BigValueJustifyMode,
    BigValueTextMode,
    GraphDrawStyle,
    GraphThresholdsStyleMode,
    HeatmapCellLayout,
    LegendDisplayMode,
    LegendPlacement,
    LineInterpolation,
    SortOrder,
    StackingMode,
    TimelineValueAlignment,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardLink,
    DataSourceRef,
    FieldColor,
    FieldColorModeId,
    FieldConfig,
    FieldConfigSource,
    Panel,
    ThresholdsConfig,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import Dataquery, PromQueryFormat

from grafana.dashboards.words import GREEN, Words, mappings, steps

DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")


@dataclass(frozen=True, slots=True)
class Query:
    """One expression and the name of its series."""

    expr: str
    legend: str = "__auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """How values look.

    Attributes:
        unit: Grafana's name of it.
        empty: what stands where there is no value.
        words: what values mean, where they are states.
        thresholds: the colours of values; none for series that are told apart by their own colours.
    """

    unit: str
    empty: str
    decimals: int | None = None
    least: float | None = None
    most: float | None = None
    words: Words | None = None
    thresholds: ThresholdsConfig | None = None
    links: Sequence[DashboardLink] = ()


def stat(title: str, about: str, query: Query, face: Face, *, names: bool = False) -> Panel:
    """One big value, now; `names` shows the names of the series instead."""
    mode = BigValueTextMode.NAME if names else BigValueTextMode.VALUE_AND_NAME
    if not names and query.legend == "__auto":
        mode = BigValueTextMode.VALUE
    panel = (
        stat_panel.Panel()
        .graph_mode(BigValueGraphMode.NONE)
        .color_mode(BigValueColorMode.BACKGROUND_SOLID)
        .justify_mode(BigValueJustifyMode.CENTER)
        .text_mode(mode)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .build()
    )
    return dressed(panel, title, about, [query], face, instant=True)


def gauges(title: str, about: str, query: Query, face: Face) -> Panel:
    """A bar for each series, now."""
    panel = (
        bargauge.Panel()
        .display_mode(BarGaugeDisplayMode.BASIC)
        .orientation(VizOrientation.HORIZONTAL)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .build()
    )
    return dressed(panel, title, about, [query], face, instant=True)


def curves(
    title: str,
    about: str,
    queries: Sequence[Query],
    face: Face,
    *,
    steps_shown: bool = False,
    limit_shown: bool = False,
) -> Panel:
    """Lines over time with a table of their latest and largest values."""
    built = (
        timeseries.Panel()
        .draw_style(GraphDrawStyle.LINE)
        .line_width(2)
        .fill_opacity(5)
        .show_points(VisibilityMode.AUTO)
        .legend(_legend())
        .tooltip(_tooltip())
    )
    if steps_shown:
        built = built.line_interpolation(LineInterpolation.STEP_AFTER)
    if limit_shown:
        built = built.thresholds_style(
            common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED)
        )
    return dressed(built.build(), title, about, queries, face)


def bars(
    title: str, about: str, queries: Sequence[Query], face: Face, *, interval: str | None = None
) -> Panel:
    """Stacked bars over time; `interval` is the least width of one."""
    panel = (
        timeseries.Panel()
        .draw_style(GraphDrawStyle.BARS)
        .line_width(0)
        .fill_opacity(80)
        .stacking(common.StackingConfig().mode(StackingMode.NORMAL))
        .legend(_legend())
        .tooltip(_tooltip())
        .build()
    )
    panel.interval = interval
    return dressed(panel, title, about, queries, face)


def timeline(title: str, about: str, queries: Sequence[Query], face: Face) -> Panel:
    """A band for each series that shows its state over time, in words."""
    panel = (
        statetimeline.Panel()
        .show_value(VisibilityMode.AUTO)
        .merge_values(True)
        .align_value(TimelineValueAlignment.LEFT)
        .row_height(0.8)
        .fill_opacity(80)
        .line_width(0)
        .legend(_legend(LegendDisplayMode.LIST, calcs=()))
        .tooltip(_tooltip())
        .build()
    )
    return dressed(panel, title, about, queries, face)


def heat(title: str, about: str, query: Query, face: Face) -> Panel:
    """A histogram over time: rows are buckets, colours are counts."""
    panel = (
        heatmap_panel.Panel()
        .calculate(False)
        .color(
            heatmap_panel.HeatmapColorOptions()
            .mode(HeatmapColorMode.SCHEME)
            .scheme("Cividis")
            .steps(32)
            .exponent(0.5)
            .fill("dark-blue")
        )
        .rows_frame(heatmap_panel.RowsHeatmapOptions().layout(HeatmapCellLayout.LE))
        .show_value(VisibilityMode.NEVER)
        .cell_gap(1)
        .cell_values(heatmap_panel.CellValues().unit("short").decimals(0))
        .y_axis(heatmap_panel.YAxisConfig().axis_placement(AxisPlacement.LEFT).unit(face.unit))
        .show_legend()
        .mode(TooltipDisplayMode.SINGLE)
        .build()
    )
    return dressed(panel, title, about, [query], face, shape=PromQueryFormat.HEATMAP)


def dressed(
    panel: Panel,
    title: str,
    about: str,
    queries: Sequence[Query],
    face: Face,
    *,
    instant: bool = False,
    shape: PromQueryFormat = PromQueryFormat.TIME_SERIES,
) -> Panel:
    """A panel with all that every panel of ours has; `instant`: it shows the present alone."""
    panel.title, panel.description, panel.datasource = title, about, DATASOURCE
    panel.targets = [
        Dataquery(
            expr=query.expr,
            legend_format=query.legend,
            ref_id=ascii_uppercase[index],
            instant=instant,
            range_val=not instant,
            format_val=shape,
            datasource=DATASOURCE,
        )
        for index, query in enumerate(queries)
    ]
    config = panel.field_config or FieldConfigSource(defaults=FieldConfig(), overrides=[])
    panel.field_config = config
    defaults = config.defaults
    defaults.unit, defaults.no_value, defaults.decimals = face.unit, face.empty, face.decimals
    defaults.min_val, defaults.max_val = face.least, face.most
    defaults.mappings = mappings(face.words) if face.words is not None else []
    coloured = face.words is not None or face.thresholds is not None
    defaults.thresholds = face.thresholds if face.thresholds is not None else steps(GREEN)
    in_lines = panel.type_val in {"timeseries", "heatmap"}
    scheme = FieldColorModeId.THRESHOLDS if coloured and not in_lines else FieldColorModeId.PALETTE_CLASSIC
    defaults.color = FieldColor(mode=scheme)
    defaults.links = list(face.links)
    return panel


def _legend(
    mode: LegendDisplayMode = LegendDisplayMode.TABLE, calcs: Sequence[str] = ("lastNotNull", "max")
) -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .display_mode(mode)
        .placement(LegendPlacement.BOTTOM)
        .show_legend(True)
        .calcs(list(calcs))
    )


def _tooltip() -> common.VizTooltipOptions:
    return common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)
