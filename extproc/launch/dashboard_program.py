"""The dashboard as a child of the proxy: what has to be right before it starts, and what it gets to know."""

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import httpx

from common import ports
from common.file_lock import holder, lock_of
from common.settings import SettingsError
from dashboard import settings as its
from extproc.launch.addresses import metrics_url
from extproc.launch.child import Program
from extproc.launch.envoy_admin import says_something, until_answers
from extproc.launch.programs import zai_proxy
from extproc.settings import Settings

# What the dashboard gets of the environment beside its settings. Never the key, nor anything else that is the proxy's:
# it asks the proxy over HTTP, as anyone would.
_KNOWS: Final = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "XDG_STATE_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR")
_SETTINGS: Final = ("ADMIN_TOKEN", "BIND_ADDRESS", "DB_PATH")
_SETTINGS_BEGIN: Final = ("DASHBOARD_", "LOG_", "RETENTION_", "SCRAPE_")
# After an upgrade it may first have to bring a large database file into a new form.
_MOST_SECONDS_TO_START: Final = 600.0


def check_port(settings: Settings) -> None:
    """Raises SettingsError if the dashboard can't have its port."""
    own = its.load_settings()
    for name, number in settings.ports.items():
        if own.dashboard_port == number:
            raise SettingsError([f"DASHBOARD_PORT={own.dashboard_port}: need another port than {name}"])
    ports.bind(settings.bind_address, own.dashboard_port, "DASHBOARD_PORT").close()


def check_database(_settings: Settings) -> None:
    """Raises SettingsError if the dashboard can't write its file."""
    own = its.load_settings()
    if can_be_written(own.database):
        return
    if own.db_path is None:
        raise SettingsError([f"DB_PATH is not set and {own.database} can't be written: need it, or --no-dashboard"])
    need = "need a path in a directory that can be written to, or --no-dashboard"
    raise SettingsError([f"DB_PATH={own.db_path}: {need}"])


CHECKS: Final = (check_port, check_database)
"""What has to be right before anything starts, where the dashboard is wanted."""


def dashboard_url(settings: Settings) -> str:
    """The page, as this machine calls it. Raises SettingsError."""
    return ports.origin("http", settings.bind_address, its.load_settings().dashboard_port)


def environment(settings: Settings, given: Mapping[str, str]) -> dict[str, str]:
    """All that the dashboard gets of the given environment; where no targets are set, it looks at this proxy."""
    own = {
        name: value
        for name, value in given.items()
        if name in (*_KNOWS, *_SETTINGS) or name.startswith(_SETTINGS_BEGIN)
    }
    return {**own, "SCRAPE_TARGETS": own.get("SCRAPE_TARGETS") or f"{metrics_url(settings)}/metrics"}


def program(settings: Settings, client: httpx.AsyncClient, merge_output: bool = False, **overrides: str) -> Program:
    """`zai-proxy dashboard`: the proxy works without it."""
    ready_url, database = f"{dashboard_url(settings)}/healthz", its.load_settings().database
    return Program(
        name="dashboard",
        command=zai_proxy("dashboard"),
        environment=environment(settings, {**os.environ, **overrides}),
        until_ready=lambda: until_answers(client, ready_url),
        gives_sign=lambda: says_something(client, ready_url),
        prepare=lambda: _check_that_nobody_has(database),
        most_seconds_to_start=_MOST_SECONDS_TO_START,
        merge_output=merge_output,
        essential=False,
    )


def _check_that_nobody_has(database: Path) -> None:
    """Raises OSError if another dashboard uses the file."""
    other = holder(lock_of(database))
    if other is not None:
        need = "end that dashboard, or set DB_PATH to another file, or --no-dashboard"
        raise OSError(errno.EBUSY, f"{other} uses DB_PATH={database}: {need}")


def can_be_written(path: Path) -> bool:
    """Whether the file can be written, or made, with the directories above it that are missing."""
    # Of what may not be looked into os.path says no, and Path raises.
    if os.path.exists(path):
        return os.path.isfile(path) and os.access(path, os.W_OK) and os.access(path.parent, os.W_OK | os.X_OK)
    existing = next(parent for parent in path.parents if os.path.exists(parent))
    return os.path.isdir(existing) and os.access(existing, os.W_OK | os.X_OK)
