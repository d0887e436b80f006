"""Agents at work: each takes its turns, one after the other, until the time is up."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from bench.pacing.ladder import back_off
from bench.pacing.load import Agent, Turn
from bench.pacing.rival import RateAimd

_EVENTS: Final = 10
_FIRST_EVENT: Final = 0.25  # of an answer's time
_PATIENCE: Final = 120.0
_MESSAGES: Final = "/v1/messages"
_TOOLS: Final = "/api/mcp/web_search_prime/mcp"
_PROMPT: Final = {"max_tokens": 1000, "stream": True, "messages": [{"role": "user", "content": "x" * 40_000}]}
_CALL: Final = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search", "arguments": {}}}


@dataclass(frozen=True, slots=True)
class Taken:
    """A turn as its agent saw it. `waited` is in real seconds, all but the answer's own time; a turn that was given
    up, or still waited at the end, has waited for so long at least."""

    agent: Agent
    waited: float
    served: bool
    lost: bool = False


@dataclass(slots=True)
class Seen:
    """All that the agents saw. `refusals` counts each refusal that reached one by its status, retried or not."""

    turns: list[Taken] = field(default_factory=list)
    refusals: Counter[int] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Door:
    """Where an agent sends its requests, and what it has to bring; `messages` is the path of those to models."""

    url: str
    key: str
    rival: RateAimd | None = None
    messages: str = _MESSAGES


async def work(agents: Iterable[tuple[Agent, Door]], speed: float, seconds: float) -> Seen:
    """Lets all agents work for so many real seconds."""
    seen = Seen()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
    async with httpx.AsyncClient(limits=limits, timeout=_PATIENCE) as client:
        tasks = [asyncio.create_task(_Worker(agent, door, client, speed, seen).run()) for agent, door in agents]
        done, running = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for task in done:
            task.result()
    return seen


class _Worker:
    def __init__(self, agent: Agent, door: Door, client: httpx.AsyncClient, speed: float, seen: Seen) -> None:
        self._agent = agent
        self._door = door
        self._client = client
        self._speed = speed
        self._seen = seen
        self._dice = random.Random(agent.name)

    async def run(self) -> None:
        number = 0
        while True:
            turn = self._agent.turn(number)
            await asyncio.sleep(turn.rest / self._speed)
            await self._take(turn)
            number += 1

    async def _take(self, turn: Turn) -> None:
        began = time.monotonic()
        served = over = False
        try:
            tries = 0
            while not served:
                tries += 1
                status, headers = await self._ask(turn)
                served = status == 200
                wait = None if served else back_off(tries, status, headers, self._dice, self._speed)
                if wait is None:
                    break
                await asyncio.sleep(wait)
            over = True
        finally:
            spent = time.monotonic() - began
            waited = spent - turn.answer / self._speed if served else spent
            self._seen.turns.append(Taken(self._agent, max(0.0, waited), served, over and not served))

    async def _ask(self, turn: Turn) -> tuple[int | None, httpx.Headers]:
        if self._door.rival is not None:
            await self._door.rival.turn()
        path, body, headers = self._request(turn)
        try:
            async with self._client.stream(
                "POST", self._door.url + path, json=body, headers={**headers, **self._agent.headers()}
            ) as answer:
                if self._door.rival is not None:
                    self._door.rival.answered(answer.status_code)
                if answer.status_code != 200:
                    self._seen.refusals[answer.status_code] += 1
                await answer.aread()
                return answer.status_code, answer.headers
        except httpx.TransportError:
            self._seen.refusals[0] += 1
            return None, httpx.Headers()

    def _request(self, turn: Turn) -> tuple[str, dict[str, Any], dict[str, str]]:
        seconds = turn.answer / self._speed
        if self._agent.calls_tools:
            headers = {"authorization": f"Bearer {self._door.key}", "accept": "application/json, text/event-stream"}
            return _TOOLS, _CALL, {**headers, "x-sim": json.dumps({"delay": seconds})}
        scenario = self._scenario(seconds)
        return (
            self._door.messages,
            {**_PROMPT, "model": self._agent.model},
            {
                "x-api-key": self._door.key,
                "x-sim": scenario,
            },
        )

    def _scenario(self, seconds: float) -> str:
        pause = seconds * (1.0 - _FIRST_EVENT) / _EVENTS
        return json.dumps(
            {"events": _EVENTS, "thinking": 0, "first_event_delay": seconds * _FIRST_EVENT, "pause": pause}
        )
