"""Writes the Grafana dashboard and its ConfigMap: `python -m grafana.generate`."""

import json
from pathlib import Path
from typing import Final

import yaml
from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import gauge, timeseries
from grafana_foundation_sdk.builders import prometheus as prometheus_builders
from grafana_foundation_sdk.builders.dashboard import Dashboard, DatasourceVariable, QueryVariable, Row
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import StackingMode, TooltipDisplayMode, VizOrientation
from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableRefresh, VariableSort

from grafana.panels import ROWS, Kind, Panel

HERE: Final = Path(__file__).parent
DASHBOARD: Final = HERE / "zai-proxy.json"
CONFIG_MAP: Final = HERE / "configmap.yaml"
_SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
_HEIGHT: Final = 8


def dashboard_json() -> str:
    """The dashboard, as Grafana imports it."""
    board = (
        Dashboard("Z.AI Proxy Metrics")
        .uid("zai-proxy")
        .tags(["zai-proxy"])
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("browser")
        .with_variable(DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )
    for name, within in (("cluster", ""), ("namespace", 'cluster=~"$cluster"'), ("pod", 'namespace=~"$namespace"')):
        board = board.with_variable(_variable(name, within))
    board = board.with_variable(_variable("variant", 'namespace=~"$namespace"'))
    for title, panels in ROWS:
        board = board.with_row(Row(title))
        for panel in panels:
            board = board.with_panel(_panel(panel))
    return json.dumps(json.loads(JSONEncoder(sort_keys=True).encode(board.build())), indent=2, sort_keys=True) + "\n"


def config_map(dashboard: str) -> str:
    """The ConfigMap from which Grafana's sidecar loads the dashboard."""
    document = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "zai-proxy-dashboard", "labels": {"grafana_dashboard": "1"}},
        "data": {DASHBOARD.name: dashboard},
    }
    head = "# Written by `python -m grafana.generate`: change grafana/panels.py.\n"
    return head + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=1000, default_style=None)


def _variable(name: str, within: str) -> QueryVariable:
    return (
        QueryVariable(name)
        .label(name.capitalize())
        .datasource(_SOURCE)
        .query(f"label_values(zai_proxy_build_info{{{within}}}, {name})")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
    )


def _panel(panel: Panel) -> gauge.Panel | timeseries.Panel:
    built: gauge.Panel | timeseries.Panel = _gauge(panel) if panel.kind is Kind.GAUGE else _lines(panel)
    built = built.title(panel.title).description(panel.meaning).unit(panel.unit).datasource(_SOURCE).min(0)
    built = built.span(panel.width).height(_HEIGHT)
    if panel.most is not None:
        built = built.max(panel.most)
    for number, query in enumerate(panel.queries):
        target = prometheus_builders.Dataquery().expr(query.selected).legend_format(query.legend)
        built = built.with_target(target.ref_id(chr(ord("A") + number)))
    return built


def _gauge(panel: Panel) -> gauge.Panel:
    last = common_builders.ReduceDataOptions().calcs(["lastNotNull"])
    return gauge.Panel().orientation(VizOrientation.AUTO).reduce_options(last)


def _lines(panel: Panel) -> timeseries.Panel:
    lines = timeseries.Panel().line_width(1).fill_opacity(20 if panel.stacked else 5)
    lines = lines.tooltip(common_builders.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    if panel.stacked:
        lines = lines.stacking(common_builders.StackingConfig().mode(StackingMode.NORMAL))
    return lines


if __name__ == "__main__":
    text = dashboard_json()
    DASHBOARD.write_text(text)
    CONFIG_MAP.write_text(config_map(text))
