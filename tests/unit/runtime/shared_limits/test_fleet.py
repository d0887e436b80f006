"""Several replicas on one plan, in virtual time: real pacing, the real script, a model of the plan."""

from collections import Counter

import pytest

from extproc.domain.pacing.learned_limits import read_learned
from tests.unit.runtime.shared_limits.fleet import EPOCH, Agent, FleetWorld, Plan, Store, fleet_of

pytestmark = pytest.mark.slow

FLOOD = [Agent(f"agent-{number}") for number in range(24)]
COLD_START = 30.0


def jain(values: list[int]) -> float:
    return float(sum(values) ** 2 / (len(values) * sum(value * value for value in values)))


@pytest.mark.parametrize(("seed", "capacity"), [(1, 2), (3, 9)])
def test_the_plan_is_found_and_used_by_all_together(store: Store, seed: int, capacity: int) -> None:
    world = FleetWorld(Plan([(0.0, capacity)], mean=8.0), fleet_of(store, 3), seed, 120.0).run(FLOOD)
    refused, attempts = world.refusals(0.0, 120.0)

    assert world.used(COLD_START, 120.0) >= 0.95
    assert refused <= max(18, attempts / 50)  # a cold start of three: 1 to 16 over thirty seeds
    assert world.refusals(COLD_START, 120.0)[0] <= max(2, attempts / 100)
    assert {member.pacing.limits[0] for member in world.fleet.members} <= {capacity - 1, capacity, capacity + 1}


def test_a_plan_that_shrinks_is_learned_once_and_not_once_a_replica(store: Store) -> None:
    plan = Plan([(0.0, 9), (60.0, 5)], mean=4.0)
    world = FleetWorld(plan, fleet_of(store, 3), 5, 120.0).run(FLOOD)
    refused, _ = world.refusals(60.0, 120.0)

    assert refused <= 18  # one proxy alone has 5 to 10 of this plan, with the tries that a refused request has left
    assert world.used(75.0, 120.0) >= 0.9
    assert world.limits[-1][1] in (4, 5, 6)


def test_sources_have_the_same_share_whichever_replica_they_come_to(store: Store) -> None:
    agents = [Agent(f"agent-{number}") for number in range(12)]
    fleet = fleet_of(store, 3, lambda source: 0 if int(source[6:]) < 8 else 1 + int(source[6:]) % 2)
    world = FleetWorld(Plan([(0.0, 6)], mean=2.0, sigma=0.3), fleet, 6, 120.0).run(agents)

    assert jain([world.served[agent.source] for agent in agents]) >= 0.95


def test_a_replica_without_work_takes_nothing_from_the_others(store: Store) -> None:
    world = FleetWorld(Plan([(0.0, 6)], mean=5.0), fleet_of(store, 3, lambda _: 1), 7, 90.0).run(FLOOD)

    assert world.used(COLD_START, 90.0) >= 0.97


def test_a_killed_replicas_places_are_used_again_and_its_lesson_goes_on(store: Store) -> None:
    world = FleetWorld(Plan([(0.0, 8)], mean=4.0), fleet_of(store, 3), 8, 120.0)
    world.at(60.0, lambda: world.kill(0))  # it leads
    world.run(FLOOD)

    assert [member.replica.leads for member in world.fleet.members[1:]].count(True) == 1
    assert world.used(75.0, 120.0) >= 0.8
    assert world.refusals(60.0, 120.0)[0] <= 15
    assert world.refused_to_clients == 0
    assert all(member.replica.replicas == 2 for member in world.fleet.members[1:])


def test_without_the_store_each_keeps_to_its_share_and_afterwards_they_share_again(store: Store) -> None:
    world = FleetWorld(Plan([(0.0, 9)], mean=4.0), fleet_of(store, 3), 9, 150.0)
    seen: Counter[int] = Counter()

    def lose() -> None:
        store.is_there = False

    def find() -> None:
        seen.update(member.pacing.limits[0] for member in world.fleet.members)
        store.client.delete(*store.keys)
        store.is_there = True

    world.at(60.0, lose)
    world.at(62.0, lambda: seen.update(member.pacing.is_shared for member in world.fleet.members))
    world.at(80.0, find)
    world.run(FLOOD)

    assert seen[False] == 3
    assert all(member.replica.is_up for member in world.fleet.members)
    assert world.refusals(60.0, 150.0)[0] <= 12
    assert world.used(60.0, 80.0) >= 0.6
    assert world.used(100.0, 150.0) >= 0.85  # one of the nine may be missing until the next try


def test_what_was_learned_together_is_saved_as_the_whole_plans(store: Store) -> None:
    world = FleetWorld(Plan([(0.0, 9)], mean=4.0), fleet_of(store, 3), 10, 60.0).run(FLOOD)

    for member in world.fleet.members:
        saved = member.pacing.snapshot(EPOCH + 60.0)
        known = read_learned(saved)
        assert min(known.concurrency.limit, *(each.limit for each in known.models.values())) in (7, 8, 9, 10)
