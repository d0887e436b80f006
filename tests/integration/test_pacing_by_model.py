"""Limits by model through the real Envoy: each model has its places, and MCP tools have theirs."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.harness.shared_places import models_that_share
from tests.harness.stack import PROMPT, ZAI_PROXY, Stack, running_stack
from tests.harness.waiting import eventually

pytestmark = pytest.mark.slow

PLACES: Final = {"glm-5.3": 2, "glm-5.3-flash": 6, "glm-4.7": 1}
CALL: Final = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search", "arguments": {}}}
TOOLS: Final = "/api/mcp/web_search_prime/mcp"
FAST: Final = {"PACING": "on", "MAX_WORKERS": "60", "RATE_LIMIT_INITIAL": "100", "RATE_LIMIT_BURST": "100"}


class Client:
    """One connection pool for all requests of a test."""

    def __init__(self, stack: Stack, client: httpx.AsyncClient) -> None:
        self._url = stack.url
        self._client = client
        self.statuses: Counter[int] = Counter()

    async def ask(self, model: str, seconds: float = 0.0) -> httpx.Response:
        """A whole answer of a model, which takes so long; a refusal comes at once."""
        body = {**PROMPT, "model": model, "stream": True}
        return await self._post("/v1/messages", body, events=1, first_event_delay=seconds)

    async def call(self, **scenario: Any) -> httpx.Response:
        return await self._post(TOOLS, CALL, accept="application/json, text/event-stream", **scenario)

    async def _post(self, path: str, body: Any, accept: str = "*/*", **scenario: Any) -> httpx.Response:
        headers = {"x-sim": json.dumps(scenario), "accept": accept}
        answer = await self._client.post(self._url + path, json=body, headers=headers)
        self.statuses[answer.status_code] += 1
        return answer


@asynccontextmanager
async def client_of(stack: Stack) -> AsyncIterator[Client]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(timeout=60, limits=limits) as client:
        yield Client(stack, client)


def place_seconds(stack: Stack) -> dict[str, float]:
    return {name: model["place_seconds"] for name, model in stack.simulator.stats()["models"].items()}


def running(stack: Stack, model: str) -> int:
    """How many of a model the upstream answers now."""
    in_flight: int = stack.simulator.stats()["models"].get(model, {}).get("in_flight", 0)
    return in_flight


def learned(stack: Stack) -> dict[str, dict[str, Any]]:
    return {limit["name"]: limit for limit in stack.status()["model_limits"]}


async def test_each_models_places_are_in_use_and_hardly_a_client_sees_a_refusal(tmp_path: Path) -> None:
    limits = [f"--model-concurrency={model}={places}" for model, places in PLACES.items()]
    with running_stack(tmp_path, *limits, "--mcp-concurrency=2", "--mcp-recovery-seconds=1", **FAST) as stack:
        async with client_of(stack) as client, working(client):
            used = await use_settled(stack, share=0.6)

        # A machine that is busy holds places on its way, and what fits is refused by chance. In virtual time 85 % and
        # more are in use, and no client sees a refusal.
        assert min(used.values()) > 0.6, used
        assert set(client.statuses) <= {200, 429}, client.statuses
        assert client.statuses[429] <= max(2, client.statuses[200] // 20), client.statuses


async def test_places_that_come_back_late_are_in_use_too(tmp_path: Path) -> None:
    limits = [f"--model-concurrency={model}={places}" for model, places in PLACES.items()]
    with running_stack(tmp_path, *limits, "--release-seconds=0.1", **FAST) as stack:
        async with client_of(stack) as client, working(client):
            used = await use_settled(stack, share=0.5)

        assert min(used.values()) > 0.5, used  # a third was used when the lag was not learned
        assert client.statuses[200] > 10 * client.statuses[429], client.statuses


@asynccontextmanager
async def working(client: Client) -> AsyncIterator[None]:
    """More work than there are places, for each model and for the tools beside them."""

    async def ask(model: str) -> None:
        while True:
            await client.ask(model, seconds=3.0)

    async def call() -> None:
        while True:
            await client.call(delay=0.3)

    agents = [ask(model) for model, places in PLACES.items() for _ in range(2 * places + 2)]
    running = [asyncio.create_task(each) for each in (*agents, call(), call(), call())]
    yield
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def use_settled(stack: Stack, share: float, window: float = 10.0, within: float = 120.0) -> dict[str, float]:
    """The share of each model's places in use, in the first window in which that much was of all, or in the last."""
    deadline = time.monotonic() + within
    while True:
        before, began = place_seconds(stack), time.monotonic()
        await asyncio.sleep(window)
        after, seconds = place_seconds(stack), time.monotonic() - began
        used = {each: (after.get(each, 0.0) - before.get(each, 0.0)) / seconds / PLACES[each] for each in PLACES}
        if min(used.values()) > share or time.monotonic() > deadline:
            return used


