"""The Grafana dashboard: the committed files are what the code makes, and the panels are all there."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from grafana.generate import CONFIG_MAP, DASHBOARD, config_map, dashboard_json
from grafana.panels import MODELS, PACING, Query

BOARD = json.loads(DASHBOARD.read_text())


def test_the_committed_files_are_what_the_code_makes() -> None:
    assert dashboard_json() == DASHBOARD.read_text()
    assert config_map(dashboard_json()) == CONFIG_MAP.read_text()


def test_the_config_map_holds_the_dashboard_for_the_sidecar() -> None:
    document = yaml.safe_load(CONFIG_MAP.read_text())

    assert document["metadata"]["labels"] == {"grafana_dashboard": "1"}
    assert json.loads(document["data"]["zai-proxy.json"]) == BOARD


def test_it_has_the_six_panels_that_people_know_and_can_be_narrowed_down() -> None:
    titles = [panel["title"] for panel in BOARD["panels"]]

    assert BOARD["title"] == "Z.AI Proxy Metrics"
    assert {
        "Worker utilization",
        "Request rate by status code",
        "Concurrent requests and max workers",
        "Request duration",
        "Request and response size (p90)",
        "Upstream errors by type",
    } <= set(titles)
    assert [variable["name"] for variable in BOARD["templating"]["list"]] == [
        "datasource",
        "cluster",
        "namespace",
        "pod",
        "variant",
    ]


def test_every_panel_has_a_title_a_meaning_a_unit_and_a_place_of_its_own() -> None:
    panels = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


LIMITS = [query for panel in PACING for query in panel.queries if query.legend in ("limit", "ceiling")]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is missing: apt-get install prometheus")
@pytest.mark.parametrize("query", LIMITS, ids=lambda query: query.legend)
@pytest.mark.parametrize(
    ("pods", "told"),
    [
        ({"a": (9, 1), "b": (9, 1), "c": (9, 1)}, 9),  # they share a plan of nine
        ({"a": (3, 0), "b": (3, 0), "c": (3, 0)}, 9),  # the store is away: to each its share
        ({"a": (9, 1), "b": (9, 1), "c": (3, 0)}, 12),
        ({"a": (3, None), "b": (4, None)}, 7),  # without LIMITS_URL
    ],
)
def test_a_limit_that_pods_share_counts_once(
    tmp_path: Path, query: Query, pods: dict[str, tuple[int, int | None]], told: int
) -> None:
    [name] = set(re.findall(r"zai_proxy_\w+", query.expression)) - {"zai_proxy_shared_limits_up"}
    series = []
    for pod, (limit, up) in pods.items():
        labels = f'cluster="c",namespace="n",pod="{pod}",variant="production"'
        series.append({"series": f"{name}{{{labels}}}", "values": f"{limit}x5"})
        series += told_of_sharing(labels, up)
    holds(tmp_path, query, series, [{"labels": "{}", "value": told}])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is missing: apt-get install prometheus")
@pytest.mark.parametrize(("up", "told"), [(1, (6, 2)), (0, (12, 4)), (None, (12, 4))])
def test_the_places_of_a_model_that_pods_share_count_once(
    tmp_path: Path, up: int | None, told: tuple[int, int]
) -> None:
    [query] = next(panel.queries for panel in MODELS if panel.title == "Places, by model")
    series = []
    for pod in ("a", "b"):
        labels = f'cluster="c",namespace="n",pod="{pod}",variant="production"'
        for model, limit in (("glm-5.3-flash", 6), ("glm-5.3", 2)):
            name = f'zai_proxy_model_concurrency_limit_requests{{{labels},model="{model}",account="main"}}'
            series.append({"series": name, "values": f"{limit}x5"})
        series += told_of_sharing(labels, up)
    samples = [
        {"labels": f'{{model="{model}"}}', "value": value}
        for model, value in zip(("glm-5.3-flash", "glm-5.3"), told, strict=True)
    ]
    holds(tmp_path, query, series, samples)


def told_of_sharing(labels: str, up: int | None) -> list[dict[str, str]]:
    """What a pod says of sharing, if it is set up to."""
    return [] if up is None else [{"series": f"zai_proxy_shared_limits_up{{{labels}}}", "values": f"{up}x5"}]


def holds(folder: Path, query: Query, series: list[dict[str, str]], samples: list[dict[str, Any]]) -> None:
    """Asserts that a query answers so."""
    expression = re.sub(r"\$(cluster|namespace|pod|variant)\b", ".*", query.selected)
    case = {"expr": expression, "eval_time": "1m", "exp_samples": samples}
    test = {"interval": "1m", "input_series": series, "promql_expr_test": [case]}
    (folder / "test.yaml").write_text(json.dumps({"rule_files": [], "tests": [test]}))

    done = subprocess.run(
        ["promtool", "test", "rules", "test.yaml"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
