"""The ways to share a plan, each with processes of its own on free ports."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from bench.pacing import load
from bench.pacing.agents import Door, Seen, work
from bench.pacing.load import Agent, Plan
from bench.pacing.rival import RateAimd
from tests.harness.fleet import running_fleet
from tests.harness.processes import make_key
from tests.harness.stack import Simulator, running_stack

_SURFACE: Final = "/api/anthropic/v1/messages"
_REPLICAS: Final = 3
_RIVALS_FIRST_RATE: Final = 1.0
_LONGEST_QUEUE: Final = 240.0
_DEFAULT_WORKERS: Final = 20


class Way(StrEnum):
    """The values are the names in the JSON report."""

    NO_PROXY = "no_proxy"
    FIXED = "fixed_workers"
    RATE_AIMD = "rate_aimd"
    PACED = "paced"
    REPLICAS = "three_replicas"
    SWARM = "swarm"


_PLANS_OF: Final = {Way.REPLICAS: ("hours", "mixed"), Way.SWARM: ("hours",)}


@dataclass(frozen=True, slots=True)
class Ran:
    """A way that has run: what its agents saw, and the simulator's log of its requests. `began` is a Unix time."""

    seen: Seen
    log: list[dict[str, Any]]
    began: float


def ways_of(plan: Plan) -> list[Way]:
    """What is compared on a plan: the swarm and the replicas only where they tell something else."""
    return [way for way in Way if plan.name in _PLANS_OF.get(way, (plan.name,))]


def agents_of(way: Way, plan: Plan) -> Sequence[Agent]:
    return load.swarm() if way is Way.SWARM else plan.agents


def run(way: Way, plan: Plan, directory: Path, speed: float) -> Ran:
    """Lets the agents work on one way for the plan's whole time."""
    directory.mkdir(parents=True)
    with _opened(way, plan, directory, speed) as (simulator, doors):
        _limit(simulator, plan, plan.changes()[0][1])
        began = time.time()
        placed = [(agent, doors[number % len(doors)]) for number, agent in enumerate(agents_of(way, plan))]
        seen = asyncio.run(_work_while_the_plan_changes(placed, simulator, plan, speed))
        return Ran(seen, simulator.log(), began)


@contextmanager
def _opened(way: Way, plan: Plan, directory: Path, speed: float) -> Iterator[tuple[Simulator, list[Door]]]:
    options = list(_options(plan, speed))
    if way in (Way.NO_PROXY, Way.RATE_AIMD):
        key = make_key()
        simulator = Simulator(directory, key, *options)
        try:
            rival = RateAimd(_RIVALS_FIRST_RATE, speed) if way is Way.RATE_AIMD else None
            yield simulator, [Door(simulator.url, key, rival, _SURFACE)]
        finally:
            simulator.process.kill()
    elif way is Way.REPLICAS:
        with running_fleet(directory, _REPLICAS, *options, **_settings(way, plan, speed)) as fleet:
            yield fleet.simulator, [Door(stack.url, "any") for stack in fleet.stacks]
    else:
        with running_stack(directory, *options, **_settings(way, plan, speed)) as stack:
            yield stack.simulator, [Door(stack.url, "any")]


def _options(plan: Plan, speed: float) -> Iterator[str]:
    if plan.requests_per_second is not None:
        yield f"--requests-per-second={plan.requests_per_second * speed}"
    if plan.tool_calls is not None:
        yield f"--mcp-concurrency={plan.tool_calls}"
        yield f"--mcp-recovery-seconds={plan.tools_recover / speed}"


def _settings(way: Way, plan: Plan, speed: float) -> dict[str, str]:
    """All but these are the proxy's defaults."""
    if way is Way.FIXED:
        return {"PACING": "off", "MAX_WORKERS": str(plan.fixed_workers)}
    settings = {"PACING": "on", "QUEUE_TIMEOUT": f"{max(1.0, _LONGEST_QUEUE / speed):g}"}
    agents = len(agents_of(way, plan))
    if agents > _DEFAULT_WORKERS:
        settings["MAX_WORKERS"] = str(2 * agents)
    return settings


async def _work_while_the_plan_changes(
    placed: list[tuple[Agent, Door]], simulator: Simulator, plan: Plan, speed: float
) -> Seen:
    changing = asyncio.create_task(_change(simulator, plan, speed))
    try:
        return await work(placed, speed, plan.horizon / speed)
    finally:
        changing.cancel()


async def _change(simulator: Simulator, plan: Plan, speed: float) -> None:
    began = time.monotonic()
    for since, places in plan.changes():
        await asyncio.sleep(max(0.0, began + since / speed - time.monotonic()))
        await asyncio.to_thread(_limit, simulator, plan, places)


def _limit(simulator: Simulator, plan: Plan, places: Mapping[str, int]) -> None:
    if "" in plan.places:
        simulator.limit(concurrency=places[""])
    else:
        simulator.limit(model_concurrency=dict(places))