@asynccontextmanager
async def one_place_is_taken(
    stack: Stack, client: Client, model: str, seconds: float = 5.0
) -> AsyncIterator[asyncio.Task[httpx.Response]]:
    """The model has one place, the limit knows it, and a request holds it for so long."""
    stack.simulator.limit(model_concurrency={model: 1})
    while learned(stack).get(model, {}).get("limit") != 1:
        await asyncio.gather(*(client.ask(model, seconds=0.3) for _ in range(3)))
    held = asyncio.create_task(client.ask(model, seconds=seconds))
    await eventually(lambda: running(stack, model), lambda number: number == 1)
    yield held
    assert (await held).status_code == 200


async def test_a_request_for_a_free_model_passes_those_that_wait_for_a_full_one(tmp_path: Path) -> None:
    with running_stack(tmp_path, **FAST) as stack:
        async with client_of(stack) as client, one_place_is_taken(stack, client, "glm-5.3") as held:
            queued = [asyncio.create_task(client.ask("glm-5.3", seconds=0.1)) for _ in range(3)]
            await eventually(lambda: learned(stack)["glm-5.3"]["waiting"], lambda number: number == 3)

            passing = await client.ask("glm-5.3-flash")

            assert (passing.status_code, passing.headers["x-zai-queue-ms"]) == (200, "0")
            assert not held.done()
            assert not any(each.done() for each in queued)
            assert {answer.status_code for answer in await asyncio.gather(*queued)} == {200}


async def test_hints_speak_of_the_requests_model(tmp_path: Path) -> None:
    with running_stack(tmp_path, **FAST) as stack:
        async with client_of(stack) as client, one_place_is_taken(stack, client, "glm-5.3"):
            queued = asyncio.create_task(client.ask("glm-5.3", seconds=0.1))
            await eventually(lambda: learned(stack)["glm-5.3"]["waiting"], lambda number: number == 1)

            of_another = await client.ask("glm-5.3-flash")

            assert of_another.headers["x-ratelimit-limit-requests"] == "3"
            assert int(of_another.headers["x-ratelimit-remaining-requests"]) >= 1
            assert of_another.headers["x-ratelimit-reset-requests"] == "0s"
            assert of_another.headers["x-zai-queue-ms"] == "0"
            waited = await queued
            assert waited.headers["x-ratelimit-limit-requests"] == "1"
            assert waited.headers["x-ratelimit-remaining-requests"] == "0"
            assert int(waited.headers["x-zai-queue-ms"]) > 500


async def test_a_refusal_of_mcp_slows_mcp_alone_and_its_calls_wait_for_places_of_their_own(tmp_path: Path) -> None:
    with running_stack(tmp_path, "--mcp-concurrency=1", "--mcp-recovery-seconds=0.5", **FAST) as stack:
        async with client_of(stack) as client:
            while learned(stack).get("mcp", {}).get("limit") != 1:
                await asyncio.gather(*(client.call(delay=0.3) for _ in range(3)))
            assert set(client.statuses) == {200}

            held = asyncio.create_task(client.call(delay=4.0))
            await eventually(lambda: stack.simulator.stats()["mcp"]["in_flight"], lambda number: number == 1)
            queued = asyncio.create_task(client.call())
            await eventually(lambda: learned(stack)["mcp"]["waiting"], lambda number: number == 1)
            messages = await asyncio.gather(*(client.ask("glm-5.3") for _ in range(3)))

            assert {(answer.status_code, answer.headers["x-zai-queue-ms"]) for answer in messages} == {(200, "0")}
            assert [limit["moves"] for limit in stack.status()["limits"]] == [[], []]
            assert not queued.done()
            assert (await held).status_code == 200
            assert int((await queued).headers["x-zai-queue-ms"]) > 500


