import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.settings import SettingsError
from extproc.launch import preflight
from extproc.settings import Settings
from tests.harness.ports import free_port
from tests.harness.processes import make_key


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def settings(**fields: object) -> Settings:
    free = {name: free_port() for name in ("proxy_port", "metrics_port", "envoy_admin_port")}
    return Settings.model_validate({"zai_api_key": make_key(), **free, **fields})


def problems(checked: Settings) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        preflight.check(checked)
    return raised.value.problems


def test_what_is_right_passes_and_keeps_no_port() -> None:
    checked = settings()

    preflight.check(checked)
    preflight.check(checked)


@pytest.mark.parametrize("name", ["proxy_port", "metrics_port", "envoy_admin_port"])
def test_a_port_in_use_is_one_line(taken: int, name: str) -> None:
    [line] = problems(settings(**{name: taken}))

    assert line.startswith(f"{name.upper()}={taken}: need a free port on 127.0.0.1 (Address already in use")


def test_an_address_of_another_machine_is_one_line_for_all_ports() -> None:
    line = "BIND_ADDRESS=192.0.2.1: need an address of this machine"

    assert problems(settings(bind_address="192.0.2.1")) == [line]


def test_what_is_only_taken_at_the_moment_is_told_from_what_is_wrong(taken: int, tmp_path: Path) -> None:
    (no_certificates := tmp_path / "certificates").write_text("nonsense")

    def may_pass(**fields: object) -> bool:
        with pytest.raises(SettingsError) as raised:
            preflight.check(settings(**fields))
        return raised.value.may_pass

    assert may_pass(proxy_port=taken)
    assert may_pass(bind_address="192.0.2.1")
    assert not may_pass(proxy_port=taken, zai_ca_file=no_certificates)


def test_everything_that_is_wrong_gets_its_line(taken: int, tmp_path: Path) -> None:
    prices, certificate, authorities = tmp_path / "prices", tmp_path / "certificate", tmp_path / "authorities"
    for file in (prices, certificate, authorities):
        file.write_text("nonsense")
    checked = settings(
        proxy_port=taken,
        prices_file=prices,
        tls_cert_file=certificate,
        tls_key_file=certificate,
        zai_ca_file=authorities,
        otel_exporter_otlp_endpoint="https://collector.example.com",
        otel_exporter_otlp_traces_certificate=tmp_path / "missing",
    )

    assert [line.partition(":")[0] for line in problems(checked)] == [
        f"PROXY_PORT={taken}",
        f"PRICES_FILE={prices}",
        f"TLS_CERT_FILE={certificate}",
        f"ZAI_CA_FILE={authorities}",
        f"OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE={tmp_path / 'missing'}",
    ]


@pytest.mark.parametrize("text", ["", "two\nlines"])
def test_a_key_file_without_a_key_is_named_and_not_quoted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    monkeypatch.delenv("ZAI_API_KEY", raising=False)
    file = tmp_path / "key"
    file.write_text(text)

    [line] = problems(settings(zai_api_key=None, zai_api_key_file=file))

    assert line.startswith(f"ZAI_API_KEY_FILE={file}: need the Z.AI key")
    assert "two" not in line


def test_the_directory_for_the_state_is_made(tmp_path: Path) -> None:
    preflight.check(settings(state_dir=tmp_path / "state"))

    assert (tmp_path / "state").is_dir()


def test_a_directory_for_the_state_that_can_not_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    chosen = settings(state_dir=tmp_path / "there" / "state")
    (tmp_path / "there").rmdir()

    [line] = problems(chosen)

    assert line.startswith("STATE_DIR=")
    assert line.endswith("(No such file or directory)")


def test_further_checks_report_beside_the_others(taken: int) -> None:
    def never_content(_settings: Settings) -> None:
        raise SettingsError(["DASHBOARD_PORT=1: need another"])

    with pytest.raises(SettingsError) as raised:
        preflight.check(settings(proxy_port=taken), never_content)

    assert [line.partition("=")[0] for line in raised.value.problems] == ["PROXY_PORT", "DASHBOARD_PORT"]
