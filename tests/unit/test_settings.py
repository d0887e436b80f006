import json
import os
import stat
import traceback
from pathlib import Path

import pytest
import structlog
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import SecretStr

from common.settings import SettingsError, setting
from extproc.commands.doctor import Doctor
from extproc.domain.request.key_form import what_is_needed
from extproc.launch.dashboard_program import can_be_written
from extproc.service import Service
from extproc.settings import (
    Settings,
    load_settings,
    make_state_directory,
    misspelt_settings,
    proxy_url,
    read_key,
    split_origins,
    unknown_settings,
)
from tests.harness.processes import make_key


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.lower() in Settings.model_fields or name.startswith("ZAI_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ZAI_API_KEY", make_key())


def problems(monkeypatch: pytest.MonkeyPatch, **environment: str) -> list[str]:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    return raised.value.problems


def test_the_defaults_need_nothing_but_a_key() -> None:
    settings = load_settings()

    assert settings.zai_target_url == "https://api.z.ai"
    assert settings.max_workers == 20
    assert settings.bind_address == "127.0.0.1"
    assert not settings.is_reachable_from_elsewhere


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_WORKERS", "")

    assert load_settings().max_workers == 20


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("MAX_WORKERS", "0", "MAX_WORKERS=0: need a whole number from 1 to 10000"),
        ("MAX_WORKERS", "ten", "MAX_WORKERS=ten: need a whole number from 1 to 10000"),
        ("MAX_RETRIES", "-1", "MAX_RETRIES=-1: need a whole number from 0 to 10"),
        ("PROXY_PORT", "99999", "PROXY_PORT=99999: need a port from 1 to 65535"),
        ("BIND_ADDRESS", "localhost", "BIND_ADDRESS=localhost: need an IP address like 127.0.0.1 or 0.0.0.0"),
        (
            "ZAI_TARGET_URL",
            "api.z.ai",
            "ZAI_TARGET_URL=api.z.ai: need an http or https origin like https://api.z.ai, without a path",
        ),
        ("TOKEN_COUNTING_ENABLED", "maybe", "TOKEN_COUNTING_ENABLED=maybe: need true or false"),
        ("LOG_FORMAT", "xml", "LOG_FORMAT=xml: need console or json"),
        ("DRAIN_TIMEOUT", "soon", "DRAIN_TIMEOUT=soon: need a number of seconds from 0 to 86400"),
        (
            "PRICES_FILE",
            "/no/such/file",
            "PRICES_FILE=/no/such/file: need a readable JSON file in the form of the packaged table",
        ),
    ],
)
def test_a_wrong_setting_is_one_line_that_says_what_would_be_right(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, line: str
) -> None:
    assert problems(monkeypatch, **{name: value}) == [line]


def test_every_wrong_setting_gets_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(problems(monkeypatch, MAX_WORKERS="0", PROXY_PORT="x", LOG_LEVEL="loud")) == 3


