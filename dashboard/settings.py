"""The settings: environment variables, their defaults, and what is right for each."""

import os
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr

from common.ports import is_local
from common.settings import Address, EnvironmentSettings, LogFormat, LogLevel, SettingsError, port, setting
from dashboard.domain.durations import parse_duration

_HOUR: Final = 3600.0
_DAY: Final = 86400.0
_MOST_TARGETS: Final = 100
_LONGEST_NOTICE: Final = 300


def _seconds(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _targets(value: str) -> str:
    urls = split_targets(value)
    if not urls or len(urls) > _MOST_TARGETS:
        raise ValueError
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https", "dns+http") or not parts.hostname or parts.username is not None:
            raise ValueError
        if parts.port == 0 or parts.query or parts.fragment or not url.isascii() or not url.isprintable():
            raise ValueError
    return value


def _token(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError
    return value


def _notice(value: str) -> str:
    if not value.isprintable() or len(value) > _LONGEST_NOTICE:
        raise ValueError
    return value


Seconds = Annotated[float, BeforeValidator(_seconds)]
Token = Annotated[SecretStr, AfterValidator(_token)]


class Settings(EnvironmentSettings):
    """Everything that can be set, read from the environment once."""

    scrape_targets: Annotated[str, AfterValidator(_targets)] = setting(
        "http://127.0.0.1:9090/metrics",
        "The proxies' metrics, separated by commas; `dns+http://` asks every address that the name has at the moment.",
        "URLs like http://127.0.0.1:9090/metrics or dns+http://zai-proxy:9090/metrics, separated by commas",
    )
    scrape_interval: Seconds = setting(
        5.0, "How often each proxy is asked.", "a length of time from 0.2 s to 60 s, like 5", ge=0.2, le=60
    )
    scrape_timeout: Seconds = setting(
        3.0,
        "How long a proxy may take to answer; never longer than SCRAPE_INTERVAL.",
        "a length of time from 0.1 s to 60 s, like 3",
        ge=0.1,
        le=60,
    )
    db_path: Path | None = setting(
        None,
        "The SQLite file; $XDG_STATE_HOME/zai-proxy/dashboard.db if unset.",
        "a path in a directory that can be written to",
    )
    retention_5s: Seconds = setting(
        _DAY, "How long samples of 5 s are kept.", "a length of time from 1h to 7d, like 24h", ge=_HOUR, le=7 * _DAY
    )
    retention_1m: Seconds = setting(
        30 * _DAY,
        "How long samples of a minute are kept, and which session a request was of; hours are kept for good.",
        "a length of time from 1d to 400d, like 30d",
        ge=_DAY,
        le=400 * _DAY,
    )
    retention_requests: Seconds = setting(
        7 * _DAY,
        "How long single requests are kept, and never more than the last 300,000.",
        "a length of time from 1h to 90d, like 7d",
        ge=_HOUR,
        le=90 * _DAY,
    )
    bind_address: Address = setting(
        "127.0.0.1", "Where the dashboard listens.", "an IP address like 127.0.0.1 or 0.0.0.0"
    )
    dashboard_port: int = port(8081, "The port of the page and the API.")
    dashboard_token: Token | None = setting(
        None, "Who wants to see the dashboard has to know it.", "ASCII characters in one word"
    )
    dashboard_notice: Annotated[str, AfterValidator(_notice)] | None = setting(
        None, "A sentence for everyone, at the top of each page.", "one line of at most 300 characters"
    )
    admin_token: Token | None = setting(
        None,
        "The proxies' ADMIN_TOKEN: needed for their finished requests and for ending one, unless they are on loopback.",
        "ASCII characters in one word",
    )
    log_format: LogFormat = setting(LogFormat.CONSOLE, "How log lines look.", "console or json")
    log_level: LogLevel = setting(
        LogLevel.INFO, "The least severe level that is logged.", "debug, info, warning or error"
    )

    @property
    def targets(self) -> list[str]:
        return split_targets(self.scrape_targets)

    @property
    def answer_within(self) -> float:
        """Seconds that a proxy has to answer."""
        return min(self.scrape_timeout, self.scrape_interval)

    @property
    def database(self) -> Path:
        if self.db_path is not None:
            return self.db_path
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        return Path(state) / "zai-proxy" / "dashboard.db"

    @property
    def is_reachable_from_elsewhere(self) -> bool:
        """Whether other machines can reach the dashboard."""
        return not is_local(self.bind_address)


def split_targets(text: str) -> list[str]:
    """The single URLs, in order, each once."""
    return list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def load_settings() -> Settings:
    """Reads the environment. Raises SettingsError with a line for each wrong setting."""
    settings = Settings.from_environment()
    if settings.retention_1m < settings.retention_5s:
        line = f"RETENTION_1M={os.environ.get('RETENTION_1M', '30d')}: need at least RETENTION_5S"
        raise SettingsError([line])
    return settings
