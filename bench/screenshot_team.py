"""A small team at work, for the pictures: who asks for what, how often, and what the simulated Z.AI makes of it."""

import json
import random
import threading
import uuid
from dataclasses import dataclass
from typing import Any, Final

import httpx


@dataclass(frozen=True, slots=True)
class Member:
    """`at_once` conversations side by side, each of them a session; `agents` are the names of its sub-agents."""

    name: str
    at_once: int
    model: str
    user_agent: str
    path: str = "/v1/messages"
    agents: tuple[str, ...] = ()
    background: bool = False
    pause: float = 1.0


MEMBERS: Final = (
    Member("laptop-anna", 3, "glm-5.3", "claude-cli/2.1.330 (external, cli)", agents=("explore", "review"), pause=0.6),
    Member("laptop-ben", 2, "glm-5.3", "opencode/1.18.33", pause=1.5),
    Member("ci", 2, "glm-4.7", "OpenAI/Python 2.9.0", "/v1/chat/completions", background=True, pause=0.8),
    Member("editor-chris", 1, "glm-5.3-flash", "Cline/3.40.0", "/v1/chat/completions", pause=0.7),
)
# How an answer goes, and how often: mostly well.
_ANSWERS: Final[tuple[tuple[int, dict[str, Any]], ...]] = (
    (40, {"events": 60, "pause": 0.05, "first_event_delay": 0.5, "input_tokens": 9000, "cached_tokens": 7400}),
    (30, {"events": 25, "pause": 0.06, "delay": 0.3, "input_tokens": 3200, "cached_tokens": 2100}),
    (12, {"events": 150, "pause": 0.07, "first_event_delay": 0.9, "input_tokens": 21000, "cached_tokens": 18500}),
    (2, {"events": 20, "pause": 0.05, "fail_first": {"times": 1, "code": "1305"}}),
    (2, {"code": "1261"}),
)
_LEAVES: Final = 0.03


def work(client: httpx.Client, token: str, member: Member, number: int, stop: threading.Event) -> None:
    """Asks and reads until told to stop. The same each time, but for how the threads meet."""
    chance = random.Random(f"{member.name} {number}")
    session = str(uuid.UUID(int=chance.getrandbits(128), version=4))
    while not stop.wait(chance.expovariate(1 / member.pause)):
        (scenario,) = chance.choices([each for _, each in _ANSWERS], [share for share, _ in _ANSWERS])
        leaves_after = chance.randrange(3, 20) if chance.random() < _LEAVES else None
        headers = {
            "authorization": f"Bearer {token}",
            "user-agent": member.user_agent,
            "x-claude-code-session-id": session,
            "x-sim": json.dumps(scenario | {"output_tokens": chance.randrange(80, 1800)}),
        }
        if member.agents and chance.random() < 0.5:
            headers["x-claude-code-agent-id"] = chance.choice(member.agents)
        if member.background:
            headers["x-zai-priority"] = "background"
        body = {
            "model": member.model,
            "max_tokens": 4096,
            "stream": True,
            "messages": [{"role": "user", "content": "Explain this repository to a new colleague."}],
        }
        with client.stream("POST", member.path, json=body, headers=headers) as answer:
            for count, _ in enumerate(answer.iter_raw()):
                if stop.is_set() or count == leaves_after:
                    break
