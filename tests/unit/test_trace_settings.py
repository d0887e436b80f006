"""OpenTelemetry's variables: what turns traces on and off, and what is refused, in one line each."""

import os
import subprocess
import sys

import pytest

from common.settings import SettingsError
from extproc.domain.tracing.sampling import Sampler
from extproc.settings import (
    Settings,
    ca_file,
    load_settings,
    misspelt_settings,
    service_attributes,
    traces_are_compressed,
    traces_ca_file,
    traces_headers,
    traces_sampler,
    traces_timeout,
    traces_url,
    unused_for_traces,
)
from tests.harness.processes import make_key

BASE = "http://127.0.0.1:4318"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.lower() in Settings.model_fields or name.startswith("OTEL_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ZAI_API_KEY", make_key())


def load(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(f"OTEL_{name}", value)
    return load_settings()


def problems(monkeypatch: pytest.MonkeyPatch, **environment: str) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load(monkeypatch, **{"EXPORTER_OTLP_ENDPOINT": BASE} | environment)
    return raised.value.problems


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({}, None),
        ({"EXPORTER_OTLP_ENDPOINT": BASE}, f"{BASE}/v1/traces"),
        ({"EXPORTER_OTLP_ENDPOINT": f"{BASE}/otlp/"}, f"{BASE}/otlp/v1/traces"),
        ({"EXPORTER_OTLP_ENDPOINT": f"{BASE}?token=x"}, f"{BASE}/v1/traces?token=x"),
        ({"EXPORTER_OTLP_TRACES_ENDPOINT": f"{BASE}/mine"}, f"{BASE}/mine"),
        ({"EXPORTER_OTLP_ENDPOINT": "http://a", "EXPORTER_OTLP_TRACES_ENDPOINT": f"{BASE}/mine"}, f"{BASE}/mine"),
        ({"EXPORTER_OTLP_ENDPOINT": BASE, "SDK_DISABLED": "true"}, None),
        ({"EXPORTER_OTLP_ENDPOINT": BASE, "TRACES_EXPORTER": "none"}, None),
        ({"EXPORTER_OTLP_ENDPOINT": BASE, "TRACES_EXPORTER": "otlp"}, f"{BASE}/v1/traces"),
        ({"EXPORTER_OTLP_ENDPOINT": BASE, "TRACES_EXPORTER": "console, otlp"}, f"{BASE}/v1/traces"),
        ({"EXPORTER_OTLP_ENDPOINT": BASE, "TRACES_EXPORTER": "zipkin"}, None),
        ({"EXPORTER_OTLP_ENDPOINT": BASE, "EXPORTER_OTLP_PROTOCOL": "grpc"}, f"{BASE}/v1/traces"),
        ({"EXPORTER_OTLP_ENDPOINT": "collector:4317", "EXPORTER_OTLP_PROTOCOL": "grpc"}, None),
    ],
)
def test_traces_go_where_the_variables_say(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], url: str | None
) -> None:
    assert traces_url(load(monkeypatch, **environment)) == url


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        (
            {"TRACES_SAMPLER": "traceidratio", "TRACES_SAMPLER_ARG": "10"},
            "OTEL_TRACES_SAMPLER_ARG=10: need a number from 0 to 1",
        ),
        ({"RESOURCE_ATTRIBUTES": "team"}, "OTEL_RESOURCE_ATTRIBUTES=team: need name=value, separated by commas"),
        ({"SDK_DISABLED": "perhaps"}, "OTEL_SDK_DISABLED=perhaps: need true or false"),
        ({"EXPORTER_OTLP_HEADERS": "my-secret"}, "OTEL_EXPORTER_OTLP_HEADERS=***: need headers like "),
        ({"EXPORTER_OTLP_TRACES_HEADERS": "my-secret"}, "OTEL_EXPORTER_OTLP_TRACES_HEADERS=***: need headers like "),
        ({"EXPORTER_OTLP_ENDPOINT": "collector:secret"}, "OTEL_EXPORTER_OTLP_ENDPOINT=***: need an http or https URL "),
        (
            {"EXPORTER_OTLP_TRACES_ENDPOINT": "collector:secret"},
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=***: need an http or https URL ",
        ),
    ],
)
def test_what_is_wrong_is_one_line_without_a_secret(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], line: str
) -> None:
    [told] = problems(monkeypatch, **environment)

    assert told.startswith(line)
    assert "secret" not in told


