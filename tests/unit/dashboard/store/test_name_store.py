"""Names that people give are kept: bounded, over a restart, and in a file that an older version can still open."""

import sqlite3
from pathlib import Path

import pytest

from dashboard.domain.names import MOST_NAMES
from dashboard.records.names import Name, NameKind
from dashboard.store import names as stored
from dashboard.store.file import StoreFile
from dashboard.store.schema import ADDITIONS, MIGRATIONS, migrate, schema_version
from dashboard.store.targets import FeedPosition
from tests.unit.dashboard.build import finished
from tests.unit.dashboard.conftest import NOW


def client(key: str, name: str) -> Name:
    return Name(kind=NameKind.CLIENT, key=key, name=name)


def session(key: str, name: str) -> Name:
    return Name(kind=NameKind.SESSION, key=key, name=name)


def asks(file: StoreFile, number: int, at: float, **who: str) -> None:
    target = file.target("http://a/metrics").id
    file.save_requests(target, [finished(f"run-{number}", at, **who)], FeedPosition(f"run-{number}", number))


def test_names_are_kept_over_a_restart_changed_and_taken_away(tmp_path: Path) -> None:
    file = StoreFile(tmp_path / "x.db", lambda: NOW)
    file.save_name(client("source-17", "Anna"))
    file.save_name(session("source-17", "a session of that name"))
    file.save_name(client("source-18", "Bert"))
    file.close()

    file = StoreFile(tmp_path / "x.db", lambda: NOW + 10)
    file.save_name(client("source-17", "Anna's laptop"))
    left = file.save_name(client("source-18", ""))
    file.close()

    assert left.names == [client("source-17", "Anna's laptop"), session("source-17", "a session of that name")]


def test_of_too_many_names_the_one_that_was_unused_for_longest_goes(file: StoreFile) -> None:
    for number in range(MOST_NAMES):
        file._clock = lambda now=NOW + number: now  # type: ignore[misc]
        file.save_name(client(f"c-{number}", f"Name {number}"))
    asks(file, 1, NOW + 10_000, client="c-0")
    asks(file, 2, NOW + 1, client="c-1", session="c-2")  # long ago, and a session of that name: neither is of use

    names = file.save_name(session("s", "The last")).names

    kept = {(name.kind, name.key) for name in names}
    assert len(names) == MOST_NAMES
    assert (NameKind.CLIENT, "c-0") in kept
    assert (NameKind.CLIENT, "c-1") not in kept
    assert (NameKind.CLIENT, "c-2") in kept


def test_a_clock_that_was_put_back_takes_no_name_away_that_is_given_now(file: StoreFile) -> None:
    for number in range(MOST_NAMES):
        file.save_name(client(f"c-{number}", f"Name {number}"))
    file._clock = lambda: NOW - 86400

    assert client("new", "New") in file.save_name(client("new", "New")).names


def test_only_what_has_asked_or_has_a_name_is_known(file: StoreFile) -> None:
    asks(file, 1, NOW, client="anna", session="s-1")
    file.save_name(client("long ago", "Old"))

    def known(kind: NameKind, key: str) -> bool:
        return stored.is_known(file._connection, kind, key)

    assert known(NameKind.CLIENT, "anna")
    assert known(NameKind.SESSION, "s-1")
    assert known(NameKind.CLIENT, "long ago")
    assert not known(NameKind.SESSION, "anna")
    assert not known(NameKind.CLIENT, "s-1")
    assert not known(NameKind.SESSION, "long ago")


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_a_file_of_an_older_version_gets_names_and_stays_one_that_it_can_open(tmp_path: Path, version: int) -> None:
    path = tmp_path / "x.db"
    before = sqlite3.connect(path)
    for number, script in enumerate(MIGRATIONS[:version], 1):
        before.executescript(f"{script}\nPRAGMA user_version = {number};")
    before.close()

    file = StoreFile(path, lambda: NOW)
    file.save_name(client("anna", "Anna"))
    file.close()

    after = sqlite3.connect(path)
    assert schema_version(after) == len(MIGRATIONS)  # which names do not make larger
    after.executescript("INSERT INTO mark (at, kind, text) VALUES (1, 'started', 'by a version that knows no names')")
    migrate(after)
    assert [name.name for name in stored.all_names(after).names] == ["Anna"]
    after.close()


def test_an_addition_says_the_same_however_often_it_is_run(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "x.db")
    for script in (*ADDITIONS, *ADDITIONS):
        connection.executescript(script)
    connection.close()


def test_names_outlive_a_file_that_breaks(file: StoreFile) -> None:
    file.save_name(client("anna", "Anna"))

    file.begin_anew(file.generation, "it is broken")

    assert stored.all_names(file._connection).names == [client("anna", "Anna")]
