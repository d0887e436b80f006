"""Several replicas on a plan that limits each model, in virtual time: real pacing, the real script."""

from collections import defaultdict
from collections.abc import Sequence

import pytest

from extproc.domain.pacing.limits import MCP
from tests.unit.domain.pacing.plan_model import Gate
from tests.unit.runtime.shared_limits.fleet import EPOCH, Agent, FleetWorld, Plan, Store, fleet_of

pytestmark = pytest.mark.slow

CAPACITY = {"small": 2, "big": 6, "one": 1, MCP: 2}
FLOOD = [
    Agent(f"{model}-{number}", model=model)
    for model, agents in (("small", 8), ("big", 12), ("one", 4), (MCP, 6))
    for number in range(agents)
]
COLD_START, END = 40.0, 130.0
SEEDS = range(4, 8)


def mixed(*, seed: int, store: Store, gates: Sequence[Gate] = (), account: int = 50) -> FleetWorld:
    """Three replicas that share the limits already when the first work comes."""
    plan = Plan([(0.0, account)], gates or gates_of(CAPACITY), mean=5.0)
    fleet = fleet_of(store, 3)
    for tenth in range(-40, 0):
        fleet.sync(EPOCH + tenth / 10)
    world = FleetWorld(plan, fleet, seed, END)
    world.counts_from = COLD_START
    return world


def gates_of(capacity: dict[str, int]) -> list[Gate]:
    return [Gate(frozenset({model}), [(0.0, count)]) for model, count in capacity.items()]


def used(world: FleetWorld, model: str, since: float = COLD_START) -> float:
    """The share of a model's places that was in use since it counts."""
    return world.place_seconds[model] / (CAPACITY[model] * (END - since))


def test_each_models_places_are_found_and_used_by_all_together(store: Store) -> None:
    world = mixed(seed=1, store=store).run(FLOOD)

    assert {model: round(used(world, model), 2) for model in CAPACITY if used(world, model) < 0.9} == {}
    assert world.refusals(COLD_START, END)[0] <= 12
    assert world.refused_to_clients == 0
    for member in world.fleet.members:
        limits = {each.model: each.limit.limit for each in member.pacing.status(EPOCH + END).models}
        assert all(abs(limits[model] - count) <= 1 for model, count in CAPACITY.items())


def test_a_replica_whose_model_is_full_keeps_no_other_from_another(store: Store) -> None:
    placed = {"small": 0, "big": 1, "one": 2, MCP: 0}
    world = mixed(seed=2, store=store)
    world.fleet._place = lambda source: placed[source.rpartition("-")[0]]
    world.run(FLOOD)

    assert {model: round(used(world, model), 2) for model in CAPACITY if used(world, model) < 0.9} == {}


def test_where_the_account_is_limited_all_models_together_use_it(store: Store) -> None:
    world = mixed(seed=3, store=store, gates=gates_of({MCP: 2}), account=9)
    world.run([agent for agent in FLOOD if agent.model != MCP])

    assert sum(world.place_seconds.values()) / (9 * (END - COLD_START)) >= 0.9


def test_the_leaders_death_costs_no_model_its_places(store: Store) -> None:
    world = mixed(seed=4, store=store)
    world.at(60.0, lambda: world.kill(next(n for n, each in enumerate(world.fleet.members) if each.replica.leads)))
    world.counts_from = 80.0
    world.run(FLOOD)

    assert [member.replica.leads for member in world.fleet.members if member.is_alive].count(True) == 1
    assert {model: round(used(world, model, 80.0), 2) for model in CAPACITY if used(world, model, 80.0) < 0.85} == {}


def test_what_a_killed_replica_held_of_each_model_is_used_again(store: Store) -> None:
    world = mixed(seed=6, store=store)
    dying = next(n for n, each in enumerate(world.fleet.members) if not each.replica.leads)
    world.at(60.0, lambda: world.kill(dying))
    world.counts_from = 75.0
    world.run(FLOOD)

    assert {model: round(used(world, model, 75.0), 2) for model in CAPACITY if used(world, model, 75.0) < 0.85} == {}
    assert world.refusals(60.0, 75.0)[0] <= 6  # what its Envoy carries on for longer than the lease is too much
    assert world.refused_to_clients == 0


def test_a_store_that_comes_back_empty_is_told_each_models_limit(store: Store) -> None:
    """In one plan of ten a model has one place less until its next try: each replica had a share of one at least
    meanwhile, and what they were refused for that is taken for a smaller plan."""

    def lose() -> None:
        store.is_there = False

    def find() -> None:
        store.client.delete(*store.keys)
        store.is_there = True

    in_use: defaultdict[str, float] = defaultdict(float)
    for seed in SEEDS:
        store.client.delete(*store.keys)
        world = mixed(seed=seed, store=store)
        world.at(60.0, lose)
        world.at(80.0, find)
        world.counts_from = 90.0
        world.run(FLOOD)

        assert all(member.replica.is_up for member in world.fleet.members)
        for model in CAPACITY:
            in_use[model] += used(world, model, 90.0) / len(SEEDS)

    assert {model: round(share, 2) for model, share in in_use.items() if share < 0.8} == {}


def test_places_that_the_upstream_gives_back_late_are_no_smaller_plan(store: Store) -> None:
    plan = Plan([(0.0, 50)], gates_of({"small": 2}), mean=3.0, sigma=0.3, release_lag=0.15)
    world = FleetWorld(plan, fleet_of(store, 3), 0, END)
    world.counts_from = COLD_START
    world.run([agent for agent in FLOOD if agent.model == "small"])

    assert used(world, "small") >= 0.85
