"""What a proxy writes, at the other end of a FIFO: read, left unread, or closed, and read again."""

import fcntl
import os
import re
import select
import threading
import time
from collections import Counter
from enum import Enum
from pathlib import Path
from typing import Final

from tests.harness.waiting import wait_until

_PIPE_BYTES: Final = 4096
_LOOK_SECONDS: Final = 0.05
# With the space behind it: a line that was cut off ends anywhere.
_REQUEST: Final = re.compile(rb"request_id=(\S+) ")


class Reader(Enum):
    """What becomes of what is written."""

    READS = "reads"
    WAITS = "waits"  # so that the pipe fills up
    AWAY = "away"  # nobody has it open: whoever writes is told that it is broken
    GONE = "gone"  # for good


class Output:
    """A FIFO whose reader does as `become` says. `text` is all that was read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._chunks: list[bytes] = []
        self._requests: Counter[str] = Counter()
        self._looked_at = 0
        self._rest = b""
        self._wanted = self._is = Reader.READS
        os.mkfifo(path)
        self._reading = self._opened()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def text(self) -> str:
        return b"".join(self._chunks).decode(errors="replace")

    def requests(self) -> Counter[str]:
        """How many lines were read of each request, by its id."""
        new = self._chunks[self._looked_at :]
        self._looked_at += len(new)
        whole, _, self._rest = b"".join((self._rest, *new)).rpartition(b"\n")
        self._requests.update(each.decode() for each in _REQUEST.findall(whole))
        return self._requests

    def writing_end(self) -> int:
        """A descriptor for whoever writes. It holds 4 KiB."""
        end = os.open(self._path, os.O_WRONLY)
        fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        return end

    def become(self, reader: Reader) -> None:
        """Returns once it is so."""
        self._wanted = reader
        wait_until(lambda: self._is is reader, f"the reader of the output {reader.value}")

    def _opened(self) -> int:
        return os.open(self._path, os.O_RDONLY | os.O_NONBLOCK)

    def _run(self) -> None:
        while self._is is not Reader.GONE:
            if self._wanted is not self._is:
                self._turn(self._wanted)
            if self._is is not Reader.READS or not self._read():
                time.sleep(_LOOK_SECONDS)

    def _turn(self, reader: Reader) -> None:
        has_it, wants_it = (each in (Reader.READS, Reader.WAITS) for each in (self._is, reader))
        if has_it and not wants_it:
            os.close(self._reading)
        if wants_it and not has_it:
            self._reading = self._opened()
        self._is = reader

    def _read(self) -> bool:
        """Whether there was something."""
        if not select.select([self._reading], [], [], _LOOK_SECONDS)[0]:
            return False
        chunk = os.read(self._reading, 65536)
        if chunk:
            self._chunks.append(chunk)
        return bool(chunk)
