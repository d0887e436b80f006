"""The demo's clients: requests of every kind, for ever, at a rate that is pleasant to watch.

What the simulated Z.AI answers, each request says itself in the header x-sim.
"""

import asyncio
import json
import secrets
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

MEAN_PAUSE: Final = 0.4
_LONGEST_PAUSE: Final = 1.2
_SESSIONS: Final = 2
_MOST_RUNNING: Final = 300
# Every other deck ends with more requests at once than there are workers.
_DECKS_PER_CROWD: Final = 2
_CROWD_BEYOND: Final = 3

_ANTHROPIC: Final = {
    "anthropic-version": "2023-06-01",
    "authorization": "Bearer anything",
    "user-agent": "claude-cli/2.1.330 (external, cli)",
}
_OPENAI: Final = {"authorization": "Bearer anything", "user-agent": "OpenAI/Python 2.9.0"}
_CODEX: Final = {"authorization": "Bearer anything", "user-agent": "codex_cli_rs/0.61.0"}


@dataclass(frozen=True, slots=True)
class Sample:
    """A kind of request. `share` of them are in each deck; `leave_after` seconds the client hangs up."""

    share: int
    path: str
    scenario: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: _OPENAI)
    leave_after: float | None = None

    @property
    def program(self) -> str:
        """Its user agent: each program has sessions of its own."""
        return self.headers["user-agent"]


def _messages(share: int, stream: bool, model: str = "glm-5.3", leave: float | None = None, **scenario: Any) -> Sample:
    prompt = [{"role": "user", "content": "Explain this repository to a new colleague."}]
    body = {"model": model, "max_tokens": 4096, "stream": stream, "messages": prompt}
    return Sample(share, "/v1/messages?beta=true", scenario, body, _ANTHROPIC, leave)


def _chat(share: int, stream: bool, model: str, **scenario: Any) -> Sample:
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "Write a haiku about proxies."}]}
    return Sample(share, "/v1/chat/completions", scenario, body)


def _responses(share: int, stream: bool, **scenario: Any) -> Sample:
    body = {"model": "glm-5.3", "stream": stream, "input": "Rename this."}
    return Sample(share, "/v1/responses", scenario, body, _CODEX)


_LONG: Final[dict[str, Any]] = {
    "events": 80,
    "pause": 0.07,
    "first_event_delay": 0.6,
    "input_tokens": 21_000,
    "cached_tokens": 18_500,
}
_CROWDS: Final = (
    _messages(1, True, events=8, pause=0.3, input_tokens=700, output_tokens=90),
    _chat(1, True, "glm-4.7", events=8, pause=0.3, input_tokens=700, output_tokens=90),
)
_COUNTED: Final = {"model": "glm-5.3", "messages": [{"role": "user", "content": "How many tokens is this?"}]}

SAMPLES: Final = (
    _messages(4, True, events=30, pause=0.08, input_tokens=8_200, cached_tokens=6_100, output_tokens=420, delay=0.3),
    _messages(2, True, **_LONG, output_tokens=2_400, thinking=30),
    _messages(2, False, model="claude-haiku-4-5", delay=0.8, input_tokens=900, output_tokens=150),
    _chat(3, True, "glm-4.7", events=40, pause=0.05, delay=0.2, input_tokens=1_500, cached_tokens=600),
    _chat(1, False, "glm-5.3-flash", delay=0.5, input_tokens=400, output_tokens=80),
    _responses(2, True, events=25, pause=0.1, delay=0.4, input_tokens=3_000, output_tokens=300),
    _responses(1, False, delay=1.0, input_tokens=2_000, output_tokens=200),
    Sample(2, "/v1/messages/count_tokens", body=_COUNTED, headers=_ANTHROPIC),
    Sample(1, "/v1/models", headers=_ANTHROPIC),
    Sample(1, "/v1/models"),
    Sample(1, "/v1/embeddings", body={"model": "embedding-3", "input": "a proxy"}),
    # What goes wrong: a client that leaves, a used-up quota, an error that a retry hides, one that outlasts the
    # retries, a path that is not there. The crowd, in between, is more than there are workers.
    _messages(1, True, leave=1.5, **_LONG),
    _messages(1, True, code="1308"),
    _messages(1, True, events=10, pause=0.05, fail_first={"times": 1, "code": "1234"}),
    _messages(1, True, code="1200"),
    Sample(1, "/v1/nothing-here"),
)


class Traffic:
    """Sends samples to a proxy at `url` that has `max_workers`; the client takes no error amiss."""

    def __init__(self, client: httpx.AsyncClient, url: str, max_workers: int) -> None:
        self._client = client
        self._url = url
        self._max_workers = max_workers
        self._random = secrets.SystemRandom()
        self._sessions = {sample.program: [str(uuid.uuid4()) for _ in range(_SESSIONS)] for sample in SAMPLES}
        self._running: set[asyncio.Task[None]] = set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Sends until told to stop; then returns when the answers to what was sent are there."""
        decks = 0
        async with asyncio.TaskGroup() as tasks:
            while not stopping.is_set():
                for sample in self._deck():
                    await self._pause(stopping)
                    self._send(tasks, sample, stopping)
                decks += 1
                if decks % _DECKS_PER_CROWD == 1:
                    for _ in range(self._max_workers + _CROWD_BEYOND - len(self._running)):
                        self._send(tasks, self._random.choice(_CROWDS), stopping)

    def _deck(self) -> list[Sample]:
        deck = [sample for sample in SAMPLES for _ in range(sample.share)]
        self._random.shuffle(deck)
        return deck

    async def _pause(self, stopping: asyncio.Event) -> None:
        seconds = min(_LONGEST_PAUSE, self._random.expovariate(1 / MEAN_PAUSE))
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await stopping.wait()

    def _send(self, tasks: asyncio.TaskGroup, sample: Sample, stopping: asyncio.Event) -> None:
        if stopping.is_set() or len(self._running) >= _MOST_RUNNING:
            return
        task = tasks.create_task(self._exchange(sample))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _exchange(self, sample: Sample) -> None:
        headers = {
            **sample.headers,
            "x-claude-code-session-id": self._random.choice(self._sessions[sample.program]),
            "x-sim": json.dumps(sample.scenario),
        }
        method = "GET" if sample.body is None else "POST"
        request = self._client.stream(method, self._url + sample.path, json=sample.body, headers=headers)
        # A broken connection or an early leave is part of the show; the proxy counts it.
        with suppress(httpx.HTTPError, TimeoutError):
            async with asyncio.timeout(sample.leave_after), request as response:
                async for _ in response.aiter_raw():
                    pass