def test_headers_and_a_file_of_headers_are_one_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(monkeypatch, EXPORTER_OTLP_HEADERS="a=b", EXPORTER_OTLP_HEADERS_FILE=__file__) == [
        "OTEL_EXPORTER_OTLP_HEADERS and OTEL_EXPORTER_OTLP_HEADERS_FILE are both set: need only one of them"
    ]


def test_what_other_programs_are_told_is_their_business_while_nothing_is_traced_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong = {
        "EXPORTER_OTLP_PROTOCOL": "grpc", "TRACES_SAMPLER": "xray", "TRACES_EXPORTER": "zipkin",
        "EXPORTER_OTLP_HEADERS": "odd", "EXPORTER_OTLP_TIMEOUT": "10s", "EXPORTER_OTLP_CERTIFICATE": "/nowhere",
    }  # fmt: skip

    assert traces_url(load(monkeypatch, **wrong)) is None
    assert traces_url(load(monkeypatch, **wrong, EXPORTER_OTLP_ENDPOINT=BASE, SDK_DISABLED="true")) is None


def test_headers_and_urls_are_shown_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = {
        "EXPORTER_OTLP_HEADERS": "a=my-secret",
        "EXPORTER_OTLP_ENDPOINT": f"{BASE}/my-secret",
        "EXPORTER_OTLP_TRACES_ENDPOINT": f"{BASE}/my-secret",
        "EXPORTER_OTLP_TRACES_HEADERS": "a=my-secret",
    }

    settings = load(monkeypatch, **secret)

    assert "my-secret" not in f"{settings!r}{settings.shown()}"


def test_the_sampler_is_the_one_that_follows_the_caller_unless_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert traces_sampler(load(monkeypatch)) == Sampler(follows_parent=True, ratio=1.0)
    set_ = load(monkeypatch, TRACES_SAMPLER="traceidratio", TRACES_SAMPLER_ARG="0.25")
    assert traces_sampler(set_) == Sampler(follows_parent=False, ratio=0.25)


