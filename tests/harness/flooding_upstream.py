"""An upstream that writes event streams as fast as its client reads: one event a write, or many."""

import json
import socketserver
from contextlib import AbstractContextManager

from tests.harness.serving import serving

EVENTS = 20_000


def _event(number: int) -> bytes:
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": f"word{number} "}}
    return f"event: content_block_delta\ndata: {json.dumps(delta)}\n\n".encode()


_START = {"type": "message_start", "message": {"model": "glm-5.3", "usage": {"input_tokens": 0}}}
_USAGE = {
    "type": "message_delta",
    "delta": {"stop_reason": "end_turn"},
    "usage": {"input_tokens": 9, "output_tokens": 7},
}
_FIRST = f"data: {json.dumps(_START)}\n\n".encode()
_LAST = f'data: {json.dumps(_USAGE)}\n\ndata: {{"type": "message_stop"}}\n\n'.encode()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class _Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self) -> None:
        while (length := self._head()) is not None:
            batch = int(json.loads(self.rfile.read(length))["events_a_write"])
            self.connection.sendall(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                + _chunk(_FIRST)
            )
            write = _chunk(b"".join(map(_event, range(batch))))
            for _ in range(EVENTS // batch):
                self.connection.sendall(write)
            self.connection.sendall(_chunk(_LAST) + b"0\r\n\r\n")

    def _head(self) -> int | None:
        length = None
        while (line := self.rfile.readline()) not in (b"", b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return length


class FloodingUpstream(socketserver.ThreadingTCPServer):
    """`url` is where it listens."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


def flooding_upstream() -> AbstractContextManager[FloodingUpstream]:
    """One that serves until the block ends."""
    return serving(FloodingUpstream(("127.0.0.1", 0), _Handler))
