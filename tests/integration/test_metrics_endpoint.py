"""/metrics, /status and the probes, as Prometheus, Kubernetes and people read them."""

import math
import shutil
import subprocess
from http.client import HTTPConnection

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from extproc import version
from tests.harness import plain_http
from tests.harness.doc_tables import documented_series
from tests.harness.readings import Readings
from tests.harness.stack import PROMPT, Stack
from tests.harness.waiting import eventually


@pytest.fixture
async def used_stack(stack: Stack, before: Readings) -> Stack:
    """A stack that has answered a request of each kind."""
    httpx.post(f"{stack.url}/v1/messages", json=PROMPT)
    httpx.post(f"{stack.url}/v1/messages", json=PROMPT, headers={"x-sim": '{"code": "1308"}'})
    httpx.get(f"{stack.url}/nothing")
    await eventually(lambda: stack.metrics() - before, lambda d: d.value("zai_proxy_requests_total") == 3)
    return stack


def test_who_asks_every_few_seconds_keeps_the_connection(stack: Stack) -> None:
    connection = HTTPConnection(stack.metrics_url.removeprefix("http://"))
    connection.request("GET", "/healthz")
    connection.getresponse().read()
    connection.sock.settimeout(7)

    with pytest.raises(TimeoutError):
        connection.sock.recv(1)
    connection.close()


async def test_promtool_finds_nothing_wrong_with_the_exposition(used_stack: Stack) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: make setup-system")
    text = httpx.get(f"{used_stack.metrics_url}/metrics").text

    result = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)

    complaints = [line for line in result.stderr.splitlines() if line.startswith("zai_proxy_")]
    assert complaints == []


async def test_every_series_is_on_the_metrics_page_with_its_type_labels_and_buckets(used_stack: Stack) -> None:
    listed = {series.name: series for series in documented_series()}
    text = plain_http.get(f"{used_stack.metrics_url}/metrics").text

    for family in text_string_to_metric_families(text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"variant", "le"}
        bounds = {float(sample.labels["le"]) for sample in family.samples if "le" in sample.labels} - {math.inf}
        assert name in listed
        assert family.type == listed[name].kind, name
        assert family.samples == [] or labels == listed[name].labels, name
        assert family.samples == [] or sorted(bounds) == list(listed[name].buckets), name


async def test_every_series_says_which_variant_it_comes_from(used_stack: Stack) -> None:
    readings = used_stack.metrics()

    assert {dict(labels).get("variant") for _name, labels in readings.samples} == {"production"}
    assert readings.value("process_resident_memory_bytes") > 0
    assert readings.value("zai_proxy_build_info") == 1


async def test_openmetrics_is_spoken_to_whoever_asks_for_it(used_stack: Stack) -> None:
    accept = "application/openmetrics-text; version=1.0.0"

    response = httpx.get(f"{used_stack.metrics_url}/metrics", headers={"accept": accept})

    assert response.headers["content-type"].startswith("application/openmetrics-text")
    families = {family.name: family for family in openmetrics_families(response.text)}
    assert families["zai_proxy_requests"].type == "counter"
    assert families["zai_proxy_request_duration_seconds"].type == "histogram"


async def test_no_created_series_are_exported(used_stack: Stack) -> None:
    assert not [name for name, _labels in used_stack.metrics().samples if name.endswith("_created")]


async def test_the_probes_answer(stack: Stack) -> None:
    assert httpx.get(f"{stack.metrics_url}/healthz").json() == {"status": "ok"}
    assert httpx.get(f"{stack.metrics_url}/readyz").json() == {"status": "ready"}


async def test_status_shows_limits_versions_and_settings_without_the_secret(stack: Stack) -> None:
    status = stack.status()

    assert status["workers"] == {"in_flight": 0, "limit": 20, "max": 20, "draining": False}
    assert (status["version"], status["commit"]) == (version.VERSION, version.commit())
    assert status["settings"]["ZAI_API_KEY"] == "***"
    assert status["settings"]["MAX_WORKERS"] == "20"


async def test_what_the_http_side_does_not_know_is_not_found(stack: Stack) -> None:
    assert httpx.get(f"{stack.metrics_url}/requests/1").status_code == 404
    assert httpx.post(f"{stack.metrics_url}/metrics").status_code == 405


@pytest.mark.parametrize(
    "path", ["/logging?level=debug", "/quitquitquit", "/healthcheck/fail", "/cpuprofiler?enable=y"]
)
async def test_envoys_admin_port_does_nothing_that_could_show_the_key_or_stop_the_proxy(
    stack: Stack, path: str
) -> None:
    assert httpx.post(f"{stack.admin_url}{path}").status_code == 403
    assert httpx.get(f"{stack.admin_url}/ready").status_code == 200


async def test_envoys_own_count_of_what_is_upstream_is_beside_ours(stack: Stack) -> None:
    await eventually(lambda: stack.metric("zai_proxy_envoy_up"), lambda up: up == 1)

    assert stack.metric("zai_proxy_envoy_upstream_requests") == 0
    assert stack.metric("zai_proxy_envoy_log_entries_dropped_total") == 0
