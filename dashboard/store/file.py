"""The store as the thread that writes sees it: opened, written, pruned, and begun anew if the file is broken."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import structlog

from dashboard.domain.alerts import AlertChange
from dashboard.domain.finished import Finished
from dashboard.domain.rollup import Tier
from dashboard.records.names import Name, Names
from dashboard.records.series import Mark
from dashboard.store import database, journal, names, programs, requests, targets, usage
from dashboard.store.samples import SampleWriter, TargetSample, delete_samples
from dashboard.store.series import SeriesIds
from dashboard.store.targets import FeedPosition, KnownTarget

log = structlog.get_logger("dashboard")

T = TypeVar("T")
_VACUUMED_PAGES: Final = 500


@dataclass(frozen=True, slots=True)
class Retention:
    """How many seconds each kind of record is kept; hours of samples and days of usage are kept for good."""

    five_seconds: float
    minutes: float
    requests: float


class StoreFile:
    """The database file. If it is damaged it is set aside, and if it was deleted it is missed at the next write: either
    way a fresh one is begun. Raises StoreError if no file can be used."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self.path = path
        self._clock = clock
        self._lock = database.Lock(path)
        self._urls: dict[int, str] = {}
        self._names: dict[names.Key, tuple[str, float]] = {}
        self._opened: database.Identity | None = None
        self.generation = 0
        self.set_aside_to: Path | None = None
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            self._begin_anew(str(error))
        except database.StoreError:
            self._lock.release()
            raise

    def close(self) -> None:
        try:
            if self._opened is not None:
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self._connection.close()
            self._lock.release()

    def target(self, url: str) -> KnownTarget:
        known = self._write(lambda connection: targets.get_target(connection, url, self.series.keys))
        self._urls[known.id] = url
        return known

    def save_round(
        self, at: float, interval: float, samples: Sequence[TargetSample], marks: Sequence[Mark] = ()
    ) -> None:
        """One look at every target that answered and the marks it set, all or none."""
        self._write(lambda _connection: self._samples.save(at, interval, samples, marks))

    def save_requests(
        self, target: int, finished: Sequence[Finished], position: FeedPosition
    ) -> list[tuple[int, Finished]]:
        """Requests and how far the feed was read, all or none. Returns those that are new, with their ids."""

        def save(connection: sqlite3.Connection) -> list[tuple[int, Finished]]:
            with database.transaction(connection):
                stored = requests.insert_requests(connection, target, finished)
                self._usage.add(target, (request for _, request in stored))
                names.note_use(connection, self._names.keys(), (request for _, request in stored))
                programs.note_programs(connection, (request for _, request in stored))
                targets.save_position(connection, target, position)
            return stored

        return self._write(save)

    def save_name(self, name: Name) -> Names:
        """All names as they are afterwards."""

        def save(connection: sqlite3.Connection) -> Names:
            with database.transaction(connection):
                names.save_name(connection, name, self._clock())
            self._know_names()
            return names.all_names(connection)

        return self._write(save)

    def save_marks(self, marks: Sequence[Mark]) -> None:
        self._write(lambda connection: journal.add_marks(connection, marks))

    def save_alerts(self, changes: Sequence[AlertChange]) -> list[int]:
        return self._write(lambda connection: journal.add_alerts(connection, changes))

    def prune(self, now: float, retention: Retention) -> None:
        """Forgets what is older than it is kept for."""

        def prune(connection: sqlite3.Connection) -> None:
            with database.transaction(connection):
                delete_samples(connection, Tier.FIVE_SECONDS, now - retention.five_seconds)
                delete_samples(connection, Tier.MINUTE, now - retention.minutes)
                delete_samples(connection, Tier.TEN_MINUTES, now - retention.minutes)
                requests.delete_requests(connection, now - retention.requests)
                usage.age_usage(connection, now - retention.minutes)
                journal.delete_journal(connection, now - retention.minutes)
                programs.delete_programs(connection)
            connection.execute(f"PRAGMA incremental_vacuum({_VACUUMED_PAGES})").fetchall()

        self._write(prune)

    def begin_anew(self, generation: int, why: str) -> None:
        """Sets the file aside because a reader of this generation found it broken."""
        if generation == self.generation:
            self._connection.close()
            self._begin_anew(why)

    def _write(self, write: Callable[[sqlite3.Connection], T]) -> T:
        if self._opened != database.identity(self.path):
            self._open_again()
        try:
            return write(self._connection)
        except sqlite3.DatabaseError as error:
            if database.is_damage(error):
                self.begin_anew(self.generation, str(error))
            raise

    def _open(self) -> None:
        self._connection = database.open_writer(self.path)
        self.series = SeriesIds(self._connection)
        self._samples = SampleWriter(self._connection, self.series)
        self._usage = usage.UsageWriter(self._connection)
        self._know_names()
        self._opened = database.identity(self.path)

    def _know_names(self) -> None:
        self._names = {(kind, key): (name, used) for kind, key, name, used in names.read_rows(self._connection)}

    def _begin_anew(self, why: str) -> None:
        self.set_aside_to = database.set_aside(self.path, self._clock())
        log.error(
            "the database is damaged: it was set aside and a fresh one begun",
            database=str(self.path),
            set_aside_to=str(self.set_aside_to),
            damage=why,
        )
        self._go_on_in_another()

    def _open_again(self) -> None:
        """Opens what is at the path now, after somebody has taken away the file, its log or its directory, or has put
        another file in its place."""
        is_gone = not self.path.exists()
        if self._opened is not None:
            database.finish_elsewhere(self._connection, self.path, self._opened)
        self._opened = None  # until all of this has been done, it is tried again at each write
        self._connection.close()
        self._lock.release()
        self._lock = database.Lock(self.path)
        try:
            self._go_on_in_another()
        except sqlite3.DatabaseError as error:
            if not database.is_damage(error):
                raise
            self._begin_anew(str(error))
            return
        what = "is gone: a fresh one was begun" if is_gone else "is another, or without its log: it was opened again"
        log.error(f"the database {what}", database=str(self.path))

    def _go_on_in_another(self) -> None:
        named = self._names
        self.generation += 1
        try:
            self._open()
            self._carry_over(named)
        except BaseException:
            self._opened, self._names = None, named
            raise

    def _carry_over(self, named: Mapping[names.Key, tuple[str, float]]) -> None:
        """Writes into a file that was just opened what this process knows from the one before: targets and names.
        Raises StoreError if the new file knows other targets by the same numbers."""
        with database.transaction(self._connection):
            # The rest of the dashboard goes on using these numbers.
            self._connection.executemany("INSERT OR IGNORE INTO target (id, url) VALUES (?, ?)", self._urls.items())
            # The names that people have given stand nowhere but in the file.
            names.save_rows(self._connection, ((*key, name, used) for key, (name, used) in named.items()))
        self._know_names()
        known = dict(self._connection.execute("SELECT id, url FROM target"))
        if not self._urls.items() <= known.items():
            raise database.StoreError(
                f"DB_PATH={self.path}: another file was put in its place; need a start of the dashboard to use it"
            )