def told(monkeypatch: pytest.MonkeyPatch, **environment: str) -> list[str]:
    """What is said of variables that are not followed."""
    settings = load(monkeypatch, **{"EXPORTER_OTLP_ENDPOINT": BASE} | environment)
    return list(unused_for_traces(settings, os.environ))


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({"EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc: zai-proxy sends http/protobuf, "),
        ({"EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"}, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json: zai-"),
        ({"TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER=zipkin: zai-proxy sends traces by otlp alone, and "),
        ({"TRACES_EXPORTER": "otlp,console"}, "OTEL_TRACES_EXPORTER=console: zai-proxy sends traces by otlp alone"),
        ({"TRACES_SAMPLER": "jaeger_remote", "TRACES_SAMPLER_ARG": "url=x"}, "OTEL_TRACES_SAMPLER=jaeger_remote: "),
        ({"EXPORTER_OTLP_COMPRESSION": "zstd"}, "OTEL_EXPORTER_OTLP_COMPRESSION=zstd: zai-proxy knows gzip and none"),
        ({"EXPORTER_OTLP_TIMEOUT": "10s"}, "OTEL_EXPORTER_OTLP_TIMEOUT=10s is no whole number of milliseconds"),
        (
            {"EXPORTER_OTLP_ENDPOINT": "collector:4317", "EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_ENDPOINT is no http or https URL, but one for gRPC, ",
        ),
        (
            {"EXPORTER_OTLP_TRACES_ENDPOINT": "10.0.0.1:4317"},
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is no http or https URL, but one for gRPC, ",
        ),
    ],
)
def test_what_only_others_can_do_is_one_line_and_stops_nobody(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], line: str
) -> None:
    [said] = told(monkeypatch, **environment)

    assert said.startswith(line)


@pytest.mark.parametrize(
    "environment",
    [
        {"EXPORTER_OTLP_PROTOCOL": "grpc", "EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"},
        {"EXPORTER_OTLP_COMPRESSION": "zstd", "EXPORTER_OTLP_TRACES_COMPRESSION": "gzip"},
        {"PROPAGATORS": "tracecontext,baggage", "EXPORTER_OTLP_TRACES_TIMEOUT": "2500"},
        {"TRACES_EXPORTER": "none", "EXPORTER_OTLP_PROTOCOL": "grpc"},
    ],
)
def test_of_what_is_done_nothing_is_said(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    assert told(monkeypatch, **environment) == []


def test_what_is_set_for_traces_goes_before_what_is_set_for_all_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    general = {
        "EXPORTER_OTLP_HEADERS": "a=general", "EXPORTER_OTLP_TIMEOUT": "1500", "EXPORTER_OTLP_COMPRESSION": "gzip",
        "EXPORTER_OTLP_CERTIFICATE": "/general.pem",
    }  # fmt: skip
    own = {
        "EXPORTER_OTLP_TRACES_HEADERS": "a=own", "EXPORTER_OTLP_TRACES_TIMEOUT": "2500",
        "EXPORTER_OTLP_TRACES_COMPRESSION": "none", "EXPORTER_OTLP_TRACES_CERTIFICATE": "/own.pem",
    }  # fmt: skip

    def read(**environment: str) -> tuple[str, float, bool, str]:
        loaded = load(monkeypatch, EXPORTER_OTLP_ENDPOINT=BASE, **environment)
        file = str(traces_ca_file(loaded))
        return traces_headers(loaded), traces_timeout(loaded), traces_are_compressed(loaded), file

    assert read() == ("", 10.0, False, str(ca_file(load(monkeypatch))))
    assert read(**general) == ("a=general", 1.5, True, "/general.pem")
    assert read(**general, **own) == ("a=own", 2.5, False, "/own.pem")


@pytest.mark.parametrize(("told", "seconds"), [("0", 60.0), ("999999", 60.0), ("1", 0.001), ("soon", 10.0), ("", 10.0)])
def test_a_collector_gets_a_minute_at_most(monkeypatch: pytest.MonkeyPatch, told: str, seconds: float) -> None:
    assert traces_timeout(load(monkeypatch, EXPORTER_OTLP_TIMEOUT=told)) == seconds


def test_the_services_own_name_goes_before_the_one_among_its_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert service_attributes(load(monkeypatch)) == {"service.name": "zai-proxy"}
    attributes = {"service.name": "of-attributes", "deployment.environment.name": "test"}
    assert service_attributes(load(monkeypatch, RESOURCE_ATTRIBUTES=",".join(map("=".join, attributes.items())))) == (
        attributes
    )
    named = load(monkeypatch, SERVICE_NAME="gateway")
    assert service_attributes(named) == {**attributes, "service.name": "gateway"}


def test_what_would_change_how_traces_are_sent_and_does_not_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {
        "OTEL_BSP_MAX_QUEUE_SIZE": "1",
        "OTEL_EXPORTER_OTLP_CLIENT_KEY": "key.pem",
        "OTEL_PROPAGATORS": "b3",
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "of metrics",
        "OTEL_LOGS_EXPORTER": "of logs",
        "OTEL_EXPORTER_OTLP_ENDPOINT": BASE,
        "OTEL_EXPORTER_OTLP_COMPRESSION": "",
    }

    told = list(unused_for_traces(load(monkeypatch, EXPORTER_OTLP_ENDPOINT=BASE), environ))

    assert [line.partition(" ")[0] for line in told] == [
        "OTEL_BSP_MAX_QUEUE_SIZE",
        "OTEL_EXPORTER_OTLP_CLIENT_KEY",
        "OTEL_PROPAGATORS",
    ]
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")
    assert list(unused_for_traces(load(monkeypatch), environ)) == []


def test_a_slip_in_a_name_is_seen_and_another_variable_of_opentelemetrys_is_none() -> None:
    others = (
        "OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_SERVICE_VERSION",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
    )  # fmt: skip

    assert misspelt_settings(dict.fromkeys((*others, "OTEL_EXPORTER_OTLP_ENDPIONT"), "x")) == {
        "OTEL_EXPORTER_OTLP_ENDPIONT": "OTEL_EXPORTER_OTLP_ENDPOINT"
    }


def test_without_traces_and_a_store_of_replicas_nothing_of_them_is_loaded() -> None:
    command = [sys.executable, "-c", "import sys, extproc.service; print(*sys.modules)"]

    loaded = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()

    own = {name for name in loaded if name.startswith("extproc.")}
    assert "extproc.transport.ext_proc" in own
    assert {name for name in own if any(part in name for part in ("trac", "span", "otlp"))} == {
        "extproc.domain.request.trace_context",
        "extproc.domain.tracing",
        "extproc.domain.tracing.attributes",
        "extproc.domain.tracing.sampling",
        "extproc.domain.tracing.variables",
    }
    assert not [name for name in loaded if name.partition(".")[0] in ("redis", "opentelemetry")]
