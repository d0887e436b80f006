"""Several replicas on a plan that limits each model: they share each model's places, whoever of them dies."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.harness.fleet import Fleet, running_fleet
from tests.harness.stack import PROMPT, Stack
from tests.harness.waiting import eventually

# Three measurements of up to three minutes each, and what is learned in between, where the machine is busy.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PLACES: Final = {"glm-5.3": 2, "glm-5.3-flash": 6, "glm-4.7": 1}
LIMITS: Final = [f"--model-concurrency={model}={places}" for model, places in PLACES.items()]
SETTINGS: Final = {"PACING": "on", "MAX_WORKERS": "60", "RATE_LIMIT_INITIAL": "100", "RATE_LIMIT_BURST": "100"}
CALL: Final = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search", "arguments": {}}}
_ANSWER_SECONDS: Final = 2.0
_MEASURED: Final = 6.0
_MEASUREMENTS: Final = 30


class Load:
    """Clients of several replicas that always want more than there is."""

    def __init__(self) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()
        self._client = httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=None))

    async def ask(self, stack: Stack, path: str, body: dict[str, Any], session: str, **scenario: Any) -> None:
        accept = "application/json, text/event-stream"
        headers = {"x-sim": json.dumps(scenario), "accept": accept, "x-claude-code-session-id": session}
        answer = await self._client.post(stack.url + path, json=body, headers=headers)
        self.answers[body.get("model", "tools"), answer.status_code] += 1

    @property
    def refused(self) -> dict[str, int]:
        """What was refused as too much, by model; a replica that dies says 503."""
        return {model: count for (model, status), count in self.answers.items() if status == 429}

    @property
    def is_hardly_refused(self) -> bool:
        """Whether at most one answer in twenty is a refusal: where each step to the upstream and back takes half a
        second, as on a machine that is busy, what used to fit is refused by chance, and a request can spend all its
        tries while replicas learn a plan of one place. In virtual time none is."""
        return sum(self.refused.values()) <= max(2, self.answers.total() // 20)

    async def work(self, stack: Stack, model: str, session: str) -> None:
        """Asks again and again, until the replica is dead."""
        try:
            while True:
                await self.ask(stack, "/v1/messages", {**PROMPT, "model": model}, session, delay=_ANSWER_SECONDS)
        except httpx.TransportError:
            return

    async def use_tools(self, stack: Stack) -> None:
        try:
            while True:
                await self.ask(stack, "/api/mcp/web_search_prime/mcp", CALL, "tools", delay=_ANSWER_SECONDS)
        except httpx.TransportError:
            return


@asynccontextmanager
async def under_load(stacks: Sequence[Stack]) -> AsyncIterator[Load]:
    load = Load()
    tasks = [
        asyncio.create_task(load.work(stack, model, f"{model}-{number}"))
        for stack in stacks
        for model, places in PLACES.items()
        for number in range(places + 1)
    ]
    tasks += [asyncio.create_task(load.use_tools(stack)) for stack in stacks]
    yield load
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def place_seconds(fleet: Fleet) -> dict[str, float]:
    return {name: model["place_seconds"] for name, model in fleet.simulator.stats()["models"].items()}


async def until_in_use(fleet: Fleet, least: float) -> None:
    """Waits until each model's places have been in use for at least that share of some seconds. In virtual time nine
    tenths are; on a machine that is busy, answers of two seconds hold a place of a replica for twice as long."""
    seen = []
    for _ in range(_MEASUREMENTS):
        before, began = place_seconds(fleet), time.monotonic()
        await asyncio.sleep(_MEASURED)
        after, seconds = place_seconds(fleet), time.monotonic() - began
        shares = {model: (after.get(model, 0.0) - before.get(model, 0.0)) / seconds / n for model, n in PLACES.items()}
        if min(shares.values()) >= least:
            return
        seen.append(shares)
    raise AssertionError(f"in use were {seen}")


def learned(stack: Stack) -> dict[str, int]:
    return {limit["name"]: limit["limit"] for limit in stack.status()["model_limits"]}


def knows_the_plan(limits: dict[str, int]) -> bool:
    """A busy machine holds a place on its way to the upstream and back, so more are in flight here than there."""
    return all(places - 1 <= limits[model] <= places * 3 // 2 + 1 for model, places in PLACES.items())


def shared(stacks: Sequence[Stack], what: str) -> list[Any]:
    return [stack.status()["shared_limits"][what] for stack in stacks]


async def test_each_models_places_are_in_use_and_stay_so_when_the_leader_and_the_store_die(tmp_path: Path) -> None:
    with running_fleet(tmp_path, 3, *LIMITS, "--mcp-concurrency=2", "--mcp-recovery-seconds=1", **SETTINGS) as fleet:
        async with under_load(fleet.stacks) as load:
            await until_in_use(fleet, 0.5)
            for stack in fleet.stacks:
                await eventually(partial(learned, stack), knows_the_plan, within=120)
            assert load.is_hardly_refused, load.answers

            leader = next(stack for stack in fleet.stacks if stack.status()["shared_limits"]["leads"])
            living = [stack for stack in fleet.stacks if stack is not leader]
            leader.processor.kill()
            leader.envoy.kill()
            await eventually(lambda: shared(living, "leads"), lambda told: sum(told) == 1)
            await eventually(lambda: shared(living, "replicas"), lambda told: told == [2, 2])
            await until_in_use(fleet, 0.4)

            fleet.valkey.process.kill()
            await eventually(lambda: shared(living, "up"), lambda told: told == [False, False])
            answered = load.answers.total()
            await eventually(load.answers.total, lambda number: number >= answered + 10)
            fleet.valkey.restart()
            await eventually(lambda: shared(living, "up"), lambda told: told == [True, True])
            await until_in_use(fleet, 0.4)
            assert load.is_hardly_refused, load.answers
