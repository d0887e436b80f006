"""A small JSON file that is either the old one or the new one, whenever the power goes."""

import json
import os
import tempfile
from pathlib import Path
from typing import Final

_LARGEST: Final = 1024 * 1024


class StateError(Exception):
    """The file is there but can't be read as JSON."""


class StateFile:
    """`path` need not exist; its directory must, for a write."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> object | None:
        """What was written last; None if nothing was. Raises StateError for a file that is damaged or unreadable."""
        try:
            with self.path.open("rb") as file:
                raw = file.read(_LARGEST + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateError(error.strerror or "it can't be read") from None
        if len(raw) > _LARGEST:
            raise StateError("it is larger than anything that is written there")
        try:
            return json.loads(raw)  # type: ignore[no-any-return]
        except (ValueError, RecursionError):
            raise StateError("it is no JSON") from None

    def write(self, value: object) -> None:
        """Replaces the file as a whole. Raises OSError."""
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        try:
            with os.fdopen(handle, "w") as file:
                json.dump(value, file)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
