import os
from pathlib import Path

import pytest

from common.settings import SettingsError
from dashboard.domain.durations import parse_duration, spoken_duration
from dashboard.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.lower() in Settings.model_fields:
            monkeypatch.delenv(name)


def problems(monkeypatch: pytest.MonkeyPatch, **environment: str) -> list[str]:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    return raised.value.problems


def test_every_setting_has_a_default() -> None:
    settings = load_settings()

    assert settings.targets == ["http://127.0.0.1:9090/metrics"]
    assert (settings.scrape_interval, settings.scrape_timeout) == (5.0, 3.0)
    assert (settings.retention_5s, settings.retention_1m, settings.retention_requests) == (86400, 2592000, 604800)
    assert settings.dashboard_port == 8081
    assert not settings.is_reachable_from_elsewhere


def test_the_database_is_kept_where_programs_keep_their_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/somewhere")
    assert load_settings().database == Path("/somewhere/zai-proxy/dashboard.db")

    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/anna")
    assert load_settings().database == Path("/home/anna/.local/state/zai-proxy/dashboard.db")


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("DASHBOARD_PORT", "0", "DASHBOARD_PORT=0: need a port from 1 to 65535"),
        ("SCRAPE_INTERVAL", "often", "SCRAPE_INTERVAL=often: need a length of time from 0.2 s to 60 s, like 5"),
        ("RETENTION_5S", "10m", "RETENTION_5S=10m: need a length of time from 1h to 7d, like 24h"),
        ("RETENTION_1M", "2h", "RETENTION_1M=2h: need a length of time from 1d to 400d, like 30d"),
        ("BIND_ADDRESS", "localhost", "BIND_ADDRESS=localhost: need an IP address like 127.0.0.1 or 0.0.0.0"),
        ("DASHBOARD_NOTICE", "two\nlines", "DASHBOARD_NOTICE='two\\nlines': need one line of at most 300 characters"),
        ("DASHBOARD_TOKEN", "two words", "DASHBOARD_TOKEN=***: need ASCII characters in one word"),
        ("ADMIN_TOKEN", "ü", "ADMIN_TOKEN=***: need ASCII characters in one word"),
        ("LOG_FORMAT", "xml", "LOG_FORMAT=xml: need console or json"),
    ],
)
def test_a_wrong_setting_is_one_line_that_says_what_would_be_right(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, line: str
) -> None:
    assert problems(monkeypatch, **{name: value}) == [line]


@pytest.mark.parametrize(
    "targets",
    [
        "localhost:9090",
        "ftp://host/metrics",
        "http:///metrics",
        "http://host:0/metrics",
        "http://host:99999/metrics",
        "http://host/metrics?a=b",
        ",",
        "http://a/metrics, b",
    ],
)
def test_a_target_is_a_plain_url(monkeypatch: pytest.MonkeyPatch, targets: str) -> None:
    (line,) = problems(monkeypatch, SCRAPE_TARGETS=targets)

    assert line.startswith(f"SCRAPE_TARGETS={targets}: need URLs like http://127.0.0.1:9090/metrics")


def test_a_password_in_a_target_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = problems(monkeypatch, SCRAPE_TARGETS="http://user:word@host/metrics")

    assert line.startswith("SCRAPE_TARGETS=http://***@host/metrics: need URLs like")


def test_targets_are_separated_by_commas_and_each_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRAPE_TARGETS", "http://a/metrics, dns+http://b:9090/metrics,,http://a/metrics")

    assert load_settings().targets == ["http://a/metrics", "dns+http://b:9090/metrics"]


def test_every_wrong_setting_gets_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(problems(monkeypatch, DASHBOARD_PORT="x", SCRAPE_TIMEOUT="-1", LOG_LEVEL="loud")) == 3


def test_minutes_are_kept_at_least_as_long_as_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(monkeypatch, RETENTION_5S="7d", RETENTION_1M="1d") == [
        "RETENTION_1M=1d: need at least RETENTION_5S"
    ]


def test_a_proxy_never_gets_longer_to_answer_than_the_next_round_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRAPE_INTERVAL", "1s")

    assert load_settings().answer_within == 1.0


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHBOARD_TOKEN", "")

    assert load_settings().dashboard_token is None


def test_lengths_of_time_are_written_as_people_do() -> None:
    texts = ("5", "0.5s", "15m", "24h", "30d", "2w")

    assert [parse_duration(text) for text in texts] == [5, 0.5, 900, 86400, 2592000, 1209600]
    for wrong in ("", "h", "1y", "-1h", "1e3", "1h30m", "9" * 20):
        with pytest.raises(ValueError, match="no length of time"):
            parse_duration(wrong)


def test_lengths_of_time_are_told_in_the_unit_that_fits() -> None:
    assert [spoken_duration(seconds) for seconds in (3, 119, 120, 7200, 172800)] == [
        "3 s", "119 s", "2 min", "2 h", "2 days",
    ]  # fmt: skip
