"""The collector's headers, above all those in a file."""

from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from common.settings import SettingsError
from extproc.runtime.collector_headers import CollectorHeaders
from extproc.settings import Settings
from tests.harness.processes import make_key

SECRET = "authorization=Bearer%20first"


def settings(**fields: Any) -> Settings:
    return Settings(**{"zai_api_key": make_key(), "otel_exporter_otlp_endpoint": "http://127.0.0.1:4318"} | fields)


def replace(file: Path, text: str) -> None:
    """As a mounted secret changes: another file takes its place."""
    other = file.with_suffix(".new")
    other.write_text(text)
    other.replace(file)


def test_headers_come_from_the_environment() -> None:
    assert CollectorHeaders.from_settings(settings(otel_exporter_otlp_headers=SECRET))() == {
        "authorization": "Bearer first"
    }
    assert CollectorHeaders.from_settings(settings())() == {}


def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "headers"
    file.write_text(f"{SECRET}\n")
    headers = CollectorHeaders.from_settings(settings(otel_exporter_otlp_headers_file=file))
    assert headers() == {"authorization": "Bearer first"}

    replace(file, "authorization=Bearer%20second-one")

    assert headers() == {"authorization": "Bearer second-one"}


def test_a_file_that_becomes_unusable_keeps_the_last_good_headers_and_is_told_of_once(tmp_path: Path) -> None:
    file = tmp_path / "headers"
    file.write_text(SECRET)
    headers = CollectorHeaders.from_settings(settings(otel_exporter_otlp_headers_file=file))

    with capture_logs() as logged:
        replace(file, "a secret that is no header")
        seen = [headers(), headers()]

    assert seen == [{"authorization": "Bearer first"}] * 2
    assert len(logged) == 1
    assert "secret that" not in str(logged)


def test_a_file_without_headers_is_refused_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "headers"
    file.write_text("a secret that is no header")

    with pytest.raises(SettingsError) as raised:
        CollectorHeaders.from_settings(settings(otel_exporter_otlp_headers_file=file))

    [line] = raised.value.problems
    assert line.startswith("OTEL_EXPORTER_OTLP_HEADERS_FILE=")
    assert "secret" not in line


def test_where_nothing_is_traced_nobody_looks_at_them() -> None:
    untraced = settings(otel_exporter_otlp_headers="no header", otel_sdk_disabled=True)

    assert CollectorHeaders.from_settings(untraced)() == {}
