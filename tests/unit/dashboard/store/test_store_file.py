"""The file itself: versions, damage, and who may use it."""

import os
import shutil
import sqlite3
from pathlib import Path

import pytest
import structlog

from dashboard.domain.alerts import Alert, AlertChange
from dashboard.records.alerts import AlertState, Severity
from dashboard.records.names import Name, NameKind
from dashboard.records.series import Mark, MarkKind
from dashboard.store import database, journal
from dashboard.store.database import StoreError
from dashboard.store.file import StoreFile
from dashboard.store.names import all_names
from dashboard.store.requests import RequestFilter, find_page
from dashboard.store.schema import MIGRATIONS, NewerSchemaError, migrate, schema_version
from dashboard.store.store import Store
from dashboard.store.targets import FeedPosition
from tests.unit.dashboard.build import counter, finished, sample
from tests.unit.dashboard.conftest import NOW

OK = counter("zai_proxy_requests_total", status_code="200")


def opened(path: Path) -> StoreFile:
    return StoreFile(path, lambda: NOW)


def test_the_file_and_its_directory_are_made_for_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "dashboard.db"

    opened(path).close()

    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_only_one_dashboard_uses_a_file(tmp_path: Path) -> None:
    first = opened(tmp_path / "x.db")
    with pytest.raises(StoreError, match="another dashboard uses it"):
        opened(tmp_path / "x.db")

    first.close()
    opened(tmp_path / "x.db").close()


def test_a_path_that_can_not_be_used_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "x.db", Path("/proc/x/dashboard.db")):
        with pytest.raises(StoreError, match=r"^DB_PATH=[^\n]+: need a [^\n]+$"):
            opened(path)


