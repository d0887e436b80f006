"""The command: one line for a wrong setting, and an end when it is asked for."""

import json
import os
import signal
import socket
import sqlite3
import sys
from pathlib import Path

import httpx
import pytest

from tests.harness.ports import free_port
from tests.harness.processes import Process, bare_environment
from tests.harness.waiting import wait_until


def started(directory: Path, **settings: str) -> Process:
    defaults = {"DB_PATH": str(directory / "dashboard.db"), "DASHBOARD_PORT": str(free_port()), "LOG_FORMAT": "json",
                "SCRAPE_TARGETS": f"http://127.0.0.1:{free_port()}/metrics"}  # fmt: skip
    environment = bare_environment(**{**defaults, **settings})
    return Process("dashboard", [sys.executable, "-m", "dashboard"], environment, directory)


def lines(process: Process) -> list[str]:
    return process.output.splitlines()


def test_wrong_settings_are_a_line_each_and_exit_code_2(tmp_path: Path) -> None:
    process = started(tmp_path, SCRAPE_TARGETS="localhost", DASHBOARD_PORT="http", DASHBOARD_TOKEN="two words")

    assert process.wait() == 2
    assert lines(process) == [
        "SCRAPE_TARGETS=localhost: need URLs like http://127.0.0.1:9090/metrics or dns+http://zai-proxy:9090/metrics, "
        "separated by commas",
        "DASHBOARD_PORT=http: need a port from 1 to 65535",
        "DASHBOARD_TOKEN=***: need ASCII characters in one word",
    ]


def test_a_port_that_is_taken_is_a_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        process = started(tmp_path, DASHBOARD_PORT=str(port))

        assert process.wait() == os.EX_TEMPFAIL
        [line] = lines(process)
        assert line.startswith(f"DASHBOARD_PORT={port}: need a free port on 127.0.0.1 (Address already in use")


def test_an_address_of_another_machine_is_a_line(tmp_path: Path) -> None:
    process = started(tmp_path, BIND_ADDRESS="203.0.113.7")

    assert process.wait() == os.EX_TEMPFAIL
    assert lines(process) == ["BIND_ADDRESS=203.0.113.7: need an address of this machine"]


def test_a_database_that_can_not_be_used_is_a_line(tmp_path: Path) -> None:
    process = started(tmp_path, DB_PATH=str(tmp_path))

    assert process.wait() == 2
    assert lines(process) == [f"DB_PATH={tmp_path}: need a file, not a directory"]


def test_a_second_dashboard_on_the_same_file_is_a_line(tmp_path: Path) -> None:
    first = started(tmp_path)
    wait_until(lambda: '"ready"' in first.output, "the first is ready")
    (tmp_path / "second").mkdir()

    second = started(tmp_path / "second", DB_PATH=str(tmp_path / "dashboard.db"))

    assert second.wait() == 2
    assert lines(second) == [
        f"DB_PATH={tmp_path}/dashboard.db: another dashboard uses it (process {first.pid}): end that one, or set "
        "DB_PATH to another file"
    ]
    first.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_it_is_asked_to_and_leaves_a_whole_file(tmp_path: Path, number: signal.Signals) -> None:
    port = free_port()
    process = started(tmp_path, DASHBOARD_PORT=str(port))
    wait_until(lambda: '"ready"' in process.output, "it is ready")
    assert httpx.get(f"http://127.0.0.1:{port}/healthz").json() == {"status": "ok"}

    process.signal(number)

    assert process.wait() == 0
    assert not (tmp_path / "dashboard.db-wal").exists()
    connection = sqlite3.connect(tmp_path / "dashboard.db")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    assert [json.loads(line)["level"] for line in lines(process)] == ["info"] * len(lines(process))


def test_open_to_other_machines_without_a_token_it_warns(tmp_path: Path) -> None:
    process = started(tmp_path, BIND_ADDRESS="0.0.0.0")  # noqa: S104 - that is what it warns of

    wait_until(lambda: '"ready"' in process.output, "it is ready")
    process.kill()

    warnings = [json.loads(line)["event"] for line in lines(process) if json.loads(line)["level"] == "warning"]
    assert len(warnings) == 1
    assert "DASHBOARD_TOKEN is not set" in warnings[0]


def test_a_file_that_is_damaged_is_set_aside_with_a_clear_line(tmp_path: Path) -> None:
    (tmp_path / "dashboard.db").write_bytes(b"no database" * 1000)

    process = started(tmp_path)

    wait_until(lambda: '"ready"' in process.output, "it is ready")
    process.kill()
    entry = json.loads(lines(process)[0])
    assert entry["event"] == "the database is damaged: it was set aside and a fresh one begun"
    assert Path(entry["set_aside_to"]).read_bytes().startswith(b"no database")
