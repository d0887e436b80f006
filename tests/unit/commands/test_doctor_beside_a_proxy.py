"""What the doctor says of a proxy that runs beside it, whatever the shell has."""

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from extproc.commands.doctor import Doctor
from extproc.domain.diagnosis import Finding, Level
from extproc.settings import Settings
from tests.harness.ports import free_port
from tests.harness.processes import make_key
from tests.harness.proxy_in_process import ProxyInProcess
from tests.unit.runtime.listener import Listener, http, listening

NOBODY = "http://127.0.0.1:9"
A_DATE = "date: Sat, 28 Nov 2026 12:00:00 GMT"


@pytest.fixture(autouse=True)
def _an_environment_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DB_PATH", str(tmp_path / "d.db"))
    monkeypatch.setenv("DASHBOARD_PORT", str(free_port()))
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


async def findings(target: str, metrics: str, key: str) -> list[Finding]:
    """In a shell with this upstream, beside a proxy whose metrics port is there."""
    ports = {"proxy_port": free_port(), "envoy_admin_port": free_port()}
    settings = Settings(zai_api_key=key, zai_target_url=target, **ports)
    settings = settings.model_copy(update={"metrics_port": int(metrics.rpartition(":")[2])})
    return [each async for each in Doctor(settings, sends_request=True).look()]


async def status(target: str) -> dict[str, Any]:
    told = (await ProxyInProcess(zai_target_url=target).get("/status")).json()
    assert isinstance(told, dict)
    return told


@asynccontextmanager
async def a_proxy_and_its_upstream() -> AsyncIterator[tuple[Listener, Listener]]:
    """The metrics port of a proxy, and what it has for its upstream."""
    async with (
        listening(http(b"", 200, A_DATE)) as upstream,
        listening(http(json.dumps(await status(upstream.url)))) as proxy,
    ):
        yield proxy, upstream


async def test_the_upstream_of_the_running_proxy_is_judged_and_not_that_of_the_shell() -> None:
    async with a_proxy_and_its_upstream() as (proxy, upstream):
        found = await findings("http://no-such-host.invalid", proxy.url, make_key())

    told = {each.what: each for each in found}
    assert told["upstream"].found.startswith(upstream.url)
    assert told["DNS"].level is Level.OK
    assert [each.level for each in found if each.what == "ZAI_TARGET_URL"] == [Level.NOTE]
    assert f"http://no-such-host.invalid in this shell, {upstream.url} in the" in told["ZAI_TARGET_URL"].found


async def test_the_key_of_the_shell_goes_to_no_upstream_that_the_shell_has_not_named() -> None:
    key = make_key()
    async with a_proxy_and_its_upstream() as (proxy, upstream):
        found = await findings(NOBODY, proxy.url, key)
        asked = [*upstream.requests, *proxy.requests]

    assert [each for each in found if each.what in ("plan", "request")] == []
    assert upstream.requests
    assert key not in str(asked)


async def test_one_upstream_written_in_two_ways_is_no_difference() -> None:
    async with listening(http(json.dumps(await status("http://LOCALHOST:80")))) as proxy:
        found = await findings("http://localhost", proxy.url, make_key())

    assert "ZAI_TARGET_URL" not in {each.what for each in found}


@pytest.mark.parametrize("told", [{}, {"ZAI_TARGET_URL": 1}, {"ZAI_TARGET_URL": "http://a:b@host.invalid/path"}])
async def test_beside_a_proxy_that_tells_no_upstream_that_of_the_shell_is_judged(told: Mapping[str, object]) -> None:
    async with listening(http(json.dumps({"settings": told}))) as proxy:
        found = await findings(NOBODY, proxy.url, make_key())

    assert [each.found for each in found if each.what == "upstream"] == [f"{NOBODY}, none of Z.AI's own hosts"]
    assert "ZAI_TARGET_URL" not in {each.what for each in found}


def event(**told: object) -> str:
    request = {"started": time.time(), "duration": 0.1, "path": "/v1/messages", "refused": None, **told}
    return f"id: run-1\nevent: request\ndata: {json.dumps(request)}\n\n"


async def said_of_requests(answer: bytes) -> list[Finding]:
    """Beside a proxy whose feed answers so."""
    async with listening(http(json.dumps(await status(NOBODY))), answer) as proxy:
        found = await findings(NOBODY, proxy.url, make_key())
        assert [each.split()[1] for each in proxy.requests] == ["/status", "/requests"]
    return [each for each in found if each.what == "requests"]


async def test_a_running_proxy_through_which_every_request_fails_is_a_problem() -> None:
    [finding] = await said_of_requests(http(event(status=503, error="request_creation") * 25))

    assert finding.level is Level.PROBLEM
    assert finding.found == "25 of 25 in the last 10 minutes failed (25 with 503 request_creation)"


async def test_a_proxy_that_does_not_tell_how_requests_ended_is_a_note_and_an_idle_one_is_none() -> None:
    assert [each.level for each in await said_of_requests(http(b"{}", 401))] == [Level.NOTE]
    assert await said_of_requests(http(b"")) == []
