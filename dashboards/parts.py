"""What all dashboards are made of: panels on one grid, queries of one data source, fault bands.

Colours are of the Okabe-Ito palette (jfly.uni-koeln.de/color), which colour-blind people can tell
apart. Rates look back `WINDOW`: at one scrape a second `rate()` needs a few of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from grafana_foundation_sdk.builders import dashboard as grafana
from grafana_foundation_sdk.builders import prometheus, statetimeline, timeseries
from grafana_foundation_sdk.builders.common import (
    ScaleDistributionConfig,
    StackingConfig,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as model

SOURCE = model.DataSourceRef(type_val="prometheus", uid="chaos-lab")
WINDOW = "5s"
WIDTH, HEIGHT = 24, 8

COLOURS = {
    "ok": "#0072B2",
    "fail": "#D55E00",
    "info": "#E69F00",
}
"""By outcome of an operation."""


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over time. `queries` are PromQL by legend; `unit` is Grafana's word for it.

    `colours` is by name of a series; `states` draws a state timeline instead of lines.
    """

    title: str
    queries: Mapping[str, str]
    unit: str
    description: str
    width: int = WIDTH // 2
    stacked: bool = False
    logarithmic: bool = False
    states: bool = False
    colours: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """A heading and the charts below it."""

    title: str
    charts: Sequence[Chart]


def of(metric: str, more: str = "") -> str:
    """The series of a metric that belong to the designs shown; `more` matchers come first."""
    return f'{metric}{{{more}design=~"$design"}}'


def rate(metric: str, more: str = "") -> str:
    """How fast a counter grows, per second."""
    return f"rate({of(metric, more)}[{WINDOW}])"


def total(by: str, expression: str) -> str:
    """Added up over everything but these labels."""
    return f"sum by ({by}) ({expression})"


def highest(by: str, metric: str) -> str:
    """The highest value over everything but these labels."""
    return f"max by ({by}) ({of(metric)})"


def quantile(share: float, by: str, histogram: str) -> str:
    """That quantile of a histogram, by these labels."""
    return f"histogram_quantile({share}, {total(f'{by}, le', rate(f'{histogram}_bucket'))})"


def dashboard(uid: str, title: str, description: str, rows: Sequence[Row]) -> model.Dashboard:
    """A dashboard with the bands of active faults on every chart, by design.

    Args:
        uid: never changes, or links break.
        title: shown after `Chaos Lab`.
        description: one sentence.
        rows: from top to bottom.
    """
    made = (
        grafana.Dashboard(f"Chaos Lab / {title}")
        .uid(uid)
        .description(description)
        .tags(["chaos-lab"])
        .time("now-2m", "now")
        .refresh("1s")
        .timepicker(grafana.TimePicker().refresh_intervals(["1s", "5s", "10s", "1m"]))
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .editable()
        .with_variable(_designs())
        .annotation(_faults())
        .link(
            grafana.DashboardLink("Others")
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags(["chaos-lab"])
            .keep_time(True)
            .include_vars(True)
        )
    )
    number, top = 1, 0
    for row in rows:
        made = made.with_row(
            grafana.Row(row.title).id(number).grid_pos(model.GridPos(h=1, w=WIDTH, x=0, y=top))
        )
        number, top, left = number + 1, top + 1, 0
        for chart in row.charts:
            if left + chart.width > WIDTH:
                left, top = 0, top + HEIGHT
            place = model.GridPos(h=HEIGHT, w=chart.width, x=left, y=top)
            made = made.with_panel(_panel(chart).id(number).grid_pos(place))
            number, left = number + 1, left + chart.width
        top += HEIGHT
    return made.build()


def _designs() -> grafana.QueryVariable:
    """Which designs are shown; services that all of them share have none."""
    return (
        grafana.QueryVariable("design")
        .label("Design")
        .datasource(SOURCE)
        .query("label_values(up, design)")
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(model.VariableOption(selected=True, text="All", value="$__all"))
    )


def _faults() -> grafana.AnnotationQuery:
    """Bands while a fault is proved in effect.

    Samples at most a step apart become one region; without a step of its own it is 60 s, and short
    faults are dots (grafana/grafana, public/app/plugins/datasource/prometheus, annotations).
    """
    query = (
        prometheus.Dataquery()
        .expr("lab_fault_active == 1")
        .interval("1s")
        .ref_id("Faults")
        .datasource(SOURCE)
    )
    return (
        grafana.AnnotationQuery()
        .name("Faults")
        .datasource(SOURCE)
        .enable(True)
        .icon_color(COLOURS["info"])
        .title_format("{{kind}}")
        .text_format("{{target}}")
        .tag_keys("name,kind")
        .step("1s")
        .target(query)
    )


def _panel(chart: Chart) -> timeseries.Panel | statetimeline.Panel:
    return _states(chart) if chart.states else _lines(chart)


def _states(chart: Chart) -> statetimeline.Panel:
    panel = (
        statetimeline.Panel()
        .title(chart.title)
        .description(chart.description)
        .datasource(SOURCE)
        .unit(chart.unit)
        .interval("1s")
        .legend(_legend())
    )
    for query in _queries(chart):
        panel = panel.with_target(query)
    return panel


def _lines(chart: Chart) -> timeseries.Panel:
    panel = (
        timeseries.Panel()
        .title(chart.title)
        .description(chart.description)
        .datasource(SOURCE)
        .unit(chart.unit)
        .interval("1s")
        .min(0)
        .line_width(2)
        .fill_opacity(40 if chart.stacked else 0)
        .show_points(common.VisibilityMode.NEVER)
        # A scrape that failed is a gap and not a line to the next one.
        .span_nulls(False)
        .legend(_legend())
        .tooltip(VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
    )
    if chart.stacked:
        panel = panel.stacking(StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    if chart.logarithmic:
        scale = ScaleDistributionConfig().type(common.ScaleDistribution.LOG).log(10)
        panel = panel.scale_distribution(scale).min(0.001)
    for query in _queries(chart):
        panel = panel.with_target(query)
    for pattern, colour in chart.colours.items():
        panel = panel.override_by_regexp(f".*{pattern}$", _coloured(colour))
    return panel


def _legend() -> VizLegendOptions:
    return (
        VizLegendOptions()
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
        .show_legend(True)
    )


def _coloured(colour: str) -> list[model.DynamicConfigValue]:
    value = {"mode": "fixed", "fixedColor": colour}
    return [model.DynamicConfigValue(id_val="color", value=value)]


def _queries(chart: Chart) -> Iterable[prometheus.Dataquery]:
    for number, (legend, expression) in enumerate(chart.queries.items()):
        yield (
            prometheus.Dataquery()
            .expr(expression)
            .legend_format(legend)
            .ref_id(chr(ord("A") + number))
            .range()
            .datasource(SOURCE)
        )
