"""Sharing ends when it is told to, whatever the client of the store makes of that."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from extproc.runtime import shared_limits
from tests.harness.proxy_in_process import ProxyInProcess

SOON = 60.0


class SwallowingClient:
    """Takes reports as the client of Redis does on Python 3.11: the first one returns although it is cancelled."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.reports: list[list[str]] = []

    def register_script(self, _script: str) -> Callable[..., Any]:
        return self.report

    async def report(self, keys: tuple[str, ...], args: list[str]) -> object:
        self.reports.append(args)
        self.asked.set()
        if len(self.reports) == 1:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return ["stale"]
        return ["stale"]

    async def aclose(self) -> None:
        """Nothing is open."""


async def test_it_gives_back_what_it_holds_and_ends_although_a_cancellation_is_swallowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sharing = ProxyInProcess(limits_url="redis://127.0.0.1:9/0").service.shared
    assert sharing is not None
    client = SwallowingClient()
    monkeypatch.setattr(shared_limits, "connect", lambda _url: client)
    sharing._script = client.report  # type: ignore[assignment]
    task = asyncio.create_task(sharing.run())
    await asyncio.wait_for(client.asked.wait(), SOON)

    task.cancel()
    await asyncio.wait((task,), timeout=SOON)

    assert task.cancelled()
    _, leaving = client.reports
    assert leaving[4] == "1"
