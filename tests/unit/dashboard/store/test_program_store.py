"""Which programs clients and sessions ask with is kept: bounded, over a restart, and learned from an older file."""

import sqlite3
from pathlib import Path

import pytest

from dashboard.store import programs
from dashboard.store.file import Retention, StoreFile
from dashboard.store.requests import RequestFilter, find_page
from dashboard.store.schema import MIGRATIONS, migrate, schema_version
from dashboard.store.targets import FeedPosition
from dashboard.store.usage import Question, ask
from tests.unit.dashboard.build import finished
from tests.unit.dashboard.conftest import NOW

DAY = 86400.0
KEPT = Retention(DAY, 30 * DAY, 7 * DAY)


def asks(file: StoreFile, number: int, at: float, program: str | None, **who: str) -> None:
    target = file.target("http://a/metrics").id
    request = finished(f"run-{number}", at, program=program, **who)
    file.save_requests(target, [request], FeedPosition(f"run-{number}", number))


def told(file: StoreFile, kind: str, *keys: str, begin: float = NOW - DAY, end: float = NOW + DAY) -> dict[str, object]:
    return dict(programs.programs_of(file._connection, kind, keys, begin, end))


def test_the_latest_programs_of_clients_and_sessions_are_told_the_latest_first(tmp_path: Path) -> None:
    file = StoreFile(tmp_path / "x.db", lambda: NOW)
    asks(file, 1, NOW + 1, "Codex", client="anna", session="s-1")
    asks(file, 2, NOW + 2, "Claude Code", client="anna", session="s-2")
    asks(file, 3, NOW + 3, None, client="anna", session="s-1")
    asks(file, 4, NOW + 4, "OpenAI SDK", client="ci")
    asks(file, 5, NOW, "Claude Code", client="anna")  # told of late
    file.close()

    file = StoreFile(tmp_path / "x.db", lambda: NOW)
    assert told(file, "client", "anna", "ci", "nobody") == {"anna": ["Claude Code", "Codex"], "ci": ["OpenAI SDK"]}
    assert told(file, "session", "s-1", "s-2") == {"s-1": ["Codex"], "s-2": ["Claude Code"]}
    assert told(file, "session") == {}
    file.close()


def test_three_programs_are_told_at_most_and_only_those_of_the_time(file: StoreFile) -> None:
    for number in range(5):
        asks(file, number, NOW + 100 * number, f"Program {number}", client="anna")

    assert told(file, "client", "anna") == {"anna": ["Program 4", "Program 3", "Program 2"]}
    assert told(file, "client", "anna", begin=NOW + 90, end=NOW + 210) == {"anna": ["Program 2", "Program 1"]}
    assert told(file, "client", "anna", begin=NOW + 500) == {}


def test_those_that_have_not_asked_for_longest_go_first(file: StoreFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "MOST_KEPT", 3)
    for number in range(5):
        asks(file, number, NOW + number, "Codex", client="anna", session=f"s-{number}")

    file.prune(NOW + 10, KEPT)

    kept = file._connection.execute("SELECT kind, key FROM program ORDER BY kind, key").fetchall()
    assert kept == [("client", "anna"), ("session", "s-2"), ("session", "s-3"), ("session", "s-4")]


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_a_file_of_an_older_version_loses_nothing_and_its_requests_tell_the_programs(
    tmp_path: Path, version: int
) -> None:
    path = tmp_path / "x.db"
    before = sqlite3.connect(path, isolation_level=None)
    for number, script in enumerate(MIGRATIONS[:version], 1):
        before.executescript(f"{script}\nPRAGMA user_version = {number};")
    knows_programs = version == len(MIGRATIONS)
    counts = dict.fromkeys(("input", "output", "cache_read", "cache_write", "reasoning"), 0)
    for number, program in enumerate(("Codex", "Claude Code", None)):
        row = {"target": 1, "feed_id": f"run-{number}", "started": NOW, "ended": NOW + number, "outcome": "ok"}
        row |= {"duration": 1.0, "client": "anna", "session": "s-1", **counts}
        row |= {"program": program} if knows_programs else {}
        columns = f"({', '.join(row)}) VALUES ({', '.join('?' * len(row))})"
        before.execute(f"INSERT INTO request {columns}", tuple(row.values()))
    before.close()

    file = StoreFile(path, lambda: NOW)

    assert find_page(file._connection, RequestFilter(), "ended", False, 10, None).total == 3
    (anna,) = ask(file._connection, Question("client", NOW - 1, NOW + 60)).rows
    assert (anna["key"], anna["requests"]) == ("anna", 3)
    expected = {"anna": ["Claude Code", "Codex"]} if knows_programs else {}
    assert told(file, "client", "anna") == expected
    assert bool(told(file, "session", "s-1")) == knows_programs
    file.close()

    after = sqlite3.connect(path)
    assert schema_version(after) == len(MIGRATIONS)  # which programs do not make larger
    migrate(after)
    after.close()


def test_what_is_known_is_not_learned_again_at_each_start(tmp_path: Path) -> None:
    file = StoreFile(tmp_path / "x.db", lambda: NOW)
    asks(file, 1, NOW, "Codex", client="anna")
    asks(file, 2, NOW, "Codex", client="ci")
    file._connection.execute("DELETE FROM program WHERE key = 'ci'")
    file.close()

    file = StoreFile(tmp_path / "x.db", lambda: NOW)

    assert told(file, "client", "anna", "ci") == {"anna": ["Codex"]}
    file.close()
