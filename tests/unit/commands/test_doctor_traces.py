"""What the doctor says of the collector of traces."""

import asyncio
from typing import Any

import pytest

from extproc.commands.doctor import Doctor
from extproc.domain.diagnosis import Finding, Level
from extproc.settings import Settings
from tests.harness.processes import make_key
from tests.unit.runtime.listener import http, listening


async def findings(url: str, **settings: Any) -> list[Finding]:
    """What is found of traces, and of variables that are set in vain."""
    fields = {"zai_api_key": make_key(), "zai_target_url": "http://127.0.0.1:9", "otel_exporter_otlp_endpoint": url}
    doctor = Doctor(Settings(**fields | settings), sends_request=False)
    async with asyncio.timeout(60):
        return [each async for each in doctor.look() if each.what == "traces" or each.found.startswith("OTEL_")]


async def test_a_collector_is_asked_with_a_message_without_spans() -> None:
    async with listening(http()) as listener:
        [finding] = await findings(listener.url, otel_exporter_otlp_headers="authorization=Bearer%20of-mine")

    assert (finding.level, finding.found) == (Level.OK, "127.0.0.1 takes them")
    [request] = listener.requests
    assert request.startswith("POST /v1/traces HTTP/1.1\r\n")
    assert "authorization: Bearer of-mine\r\n" in request
    assert request.endswith("\r\n\r\n")


@pytest.mark.parametrize(("answer", "why"), [(http("", 401), "HTTP 401"), (b"", "RemoteProtocolError")])
async def test_one_that_does_not_take_them_is_a_problem_and_its_url_is_not_told(answer: bytes, why: str) -> None:
    async with listening(answer) as listener:
        [finding] = await findings(f"{listener.url}/my-secret", otel_exporter_otlp_headers="a=my-secret")

    assert (finding.level, finding.found) == (Level.PROBLEM, f"127.0.0.1 does not take them ({why})")
    assert "my-secret" not in str(finding)


async def test_what_is_set_and_not_used_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    async with listening(http()) as listener:
        told = await findings(listener.url)

    assert [(finding.level, finding.found.partition(" ")[0]) for finding in told if finding.what == "environment"] == [
        (Level.NOTE, "OTEL_BSP_SCHEDULE_DELAY")
    ]


async def test_where_nothing_is_traced_nothing_is_said() -> None:
    assert await findings("http://127.0.0.1:9", otel_sdk_disabled=True) == []
