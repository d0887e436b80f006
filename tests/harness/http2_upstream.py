"""An upstream that speaks HTTP/2 over TLS, as Z.AI does, and plays what a request's header `x-play` says.

The header is a JSON list: a text is DATA, a number a pause in seconds, and a Step what its name says.
"""

import json
import socket
import socketserver
import ssl
import time
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Final, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded
from hyperframe.frame import GoAwayFrame

from tests.harness.certificates import Certificates
from tests.harness.serving import serving

HEADER: Final = "x-play"
_SERVER: Final = H2Configuration(client_side=False, header_encoding="utf-8")
_INTERNAL_ERROR: Final = 2


class Step(StrEnum):
    """What is no text. Without END, TRAILERS or RESET at its end an answer is left open."""

    END = "<end>"
    TRAILERS = "<trailers>"
    RESET = "<reset>"
    GOAWAY = "<goaway>"  # no more requests on this connection; those that run go on


class Http2Upstream(socketserver.ThreadingTCPServer):
    """One answer at a time on each connection. `url` is where it listens, `connections` how many there were.

    `certificates.authority` has to be trusted.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, certificates: Certificates) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.certificates = certificates
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(certificates.certificate, certificates.key)
        self.context.set_alpn_protocols(["h2"])
        self.connections = 0

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server_address[1]}"


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        upstream = cast(Http2Upstream, self.server)
        with upstream.context.wrap_socket(self.request, server_side=True) as connection:
            upstream.connections += 1
            try:
                _serve(connection)
            except ConnectionError:
                return  # Envoy has closed it


def _serve(connection: ssl.SSLSocket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    h2 = H2Connection(_SERVER)
    h2.initiate_connection()
    connection.sendall(h2.data_to_send())
    plays: dict[int, list[str | float]] = {}
    while data := connection.recv(65536):
        for event in h2.receive_data(data):
            if isinstance(event, RequestReceived):
                headers = dict(cast("list[tuple[str, str]]", event.headers))
                plays[event.stream_id or 0] = json.loads(headers[HEADER])
            elif isinstance(event, DataReceived):
                h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
            elif isinstance(event, StreamEnded):
                stream = event.stream_id or 0
                h2.send_headers(stream, [(":status", "200"), ("content-type", "text/event-stream")])
                for step in plays.pop(stream):
                    _play(connection, h2, stream, step)
        connection.sendall(h2.data_to_send())


def _play(connection: ssl.SSLSocket, h2: H2Connection, stream: int, step: str | float) -> None:
    behind = b""
    if isinstance(step, (int, float)):
        time.sleep(step)
    elif step == Step.END:
        h2.end_stream(stream)
    elif step == Step.TRAILERS:
        h2.send_headers(stream, [("x-trailer", "1")], end_stream=True)
    elif step == Step.RESET:
        h2.reset_stream(stream, _INTERNAL_ERROR)
    elif step == Step.GOAWAY:
        behind = GoAwayFrame(last_stream_id=stream).serialize()  # after one of its own h2 would send nothing more
    else:
        h2.send_data(stream, step.encode())
    connection.sendall(h2.data_to_send() + behind)


def http2_upstream(certificates: Certificates) -> AbstractContextManager[Http2Upstream]:
    """One that serves until the block ends."""
    return serving(Http2Upstream(certificates))
