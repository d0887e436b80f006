"""Ports for what a test starts: none is given out twice, not even to another test process on this machine.

A port that the kernel picks is free only until it picks it for somebody else, the next caller or an outgoing
connection. So these come from below the kernel's own range, in blocks of which each belongs to one process alone.
"""

import errno
import fcntl
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

_FIRST: Final = 12_000
_END: Final = 32_000  # Linux picks ports of outgoing connections from 32768 on
_BLOCK: Final = 100


def free_port() -> int:
    """A port on loopback that nobody listens on, and that nobody else is given."""
    return next(_ports)


def _free_ports() -> Iterator[int]:
    for first in range(_FIRST, _END, _BLOCK):
        claim = _claim(first)
        if claim is not None:
            _claims.append(claim)
            yield from filter(_is_free, range(first, first + _BLOCK))
    raise RuntimeError(f"no free port from {_FIRST} to {_END}: do that many tests run at once?")


def _claim(first: int) -> socket.socket | IO[bytes] | None:
    """The block as one's own, None if it is another process's. The kernel lets go of it when the process ends."""
    if not sys.platform.startswith("linux"):
        return _claim_by_file(first)
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0zai-proxy-test-ports-{first}")
    except OSError as error:
        claim.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return None
    return claim


def _claim_by_file(first: int) -> IO[bytes] | None:
    """The same on systems where a socket's name is a file, which stays when its owner is gone."""
    claim = (Path(tempfile.gettempdir()) / f"zai-proxy-test-ports-{first}").open("wb")
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        claim.close()
        return None
    return claim


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


_claims: list[socket.socket | IO[bytes]] = []
_ports: Final = _free_ports()
