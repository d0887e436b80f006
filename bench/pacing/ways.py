"""The ways to share a plan, each with processes of its own on free ports."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from bench.pacing import load
from bench.pacing.agents import Door, Seen, work
from bench.pacing.load import Agent
from bench.pacing.rival import RateAimd
from tests.harness.fleet import running_fleet
from tests.harness.processes import make_key
from tests.harness.stack import Simulator, Stack, running_stack

_SURFACE: Final = "/api/anthropic/v1/messages"
_REPLICAS: Final = 3
# What somebody would pick who knows the plan's average.
_FIXED_WORKERS: Final = 4
_RIVALS_FIRST_RATE: Final = 1.0
_LONGEST_QUEUE: Final = 240.0


class Way(StrEnum):
    """The values are the names in the JSON report."""

    NO_PROXY = "no_proxy"
    FIXED = "fixed_workers"
    RATE_AIMD = "rate_aimd"
    PACED = "paced"
    REPLICAS = "three_replicas"
    SWARM = "swarm"


@dataclass(frozen=True, slots=True)
class Ran:
    """A way that has run: what its agents saw, and the simulator's log of its requests. `began` is a Unix time."""

    seen: Seen
    log: list[dict[str, Any]]
    began: float


def agents_of(way: Way) -> list[Agent]:
    return load.swarm() if way is Way.SWARM else load.team()


def run(way: Way, directory: Path, speed: float) -> Ran:
    """Lets the agents work on one way for the plan's whole time."""
    directory.mkdir()
    with _opened(way, directory, speed) as (simulator, doors):
        began = time.time()
        placed = [(agent, doors[number % len(doors)]) for number, agent in enumerate(agents_of(way))]
        seen = asyncio.run(_work_while_the_plan_changes(placed, simulator, speed))
        return Ran(seen, simulator.log(), began)


@contextmanager
def _opened(way: Way, directory: Path, speed: float) -> Iterator[tuple[Simulator, list[Door]]]:
    options = ("--requests-per-second", str(load.REQUESTS_PER_SECOND * speed))
    if way in (Way.NO_PROXY, Way.RATE_AIMD):
        key = make_key()
        simulator = Simulator(directory, key, *options)
        try:
            rival = RateAimd(_RIVALS_FIRST_RATE, speed) if way is Way.RATE_AIMD else None
            yield simulator, [Door(simulator.url + _SURFACE, key, rival)]
        finally:
            simulator.process.kill()
    elif way is Way.REPLICAS:
        with running_fleet(directory, _REPLICAS, *options, **_settings(way, speed)) as fleet:
            yield fleet.simulator, [_door(stack) for stack in fleet.stacks]
    else:
        with running_stack(directory, *options, **_settings(way, speed)) as stack:
            yield stack.simulator, [_door(stack)]


def _door(stack: Stack) -> Door:
    return Door(f"{stack.url}/v1/messages", "any")


def _settings(way: Way, speed: float) -> dict[str, str]:
    """All but these are the proxy's defaults."""
    if way is Way.FIXED:
        return {"PACING": "off", "MAX_WORKERS": str(_FIXED_WORKERS)}
    settings = {"PACING": "on", "QUEUE_TIMEOUT": f"{max(1.0, _LONGEST_QUEUE / speed):g}"}
    if way is Way.SWARM:
        settings["MAX_WORKERS"] = str(2 * load.SUB_AGENTS)
    return settings


async def _work_while_the_plan_changes(placed: list[tuple[Agent, Door]], simulator: Simulator, speed: float) -> Seen:
    changing = asyncio.create_task(_change(simulator, speed))
    try:
        return await work(placed, speed, load.HORIZON / speed)
    finally:
        changing.cancel()


async def _change(simulator: Simulator, speed: float) -> None:
    began = time.monotonic()
    for since, places in load.CAPACITY:
        await asyncio.sleep(max(0.0, began + since / speed - time.monotonic()))
        await asyncio.to_thread(simulator.limit, concurrency=places)
