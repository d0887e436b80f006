"""An HTTP server within a process that has more to do than to serve."""

import contextlib
import ipaddress
from asyncio import BaseTransport
from collections.abc import Iterator
from typing import Any, Final, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

_MOST_FROM_ELSEWHERE: Final = 512


class HttpServer(uvicorn.Server):
    """uvicorn without its own signal handlers: the service decides when everything stops."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Connection(H11Protocol):
    """One of a bounded number, if it comes from another machine: for `http` of uvicorn's Config.

    One too many takes the place of that which has been without a request for longest. So whoever opens connections and
    asks nothing, or never ends its question, takes up no file that the process needs, and keeps nobody out.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._quiet_since = 0.0
        self._is_from_elsewhere = False

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(cast("Any", transport))
        self._quiet_since = self.loop.time()
        self._is_from_elsewhere = not is_from_here(self.client, self.server)
        if self._is_from_elsewhere:
            self._make_room()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._quiet_since = self.loop.time()

    def _make_room(self) -> None:
        others = [each for each in self.connections if isinstance(each, Connection) and each._counts]
        if len(others) > _MOST_FROM_ELSEWHERE:
            # The new connection has asked nothing yet either, but it is the last one to be closed.
            min((each for each in others if each._is_quiet), key=lambda each: each._quiet_since).transport.abort()

    @property
    def _counts(self) -> bool:
        return self._is_from_elsewhere and not self.transport.is_closing()

    @property
    def _is_quiet(self) -> bool:
        return self.cycle is None or self.cycle.response_complete


def is_from_here(client: tuple[str, int] | None, server: tuple[str, int | None] | None) -> bool:
    """Whether the peer is on this machine: on loopback, or at the address at which it was received."""
    if client is None or (server is not None and client[0] == server[0]):
        return True
    try:
        return ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False
