"""The Grafana dashboard: the committed files are what the code makes, and the panels are all there."""

import json

import yaml

from grafana.generate import CONFIG_MAP, DASHBOARD, config_map, dashboard_json

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