@pytest.mark.parametrize(
    "url",
    [
        "https://user:pass@api.z.ai",
        "https://api.z.ai/api",
        "https://api.z.ai?x=1",
        "https://",
        "https://api.z.ai:99999",
        "https://exa mple",
        'https://a"b',
        "ftp://api.z.ai",
    ],
)
def test_an_upstream_that_is_no_origin_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    [line] = problems(monkeypatch, ZAI_TARGET_URL=url)

    assert line.startswith("ZAI_TARGET_URL=")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8090", "https://api.z.ai/", "https://open.bigmodel.cn", "http://[::1]:80"]
)
def test_an_origin_is_taken(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("ZAI_TARGET_URL", url)

    assert load_settings().zai_target_url == url.rstrip("/")


def test_without_a_key_it_says_where_one_belongs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZAI_API_KEY")

    assert problems(monkeypatch) == ["ZAI_API_KEY is not set: need the Z.AI key (or set ZAI_API_KEY_FILE)"]
    assert load_settings(needs_key=False).zai_api_key is None


def test_a_missing_key_is_told_beside_what_else_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZAI_API_KEY")

    assert problems(monkeypatch, MAX_WORKERS="many", PROXY_PORT="8080x", METRICS_PORT="8080") == [
        "MAX_WORKERS=many: need a whole number from 1 to 10000",
        "PROXY_PORT=8080x: need a port from 1 to 65535",
        "ZAI_API_KEY is not set: need the Z.AI key (or set ZAI_API_KEY_FILE)",
    ]


def test_a_key_and_a_key_file_are_one_too_many(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(make_key())

    assert problems(monkeypatch, ZAI_API_KEY_FILE=str(file)) == [
        "ZAI_API_KEY and ZAI_API_KEY_FILE are both set: need only one of them"
    ]


def test_a_malformed_key_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(monkeypatch, ZAI_API_KEY="first secret\nsecond secret") == [
        "ZAI_API_KEY=***: need the Z.AI key in one line, without spaces"
    ]


@pytest.mark.parametrize(
    "url", ["redis://:secret@", "http://:secret@store", "redis://:secret@store:0", "unix://", "redis://:se cret@store"]
)
def test_a_store_that_can_be_none_is_refused_without_its_password(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    [line] = problems(monkeypatch, LIMITS_URL=url)

    assert line.startswith("LIMITS_URL=***: need a URL like redis://")
    assert "secret" not in line


@pytest.mark.parametrize("url", ["redis://:secret@store:6379/0", "rediss://store", "unix:///run/valkey.sock?db=1"])
def test_a_store_is_taken_and_shown_without_its_password(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("LIMITS_URL", url)

    assert load_settings().shown()["LIMITS_URL"] == "***"


@pytest.mark.parametrize("origins", ["https://chat example.com", "chat.example.com", "https://a/b", ",", "http://x|y"])
def test_what_is_no_origin_is_refused(monkeypatch: pytest.MonkeyPatch, origins: str) -> None:
    [line] = problems(monkeypatch, CORS_ORIGINS=origins)

    assert line.startswith(f"CORS_ORIGINS={origins}: need origins like https://chat.example.com")


def test_origins_are_taken_with_blanks_and_slashes_at_their_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", " https://chat.example.com/, vscode-webview://*,http://[::1]:8000,null ,")

    taken = load_settings().cors_origins or ""

    assert split_origins(taken) == ["https://chat.example.com", "vscode-webview://*", "http://[::1]:8000", "null"]


def test_a_proxy_is_taken_in_either_case_and_shown_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://anna:secret@proxy:3128")
    settings = load_settings()

    assert settings.shown()["HTTPS_PROXY"] == "***"
    assert proxy_url(settings, settings.zai_target_url) == "http://anna:secret@proxy:3128"
    assert proxy_url(settings, "http://127.0.0.1/hook") is None


@pytest.mark.parametrize(
    "url", ["socks5://:secret@proxy", "proxy:3128", "http://:secret@", "http://:secret@proxy/path"]
)
def test_a_proxy_that_is_none_is_refused_without_its_password(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    [line] = problems(monkeypatch, HTTPS_PROXY=url)

    assert line.startswith("HTTPS_PROXY=***: need a URL like http://")
    assert "secret" not in line


def test_no_problem_with_another_setting_shows_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    key = make_key()

    lines = problems(monkeypatch, ZAI_API_KEY=key, MAX_WORKERS="none", PROXY_PORT="none")

    assert key not in "\n".join(lines)


def test_half_of_a_tls_pair_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    certificate = tmp_path / "cert.pem"
    certificate.touch()

    assert problems(monkeypatch, TLS_CERT_FILE=str(certificate)) == [
        "TLS_KEY_FILE is not set: need both TLS_CERT_FILE and TLS_KEY_FILE, or neither"
    ]


def test_two_services_cannot_share_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(monkeypatch, METRICS_PORT="8080") == ["METRICS_PORT=8080: need another port than PROXY_PORT"]


def test_a_long_or_unprintable_value_is_cut_and_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    [line] = problems(monkeypatch, MAX_WORKERS="9\n" * 1000)

    assert len(line) < 300
    assert "\n" not in line


def test_a_misspelt_variable_gets_the_nearest_known_name() -> None:
    environment = {"ZAI_TARGET_ULR": "x", "ZAI_API_KEY": "k", "OTHER": "y"}

    assert list(unknown_settings(environment)) == [
        "ZAI_TARGET_ULR is not a setting of zai-proxy and does nothing: did you mean ZAI_TARGET_URL?"
    ]


def test_a_setting_in_two_spellings_with_two_values_is_told() -> None:
    assert list(unknown_settings({"MAX_WORKERS": "5", "max_workers": "7", "PACING": "on", "pacing": "on"})) == [
        "MAX_WORKERS and max_workers are one setting with two values, of which one holds: leave one of them"
    ]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("MAX_WORKER", "MAX_WORKERS"),
        ("PROXI_PORT", "PROXY_PORT"),
        ("BIND_ADRESS", "BIND_ADDRESS"),
        ("statedir", "STATE_DIR"),
        ("DASHBOARD_PROT", "DASHBOARD_PORT"),
        ("ZAI_KEY", "ZAI_API_KEY"),
        ("MAX_RETRY", "MAX_RETRIES"),
        ("BIND_ADDR", "BIND_ADDRESS"),
        ("MAX_CONN", "MAX_CONNECTIONS"),
        ("CORS_ALLOWED_ORIGINS", "CORS_ORIGINS"),
        ("cors_allow_origin", "CORS_ORIGINS"),
        ("CLIENT_TOKENS", "CLIENT_TOKENS_FILE"),
        ("CLIENT_TOKEN", "CLIENT_TOKENS_FILE"),
    ],
)
def test_a_near_miss_of_any_settings_name_is_told(name: str, meant: str) -> None:
    assert misspelt_settings({name: "5", meant: "6"}) == {name: meant}


def test_variables_of_others_and_settings_in_small_letters_are_left_alone() -> None:
    others = (
        "PATH HOME HOSTNAME SSL_CERT_FILE OPENAI_API_KEY ANTHROPIC_API_KEY HTTP_PROXY ALL_PROXY PORT DATABASE_URL "
        "REDIS_URL STATE_DIRECTORY RUNTIME_DIRECTORY NOTIFY_SOCKET KUBERNETES_SERVICE_PORT DOCKER_HOST SSH_CONNECTION "
        "XAI_API_KEY LOG_DIR LOG_FILE APP_LOG_LEVEL NPM_CONFIG_PROXY DB_HOST DB_URL DB_NAME TLS_CERT CLIENT_ID API_KEY "
        "TOKEN MAX_MEMORY BIND ADDRESS REPLICATION CACHE_DIR DEPLOYMENT_ENVIRONMENT OTEL_METRICS_EXPORTER PROXY"
    )

    assert misspelt_settings(dict.fromkeys([*others.split(), "max_workers", "DASHBOARD_PORT"], "x")) == {}


def test_settings_are_shown_without_their_secret() -> None:
    shown = load_settings().shown()

    assert shown["ZAI_API_KEY"] == "***"
    assert shown["MAX_WORKERS"] == "20"
    assert "TLS_CERT_FILE" not in shown


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.5"])  # noqa: S104 - settings to recognise
def test_an_address_that_others_can_reach_is_known_as_such(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("BIND_ADDRESS", address)

    assert load_settings().is_reachable_from_elsewhere


@given(st.from_regex(r"[0-9a-f]{32}\.[A-Za-z0-9]{16}", fullmatch=True))
def test_a_key_is_read_without_what_surrounds_it(key: str) -> None:
    assert read_key(f" {key}\r\n") == key


@given(st.text(min_size=6))
def test_a_text_that_can_be_no_key_is_not_repeated(text: str) -> None:
    need = what_is_needed(text)
    assume(need is not None)

    with pytest.raises(ValueError, match=r"^need the Z\.AI key") as raised:
        read_key(text)

    assert raised.value.args == (need,)


@pytest.mark.parametrize(
    ("spoilt", "need"),
    [
        ('"{}"', "without the quotes around it"),
        ("ZAI_API_KEY={}", "alone, without the name and the = before it"),
        ("your-api-key", "itself, this is a text that stands for one"),
    ],
)
def test_a_spoilt_key_is_one_line_that_says_what_would_be_right(
    monkeypatch: pytest.MonkeyPatch, spoilt: str, need: str
) -> None:
    assert problems(monkeypatch, ZAI_API_KEY=spoilt.format(make_key())) == [
        f"ZAI_API_KEY=***: need the Z.AI key {need}"
    ]


def test_a_directory_in_a_working_directory_that_is_gone_is_a_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setenv("STATE_DIR", "state")

    with pytest.raises(SettingsError, match=r"^STATE_DIR=state: need a writable directory"):
        make_state_directory(load_settings())
    assert isinstance(can_be_written(Path("a/b/dashboard.db")), bool)


def test_a_directory_for_the_state_is_made_in_one_that_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STATE_DIR", str(tmp_path / "state"))
    settings = load_settings()
    assert not (tmp_path / "state").exists()

    make_state_directory(settings)
    make_state_directory(settings)

    assert stat.filemode((tmp_path / "state").stat().st_mode) == "drwx------"


TOO_LONG = "x" * 300  # of which a system says neither that it is there nor that it is not


@pytest.mark.parametrize("place", ["missing/state", "file", "file/state", f"{TOO_LONG}/state"])
def test_a_directory_for_the_state_that_can_not_be_made_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").touch()

    [line] = problems(monkeypatch, STATE_DIR=str(tmp_path / place))

    assert line.startswith(f"STATE_DIR={tmp_path}")
    assert ": need a writable directory, or one to make" in line


def test_a_file_that_nobody_can_look_at_is_one_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZAI_API_KEY")

    [line] = problems(monkeypatch, ZAI_API_KEY_FILE=f"/{TOO_LONG}/key")

    assert line.endswith("need a readable file that holds the Z.AI key")


def test_every_setting_says_what_it_means_and_what_would_be_right() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert isinstance(field.json_schema_extra, dict), name
        assert field.json_schema_extra["need"], name


class Grown(Settings):
    """The settings of a later version, which knows another secret."""

    another_word: SecretStr | None = setting(None, "A secret.", "a word of at least 16 characters", min_length=16)


def test_a_new_secret_is_hidden_when_it_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANOTHER_WORD", "xyzzy")

    with pytest.raises(SettingsError) as raised:
        Grown.from_environment()

    assert raised.value.problems == ["ANOTHER_WORD=***: need a word of at least 16 characters"]
    assert "xyzzy" not in "".join(traceback.format_exception(raised.value))


async def test_a_new_secret_is_in_no_status_log_line_or_finding_of_the_doctor(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANOTHER_WORD", "xyzzy-plugh-plover")
    settings = Grown(zai_api_key=make_key(), zai_target_url="http://127.0.0.1:9")
    structlog.get_logger().warning("as they are", settings=settings, fields=settings.model_dump())

    findings = [str(finding) async for finding in Doctor(settings, sends_request=False).look()]
    status = json.dumps(Service(settings, Path("there-is-none.sock"))._about())

    line = capsys.readouterr().out
    assert "as they are" in line
    assert '"ANOTHER_WORD": "***"' in status
    assert findings
    assert not [text for text in (line, status, *findings) if "xyzzy" in text]
