"""Opening the file: one process at a time, a damaged one set aside, an older one brought up to date."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final, TypeAlias

from common.file_lock import HeldError, hold, lock_of
from dashboard.store.programs import look_back
from dashboard.store.schema import NewerSchemaError, migrate

_BUSY_SECONDS: Final = 5.0
_CACHE_KIB: Final = 4096
_WAL_BYTES: Final = 16 * 1024 * 1024
_BESIDE: Final = ("", "-wal", "-shm")
# What SQLite says of a file that it can't make sense of, unlike one that is only locked or on a full disk.
_DAMAGED: Final = ("malformed", "not a database", "corrupt", "no such table", "no such column", "file is encrypted")


class StoreError(Exception):
    """The file can't be used. The message is one line."""


Identity: TypeAlias = tuple[tuple[int, int] | None, ...]
"""Device and inode of the database, of its log and of the log's index; None for one that is not there."""


def identity(path: Path) -> Identity:
    """The identity of the files that have these names now."""
    return tuple(_number(f"{path}{suffix}") for suffix in _BESIDE)


def _number(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


class Lock:
    """Held while this process is the one that uses the file; the kernel frees it whatever happens to the process."""

    def __init__(self, path: Path) -> None:
        """Raises StoreError if another process holds it, or if the directory can't be written to."""
        self._file = _lock(path)

    def release(self) -> None:
        self._file.close()


def _lock(path: Path) -> IO[bytes]:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return hold(lock_of(path))
    except HeldError as holder:
        raise StoreError(
            f"DB_PATH={path}: another dashboard uses it ({holder}): end that one, or set DB_PATH to another file"
        ) from None
    except OSError as error:
        raise StoreError(
            f"DB_PATH={path}: need a path in a directory that can be written to ({error.strerror})"
        ) from None


def open_writer(path: Path) -> sqlite3.Connection:
    """The connection that writes; the file is made if there is none. Raises sqlite3.DatabaseError if it is damaged, and
    StoreError if it can't be used otherwise."""
    if path.is_dir():
        raise StoreError(f"DB_PATH={path}: need a file, not a directory")
    try:
        connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    except sqlite3.OperationalError as error:
        raise StoreError(f"DB_PATH={path}: need a file that can be written to ({error})") from None
    try:
        # Only a file without tables takes these up. Of rows of a kilobyte few fit into 4 KiB, with much left over.
        connection.execute("PRAGMA page_size = 8192")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        # A killed process loses nothing; a machine that loses power loses the last seconds, and no more.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
        migrate(connection)
        with transaction(connection):
            look_back(connection)
        os.chmod(path, 0o600)
    except NewerSchemaError as error:
        connection.close()
        raise StoreError(
            f"DB_PATH={path}: a newer version wrote it ({error}); need that version or another path"
        ) from None
    except sqlite3.OperationalError as error:
        connection.close()
        if is_damage(error):
            raise
        raise StoreError(f"DB_PATH={path}: need a file that can be written to ({error})") from None
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that only reads, beside the writer."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA query_only = ON")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    return connection


def finish_elsewhere(connection: sqlite3.Connection, path: Path, opened: Identity) -> None:
    """Of a file that may have been moved: brings what stands in its log into it, wherever it is now, and leaves no log
    of it beside whatever has its name."""
    with suppress(sqlite3.Error):  # what can't be finished goes with the file
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for suffix, was, now in zip(_BESIDE, opened, identity(path), strict=True):
        if suffix and was == now and opened[0] != identity(path)[0]:
            Path(f"{path}{suffix}").unlink(missing_ok=True)


def check(connection: sqlite3.Connection) -> str | None:
    """What is wrong with the file's structure, None if nothing is: reads all of it."""
    try:
        found: str = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if found == "ok" else found.replace("\n", " ")


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is broken."""
    if isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError:
        return any(word in str(error) for word in _DAMAGED)
    return False


def set_aside(path: Path, now: float) -> Path:
    """Moves the file and what belongs to it out of the way; returns where the file is now."""
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    for suffix in _BESIDE:
        if (part := Path(f"{path}{suffix}")).exists():
            part.rename(f"{aside}{suffix}")
    return aside


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is written within is kept, or none of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
