"""Stands between a client and a proxy, keeps what the client says, and may change a request's body on its way."""

import http.client
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

from tests.harness.serving import serving

_PATIENCE = 120.0
_HOP_BY_HOP = ("connection", "content-length", "host", "keep-alive", "transfer-encoding")

Rewrite = Callable[[bytes], bytes]


class RewritingRelay(ThreadingHTTPServer):
    """A client is pointed at `url`. `asked` has the headers (their names in lower case) and the body of each POST as it
    came."""

    daemon_threads = True

    def __init__(self, proxy_port: int, rewrite: Rewrite) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = proxy_port
        self.rewrite = rewrite
        self.asked: list[tuple[Mapping[str, str], bytes]] = []

    @property
    def proxy_port(self) -> int:
        """The port to call, as a stack has it."""
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.proxy_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _relay(self) -> None:
        relay = cast(RewritingRelay, self.server)
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        if self.command == "POST":
            relay.asked.append(({name.lower(): value for name, value in self.headers.items()}, body))
            body = relay.rewrite(body)
        proxy = http.client.HTTPConnection("127.0.0.1", relay.behind, timeout=_PATIENCE)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
        proxy.request(self.command, self.path, body, headers)
        answer = proxy.getresponse()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("connection", "close")
        self.end_headers()
        while piece := answer.read1(65536):
            self.wfile.write(piece)
        proxy.close()

    do_GET = do_HEAD = do_POST = _relay  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


def rewriting_relay(proxy_port: int, rewrite: Rewrite = bytes) -> AbstractContextManager[RewritingRelay]:
    """A relay that listens while the block runs."""
    return serving(RewritingRelay(proxy_port, rewrite))
