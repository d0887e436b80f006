"""Who gets what when more want to go than may: 200 seeds each, in virtual time."""

import statistics

import pytest

from extproc.domain.request.priority import Lane
from tests.unit.domain.pacing.plan_model import Agent, Plan, World
from tests.unit.domain.pacing.scenarios import COLD_START, SEEDS, dice, jain, mean, pacing_for, percentile

pytestmark = pytest.mark.slow


def test_equal_sources_get_equal_shares_however_many_agents_they_run() -> None:
    indices = []
    for seed in SEEDS:
        rng = dice(seed)
        capacity = rng.randint(1, 4)
        agents = [Agent(f"source-{each}") for each in range(4) for _ in range(rng.randint(capacity + 1, 12))]
        plan = Plan([(0.0, capacity)], mean=4.0)
        world = World(plan, pacing_for(len(agents)), seed, 300.0).run(agents)
        indices.append(jain([world.served[f"source-{each}"] for each in range(4)]))
    assert min(indices) >= 0.95


def test_shares_are_measured_in_bytes() -> None:
    for seed in SEEDS[:20]:
        agents = [Agent("light", cost=50_000)] * 6 + [Agent("heavy", cost=200_000)] * 6
        world = World(Plan([(0.0, 2)], mean=2.0), pacing_for(12), seed, 400.0).run(agents)
        assert 3.0 <= world.served["light"] / world.served["heavy"] <= 5.0


def swarm(seed: int, main: Agent) -> tuple[float, float]:
    """The main agent's median wait beside a swarm of 50, and how long a service takes."""
    rng = dice(seed)
    service = rng.uniform(2.0, 6.0)
    agents = [main] + [Agent("swarm", Lane.SUBAGENT)] * 50
    world = World(Plan([(0.0, rng.randint(2, 8))], mean=service), pacing_for(60), seed, 200.0).run(agents)
    waits = [wait for at, agent, wait in world.waits if agent is main and at >= COLD_START / 2]
    return statistics.median(waits), service


def test_a_main_conversation_waits_at_most_2_service_times_while_its_own_swarm_of_50_floods() -> None:
    ratios = [wait / service for wait, service in (swarm(seed, Agent("swarm", think=3.0)) for seed in SEEDS)]
    assert max(ratios) <= 2.0


def test_a_main_conversation_waits_at_most_2_service_times_while_another_sources_swarm_floods() -> None:
    ratios = [wait / service for wait, service in (swarm(seed, Agent("person", think=3.0)) for seed in SEEDS)]
    assert max(ratios) <= 2.0
    assert mean(ratios) <= 0.75
    assert percentile(ratios, 50) <= 0.75
