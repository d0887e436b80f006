"""The plan and who works on it: the same for every way. Pure.

Every time here is in seconds of the plan's own time; `speed` of them pass in a second of the machine's.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from extproc.domain.request.priority import Lane

HORIZON: Final = 300.0
# From when on the plan has how many places: in the middle its busy hours begin.
CAPACITY: Final[Sequence[tuple[float, int]]] = ((0.0, 5), (150.0, 3))
REQUESTS_PER_SECOND: Final = 2.0
SESSIONS: Final = 5
SUB_AGENTS: Final = 50

_MEDIAN_ANSWER: Final = 5.0
_ANSWER_SPREAD: Final = 0.5
_SHORTEST, _LONGEST = 2.0, 15.0
_REST: Final = (1.0, 3.0)


@dataclass(frozen=True, slots=True)
class Turn:
    """One request of an agent: how long its answer takes, and how long the agent rests before it."""

    rest: float
    answer: float


@dataclass(frozen=True, slots=True)
class Agent:
    """One conversation of a session. It asks, reads the answer, works on its own for a moment, and asks again."""

    session: str
    lane: Lane
    number: int

    @property
    def name(self) -> str:
        return f"{self.session}/{self.lane.value}-{self.number}"

    def turn(self, number: int) -> Turn:
        """The same for every way: agents that get further take the same turns, and more of them."""
        dice = random.Random(f"{self.name} {number}")
        answer = dice.lognormvariate(0.0, _ANSWER_SPREAD) * _MEDIAN_ANSWER
        return Turn(dice.uniform(*_REST), min(max(answer, _SHORTEST), _LONGEST))

    def headers(self) -> dict[str, str]:
        """What tells the proxy who asks, as Claude Code sends it."""
        named = {"x-claude-code-session-id": self.session}
        if self.lane is Lane.SUBAGENT:
            named["x-claude-code-agent-id"] = str(self.number)
        elif self.lane is Lane.BACKGROUND:
            named["x-zai-priority"] = "background"
        return named


def team() -> list[Agent]:
    """Five sessions that are alike: a main conversation, a sub-agent, and something in the background."""
    return [Agent(f"session-{number}", lane, number) for number in range(SESSIONS) for lane in Lane]


def swarm() -> list[Agent]:
    """One main conversation, and fifty sub-agents of its own."""
    return [Agent("session-0", Lane.MAIN, 0)] + [Agent("session-0", Lane.SUBAGENT, each) for each in range(SUB_AGENTS)]


def place_seconds() -> float:
    """All that the plan has to give."""
    edges = [*CAPACITY, (HORIZON, 0)]
    return sum((until - since) * places for (since, places), (until, _) in pairwise(edges))
