"""An upstream that keeps every byte that it was sent, and answers each request with the same JSON."""

import socketserver
import threading
from contextlib import AbstractContextManager
from typing import cast

from tests.harness.serving import serving

ANSWER = (
    b'{"id": "1", "object": "chat.completion", "model": "glm-5.3", "choices": [], '
    b'"usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}'
)


class RecordingUpstream(socketserver.ThreadingTCPServer):
    """Speaks as much HTTP/1.1 as Envoy needs. `received` is everything, as it came, in Latin-1."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._lock = threading.Lock()
        self._received = bytearray()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def received(self) -> str:
        with self._lock:
            return self._received.decode("latin-1")

    def forget(self) -> None:
        """Drops all that was received."""
        with self._lock:
            self._received.clear()

    def keep(self, data: bytes) -> None:
        with self._lock:
            self._received += data


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while self._read_request():
            self.wfile.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
                % (len(ANSWER), ANSWER)
            )

    def _read_request(self) -> bool:
        length, chunked = 0, False
        while (line := self._line()) not in (b"", b"\r\n"):
            name, _, value = line.lower().partition(b":")
            if name == b"content-length":
                length = int(value)
            chunked = chunked or (name == b"transfer-encoding" and b"chunked" in value)
        if chunked:
            while (size := int(self._line() or b"0", 16)) > 0:
                self._body(size + 2)
            while self._line() not in (b"", b"\r\n"):
                pass
        self._body(length)
        return line != b""

    def _line(self) -> bytes:
        line = self.rfile.readline()
        cast(RecordingUpstream, self.server).keep(line)
        return line

    def _body(self, size: int) -> None:
        cast(RecordingUpstream, self.server).keep(self.rfile.read(size))


def recording_upstream() -> AbstractContextManager[RecordingUpstream]:
    """An upstream that listens while the block runs."""
    return serving(RecordingUpstream())
