"""Two of the demo's clients hold conversations that are long enough for the cache: one of them makes it cold.

How much of a prompt was cached, no scenario says: the simulated Z.AI finds out by itself.
"""

import asyncio
import itertools
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import httpx

_PAUSE_SECONDS: Final = 2.0
_TURNS: Final = 25
_MANUAL: Final = "Read before you write, and say what you have done. " * 500
_RESULT: Final = "src/proxy.py: 120 lines, src/queue.py: 88 lines, README.md: 40 lines. " * 20
_TOOLS: Final = ({"name": "Bash", "description": "Runs a command.", "input_schema": {"type": "object"}},)


@dataclass(frozen=True, slots=True)
class Member:
    """A program that talks. `changes` is whether the line in front of its prompts is another one each time."""

    user_agent: str
    session_header: str
    changes: bool


MEMBERS: Final = (
    Member("claude-cli/2.1.330 (external, cli)", "x-claude-code-session-id", changes=True),
    Member("opencode/1.18.33", "x-session-id", changes=False),
)


def body(member: Member, turn: int) -> Mapping[str, Any]:
    """The request of a turn, counted from 0, which has said all that the turns before had."""
    version = f"{turn:03x}" if member.changes else "000"
    line = f"x-anthropic-billing-header: cc_version=2.1.330.{version}; cc_entrypoint=cli;"
    said = itertools.chain.from_iterable(
        (_said("assistant", f"I look at part {number}."), _said("user", f"{number}: {_RESULT}"))
        for number in range(turn)
    )
    return {
        "model": "glm-5.3",
        "max_tokens": 4096,
        "stream": True,
        "tools": _TOOLS,
        "system": [{"type": "text", "text": line}, {"type": "text", "text": _MANUAL}],
        "messages": [_said("user", "Explain this repository to a new colleague."), *said],
    }


async def converse(client: httpx.AsyncClient, url: str, member: Member, stopping: asyncio.Event) -> None:
    """Talks to the proxy at `url` until it is told to stop, in a new session after some turns."""
    while not stopping.is_set():
        headers = {
            "anthropic-version": "2023-06-01",
            "authorization": "Bearer anything",
            "user-agent": member.user_agent,
            member.session_header: str(uuid.uuid4()),
        }
        for turn in range(_TURNS):
            await _take_turn(client, f"{url}/v1/messages", headers, body(member, turn))
            with suppress(TimeoutError):
                async with asyncio.timeout(_PAUSE_SECONDS):
                    await stopping.wait()
            if stopping.is_set():
                return


async def _take_turn(client: httpx.AsyncClient, url: str, headers: Mapping[str, str], said: Mapping[str, Any]) -> None:
    # A refusal is part of the show; the turn after it says all that this one would have.
    with suppress(httpx.HTTPError):
        async with client.stream("POST", url, json=said, headers=headers) as response:
            async for _ in response.aiter_raw():
                pass


def _said(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}
