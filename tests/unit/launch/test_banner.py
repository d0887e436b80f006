from pathlib import Path

import pytest

from extproc.launch.addresses import client_url
from extproc.launch.banner import exposures, ready_text
from extproc.settings import Settings
from tests.harness.processes import make_key

OPEN = "0.0.0.0"  # noqa: S104 - what is warned of


def settings(**fields: object) -> Settings:
    return Settings.model_validate({"zai_api_key": make_key(), "proxy_port": 1234, **fields})


def test_two_lines_point_claude_code_at_the_client_port() -> None:
    lines = ready_text(settings(), None).splitlines()

    assert "  export ANTHROPIC_BASE_URL=http://127.0.0.1:1234" in lines
    assert "  export ANTHROPIC_AUTH_TOKEN=anything" in lines


def test_the_key_is_not_announced() -> None:
    key = make_key()

    assert key not in ready_text(settings(zai_api_key=key), "http://127.0.0.1:8081")


def test_the_dashboard_is_announced_only_where_it_runs() -> None:
    assert "  dashboard  http://127.0.0.1:8081\n" in ready_text(settings(), "http://127.0.0.1:8081")
    assert "dashboard" not in ready_text(settings(), None)


@pytest.mark.parametrize(
    ("address", "url"),
    [
        (OPEN, "http://127.0.0.1:1234"),
        ("::", "http://[::1]:1234"),
        ("::1", "http://[::1]:1234"),
        ("192.0.2.7", "http://192.0.2.7:1234"),
    ],
)
def test_an_address_is_announced_as_this_machine_calls_it(address: str, url: str) -> None:
    assert client_url(settings(bind_address=address)) == url


def test_with_a_certificate_clients_speak_tls(tmp_path: Path) -> None:
    file = tmp_path / "pem"
    file.touch()

    assert client_url(settings(tls_cert_file=file, tls_key_file=file)) == "https://127.0.0.1:1234"


@pytest.mark.parametrize("address", [OPEN, "::", "192.0.2.7"])
def test_an_address_that_others_reach_is_warned_of(address: str) -> None:
    [warning] = exposures(settings(bind_address=address))

    assert warning.startswith(f"BIND_ADDRESS={address} is open to other machines")
    assert "CLIENT_TOKENS_FILE" in warning


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1"])
def test_loopback_is_not_warned_of(address: str) -> None:
    assert list(exposures(settings(bind_address=address))) == []


def test_where_clients_need_tokens_nothing_is_warned_of(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.touch()
    open_to_all = settings(bind_address=OPEN, cors_origins="*", client_tokens_file=tokens)

    assert list(exposures(open_to_all)) == []


def test_pages_of_any_origin_are_warned_of() -> None:
    [warning] = exposures(settings(cors_origins="*"))

    assert warning.startswith("CORS_ORIGINS=* lets every web page")
    assert list(exposures(settings(cors_origins="https://chat.example.com"))) == []


def test_the_announcement_fits_a_terminal_of_80_columns() -> None:
    text = ready_text(
        settings(proxy_port=65535, metrics_port=65534), "http://127.0.0.1:65533", "a simulated Z.AI on this machine"
    )

    assert max(map(len, text.splitlines())) < 80
