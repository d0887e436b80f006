"""A store of the shared limits that is none: it answers, but nothing that Redis would."""

import socketserver
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.harness import plain_http
from tests.harness.serving import serving
from tests.harness.stack import PROMPT, running_stack
from tests.harness.waiting import eventually

pytestmark = pytest.mark.slow

_QUESTIONS = 4
NESTED = b"*1\r\n" * 50 + b":1\r\n"
LIES = {
    "+OK": b"+OK\r\n",
    "nested arrays": NESTED,
    "an array that never ends": b"*1000000000\r\n",
    "endless nesting": b"*1\r\n" * 20_000,
    "a number": b":1\r\n",
    "no protocol at all": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "nothing": b"",
}


@contextmanager
def lying(answer: bytes, asked: list[int]) -> Iterator[str]:
    """The URL of a server that answers everything like this; `asked` grows with each question."""

    class Liar(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                while read := self.request.recv(65536):
                    asked.append(len(read))
                    self.request.sendall(answer)
            except ConnectionError:
                return

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with serving(Server(("127.0.0.1", 0), Liar)) as server:
        yield f"redis://127.0.0.1:{server.server_address[1]}/0"


@pytest.mark.parametrize("lie", LIES)
async def test_whatever_it_says_requests_are_answered_and_the_processor_lives(tmp_path: Path, lie: str) -> None:
    asked: list[int] = []
    with lying(LIES[lie], asked) as url, running_stack(tmp_path, PACING="on", LIMITS_URL=url) as stack:
        processor = stack.processor.pid
        deadline = time.monotonic() + 60
        while len(asked) < _QUESTIONS and time.monotonic() < deadline:
            assert httpx.post(f"{stack.url}/v1/messages", json=PROMPT, timeout=60).status_code == 200

        assert stack.processor.is_running
        assert stack.processor.pid == processor
        assert stack.metric("zai_proxy_shared_limits_up") == 0
        told = plain_http.get(f"{stack.metrics_url}/readyz").json()
        assert told["status"] == "ready"
        failures = stack.metric("zai_proxy_background_failures_total", task="shared_limits")
        assert ("shared_limits" in told.get("failing", {})) == (failures > 0)
        await eventually(lambda: stack.processor.output.count("Traceback"), lambda count: count <= 2)
