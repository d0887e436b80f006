"""Ports: taking one, looking for a free one, and what this machine calls what listens there."""

import errno
import ipaddress
import os
import socket
from collections.abc import Container, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from common.settings import SettingsError

_BACKLOG: Final = 256
_PROC: Final = Path("/proc")
_LISTENS: Final = "0A"


def bind(address: str, port: int, setting: str) -> socket.socket:
    """A listening socket. Raises SettingsError, which names the setting, if it can't be had; whoever has the port may
    go, and an address may come."""
    try:
        return _listen(address, port)
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise SettingsError([f"BIND_ADDRESS={address}: need an address of this machine"], may_pass=True) from None
        is_taken = error.errno == errno.EADDRINUSE
        why = f"{error.strerror}{_by_whom(port)}" if is_taken else error.strerror
        raise SettingsError([f"{setting}={port}: need a free port on {address} ({why})"], may_pass=is_taken) from None


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


def reachable(bind_address: str) -> str:
    """An address at which this machine reaches what listens on `bind_address`."""
    address = ipaddress.ip_address(bind_address)
    if not address.is_unspecified:
        return bind_address
    return "127.0.0.1" if address.version == 4 else "::1"


def origin(scheme: str, bind_address: str, port: int) -> str:
    """The URL, without a path, of what listens there, as this machine calls it."""
    host = reachable(bind_address)
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def is_local(bind_address: str) -> bool:
    """Whether only this machine reaches what listens there."""
    return ipaddress.ip_address(bind_address).is_loopback


def names_this_machine(authority: str) -> bool:
    """Whether a client means this machine alone by what it calls us in its `host` header: localhost, a name below it,
    or an address of loopback, with or without a port. Not for what can't be read."""
    try:
        host = urlsplit(f"//{authority}").hostname or ""
        return host == "localhost" or host.endswith(".localhost") or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # Named as TCP, asyncio sets TCP_NODELAY on its connections: else each answer would wait 40 ms for an ACK.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def _by_whom(port: int) -> str:
    """Who listens on a port, as far as Linux tells this user: ` by process 4711, envoy`; else nothing."""
    held = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for process in _PROC.glob("[0-9]*") if held else ():
        with suppress(OSError):  # another user's, or it has ended meanwhile
            if any(os.readlink(each) in held for each in os.scandir(process / "fd")):
                name = (process / "comm").read_text(errors="replace").strip()
                return f" by process {process.name}, {name}" if name.isprintable() else f" by process {process.name}"
    return ""


def _listening_inodes(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        with suppress(OSError):  # not Linux, or no IPv6
            for line in (_PROC / "net" / table).read_text().splitlines()[1:]:
                (
                    _,
                    local,
                    _,
                    state,
                    *_,
                ) = fields = line.split()
                if state == _LISTENS and int(local.rpartition(":")[2], 16) == port:
                    yield fields[9]
