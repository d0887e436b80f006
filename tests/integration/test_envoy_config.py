"""The rendered bootstrap: valid for every combination of settings, known to the typed API, and without the key."""

import itertools
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from envoy_data_plane.envoy.config.bootstrap.v3 import Bootstrap

from extproc.domain.request.business_codes import TRANSIENT_CODES, TRANSIENT_WORDS
from extproc.launch.envoy_config import render, source
from extproc.settings import Settings
from tests.harness.certificates import Certificates, make_certificates
from tests.harness.processes import make_key
from tests.harness.stack import ENVOY

pytestmark = pytest.mark.slow

SOCKET = Path("/run/zai-proxy/extproc.sock")
TRACED = {
    "otel_exporter_otlp_endpoint": "http://127.0.0.1:4318",
    "otel_exporter_otlp_headers": "authorization=my-secret",
}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def combinations(certificates: Certificates) -> Iterator[dict[str, object]]:
    """Every value that changes the shape of the configuration, with every other."""
    shapes: dict[str, list[object]] = {
        "zai_target_url": ["https://api.z.ai", "http://127.0.0.1:8090", "https://[::1]:8443", "https://10.0.0.1"],
        "tls": [False, True],
        "bind_address": ["127.0.0.1", "::"],
        "max_retries": [0, 3],
        "retry_buffer_bytes": [0, 8 * 1024 * 1024],
    }
    for values in itertools.product(*shapes.values()):
        chosen = dict(zip(shapes, values, strict=True))
        if chosen.pop("tls"):
            chosen |= {"tls_cert_file": certificates.certificate, "tls_key_file": certificates.key}
        yield chosen


def extremes() -> Iterator[dict[str, object]]:
    yield {"max_workers": 1, "max_connections": 1, "stream_idle_timeout": 1, "max_stream_duration": 1}
    yield {"max_workers": 10_000, "max_connections": 100_000, "stream_idle_timeout": 86_400.0, "max_retries": 10}
    yield {"zai_openai_base_path": "/api/paas/v4", "stream_idle_timeout": 1.5}
    yield {"zai_openai_base_path": ""}
    yield {"client_tokens_file": Path(__file__), "queue_timeout": 240}
    yield TRACED


def validate(path: Path) -> None:
    command = [str(ENVOY), "--mode", "validate", "-l", "error", "-c", str(path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr[-2000:]


@pytest.mark.timeout(600)
def test_envoy_takes_the_config_of_every_combination_of_settings(certificates: Certificates, tmp_path: Path) -> None:
    for number, chosen in enumerate([*combinations(certificates), *extremes()]):
        path = tmp_path / f"{number}.yaml"
        path.write_text(render(Settings(**chosen), SOCKET))  # type: ignore[arg-type]
        validate(path)


@pytest.mark.parametrize(("pacing", "at_once"), [("on", 77), ("fixed", 77), ("off", 10)])
def test_all_workers_may_wait_to_be_sent_again_where_something_paces_them(pacing: str, at_once: int) -> None:
    config = yaml.load(render(Settings(pacing=pacing, max_workers=77), SOCKET), yaml.CSafeLoader)  # type: ignore[arg-type]

    [upstream] = [cluster for cluster in config["static_resources"]["clusters"] if cluster["name"] == "zai"]
    [thresholds] = upstream["circuit_breakers"]["thresholds"]
    assert thresholds["retry_budget"]["min_retry_concurrency"] == at_once


def test_every_field_is_known_to_the_typed_api(certificates: Certificates) -> None:
    distinct: dict[str, dict[str, object]] = {}
    for chosen in combinations(certificates):
        whole: Any = without_any(yaml.load(render(Settings(**chosen), SOCKET), yaml.CSafeLoader))  # type: ignore[arg-type]
        distinct |= {json.dumps(part): part for part in parts(whole)}

    assert len(distinct) > 4
    for part in distinct.values():
        Bootstrap.from_dict(part)


def parts(whole: dict[str, Any]) -> Iterator[dict[str, object]]:
    """A bootstrap for each listener, for each cluster, and for all else: combinations differ in few of them."""
    resources = whole["static_resources"]
    yield {**whole, "static_resources": {name: [] for name in resources}}
    for name, each in ((name, each) for name, several in resources.items() for each in several):
        yield {"static_resources": {name: [each]}}


def without_any(node: object) -> object:
    """The tree without the content of `typed_config`s, which the typed API holds as bytes: Envoy checks those."""
    if isinstance(node, dict):
        return {key: without_any(value) for key, value in node.items() if "typed" not in key and key != "@type"}
    if isinstance(node, list):
        return [without_any(each) for each in node]
    return node


def test_a_misspelt_field_is_noticed() -> None:
    loaded = yaml.safe_load(render(Settings(), SOCKET))
    loaded["static_resources"]["clusters"][0]["conect_timeout"] = "10s"

    with pytest.raises(KeyError, match="conect_timeout"):
        Bootstrap.from_dict(without_any(loaded))


def test_the_key_is_nowhere_in_the_config(monkeypatch: pytest.MonkeyPatch) -> None:
    key = make_key()
    monkeypatch.setenv("ZAI_API_KEY", key)

    rendered = render(Settings(), SOCKET)

    identifier, _, secret = key.partition(".")
    assert identifier not in rendered
    assert secret not in rendered


@pytest.mark.parametrize("more", [{}, {"otel_sdk_disabled": True}, {"otel_traces_exporter": "none"}])
def test_of_traces_nothing_is_in_the_config_unless_something_is_traced(more: dict[str, object]) -> None:
    collector = {} if not more else TRACED
    traced = render(Settings(zai_api_key=make_key(), **TRACED), SOCKET)
    untraced = render(Settings(zai_api_key=make_key(), **collector, **more), SOCKET)

    assert traced.count("traceparent") == 2
    assert "traceparent" not in untraced
    assert "my-secret" not in traced
    assert "4318" not in traced


def test_a_path_with_odd_characters_stays_one_string(tmp_path: Path) -> None:
    odd = tmp_path / 'so "odd": {x} \\ #.sock'

    loaded = yaml.safe_load(render(Settings(), odd))

    [processor] = [cluster for cluster in loaded["static_resources"]["clusters"] if cluster["name"] == "extproc"]
    [endpoint] = processor["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert endpoint["endpoint"]["address"]["pipe"]["path"] == str(odd)


def test_the_template_explains_each_filter() -> None:
    lines = source("envoy.yaml").splitlines()
    begins = ("- name: envoy.filters.http.", "- name: zai.")
    filters = [number for number, line in enumerate(lines) if line.strip().startswith(begins)]

    unexplained = [
        lines[number] for number in filters if "codec" not in lines[number] and "router" not in lines[number]
    ]
    assert len(filters) >= 7
    for line in unexplained:
        assert lines[lines.index(line) - 1].strip().startswith("#"), line


def test_nothing_stands_twice_in_a_list() -> None:
    """A filter that does stands twice in the way of each request, and costs it memory."""
    assert list(repeated(yaml.safe_load(render(Settings(), SOCKET)))) == []


def repeated(node: object) -> Iterator[object]:
    """What its list has twice, anywhere in a tree."""
    if isinstance(node, list):
        yield from (each for at, each in enumerate(node) if each in node[:at])
    for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from repeated(each)


def test_what_envoy_tries_again_is_what_the_table_of_codes_calls_transient(tmp_path: Path) -> None:
    rendered = render(Settings(), tmp_path / "socket")

    table = rendered.partition("local TRANSIENT = {")[2].partition("}")[0]
    codes = set(re.findall(r'\[\\"(\w+)\\"\] = true', table))
    assert codes == TRANSIENT_CODES | TRANSIENT_WORDS
