"""The plans and who works on them: the same for every way. Pure.

Every time here is in seconds of the plan's own time; `speed` of them pass in a second of the machine's.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeAlias

from extproc.domain.request.priority import Lane

SESSIONS: Final = 5
SUB_AGENTS: Final = 50
MODEL: Final = "glm-5.3"
_FLASH: Final = "glm-5.3-flash"
_OLDER: Final = "glm-4.7"

_ANSWER_SPREAD: Final = 0.5
# Of the median answer.
_SHORTEST, _LONGEST = 0.4, 3.0
_REST: Final = (1.0, 3.0)
_CALL: Final = 1.0

Capacity: TypeAlias = Sequence[tuple[float, int]]
"""Places over time: from when on there are how many."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One request of an agent: how long its answer takes, and how long the agent rests before it."""

    rest: float
    answer: float


@dataclass(frozen=True, slots=True)
class Agent:
    """One conversation of a session. It asks, reads the answer, works on its own for a moment, and asks again.

    `median` is how long its answers take. One that `calls_tools` calls MCP tools, and no model.
    """

    session: str
    lane: Lane
    number: int
    model: str = MODEL
    median: float = 5.0
    calls_tools: bool = False

    @property
    def name(self) -> str:
        return f"{self.session}/{self.lane.value}-{self.number}{'-tools' if self.calls_tools else ''}"

    def turn(self, number: int) -> Turn:
        """The same for every way: agents that get further take the same turns, and more of them."""
        dice = random.Random(f"{self.name} {number}")
        answer = dice.lognormvariate(0.0, _ANSWER_SPREAD) * self.median
        return Turn(dice.uniform(*_REST), min(max(answer, _SHORTEST * self.median), _LONGEST * self.median))

    def headers(self) -> dict[str, str]:
        """What tells the proxy who asks, as Claude Code sends it."""
        named = {"x-claude-code-session-id": self.session}
        if self.lane is Lane.SUBAGENT:
            named["x-claude-code-agent-id"] = str(self.number)
        elif self.lane is Lane.BACKGROUND:
            named["x-zai-priority"] = "background"
        return named


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What nobody is told: the places over time, of each model or, by the name "", of the account as a whole.

    `speed` is how fast its time passes unless somebody wants it otherwise; `fixed_workers` what somebody would allow
    who knows its average. `tool_calls` are the MCP calls at once; one too many shuts their gate for `tools_recover`
    seconds.
    """

    name: str
    title: str
    places: Mapping[str, Capacity]
    horizon: float
    speed: float
    agents: Sequence[Agent]
    fixed_workers: int
    requests_per_second: float | None = None
    tool_calls: int | None = None
    tools_recover: float = 5.0

    def changes(self) -> list[tuple[float, dict[str, int]]]:
        """When the places change, and what they are from then on, by model."""
        times = sorted({since for capacity in self.places.values() for since, _ in capacity})
        return [(at, {model: places_at(capacity, at) for model, capacity in self.places.items()}) for at in times]

    def in_all(self) -> list[tuple[float, int]]:
        """The places of all models together, over time."""
        return [(at, sum(places.values())) for at, places in self.changes()]

    def place_seconds(self, model: str) -> float:
        """All that the plan has to give of a model."""
        edges = [*self.places[model], (self.horizon, 0)]
        return sum((until - since) * places for (since, places), (until, _) in pairwise(edges))


def places_at(capacity: Capacity, at: float) -> int:
    """How many places there are at a time."""
    return [places for since, places in capacity if since <= at][-1]


def team(median: float = 5.0) -> list[Agent]:
    """Five sessions that are alike: a main conversation, a sub-agent, and something in the background."""
    return [Agent(f"session-{number}", lane, number, median=median) for number in range(SESSIONS) for lane in Lane]


def mixed_team() -> list[Agent]:
    """Five sessions: main conversations on one model, sub-agents on another, some background work on a third, and
    some call MCP tools beside."""
    sessions = [f"session-{number}" for number in range(SESSIONS)]
    mains = [Agent(session, Lane.MAIN, 0) for session in sessions]
    subs = [Agent(session, Lane.SUBAGENT, number, _FLASH) for session in sessions for number in range(3)]
    background = [Agent(session, Lane.BACKGROUND, 0, _OLDER) for session in sessions[:3]]
    tools = [Agent(session, Lane.MAIN, 1, "", _CALL, calls_tools=True) for session in sessions[:3]]
    return [*mains, *subs, *background, *tools]


def swarm() -> list[Agent]:
    """One main conversation, and fifty sub-agents of its own."""
    return [Agent("session-0", Lane.MAIN, 0)] + [Agent("session-0", Lane.SUBAGENT, each) for each in range(SUB_AGENTS)]


PLANS: Final = (
    Plan(
        "hours",
        "Busy hours begin: 5 places, then 3, and 2 requests a second",
        {"": ((0.0, 5), (150.0, 3))},
        horizon=300.0,
        speed=2.0,
        agents=team(),
        fixed_workers=4,
        requests_per_second=2.0,
    ),
    Plan(
        "mixed",
        "Limits by model: 2, 6 and 1 places, MCP calls beside",
        {MODEL: ((0.0, 2),), _FLASH: ((0.0, 6),), _OLDER: ((0.0, 1),)},
        horizon=300.0,
        speed=2.0,
        agents=mixed_team(),
        fixed_workers=9,
        tool_calls=1,
    ),
    Plan(
        "minutes",
        "Each minute another plan: 5, 2, 8 and 4 places",
        {"": ((0.0, 5), (60.0, 2), (120.0, 8), (180.0, 4))},
        horizon=240.0,
        speed=1.0,
        agents=team(),
        fixed_workers=5,
    ),
    Plan(
        "growth",
        "Growth between the hours: 1 place, then 4, answers of two seconds",
        {"": ((0.0, 1), (60.0, 4))},
        horizon=300.0,
        speed=1.0,
        agents=team(median=2.0),
        fixed_workers=3,
    ),
)
