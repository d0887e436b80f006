"""What a run came to: work done, refusals, waits, fairness. Pure.

All times are in seconds of the plan's time.
"""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from bench.pacing.agents import Taken
from bench.pacing.load import Capacity, Plan
from bench.pacing.ways import Ran, Way
from extproc.domain.request.priority import Lane


@dataclass(frozen=True, slots=True)
class Wait:
    """What the turns of a lane waited, beyond the time of their answers."""

    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """`running` is how many ran at the upstream from when on, `used` the share of the plan's places that were busy,
    `used_by` the same by model where the plan has places by model. Answers and waits are models', not tools'."""

    way: Way
    answers: int
    used: float
    used_by: dict[str, float]
    seen_429: int
    seen_other: int
    lost: int
    attempts: int
    refused: int
    waits: dict[Lane, Wait]
    jain: float
    running: list[tuple[float, int]]
    refused_at: list[float]


def outcome(way: Way, plan: Plan, ran: Ran, speed: float) -> Outcome:
    """Reads a run. Whatever ended after the plan's time counts up to its end."""
    served = [each for each in ran.log if each["status"] == 200 and not _is_tool(each)]
    refused = [each for each in ran.log if each["status"] != 200]
    turns = [turn for turn in ran.seen.turns if not turn.agent.calls_tools]
    spans = {
        model: [_span(each, ran.began, speed, plan.horizon) for each in served if model in ("", each["model"])]
        for model in plan.places
    }
    busy = {model: _busy(_running(spans[model]), plan.places[model], plan.horizon) for model in plan.places}
    there = {model: plan.place_seconds(model) for model in plan.places}
    answered = Counter(_party(way, turn) for turn in turns if turn.served)
    parties = {_party(way, turn) for turn in turns} - {""}
    return Outcome(
        way=way,
        answers=sum(turn.served for turn in turns),
        used=sum(busy.values()) / sum(there.values()),
        used_by={model: busy[model] / there[model] for model in plan.places if model},
        seen_429=ran.seen.refusals[429],
        seen_other=ran.seen.refusals.total() - ran.seen.refusals[429],
        lost=sum(turn.lost for turn in ran.seen.turns),
        attempts=len(ran.log),
        refused=len(refused),
        waits=_waits(turns, speed),
        jain=jain([answered[party] for party in parties]),
        running=_running([span for each in spans.values() for span in each]),
        refused_at=[(each["started_wall"] - ran.began) * speed for each in refused],
    )


def _is_tool(entry: dict[str, Any]) -> bool:
    return str(entry["path"]).startswith("/api/mcp/")


def jain(shares: Sequence[float]) -> float:
    """Jain's fairness index: 1.0 where all got the same, 1/n where one got everything."""
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 1.0


def _party(way: Way, turn: Taken) -> str:
    """Between whom the work should be divided equally: sessions; in a swarm its sub-agents."""
    if way is not Way.SWARM:
        return turn.agent.session
    return turn.agent.name if turn.agent.lane is Lane.SUBAGENT else ""


def _waits(turns: Sequence[Taken], speed: float) -> dict[Lane, Wait]:
    waits = {lane: [turn.waited * speed for turn in turns if turn.agent.lane is lane] for lane in Lane}
    return {lane: _wait(values) for lane, values in waits.items() if len(values) > 1}


def _wait(values: list[float]) -> Wait:
    cuts = statistics.quantiles(values, n=20, method="inclusive")
    return Wait(cuts[9], cuts[18])


def _span(entry: dict[str, Any], began: float, speed: float, horizon: float) -> tuple[float, float]:
    ended = entry["ended_wall"]
    until = horizon if ended is None else (ended - began) * speed
    return max(0.0, (entry["started_wall"] - began) * speed), min(until, horizon)


def _running(spans: Sequence[tuple[float, float]]) -> list[tuple[float, int]]:
    moves = sorted([(since, 1) for since, _ in spans] + [(until, -1) for _, until in spans])
    level, steps = 0, [(0.0, 0)]
    for at, step in moves:
        level += step
        steps.append((at, level))
    return steps


def _busy(running: Sequence[tuple[float, int]], capacity: Capacity, horizon: float) -> float:
    """Place-seconds in use; what still ran above a capacity that had just fallen is nobody's merit."""
    total = 0.0
    for (since, level), (until, _) in pairwise([*running, (horizon, 0)]):
        for (from_, places), (to, _) in pairwise([*capacity, (horizon, 0)]):
            total += max(0.0, min(until, to) - max(since, from_)) * min(level, places)
    return total
