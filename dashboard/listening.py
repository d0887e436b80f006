"""The socket that the dashboard listens on."""

import errno
import ipaddress
import socket
from typing import Final

from dashboard.settings import SettingsError

_BACKLOG: Final = 256
_UNREAD_MILLISECONDS: Final = 30_000


def bind(address: str, port: int) -> socket.socket:
    """A listening socket. Raises SettingsError, which names the setting, if it can't be had."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # Named as TCP, asyncio sets TCP_NODELAY on its connections: else each answer would wait 40 ms for an ACK.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # The kernel drops a reader that takes nothing for 30 s, with all that was buffered for it.
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MILLISECONDS)
        listening.bind((address, port))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise SettingsError([f"BIND_ADDRESS={address}: need an address of this machine"]) from None
        raise SettingsError([f"DASHBOARD_PORT={port}: need a free port on {address} ({error.strerror})"]) from None
    return listening


def origin(address: str, port: int) -> str:
    """The URL at which this machine reaches what listens there."""
    parsed = ipaddress.ip_address(address)
    if parsed.is_unspecified:
        return f"http://127.0.0.1:{port}" if parsed.version == 4 else f"http://[::1]:{port}"
    return f"http://[{address}]:{port}" if parsed.version == 6 else f"http://{address}:{port}"
