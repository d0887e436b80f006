"""Talks to a simulator as a client with the right key does, over httpx or over a bare socket."""

import json
import socket
from typing import Any

import httpx

from simulator.server.threaded import SimulatorThread
from tests.harness.waiting import wait_for

MESSAGES = "/api/anthropic/v1/messages"
CHAT = "/api/coding/paas/v4/chat/completions"
RESPONSES = "/api/v1/responses"
SPOKEN = (MESSAGES, CHAT, RESPONSES)

ASK = [{"role": "user", "content": "hello"}]
BODIES: dict[str, dict[str, Any]] = {
    MESSAGES: {"model": "glm-5.2", "max_tokens": 100, "messages": ASK},
    CHAT: {"model": "glm-5.2", "messages": ASK},
    RESPONSES: {"model": "glm-5.2", "input": "hello"},
}


class Api:
    """An HTTP client of the simulator. Keyword arguments of a call are the scenario in the x-sim header."""

    def __init__(self, simulator: SimulatorThread, key: str) -> None:
        self.simulator = simulator
        self.key = key
        headers = {"authorization": f"Bearer {key}", "accept-encoding": "identity"}
        # Without TLS there is nothing to verify, and reading the system's certificates takes longer than most tests.
        self.http = httpx.Client(base_url=simulator.url, headers=headers, timeout=20, verify=False)  # noqa: S501

    def __enter__(self) -> "Api":
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def ask(
        self, path: str, stream: bool = False, body: dict[str, Any] | None = None, **scenario: Any
    ) -> httpx.Response:
        """Sends a request that the surface takes, with `body` on top of it."""
        content = {**BODIES[path], "stream": stream, **(body or {})}
        return self.http.post(path, json=content, headers=sim(**scenario))

    def entry(self) -> dict[str, Any]:
        """The journal's last entry."""
        return self.simulator.log()[-1]

    def settled(self) -> dict[str, Any]:
        """The last entry, once its request has ended."""
        return wait_for(self.entry, lambda entry: entry["ended_wall"] is not None)

    def raw(self, path: str, stream: bool = False, headers: str = "", /, **scenario: Any) -> socket.socket:
        """Sends the same over a bare socket and returns it."""
        body = json.dumps({**BODIES[path], "stream": stream}).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {self.key}\r\n"
            f"x-sim: {json.dumps(scenario)}\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
        )
        connection = socket.create_connection(("127.0.0.1", self.simulator.port), timeout=10)
        connection.sendall(head.encode() + body)
        return connection


def sim(**scenario: Any) -> dict[str, str]:
    """The header that asks for a scenario, or none."""
    return {"x-sim": json.dumps(scenario)} if scenario else {}


def read_all(connection: socket.socket) -> bytes:
    """All bytes until the other side ends."""
    received = b""
    while data := connection.recv(65536):
        received += data
    return received


def read_until(connection: socket.socket, end: bytes) -> bytes:
    received = b""
    while end not in received:
        data = connection.recv(65536)
        assert data, f"the connection ended after {received[-200:]!r}"
        received += data
    return received


def events(text: str) -> list[dict[str, Any]]:
    """The JSON of every data line."""
    lines = [line[5:].strip() for line in text.splitlines() if line.startswith("data:")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def event_names(text: str) -> list[str]:
    return [line[6:].strip() for line in text.splitlines() if line.startswith("event:")]


def dechunked(body: bytes) -> tuple[bytes, bytes]:
    """A chunked body decoded, and what follows the last chunk's size line."""
    decoded = b""
    while True:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            return decoded, body
        decoded, body = decoded + body[:length], body[length + 2 :]