async def test_a_model_whose_places_others_have_taken_shows_that_it_shares_them(tmp_path: Path) -> None:
    (tmp_path / "limits.json").write_text(json.dumps(models_that_share("glm-5.3", "glm-4.7", places=2)))
    with running_stack(tmp_path, STATE_DIR=str(tmp_path), **FAST) as stack:
        async with client_of(stack) as client:
            held = [asyncio.create_task(client.ask("glm-4.7", seconds=6.0)) for _ in range(2)]
            await eventually(lambda: running(stack, "glm-4.7"), lambda number: number == 2)
            queued = asyncio.create_task(client.ask("glm-5.3"))
            await eventually(lambda: learned(stack)["glm-5.3"]["waiting"], lambda number: number == 1)
            shown = learned(stack)["glm-5.3"]
            assert {answer.status_code for answer in await asyncio.gather(*held, queued)} == {200}

    assert (shown["in_flight"], shown["limit"]) == (0, 2)
    assert shown["shares"] == {"with": ["glm-4.7"], "maybe_with": [], "limit": 2, "in_flight": 2}


async def test_the_doctor_says_what_was_learned_of_each_model(tmp_path: Path) -> None:
    with running_stack(tmp_path, **FAST) as stack:
        async with client_of(stack) as client, one_place_is_taken(stack, client, "glm-5.3", seconds=15.0):
            await client.ask("glm-5.3-flash")
            process = await asyncio.create_subprocess_exec(
                ZAI_PROXY, "doctor", env=stack.environment, stdout=asyncio.subprocess.PIPE
            )
            told = (await process.communicate())[0].decode()

    assert "glm-5.3: 1 may run at once (2 were refused); 1 running, nothing waiting" in told
    assert "glm-5.3-flash: 3 may run at once; 0 running, nothing waiting" in told


async def test_metrics_tell_of_each_model_and_those_of_the_plan_of_all_together(tmp_path: Path) -> None:
    with running_stack(tmp_path, **FAST) as stack:
        async with client_of(stack) as client, one_place_is_taken(stack, client, "glm-5.3"):
            queued = [asyncio.create_task(client.ask("glm-5.3", seconds=0.1)) for _ in range(2)]
            await eventually(lambda: learned(stack)["glm-5.3"]["waiting"], lambda number: number == 2)
            beside = asyncio.create_task(client.ask("glm-5.3-flash", seconds=1.0))
            await eventually(lambda: running(stack, "glm-5.3-flash"), lambda number: number == 1)

            told = stack.metrics()

            of_models = {
                model: [
                    told.value(f"zai_proxy_model_{what}_requests", model=model, account="main")
                    for what in ("in_flight", "concurrency_limit", "concurrency_limit_ceiling", "queued")
                ]
                for model in ("glm-5.3", "glm-5.3-flash")
            }
            assert of_models == {"glm-5.3": [1, 1, 2, 2], "glm-5.3-flash": [1, 3, 0, 0]}
            assert told.value("zai_proxy_model_limit_adjustments_total", model="glm-5.3", direction="decrease") >= 1
            assert told.value("zai_proxy_rate_limit_queued_requests") == 2
            # Of all models together, or of the account if that is less: it is as at the start.
            assert told.value("zai_proxy_concurrency_limit_requests") == 3
            assert told.value("zai_proxy_concurrency_limit_adjustments_total") >= told.value(
                "zai_proxy_model_limit_adjustments_total"
            )
            await asyncio.gather(beside, *queued)
            waited = stack.metrics_at_rest()
        assert waited.value("zai_proxy_model_queue_wait_seconds_sum", model="glm-5.3") > 0.5
        assert waited.value("zai_proxy_model_queue_wait_seconds_sum", model="glm-5.3-flash") == pytest.approx(
            0, abs=0.2
        )
