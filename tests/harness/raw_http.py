"""HTTP/1.1 as bytes on a socket: for what no well-behaved client would send."""

import io
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from typing import Any

from tests.harness.stack import Stack

_PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """The first answer on a connection. `status` is 0 if the peer closed the connection, or said nothing, instead."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    silent: bool = False

    @property
    def came_from_upstream(self) -> bool:
        """Whether the simulator wrote this answer: it alone sends this header."""
        return "x-log-id" in self.headers


class RawConnection:
    """A connection to the client port, on which several requests and answers may follow each other."""

    def __init__(self, stack: Stack) -> None:
        self._socket = socket.create_connection(("127.0.0.1", stack.proxy_port), timeout=_PATIENCE)
        self._reader = _OpenReader(self._socket.makefile("rb", buffering=0))

    def send(self, data: bytes) -> None:
        """Sends bytes. A peer that has refused may close meanwhile; its answer is there to be read all the same."""
        with suppress(ConnectionError):
            self._socket.sendall(data)

    def answer(self, method: str = "GET", patience: float = _PATIENCE) -> RawAnswer:
        """The next answer, head and body; `patience` is the longest wait, in seconds, for a piece of it."""
        self._socket.settimeout(patience)
        response = HTTPResponse(self, method=method)  # type: ignore[arg-type]
        try:
            response.begin()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return RawAnswer(response.status, headers, response.read())
        except TimeoutError:
            return RawAnswer(silent=True)
        except (ConnectionError, HTTPException):
            return RawAnswer()

    def makefile(self, _mode: str) -> io.BufferedReader:
        """What HTTPResponse reads from. It is always the same reader: what that has read beyond one answer belongs to
        the next."""
        return self._reader

    def close(self) -> None:
        self._reader.detach()
        self._socket.close()


class _OpenReader(io.BufferedReader):
    def close(self) -> None:
        """Nothing: an HTTPResponse closes its file with its body, but more answers may come."""


@contextmanager
def connected(stack: Stack) -> Iterator[RawConnection]:
    """A connection that ends with the block."""
    connection = RawConnection(stack)
    try:
        yield connection
    finally:
        connection.close()


def exchange(stack: Stack, request: bytes, patience: float = _PATIENCE) -> RawAnswer:
    """Sends bytes on a new connection and reads one answer."""
    with connected(stack) as connection:
        connection.send(request)
        return connection.answer(request.partition(b" ")[0].decode("latin-1"), patience)


def request_bytes(
    method: bytes = b"GET",
    target: bytes = b"/v1/models",
    headers: bytes = b"",
    body: bytes = b"",
    host: bytes = b"proxy",
) -> bytes:
    """A request; `headers` are whole lines, each with its end."""
    return b"%b %b HTTP/1.1\r\nhost: %b\r\n%b\r\n%b" % (method, target, host, headers, body)


def error_of(answer: RawAnswer) -> dict[str, Any]:
    """The `error` object of a JSON error in either dialect."""
    error: dict[str, Any] = json.loads(answer.body)["error"]
    return error
