"""A small JSON file that is either the old one or the new one, whenever the power goes."""

import errno
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Final

import structlog

from common.file_lock import HeldError, hold

log = structlog.get_logger("extproc.state")

_MOST_BYTES: Final = 1024 * 1024
LOCK_NAME: Final = ".lock"
"""A file that is in each STATE_DIR that was ever used."""
# How `StateFile.write` has the files of STATE_DIR named until they are whole.
_UNFINISHED: Final = re.compile(r"\.(limits|cache|usage)\.json\.[a-z0-9_]{8}")
_MOST_NAMES: Final = 10_000


class StateError(Exception):
    """The file is there but can't be read as JSON."""


class StateFile:
    """`path` need not exist; its directory must, for a write. What is written can be read: `most_bytes` bounds both."""

    def __init__(self, path: Path, most_bytes: int = _MOST_BYTES) -> None:
        self.path = path
        self._most_bytes = most_bytes

    def read(self) -> object | None:
        """What was written last; None if nothing was. Raises StateError for a file that is damaged or unreadable."""
        try:
            with self.path.open("rb") as file:
                raw = file.read(self._most_bytes + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateError(error.strerror or "it can't be read") from None
        if len(raw) > self._most_bytes:
            raise StateError("it is larger than anything that is written there")
        try:
            return json.loads(raw)  # type: ignore[no-any-return]
        except (ValueError, RecursionError):
            raise StateError("it is no JSON") from None

    def write(self, value: object) -> None:
        """Replaces the file as a whole. Raises OSError and leaves the old one, also for a value that could not be read
        again because it is larger than the bound."""
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                left = self._most_bytes
                # In pieces: whoever else runs in this process gets its turn between them.
                for piece in json.JSONEncoder().iterencode(value):
                    left -= len(piece)  # ASCII
                    if left < 0:
                        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


@contextmanager
def using(directory: Path | None) -> Iterator[None]:
    """Marks a STATE_DIR as this proxy's while the context is open. If another uses it too both go on, and it is
    told."""
    with ExitStack() as held:
        if directory is not None:
            try:
                held.enter_context(hold(directory / LOCK_NAME))
                _sweep(directory)
            except HeldError as holder:
                log.warning(
                    f"STATE_DIR={directory} is another proxy's too ({holder}): each overwrites what the other has "
                    "learned and counted; end that one, or give each a directory of its own"
                )
            except OSError as error:
                log.warning(f"STATE_DIR={directory}: whether another proxy uses it is unknown", why=error.strerror)
        yield


def _sweep(directory: Path) -> None:
    """Removes what processors that were killed in the middle of a write have left. Nobody else writes there now."""
    with suppress(OSError):  # it is only tidying up
        for path in islice(directory.iterdir(), _MOST_NAMES):
            if _UNFINISHED.fullmatch(path.name):
                path.unlink()


class SavedState:
    """What a part of the processor keeps over a restart; nothing without a `file`. `what` names it in warnings."""

    def __init__(self, file: StateFile | None, what: str) -> None:
        self._file = file
        self._what = what
        self._cannot = False
        self._is_kept = False

    @property
    def is_swept_away(self) -> bool:
        """Whether what was kept is there no longer: somebody has deleted it."""
        return self._is_kept and self._file is not None and not self._file.path.exists()

    def restore(self, take: Callable[[object], None]) -> None:
        """Hands what was saved last to `take`, which raises ValueError if it can't be that; such a file is ignored."""
        if self._file is None:
            return
        try:
            data = self._file.read()
            if data is not None:
                take(data)
                self._is_kept = True
        except (StateError, ValueError) as error:
            log.warning(f"{self._what} can't be read: starting anew", file=str(self._file.path), why=str(error))

    def save(self, snapshot: object) -> None:
        """Replaces what was saved; if that fails what was there stays, and it is said once. A directory that was swept
        away is made again."""
        if self._file is None:
            return
        try:
            self._make_directory(self._file.path.parent)
            self._file.write(snapshot)
        except OSError as error:
            if not self._cannot:
                log.warning(f"{self._what} can't be saved", file=str(self._file.path), why=str(error))
            self._cannot = True
            return
        if self._cannot:
            log.info(f"{self._what} can be saved again", file=str(self._file.path))
        self._cannot = False
        self._is_kept = True

    def _make_directory(self, directory: Path) -> None:
        if not directory.is_dir():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            log.warning("the directory of what is kept was gone: it was made again", directory=str(directory))