def test_a_file_that_is_no_database_is_set_aside_and_a_fresh_one_begun(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(b"This was something else.\n" * 1000)

    file = opened(path)
    file.save_round(NOW, 5.0, [sample(file.target("http://a/metrics").id, NOW, {OK: 1.0})])

    assert file.set_aside_to == tmp_path / "x.db.damaged-20251124T160000Z"
    assert file.set_aside_to.read_bytes().startswith(b"This was something else.")
    file.close()
    assert opened(path).set_aside_to is None


def test_damage_that_shows_while_writing_is_set_aside_and_targets_keep_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    file = opened(path)
    numbers = [file.target(f"http://{name}/metrics").id for name in "abc"]
    _save_rounds(file, numbers, 200)
    file._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    _scribble(path)
    file._connection.execute("PRAGMA shrink_memory")

    with pytest.raises(sqlite3.DatabaseError):
        _save_rounds(file, numbers, 200)

    assert file.generation == 1
    assert [file.target(f"http://{name}/metrics").id for name in "abc"] == numbers
    file.save_round(NOW, 5.0, [sample(numbers[2], NOW, {OK: 1.0})])
    assert database.check(file._connection) is None
    file.close()


async def test_damage_that_shows_while_reading_is_set_aside_too(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    file = opened(path)
    target = file.target("http://a/metrics").id
    _save_rounds(file, [target], 500)
    file.close()
    _scribble(path)
    store = Store(path, lambda: NOW)

    with pytest.raises(StoreError, match="can't be read"):
        await store.read(lambda connection: connection.execute("SELECT * FROM target_5").fetchall())

    assert store.set_aside_to is not None
    assert await store.read(lambda connection: connection.execute("SELECT * FROM target_5").fetchall()) == []
    await store.close()


async def test_looking_the_whole_file_over_finds_damage_that_nobody_has_met(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    file = opened(path)
    target = file.target("http://a/metrics").id
    _save_rounds(file, [target], 500)
    file.close()
    _scribble(path)
    store = Store(path, lambda: NOW)

    await store.check()

    assert store.set_aside_to is not None
    await store.check()
    assert store.generation == 1
    await store.close()


async def test_a_directory_that_is_swept_away_is_made_again_and_what_comes_next_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "state" / "x.db"
    store = Store(path, lambda: NOW)
    targets = [(await store.target(f"http://{name}/metrics")).id for name in "ab"]
    name = Name(kind=NameKind.CLIENT, key="10.0.0.7", name="the laptop")
    await store.save_name(name)
    await store.save_round(NOW, 5.0, [sample(targets[1], NOW, {OK: 1.0})])
    await store.read(all_names)
    shutil.rmtree(path.parent)

    with structlog.testing.capture_logs() as told:
        for second in (5, 10):
            await store.save_round(NOW + second, 5.0, [sample(targets[1], NOW + second, {OK: 1.0})])
        await store.save_requests(targets[1], [finished("run-1", NOW)], FeedPosition("run-1", 1))

    assert [line["event"] for line in told] == ["the database is gone: a fresh one was begun"]
    assert store.generation == 1
    assert (await store.read(all_names)).names == [name]
    with pytest.raises(StoreError, match="another dashboard uses it"):
        opened(path)
    await store.close()
    file = opened(path)
    assert [file.target(f"http://{name}/metrics").id for name in "ab"] == targets
    assert file._connection.execute("SELECT count(*) FROM target_5").fetchone() == (2,)
    assert file._connection.execute("SELECT count(*) FROM request").fetchone() == (1,)
    file.close()


async def test_what_can_not_be_made_again_is_tried_until_it_can(tmp_path: Path) -> None:
    path = tmp_path / "state" / "x.db"
    store = Store(path, lambda: NOW)
    target = (await store.target("http://a/metrics")).id
    shutil.rmtree(path.parent)
    path.parent.write_text("in the way")

    for _ in range(2):
        with pytest.raises(StoreError, match="can't be written"):
            await store.save_round(NOW, 5.0, [sample(target, NOW, {OK: 1.0})])
    assert "DB_PATH=" in (store.error or "")

    path.parent.unlink()
    await store.save_round(NOW, 5.0, [sample(target, NOW, {OK: 1.0})])
    assert store.error is None
    await store.close()


def test_a_log_that_is_swept_away_on_its_own_takes_nothing_along(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    file = opened(path)
    target = file.target("http://a/metrics").id
    _save_rounds(file, [target], 10)
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink()

    _save_rounds(file, [target], 12)

    assert file._connection.execute("SELECT count(*) FROM target_5").fetchone() == (12,)
    assert database.check(file._connection) is None
    file.close()


def test_a_copy_that_is_put_in_its_place_is_gone_on_with_unless_it_knows_other_targets(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    file = opened(path)
    target = file.target("http://a/metrics").id
    _save_rounds(file, [target], 3)
    for name, url in (("same.db", "http://a/metrics"), ("other.db", "http://b/metrics")):
        other = opened(tmp_path / name)
        assert other.target(url).id == target
        other.close()

    path.rename(tmp_path / "moved.db")
    (tmp_path / "same.db").rename(path)
    file.save_round(NOW, 5.0, [sample(target, NOW, {OK: 1.0})])
    assert file._connection.execute("SELECT count(*) FROM target_5").fetchone() == (1,)
    moved = sqlite3.connect(tmp_path / "moved.db")
    assert moved.execute("SELECT count(*) FROM target_5").fetchone() == (3,)
    moved.close()

    (tmp_path / "other.db").rename(path)
    with pytest.raises(StoreError, match="another file was put in its place"):
        file.save_round(NOW, 5.0, [sample(target, NOW, {OK: 1.0})])

    path.write_bytes(b"This is something else.\n" * 1000)
    file.save_round(NOW, 5.0, [sample(target, NOW, {OK: 1.0})])
    assert file.set_aside_to is not None
    file.close()


async def test_a_disk_that_is_full_is_an_error_and_no_damage(tmp_path: Path) -> None:
    store = Store(tmp_path / "x.db", lambda: NOW)
    target = (await store.target("http://a/metrics")).id
    store._file._connection.execute("PRAGMA max_page_count = 40")

    async def fill() -> None:
        for second in range(5000):
            await store.save_round(NOW + 5 * second, 5.0, [sample(target, NOW, {OK: 1.0})])

    with pytest.raises(StoreError, match="full"):
        await fill()

    assert "full" in (store.error or "")
    store._file._connection.execute("PRAGMA max_page_count = 100000")
    await store.save_round(NOW, 5.0, [sample(target, NOW, {OK: 1.0})])
    assert store.error is None
    assert store.generation == 0
    await store.close()


def test_a_file_of_every_older_version_becomes_one_of_this(tmp_path: Path) -> None:
    for version in range(len(MIGRATIONS) + 1):
        connection = sqlite3.connect(tmp_path / f"{version}.db", isolation_level=None)
        migrate(connection, MIGRATIONS[:version])
        assert schema_version(connection) == version

        migrate(connection)

        assert schema_version(connection) == len(MIGRATIONS)
        assert database.check(connection) is None
        connection.close()


def test_requests_of_an_older_version_stay_and_new_ones_say_what_they_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    connection = sqlite3.connect(path, isolation_level=None)
    migrate(connection, MIGRATIONS[:1])
    old = {"target": 1, "feed_id": "run-1", "started": NOW - 2, "ended": NOW - 1, "outcome": "ok", "duration": 1.0}
    old |= {"model": "glm-5.3", **dict.fromkeys(("input", "output", "cache_read", "cache_write", "reasoning"), 0)}
    columns = f"({', '.join(old)}) VALUES ({', '.join('?' * len(old))})"
    connection.execute(f"INSERT INTO request {columns}", tuple(old.values()))
    connection.close()

    file = opened(path)
    target = file.target("http://a/metrics").id
    asked = finished("run-2", NOW, model_asked="claude-opus-5")
    file.save_requests(target, [asked], FeedPosition("run-2", 1))

    page = find_page(file._connection, RequestFilter(), "ended", False, 10, None)
    assert [(each.feed_id, each.model, each.model_asked) for each in page.requests] == [
        ("run-1", "glm-5.3", None),
        ("run-2", None, "claude-opus-5"),
    ]
    assert find_page(file._connection, RequestFilter(search="OPUS"), "ended", True, 10, None).total == 1


def test_a_migration_is_done_wholly_or_not_at_all(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    migrate(connection)
    step = "CREATE TABLE first (a); CREATE TABLE first (a);"

    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, (*MIGRATIONS, step))
    connection.close()

    again = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    assert schema_version(again) == len(MIGRATIONS)
    assert again.execute("SELECT count(*) FROM sqlite_master WHERE name = 'first'").fetchone() == (0,)


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    connection = sqlite3.connect(path, isolation_level=None)
    migrate(connection, (*MIGRATIONS, "CREATE TABLE of_tomorrow (a);"))
    with pytest.raises(NewerSchemaError):
        migrate(connection)
    connection.close()
    before = path.read_bytes()

    with pytest.raises(StoreError, match="a newer version wrote it"):
        opened(path)

    assert schema_version(sqlite3.connect(path)) == len(MIGRATIONS) + 1
    assert not list(tmp_path.glob("*.damaged*"))
    assert len(path.read_bytes()) == len(before)


def test_marks_are_found_by_window_and_target(file: StoreFile) -> None:
    file.save_marks(
        [
            Mark(at=NOW + 10, kind=MarkKind.STARTED, target=1, text="a started"),
            Mark(at=NOW + 5, kind=MarkKind.RESET, target=None, text="the plan"),
            Mark(at=NOW + 20, kind=MarkKind.LOST, target=2, text="b is gone"),
        ]
    )

    def found(begin: float, end: float, target: int | None) -> list[str]:
        return [mark.text for mark in journal.find_marks(file._connection, begin, end, target)]

    assert found(NOW, NOW + 60, None) == ["the plan", "a started", "b is gone"]
    assert found(NOW, NOW + 20, None) == ["the plan", "a started"]
    assert found(NOW, NOW + 60, 2) == ["the plan", "b is gone"]


def test_alerts_are_numbered_in_their_order(file: StoreFile) -> None:
    alert = Alert("a", Severity.WARNING, "title", "advice")

    ids = file.save_alerts([AlertChange(NOW, state, alert) for state in AlertState])

    assert ids == [1, 2]
    count, after = journal.alerts_after(file._connection, 1, 10)
    assert (count, after) == (1, [(2, AlertChange(NOW, AlertState.CLEARED, alert).record())])


def _save_rounds(file: StoreFile, targets: list[int], rounds: int) -> None:
    for number in range(rounds):
        at = NOW + 5 * number
        file.save_round(at, 5.0, [sample(target, at, {OK: 1.0}) for target in targets])


def _scribble(path: Path) -> None:
    """Writes over pages of rows, as a failing disk might; the first ones, which say what the file is, are spared."""
    size = os.path.getsize(path)
    with path.open("r+b") as file:
        for offset in range(8192 * 26, size, 8192):
            file.seek(offset)
            file.write(b"\xa5" * 1024)
