"""A mixed load that goes on whatever happens, and notes of each request what came of it."""

import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from tests.harness.stack import PROMPT

_PATIENCE: Final = 40.0
_PAUSE: Final = (0.02, 0.2)
"""Seconds of a client between two requests."""
_STAYS: Final = (0.0, 0.3)
"""Seconds for which one that leaves has read."""
_GIVES_UP: Final = (0.05, 0.5)
"""Seconds after which one that gives up has had no answer."""
_ENDS: Final = {"/v1/messages": "message_stop", "/v1/chat/completions": "[DONE]", "/v1/responses": "response.completed"}
_PATHS: Final = tuple(_ENDS)

# weight, what the client does, what the simulator does
_MIX: Final[tuple[tuple[int, str, dict[str, object]], ...]] = (
    (30, "reads", {}),
    (25, "streams", {"events": 40, "pause": 0.02}),
    (8, "streams", {"events": 60, "pause": 0.1}),
    (8, "leaves", {"events": 200, "pause": 0.02}),
    (5, "gives up", {"delay": 2.0}),
    (4, "reads", {"fail_first": {"code": "1305", "times": 1}}),
    (4, "reads", {"code": "1210"}),
    (4, "reads", {"content_bytes": 300_000}),
    (4, "uploads", {}),
    (4, "lists", {}),
    (4, "is lost", {}),
)


@dataclass
class Sent:
    """One request. `status` is 0 where no answer began; `trouble` says what was not right about the answer."""

    id: str
    began: float
    ended: float = 0.0
    status: int = 0
    left: bool = False
    broken: str = ""
    trouble: str = ""
    tells_secret: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether the client has got all of the answer."""
        return bool(self.status) and not self.left and not self.broken


@dataclass
class Load:
    """So many clients at once, each with one request after the other until `stop` is set. No answer may tell any of the
    `secrets`."""

    url: str
    dice: random.Random
    clients: int
    secrets: tuple[str, ...]
    sent: list[Sent] = field(default_factory=list)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        dice = [random.Random(self.dice.random()) for _ in range(self.clients)]
        await asyncio.gather(*(self._client(number, own) for number, own in enumerate(dice)))

    async def _client(self, number: int, dice: random.Random) -> None:
        count = 0
        async with httpx.AsyncClient(timeout=_PATIENCE) as client:
            while not self.stop.is_set():
                count += 1
                sent = Sent(f"chaos-{number}-{count}", time.monotonic())
                self.sent.append(sent)
                await _one(client, self.url, sent, dice, self.secrets)
                sent.ended = time.monotonic()
                await asyncio.sleep(dice.uniform(*_PAUSE))


async def _one(client: httpx.AsyncClient, url: str, sent: Sent, dice: random.Random, secrets: tuple[str, ...]) -> None:
    weights = [weight for weight, _does, _scenario in _MIX]
    _, does, scenario = dice.choices(_MIX, weights)[0]
    path = dice.choice(_PATHS)
    request = _request(client, url, path, does, scenario, sent.id)
    try:
        async with asyncio.timeout(dice.uniform(*_GIVES_UP) if does == "gives up" else _PATIENCE):
            answer = await client.send(request, stream=True)
            sent.status = answer.status_code
            if does == "leaves" and answer.status_code == 200:
                await asyncio.sleep(dice.uniform(*_STAYS))
                sent.left = True
                await answer.aclose()
                return
            text = (await answer.aread()).decode()
    except TimeoutError:
        sent.left = True
        sent.trouble = "" if does == "gives up" else "no end of the answer"
        return
    except httpx.TransportError as error:
        sent.broken = type(error).__name__
        return
    sent.trouble = _trouble(answer, text, _ENDS[path] if does == "streams" else "")
    sent.tells_secret = any(secret in text or secret in str(answer.headers) for secret in secrets)


def _request(
    client: httpx.AsyncClient, url: str, path: str, does: str, scenario: dict[str, object], request_id: str
) -> httpx.Request:
    headers = {"x-sim": json.dumps(scenario), "x-request-id": request_id}
    if does == "lists":
        return client.build_request("GET", f"{url}/v1/models", headers=headers)
    if does == "is lost":
        return client.build_request("GET", f"{url}/nowhere", headers=headers)
    body: dict[str, Any] = {**PROMPT, "input": "hello", "stream": does in ("streams", "leaves")}
    if does == "uploads":
        body["user"] = "x" * 500_000
    return client.build_request("POST", f"{url}{path}", json=body, headers=headers)


def _trouble(answer: httpx.Response, text: str, end: str) -> str:
    """What a client could not make sense of."""
    if answer.status_code == 200:
        return "" if end in text else f"a stream without its end: …{text[-200:]!r}"
    try:
        told = json.loads(text)
    except ValueError:
        return f"{answer.status_code} that is no JSON: {text[:200]!r}"
    if "error" not in told or not told["error"].get("message"):
        return f"{answer.status_code} without an error: {text[:200]!r}"
    if answer.status_code == 503 and "retry-after" not in answer.headers:
        return f"503 that does not say when to come again: {text[:200]!r}"
    return ""
