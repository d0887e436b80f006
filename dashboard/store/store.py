"""The store as the rest of the dashboard sees it: awaited, its work done in threads."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from dashboard.domain.alerts import AlertChange
from dashboard.domain.finished import Finished
from dashboard.domain.row_codec import DamagedRowError
from dashboard.domain.samples import SeriesKey
from dashboard.records.names import Name, Names
from dashboard.records.series import Mark
from dashboard.store import database
from dashboard.store.database import StoreError
from dashboard.store.file import Retention, StoreFile
from dashboard.store.samples import TargetSample
from dashboard.store.targets import FeedPosition, KnownTarget

T = TypeVar("T")
_READERS: Final = 2


class Store:
    """One thread writes, two read. Raises StoreError if the file can't be used."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._file = StoreFile(path, clock)
        self._writer = ThreadPoolExecutor(1, "store-writer")
        self._readers = ThreadPoolExecutor(_READERS, "store-reader")
        self._local = threading.local()
        self._open_readers: list[sqlite3.Connection] = []
        self.error: str | None = None
        """What went wrong at the last write, None if nothing did."""

    @property
    def path(self) -> Path:
        return self._file.path

    @property
    def generation(self) -> int:
        """Rises whenever a fresh file was begun, with which the ids of requests begin anew."""
        return self._file.generation

    @property
    def set_aside_to(self) -> Path | None:
        """Where the last damaged file is."""
        return self._file.set_aside_to

    @property
    def bytes(self) -> int:
        """What the file and its log take up."""
        parts = (Path(f"{self.path}{suffix}") for suffix in ("", "-wal"))
        return sum(part.stat().st_size for part in parts if part.exists())

    async def close(self) -> None:
        """Lets what is being read and written finish. Last of all the file, which then has no log beside it."""
        await asyncio.to_thread(self._readers.shutdown, cancel_futures=True)
        for connection in self._open_readers:
            connection.close()
        await self._in_writer(self._file.close)
        self._writer.shutdown()

    async def target(self, url: str) -> KnownTarget:
        return await self._write(lambda: self._file.target(url))

    async def save_round(
        self, at: float, interval: float, samples: Sequence[TargetSample], marks: Sequence[Mark] = ()
    ) -> None:
        await self._write(lambda: self._file.save_round(at, interval, samples, marks))

    async def save_requests(
        self, target: int, finished: Sequence[Finished], position: FeedPosition
    ) -> list[tuple[int, Finished]]:
        return await self._write(lambda: self._file.save_requests(target, finished, position))

    async def save_name(self, name: Name) -> Names:
        """All names as they are afterwards."""
        return await self._write(lambda: self._file.save_name(name))

    async def save_marks(self, marks: Sequence[Mark]) -> None:
        await self._write(lambda: self._file.save_marks(marks))

    async def save_alerts(self, changes: Sequence[AlertChange]) -> list[int]:
        return await self._write(lambda: self._file.save_alerts(changes))

    async def prune(self, now: float, retention: Retention) -> None:
        await self._write(lambda: self._file.prune(now, retention))

    async def read(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        """Asks a connection that only reads. Raises StoreError if the file can't be read; a broken one is set aside."""
        return await self.read_series(lambda connection, _keys: ask(connection))

    async def read_series(self, ask: Callable[[sqlite3.Connection, Mapping[int, SeriesKey]], T]) -> T:
        """The same for a question that needs to know which number stands for which series."""
        generation = self.generation

        def work() -> T:
            return ask(self._reader(generation), self._file.series.keys)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, work)
        except (sqlite3.Error, DamagedRowError) as error:
            damage = str(error)
            if isinstance(error, DamagedRowError) or database.is_damage(error):
                await self._in_writer(lambda: self._file.begin_anew(generation, damage))
            raise StoreError(f"the database can't be read: {error}") from error

    async def check(self) -> None:
        """Reads all of the file once; a broken one is set aside."""
        generation = self.generation
        found = await self.read(database.check)
        if found is not None:
            await self._in_writer(lambda: self._file.begin_anew(generation, found))

    async def _write(self, work: Callable[[], T]) -> T:
        """Raises StoreError if nothing was written."""
        try:
            result = await self._in_writer(work)
        except (sqlite3.Error, StoreError) as error:
            self.error = f"the database can't be written: {error}"
            raise StoreError(self.error) from error
        self.error = None
        return result

    async def _in_writer(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, work)

    def _reader(self, generation: int) -> sqlite3.Connection:
        known: tuple[int, sqlite3.Connection] | None = getattr(self._local, "connection", None)
        if known is not None and known[0] == generation:
            return known[1]
        if known is not None:
            known[1].close()
            self._open_readers.remove(known[1])
        connection = database.open_reader(self.path)
        self._open_readers.append(connection)
        self._local.connection = (generation, connection)
        return connection


__all__ = ["Store", "StoreError"]
