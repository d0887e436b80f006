"""The real dashboard in a process of its own, and a browser's tab that looks at it."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

from tests.harness import plain_http
from tests.harness.ports import free_port
from tests.harness.processes import Process, bare_environment
from tests.harness.stack import ZAI_PROXY
from tests.harness.waiting import wait_until

WIDE = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 740}
# What a browser says of a server that is not there, or that wants to know who asks; the page has words for both.
_OF_THE_NETWORK = "Failed to load"
PATIENCE_MS = 30_000


class DashboardProcess:
    """`zai-proxy dashboard` with a token, looking at one proxy. Can be killed and started again; keeps its file."""

    def __init__(self, directory: Path, target: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.token = secrets.token_urlsafe()
        self._directory = directory
        self._environment = bare_environment(
            DASHBOARD_PORT=str(self.port),
            DASHBOARD_TOKEN=self.token,
            DB_PATH=str(directory / "dashboard.db"),
            SCRAPE_TARGETS=target,
            SCRAPE_INTERVAL="0.5",
            SCRAPE_TIMEOUT="0.5",
        )
        self.process = self._start()

    def kill(self) -> None:
        self.process.kill()

    def restart(self) -> None:
        self.process = self._start()

    def get(self, path: str, **parameters: Any) -> Any:
        """The JSON of a 200."""
        headers = {"authorization": f"Bearer {self.token}"}
        answer = httpx.get(
            self.url + path, params=parameters, headers=headers, verify=plain_http.NO_TLS, timeout=plain_http.PATIENCE
        )
        return answer.raise_for_status().json()

    def _start(self) -> Process:
        process = Process("dashboard", [str(ZAI_PROXY), "dashboard"], self._environment, self._directory)
        wait_until(lambda: self._answers() or not process.is_running, "the dashboard answers")
        assert process.is_running, process.output
        return process

    def _answers(self) -> bool:
        try:
            return plain_http.get(f"{self.url}/healthz").is_success
        except httpx.TransportError:
            return False


class Tab:
    """A tab of a browser of its own, which remembers everything that a developer would find in its console."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        context.set_default_timeout(PATIENCE_MS)
        self.context = context
        self.url = url
        self.page: Page = context.new_page()
        self.may_lose_the_network = False
        self._said: list[str] = []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self._said.append(f"{error}"))

    @property
    def problems(self) -> list[str]:
        """Errors of scripts, violations of the content policy, warnings."""
        allowed = _OF_THE_NETWORK if self.may_lose_the_network else None
        return [text for text in self._said if allowed is None or not text.startswith(allowed)]

    def open(self, path: str) -> Page:
        self.page.goto(self.url + path)
        return self.page

    def sign_in(self, token: str) -> None:
        """As the form does, without showing it."""
        answer = self.context.request.post(f"{self.url}/login", form={"token": token}, max_redirects=0)
        assert answer.status == 303

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._said.append(message.text)


@contextmanager
def new_tab(browser: Browser, url: str, **options: Any) -> Iterator[Tab]:
    context = browser.new_context(viewport=WIDE, reduced_motion="reduce", **options)
    try:
        yield Tab(context, url)
    finally:
        context.close()
