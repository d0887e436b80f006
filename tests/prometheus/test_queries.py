"""Every expression that we hand to people runs on a real Prometheus that scrapes a real proxy, and finds its series."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml

from grafana.panels import ROWS
from tests.harness.ports import free_port
from tests.harness.processes import ROOT, Process, bare_environment
from tests.harness.stack import PROMPT, Stack, running_stack
from tests.harness.valkey import Valkey
from tests.harness.waiting import wait_until

RULES = ROOT / "deploy" / "prometheus" / "zai-proxy.rules.yaml"
PROMETHEUS = shutil.which("prometheus")

pytestmark = [
    pytest.mark.skipif(PROMETHEUS is None, reason="prometheus is missing: apt-get install prometheus"),
    pytest.mark.slow,
]


class Prometheus:
    """A server that scrapes the stack each second."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, expression: str) -> list[dict[str, object]]:
        answer = httpx.post(f"{self.url}/api/v1/query", data={"query": expression}, timeout=10)
        assert answer.status_code == 200, f"{expression}: {answer.text}"
        found: list[dict[str, object]] = answer.json()["data"]["result"]
        return found


@contextmanager
def running_prometheus(directory: Path, stack: Stack) -> Iterator[Prometheus]:
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {"job_name": "zai-proxy", "static_configs": [{"targets": [f"127.0.0.1:{stack.metrics_port}"]}]}
        ],
    }
    (directory / "prometheus.yaml").write_text(json.dumps(config))
    port = free_port()
    command = [
        str(PROMETHEUS),
        f"--config.file={directory / 'prometheus.yaml'}",
        f"--storage.tsdb.path={directory / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    process = Process("prometheus", command, bare_environment(), directory)
    server = Prometheus(f"http://127.0.0.1:{port}")
    try:
        wait_until(lambda: is_ready(server), "Prometheus has started", within=60)
        wait_until(lambda: has_scraped(server), "Prometheus has scraped the proxy", within=60)
        yield server
    finally:
        process.kill()


def is_ready(server: Prometheus) -> bool:
    """Whether it answers queries: while it opens its storage it listens, and says 503."""
    try:
        return httpx.get(f"{server.url}/-/ready", timeout=2).is_success
    except httpx.TransportError:
        return False


def has_scraped(server: Prometheus) -> bool:
    return len(server.query('count_over_time(up{job="zai-proxy"}[1m]) > 5')) == 1


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    directory = tmp_path_factory.mktemp("prometheus")
    valkey = Valkey(directory)
    settings = {"PACING": "on", "QUOTA_POLL_INTERVAL": "1", "MAX_RETRIES": "0", "MAX_WORKERS": "3"}
    with running_stack(directory, **settings, LIMITS_URL=valkey.url) as stack:
        for scenario in ({"code": "1302"}, {"code": "1303"}, {"code": "1002"}, {"input_tokens": 9, "cached_tokens": 5}):
            httpx.post(f"{stack.url}/v1/messages", json=PROMPT, headers={"x-sim": json.dumps(scenario)})
        for tokens in range(20_000, 28_000, 1000):  # a conversation that the cache never knows
            cold = {"x-claude-code-session-id": "cold", "x-sim": json.dumps({"input_tokens": tokens})}
            httpx.post(f"{stack.url}/v1/messages", json=PROMPT, headers=cold)
        slow = {"x-sim": json.dumps({"events": 20, "pause": 0.05})}
        stream = {"url": f"{stack.url}/v1/messages", "json": {**PROMPT, "stream": True}, "headers": slow}
        with httpx.stream("POST", **stream) as left:  # its client leaves, so its tokens are estimated
            lines = left.iter_lines()
            next(lines)
        with ThreadPoolExecutor(4) as pool:  # one of these is more than there are workers
            assert {
                answer.result().status_code for answer in [pool.submit(httpx.post, **stream) for _ in range(4)]
            } == {
                200,
                503,
            }
        stack.metrics_at_rest()
        with running_prometheus(directory, stack) as server:
            yield server
    valkey.process.kill()


def rule_expressions() -> list[str]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


def documented_expressions() -> list[str]:
    """What stands in backquotes on our pages and is more than the name of a series."""
    texts = [page.read_text().replace("\\|", "|") for page in sorted((ROOT / "docs").glob("*.md"))]
    quoted = [quote for text in texts for quote in re.findall(r"`([^`\n]*zai_proxy_[^`\n]*)`", text)]
    return sorted({quote for quote in quoted if "(" in quote or '="' in quote})


def useful_queries() -> list[str]:
    """The blocks of PromQL on our pages."""
    texts = [page.read_text() for page in sorted((ROOT / "docs").glob("*.md"))]
    return [block for text in texts for block in re.findall(r"^```promql\n(.*?)^```", text, re.MULTILINE | re.DOTALL)]


def autoscaling_expressions() -> list[str]:
    """What the adapter asks Prometheus for the HPA, and what KEDA asks; without the labels that only a cluster adds."""
    rule = yaml.safe_load((ROOT / "deploy/adapter/values.yaml").read_text())["rules"]["custom"][0]
    by_adapter = rule["metricsQuery"].replace("<<.Series>>", rule["name"]["as"])
    by_adapter = by_adapter.replace("<<.LabelMatchers>>", "").replace("<<.GroupBy>>", "pod")
    scaled = yaml.safe_load((ROOT / "deploy/overlays/keda/scaledobject.yaml").read_text())
    by_keda = scaled["spec"]["triggers"][-1]["metadata"]["query"]
    return [by_adapter, by_keda.replace('service="zai-proxy-metrics",', "")]


def dashboard_expressions() -> list[str]:
    """The queries of the panels, with everything selected."""
    queries = [query for _, panels in ROWS for panel in panels for query in panel.queries]
    return [
        re.sub(r"\$(cluster|namespace|pod|variant)\b", ".*", query.selected).replace("$__rate_interval", "1m")
        for query in queries
    ]


def names_in(expression: str) -> set[str]:
    return set(re.findall(r"\bzai_proxy_[a-z0-9_]+", expression))


@pytest.mark.parametrize(
    "expression",
    [
        *rule_expressions(),
        *documented_expressions(),
        *useful_queries(),
        *autoscaling_expressions(),
        *dashboard_expressions(),
    ],
)
def test_an_expression_runs_and_every_series_in_it_is_exported(prometheus: Prometheus, expression: str) -> None:
    prometheus.query(expression)
    for name in names_in(expression) - {"zai_proxy_quota_exhaustion_time_seconds"}:
        assert prometheus.query(f"count_over_time({name}[1h])"), f"{name} is not there"


@pytest.mark.parametrize("expression", [*useful_queries(), *autoscaling_expressions()])
def test_a_query_for_people_and_for_the_autoscaler_has_an_answer(prometheus: Prometheus, expression: str) -> None:
    assert prometheus.query(expression)


def test_the_recording_rules_are_evaluated_without_error(prometheus: Prometheus) -> None:
    groups = httpx.get(f"{prometheus.url}/api/v1/rules", timeout=10).json()["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]

    assert len(rules) == len(rule_expressions())
    assert [rule["name"] for rule in rules if rule["health"] == "err"] == []


def test_the_whole_exposition_passes_promtools_check(prometheus: Prometheus, tmp_path: Path) -> None:
    target = prometheus.query('up{job="zai-proxy"}')[0]["metric"]
    assert isinstance(target, dict)
    exposition = httpx.get(f"http://{target['instance']}/metrics").text
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=exposition, capture_output=True, text=True, timeout=30, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
