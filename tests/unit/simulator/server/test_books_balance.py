"""Whatever is asked for, the journal and the bytes on the wire tell the same story."""

import asyncio
import hashlib
import json
import random
import secrets
from typing import Any

import aiohttp
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.scenario.model import Fault, Framing, LineEnd, Pieces, UsageForm
from simulator.server.app import serve
from simulator.server.settings import SimulatorSettings, plan
from tests.unit.simulator.talk import BODIES, CHAT, MESSAGES, SPOKEN, Api, events

ENDLESS = (Fault.HANG,)
SCENARIOS = st.fixed_dictionaries(
    {},
    optional={
        "events": st.integers(0, 20),
        "thinking": st.integers(0, 5),
        "event_bytes": st.integers(0, 200),
        "pings": st.integers(0, 4),
        "comments": st.integers(0, 4),
        "usage": st.sampled_from([form.value for form in UsageForm]),
        "input_tokens": st.integers(0, 10**9),
        "cached_tokens": st.integers(0, 10**6),
        "cache_creation_tokens": st.integers(0, 10**6),
        "output_tokens": st.integers(0, 10**9),
        "pieces": st.sampled_from([pieces.value for pieces in Pieces]),
        "line_end": st.sampled_from([line_end.value for line_end in LineEnd]),
        "framing": st.sampled_from([framing.value for framing in Framing]),
        "trailers": st.sampled_from([{}, {"x-sum": "1"}]),
        "web_search": st.booleans(),
        "tool_call": st.just({"name": "Bash", "input": {"command": "ls 明白"}}),
        "code": st.sampled_from(["1302", "1305", "9"]),
        "fault": st.sampled_from([fault.value for fault in Fault if fault not in ENDLESS]),
    },
)
REPEAT = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def reported(text: str) -> dict[str, int] | None:
    """The usage that a reader of a clean stream ends up with, in the journal's words; the last figure wins."""
    found: dict[str, int] = {}
    for event in events(text):
        holder = event.get("message") or event.get("response") or event
        usage = holder.get("usage") or {}
        if event.get("type") == "message_start" and not usage.get("input_tokens"):
            continue
        cached = usage.get("prompt_tokens_details", usage.get("input_tokens_details", {})).get("cached_tokens")
        reading = {
            "all_input": usage.get("prompt_tokens"),
            "input": usage.get("input_tokens"),
            "cached": cached if cached is not None else usage.get("cache_read_input_tokens"),
            "cache_creation": usage.get("cache_creation_input_tokens"),
            "output": usage.get("completion_tokens", usage.get("output_tokens")),
        }
        found.update({name: value for name, value in reading.items() if value is not None})
    return found or None


def receive(api: Api, path: str, body: dict[str, Any], scenario: dict[str, Any]) -> tuple[bytes, bool]:
    """The body as it came over the wire, and whether it came to its proper end."""
    received = b""
    try:
        with api.http.stream("POST", path, json=body, headers={"x-sim": json.dumps(scenario)}) as response:
            for part in response.iter_raw():
                received += part
    except httpx.HTTPError:
        return received, False
    return received, True


@REPEAT
@given(scenario=SCENARIOS, path=st.sampled_from(SPOKEN), stream=st.booleans())
def test_the_bytes_received_are_the_bytes_written_down(
    api: Api, scenario: dict[str, Any], path: str, stream: bool
) -> None:
    received, whole = receive(api, path, {**BODIES[path], "stream": stream}, scenario)

    assert whole or "fault" in scenario
    entry = api.settled()
    assert not entry["aborted"]
    if whole:
        assert entry["response_bytes"] == len(received)
        assert entry["response_sha256"] == hashlib.sha256(received).hexdigest()
    else:
        assert entry["response_bytes"] >= len(received)


@REPEAT
@given(scenario=SCENARIOS, path=st.sampled_from([MESSAGES, CHAT]))
def test_the_usage_in_a_stream_is_the_usage_written_down(api: Api, scenario: dict[str, Any], path: str) -> None:
    scenario = {name: value for name, value in scenario.items() if name not in ("fault", "code")}

    found = reported(api.ask(path, stream=True, **scenario).text)

    sent = api.settled()["usage_sent"]
    if sent is None:
        assert found is None
        return
    assert found is not None
    assert found["output"] == sent["output"]
    assert found.get("cached", 0) == sent["cached"]
    if path == MESSAGES:
        assert found.get("input", 0) == sent["input"]
        assert found.get("cache_creation", 0) == sent["cache_creation"]
    else:
        assert found["all_input"] == sent["input"] + sent["cached"] + sent["cache_creation"]


async def test_after_a_storm_nothing_is_in_flight_and_all_is_counted() -> None:
    dice = random.Random(7)
    key = f"{secrets.token_hex(16)}.{secrets.token_hex(8)}"
    outcomes = [
        {"events": 5},
        {"events": 30, "pause": 0.01},
        {"code": "1302"},
        {"fault": "reset"},
        {"fault": "reset", "after_events": 2},
        {"fault": "truncate"},
        {"fault": "hang", "after_events": 1},
        {"delay": 5},
    ]

    async def ask(client: aiohttp.ClientSession, url: str) -> None:
        path, scenario = dice.choice(SPOKEN), dice.choice(outcomes)
        headers = {"authorization": f"Bearer {key}", "x-sim": json.dumps(scenario)}
        body = {**BODIES[path], "stream": dice.random() < 0.7}
        patience = aiohttp.ClientTimeout(sock_read=dice.uniform(0.02, 0.5))  # not while it waits for a connection
        try:
            async with client.post(f"{url}{path}", json=body, headers=headers, timeout=patience) as response:
                await response.read()
        except (aiohttp.ClientError, TimeoutError):
            return  # as intended: the answer broke off, or this client lost its patience

    limits = plan(concurrency=40)
    connector = aiohttp.TCPConnector(limit=60)
    async with serve(SimulatorSettings(key=key, limits=limits)) as running:
        async with aiohttp.ClientSession(connector=connector) as client:
            await asyncio.gather(*(ask(client, running.url) for _ in range(400)))
        state = running.state
        for _ in range(500):
            if state.journal.in_flight == 0:
                break
            await asyncio.sleep(0.01)

        entries = state.journal.since(0)
        stats = state.journal.stats()
        assert state.journal.in_flight == state.limits.in_flight == 0
        assert stats["requests"] == stats["finished"] == len(entries)
        assert stats["response_bytes"] == sum(entry.response_bytes for entry in entries)
        assert stats["aborted"] == sum(entry.aborted for entry in entries) > 0
        assert {entry.status for entry in entries} >= {None, 200, 429}


@pytest.mark.parametrize("path", SPOKEN)
def test_the_same_request_is_answered_alike(api: Api, path: str) -> None:
    first, second = api.ask(path, stream=True).text, api.ask(path, stream=True).text

    assert len(first) == len(second)
    assert len(events(first)) == len(events(second))
