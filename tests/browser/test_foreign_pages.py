"""What a web page of a stranger's gets a real browser to send to the proxy: nothing of it spends the key."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.conftest import CHROMIUM
from tests.harness.serving import serving
from tests.harness.stack import PROMPT, Stack
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.slow

STRANGER = "evil.example"
SEND = """
async ([url, body, kind]) => {
  try {
    const answer = await fetch(url, { method: "POST", body: kind ? body : new Blob([body]),
      mode: kind === "application/json" ? "cors" : "no-cors", headers: kind ? { "content-type": kind } : {} });
    return answer.status;
  } catch (error) { return String(error); }
}
"""


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("referrer-policy", "no-referrer" if "silent" in self.path else "origin")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>A page</title>")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a test says what matters."""


@pytest.fixture(scope="module")
def site() -> Iterator[int]:
    """The port of a web server."""
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), _Page)) as server:
        yield server.server_port


@pytest.fixture(scope="module")
def deceived() -> Iterator[Browser]:
    """A browser for which the stranger's name is this machine."""
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed: make setup-system")
    with sync_playwright() as playwright:
        rules = f"--host-resolver-rules=MAP {STRANGER} 127.0.0.1"
        running = playwright.chromium.launch(
            executable_path=Path(CHROMIUM), args=["--no-sandbox", "--disable-gpu", rules]
        )
        yield running
        running.close()


@pytest.mark.parametrize(
    ("kind", "path"), [("text/plain", "/"), ("text/plain", "/silent"), ("", "/"), ("application/json", "/")]
)
def test_a_strangers_page_spends_nothing(deceived: Browser, stack: Stack, site: int, kind: str, path: str) -> None:
    page = deceived.new_page()
    page.goto(f"http://{STRANGER}:{site}{path}")
    before = stack.metrics()

    page.evaluate(SEND, [f"{stack.url}/v1/messages", json.dumps(PROMPT), kind])

    wait_until(lambda: (stack.metrics() - before).value("zai_proxy_requests_total") == 1, "it is counted")
    assert stack.simulator.log() == []
    page.close()


def test_a_page_of_this_machine_may_send_as_before(deceived: Browser, stack: Stack, site: int) -> None:
    page = deceived.new_page()
    page.goto(f"http://localhost:{site}/")

    page.evaluate(SEND, [f"{stack.url}/v1/messages", json.dumps(PROMPT), "text/plain"])

    wait_until(lambda: len(stack.simulator.log()) == 1, "it has reached the upstream")
    page.close()
