import os
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from dashboard.store.database import Lock
from extproc.launch import dashboard_program
from extproc.settings import Settings
from tests.harness.processes import make_key

KEY = make_key()


@pytest.fixture
def settings() -> Settings:
    return Settings(zai_api_key=SecretStr(KEY), metrics_port=9191, bind_address="0.0.0.0")  # noqa: S104 - no socket is made


def test_it_gets_its_own_settings_and_never_the_proxys(settings: Settings) -> None:
    given = {
        "PATH": "/bin",
        "HOME": "/home/me",
        "ZAI_API_KEY": KEY,
        "ZAI_API_KEY_FILE": "/run/key",
        "QUOTA_WEBHOOK_URL": "https://example.com/secret",
        "DASHBOARD_TOKEN": "t",
        "ADMIN_TOKEN": "a",
        "RETENTION_5S": "1h",
        "LOG_LEVEL": "error",
        "SOMETHING_ELSE": "x",
    }

    known = dashboard_program.environment(settings, given)

    kept = {"PATH", "HOME", "DASHBOARD_TOKEN", "ADMIN_TOKEN", "RETENTION_5S", "LOG_LEVEL"}
    assert known == {**{name: given[name] for name in kept}, "SCRAPE_TARGETS": "http://127.0.0.1:9191/metrics"}


def test_targets_that_are_set_stay(settings: Settings) -> None:
    targets = "http://10.0.0.1:9090/metrics"

    assert dashboard_program.environment(settings, {"SCRAPE_TARGETS": targets})["SCRAPE_TARGETS"] == targets


async def test_it_is_not_essential(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DB_PATH", str(tmp_path / "dashboard.db"))
    monkeypatch.setenv("ZAI_API_KEY", KEY)
    async with httpx.AsyncClient() as client:
        program = dashboard_program.program(settings, client, LOG_LEVEL="warning")

    assert not program.essential
    assert program.environment["LOG_LEVEL"] == "warning"
    assert KEY not in program.environment.values()


def test_a_database_in_a_directory_that_may_not_be_looked_into_raises_nothing_unforeseen(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 300) / "dashboard.db"  # of which no system says whether it is there

    assert dashboard_program.can_be_written(path)


async def test_while_another_dashboard_has_its_file_it_is_not_started(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    database = tmp_path / "dashboard.db"
    monkeypatch.setenv("DB_PATH", str(database))
    async with httpx.AsyncClient() as client:
        program = dashboard_program.program(settings, client)
    program.prepare()

    lock = Lock(database)
    with pytest.raises(OSError, match=f"process {os.getpid()} uses DB_PATH={database}: end that dashboard, or set "):
        program.prepare()
    lock.release()

    program.prepare()
