"""HTTP/2 on a socket without manners: h2 keeps the protocol's books, the test may write any frame and any header."""

import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    SettingsAcknowledged,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import ProtocolError
from hyperframe.frame import Frame

from tests.harness.stack import Stack

Header = tuple[bytes, bytes]

_PATIENCE = 5.0
_LENIENT = H2Configuration(
    client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False, validate_inbound_headers=False
)


@dataclass(slots=True)
class Http2Answer:
    """An answer as far as it came. `status` is 0 without one; `refused` if stream or connection were closed on us."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    refused: bool = False


class Http2Connection:
    """A connection to the client port, its preface and settings exchanged."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._h2 = H2Connection(_LENIENT)
        self._h2.initiate_connection()
        self._flush()
        self._exchange_settings()

    def request(self, headers: Sequence[Header], body: bytes | None = b"") -> int:
        """Sends a request and returns its stream; a body of None is left open."""
        stream = self._h2.get_next_available_stream_id()
        self._h2.send_headers(stream, headers, end_stream=body == b"")
        if body:
            self._h2.send_data(stream, body, end_stream=True)
        self._flush()
        return stream

    def reset(self, stream: int) -> None:
        """Takes a request back."""
        self._h2.reset_stream(stream, error_code=8)
        self._flush()

    def send_frames(self, frames: Iterable[Frame | bytes]) -> None:
        """Writes frames as they are, past the books. Raises ConnectionError once the peer has closed."""
        self._socket.sendall(b"".join(each if isinstance(each, bytes) else each.serialize() for each in frames))

    def encoded(self, headers: Sequence[Header]) -> bytes:
        """A header block, compressed as the connection's next one has to be."""
        block: bytes = self._h2.encoder.encode(headers)
        return block

    def answer(self, stream: int) -> Http2Answer:
        """What came on a stream until it ended, was reset, or the connection was closed."""
        answer = Http2Answer()
        for event in self._events():
            if isinstance(event, ConnectionTerminated):
                answer.refused = True
                return answer
            if getattr(event, "stream_id", None) != stream:
                continue
            if isinstance(event, ResponseReceived) and event.headers:
                answer.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
                answer.status = int(answer.headers[":status"])
            elif isinstance(event, DataReceived):
                answer.body += event.data or b""
            elif isinstance(event, StreamEnded | StreamReset):
                answer.refused = isinstance(event, StreamReset)
                return answer
        answer.refused = True
        return answer

    def is_closed_by_peer(self, within: float = _PATIENCE) -> bool:
        """Whether the peer ends the connection (GOAWAY, FIN or RST) within this time."""
        try:
            for event in self._events(within):
                if isinstance(event, ConnectionTerminated):
                    return True
        except TimeoutError:
            return False
        return True

    def _exchange_settings(self) -> None:
        for event in self._events():
            if isinstance(event, SettingsAcknowledged):
                return

    def _events(self, within: float = _PATIENCE) -> Iterator[Event]:
        """Events as they arrive; ends when the peer has closed. Raises TimeoutError."""
        deadline = time.monotonic() + within
        while True:
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                data = self._socket.recv(65536)
            except ConnectionError:
                return
            if not data:
                return
            try:
                events = self._h2.receive_data(data)
            except ProtocolError:
                continue  # an answer to frames that h2's books know nothing of
            self._acknowledge(events)
            yield from events

    def _acknowledge(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, DataReceived) and event.flow_controlled_length:
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        try:
            self._flush()
        except ConnectionError:
            return  # closed by the peer; what it had sent is read first

    def _flush(self) -> None:
        self._socket.sendall(self._h2.data_to_send())


@contextmanager
def http2_connection(stack: Stack) -> Iterator[Http2Connection]:
    """A connection with prior knowledge (no TLS, no upgrade)."""
    with socket.create_connection(("127.0.0.1", stack.proxy_port), timeout=_PATIENCE) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield Http2Connection(connection)


def request_headers(
    path: bytes = b"/v1/models", method: bytes = b"GET", extra: Sequence[Header] = (), scheme: bytes = b"http"
) -> list[Header]:
    """The pseudo-headers of a request, then `extra`."""
    return [(b":method", method), (b":path", path), (b":scheme", scheme), (b":authority", b"proxy"), *extra]
