"""Somebody else in the model of a plan: what visitors take, how they come back, and what they leave to us."""

import random
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count, pairwise

import pytest

from tests.unit.domain.pacing.oracle import Oracle, what_visitors_leave
from tests.unit.domain.pacing.plan_model import EPOCH, Agent, Gate, Plan, World
from tests.unit.domain.pacing.visits import Place, Visit, Visitors

_OWN = Gate(frozenset(["glm-a"]), [(0.0, 3)])


class Upstream:
    """Room or none, answers of two seconds, and when somebody asked."""

    def __init__(self, *, has_room: bool) -> None:
        self.now, self.rng = 0.0, random.Random(1)
        self.asked: list[float] = []
        self._room = has_room
        self._serial = count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []

    def at(self, moment: float, act: Callable[[], None]) -> None:
        heappush(self._due, (moment, next(self._serial), act))

    def has_room(self, model: str) -> bool:
        self.asked.append(self.now)
        return self._room

    def service_time(self) -> float:
        return 2.0

    def run(self) -> None:
        while self._due:
            self.now, _, act = heappop(self._due)
            act()


def alone(plan: Plan, model: str) -> World:
    """Agents for a model that would take all, if nobody else were there; let go by an oracle that knows of nobody."""
    agents = [Agent(f"agent-{number}", model=model) for number in range(12)]
    return World(plan, Oracle(plan, EPOCH), 1, 300.0).run(agents)


def test_a_visitor_who_is_refused_comes_back_after_pauses_that_double_until_the_visit_ends() -> None:
    upstream = Upstream(has_room=False)
    visitors = Visitors(upstream, [Visit(10.0, 300.0, 1)])
    visitors.come()
    upstream.run()
    pauses = [after - before for before, after in pairwise(upstream.asked)]
    assert upstream.asked[0] == 10.0
    assert upstream.asked[-1] < 300.0
    for pause, ladder in zip(pauses, (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 32.0), strict=False):
        assert ladder <= pause <= 1.25 * ladder
    assert visitors.running.total() == 0


def test_a_visitor_runs_one_request_after_the_other_and_goes_once_the_last_has_ended() -> None:
    upstream = Upstream(has_room=True)
    visitors = Visitors(upstream, [Visit(10.0, 60.0, 2)])
    visitors.come()
    upstream.run()
    assert [len(place.held) > 3 for place in visitors.places] == [True, True]
    assert all(10.0 <= start < 60.0 and end == start + 2.0 for place in visitors.places for start, end in place.held)
    assert visitors.running.total() == 0


def test_what_a_visitor_runs_counts_under_the_gates_of_its_model_and_under_the_account() -> None:
    stays = Visit(0.0, 1e6, 2, "glm-a", longest_pause=0.5)
    plan = Plan([(0.0, 5)], [_OWN], mean=1e5, sigma=0.1, others=[stays])
    world = World(plan, Oracle(plan, EPOCH), 1, 1.0).run([])
    assert world.visitors.running["glm-a"] == 2
    taken = alone(plan, "glm-a")
    assert sum(state.ours > 1 for state in taken.usage if state.others == 2) == 0
    assert max(state.ours + state.others for state in alone(plan, "glm-b").usage) == 5


@pytest.mark.parametrize(("patience", "left"), [(1.0, [3, 2, 3, 2, 3]), (5.0, [3, 2, 3])])
def test_a_place_is_kept_for_a_visitor_who_comes_back_soon(patience: float, left: list[int]) -> None:
    place = Place(Visit(0.0, 100.0, 1, "glm-a"), [(10.0, 20.0), (24.0, 30.0)])
    plan = what_visitors_leave(Plan([(0.0, 9)], [_OWN]), [place], patience)
    assert [number for _, number in plan.gates[0].capacity] == left
    assert [number for _, number in plan.capacity] == [number + 6 for number in left]
    assert plan.capacity[1][0] == 10.0
    assert plan.capacity[-1][0] == 30.0


def test_what_is_left_follows_the_plan_and_the_gate_of_another_model_has_all() -> None:
    place = Place(Visit(0.0, 100.0, 1, "glm-b"), [(10.0, 30.0)])
    plan = what_visitors_leave(Plan([(0.0, 9), (20.0, 4)], [_OWN]), [place], 0.0)
    assert plan.capacity == [(0.0, 9), (10.0, 8), (20.0, 3), (30.0, 4)]
    assert plan.gates == [_OWN]
