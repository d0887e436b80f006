"""Fake proxies, and a dashboard that asks them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.dashboard.fake_proxy import FakeProxy, running_proxy
from tests.integration.dashboard.running import Dashboard


@pytest.fixture(autouse=True)
def no_built_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What these tests see does not depend on whether somebody has built the page."""
    monkeypatch.setattr("dashboard.api.app.create_app.__defaults__", (tmp_path / "static",))


@pytest.fixture
async def proxy() -> AsyncIterator[FakeProxy]:
    async with running_proxy() as running:
        yield running


@pytest.fixture
async def other() -> AsyncIterator[FakeProxy]:
    async with running_proxy() as running:
        yield running


@pytest.fixture
async def dashboard(tmp_path: Path, proxy: FakeProxy) -> AsyncIterator[Dashboard]:
    """Asks the one fake proxy each 0.2 s; not started yet."""
    running = Dashboard(tmp_path / "dashboard.db", proxy.url)
    yield running
    await running.stop()
