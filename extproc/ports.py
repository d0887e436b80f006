"""Ports: taking one, and looking for a free one."""

import errno
import socket
from collections.abc import Container

from extproc.settings import SettingsError

_BACKLOG = 128


def bind(address: str, port: int, setting: str) -> socket.socket:
    """A listening socket. Raises SettingsError, which names the setting, if it can't be had."""
    try:
        return _listen(address, port)
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise SettingsError([f"BIND_ADDRESS={address}: need an address of this machine"]) from None
        raise SettingsError([f"{setting}={port}: need a free port on {address} ({error.strerror})"]) from None


def is_free(address: str, port: int) -> bool:
    """Whether the port could be had at this moment."""
    try:
        _listen(address, port).close()
    except OSError:
        return False
    return True


def free_port(address: str, taken: Container[int] = ()) -> int:
    """A port that nobody listens on at this moment, and none of `taken`."""
    while True:
        with _listen(address, 0) as listening:
            port: int = listening.getsockname()[1]
        if port not in taken:
            return port


def _listen(address: str, port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening
