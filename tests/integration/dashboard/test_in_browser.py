"""What only a browser shows: signing in, and how the page gets over the loss of its service."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright

from dashboard.api.app import STATIC
from tests.harness.processes import make_key
from tests.integration.dashboard.fake_proxy import FakeProxy
from tests.integration.dashboard.running import Dashboard

pytestmark = pytest.mark.slow

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture
async def page(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Page]:
    """A tab of a Chromium, and the built page behind every dashboard that starts."""
    for needed, how in ((CHROMIUM, "make setup-system"), (STATIC / "index.html", "make setup")):
        if not os.access(needed, os.R_OK):
            pytest.skip(f"{needed} is missing: {how}")
    monkeypatch.setattr("dashboard.api.app.create_app.__defaults__", (STATIC,))
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-quic", "--disable-background-networking"]
        )
        yield await browser.new_page()
        await browser.close()


async def test_who_signs_in_sees_the_page_and_who_signs_out_the_form(
    page: Page, tmp_path: Path, proxy: FakeProxy
) -> None:
    token = make_key()
    dashboard = await Dashboard(tmp_path / "dashboard.db", proxy.url, dashboard_token=token).start()
    try:
        await page.goto(f"{dashboard.url}/usage")
        await page.get_by_label("Token").fill(token)
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_role("heading", name="Usage").wait_for()
        assert page.url == f"{dashboard.url}/usage"

        await page.get_by_role("button", name="Sign out").click()
        await page.get_by_label("Token").wait_for()
    finally:
        await dashboard.stop()


async def test_a_page_that_loses_its_service_says_so_and_recovers_by_itself(page: Page, dashboard: Dashboard) -> None:
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    await dashboard.start()
    await page.goto(dashboard.url)
    await page.get_by_role("heading", name="Workers").wait_for()
    lost = page.get_by_text("Connection lost, since")

    await dashboard.stop()
    await lost.wait_for()
    await page.get_by_text("Connection lost, since 2 s").wait_for()
    assert await page.get_by_role("heading", name="Workers").is_visible()

    await dashboard.start()
    await lost.wait_for(state="detached")
    assert problems == []
