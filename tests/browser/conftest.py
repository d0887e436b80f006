"""One stack, one dashboard and one browser for the tests of a module, a tab for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from dashboard.api.app import STATIC
from tests.browser.running import DashboardProcess, Tab, new_tab
from tests.harness.stack import Stack

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed: make setup-system")
    with sync_playwright() as playwright:
        # As root there is no sandbox; what it shows is ours.
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def dashboard(shared_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardProcess]:
    if not (STATIC / "index.html").is_file():
        pytest.fail("dashboard/static has no page: make setup builds it")
    running = DashboardProcess(tmp_path_factory.mktemp("dashboard"), f"{shared_stack.metrics_url}/metrics")
    yield running
    running.kill()


@pytest.fixture
def stranger(browser: Browser, dashboard: DashboardProcess) -> Iterator[Tab]:
    """A tab that has not signed in. What a developer would find in its console fails the test."""
    with new_tab(browser, dashboard.url) as tab:
        yield tab
        assert tab.problems == []


@pytest.fixture
def tab(stranger: Tab, dashboard: DashboardProcess) -> Tab:
    """A tab that has signed in."""
    stranger.sign_in(dashboard.token)
    return stranger
