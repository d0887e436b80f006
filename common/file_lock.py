"""What one process at a time may use: a lock file that names who has it."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

_LONGEST_NUMBER: Final = 10


class HeldError(Exception):
    """Somebody else holds the lock; the message says who, as `process 4711`."""


def lock_of(path: Path) -> Path:
    """The file whose lock says that a process uses the file `path`."""
    return Path(f"{path}.lock")


def hold(path: Path) -> IO[bytes]:
    """Takes the lock, whose file is made if it is missing. It is held until it is closed; the kernel frees it whatever
    happens to the process. Raises HeldError, and OSError for a file that can't be made or locked."""
    file = open(path, "a+b", buffering=0)  # noqa: SIM115 - held for as long as the caller likes
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with file:
            raise HeldError(_holder(file)) from None
    except OSError:
        file.close()
        raise
    with suppress(OSError):  # on a full disk it is held without a name
        file.truncate(0)
        file.write(f"{os.getpid()}\n".encode())
    return file


def holder(path: Path) -> str | None:
    """Who holds the lock, as `process 4711`; None if nobody does, or if that can't be told."""
    try:
        with open(path, "rb", buffering=0) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _holder(file)
    except OSError:
        return None
    return None


def _holder(file: IO[bytes]) -> str:
    file.seek(0)
    number = file.read(_LONGEST_NUMBER).strip()
    return f"process {number.decode()}" if number.isdigit() else "another process"
