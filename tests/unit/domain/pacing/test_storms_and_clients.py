"""In a storm the upstream refuses even single requests. It passes, and so hardly a client is to hear of
it."""

import math
from collections.abc import Callable, Collection
from itertools import pairwise

import pytest

from extproc.domain.pacing.clock import Steady
from extproc.domain.pacing.concurrency_limit import ConcurrencyLimit
from extproc.domain.pacing.config import PacingConfig
from extproc.domain.pacing.scheduler import Pacing
from tests.unit.domain.pacing.plan_model import EPOCH, Agent, Gate, Plan, World

SIZES = {"glm-a": 5, "glm-b": 6, "glm-c": 4}
BEGINS = 60.0
# Of 36 clients, refusals of the proxy itself included.
MOST_SEEN = 2


def in_storm(
    seconds: float,
    sizes: dict[str, int],
    clients: Callable[[int], int],
    seed: int,
    *,
    by_model: bool,
    answer: float = 2.0,
    struck: Collection[str] | None = None,
) -> World:
    """A storm of so many seconds, which strikes some models or all, and in which each model has so many clients for so
    many places, with answers of so many seconds on average and the time-out that is the default."""
    storm = [(BEGINS, 0), (BEGINS + seconds, 1)]
    total = sum(sizes.values())

    def capacity(size: int) -> list[tuple[float, int]]:
        return [(0.0, size), *((at, size * there) for at, there in storm)]

    gates = []
    if by_model:
        lasting = {model: [(0.0, size)] for model, size in sizes.items() if struck is not None and model not in struck}
        gates = [Gate(frozenset([model]), lasting.get(model, capacity(size))) for model, size in sizes.items()]
    plan = Plan([(0.0, 1000)] if by_model else capacity(total), gates, mean=answer)
    agents = [
        Agent(f"{model}-{number}", model=model) for model, size in sizes.items() for number in range(clients(size))
    ]
    pacing = Pacing(PacingConfig(max_workers=60, rate_initial=80.0, rate_burst=40.0, rate_max=1000.0))
    return World(plan, pacing, seed, BEGINS + seconds + 60.0, epoch=EPOCH + 1.0).run(agents)


def back_after(world: World, seconds: float, enough: float) -> float:
    """How long after the last refusal of a storm of so many seconds so many places are in use again; 0.0 if what began
    before it ran through it."""
    over = BEGINS + seconds
    in_use = [state.ours for state in world.usage if state.at <= over][-1]
    later = (state.at for state in world.usage if state.at > over and state.ours >= enough)
    back = over if in_use >= enough else next(later, math.inf)
    refused = [at for at, error in world.attempts if error is not None and BEGINS <= at <= over]
    return back - refused[-1] if refused else 0.0


@pytest.mark.parametrize("by_model", [True, False], ids=["by model", "of the account"])
@pytest.mark.parametrize("seconds", [15.0, 25.0, 40.0])
def test_of_many_clients_next_to_none_hears_of_a_storm_and_its_places_are_back_within_20_seconds(
    seconds: float, by_model: bool
) -> None:
    refused = 0
    for seed in range(8):
        world = in_storm(seconds, SIZES, lambda size: 2 * size + 2, seed, by_model=by_model)
        refused += world.refused_to_clients
        assert back_after(world, seconds, 0.8 * 15) <= 20.0, seed
    assert refused <= 8 * MOST_SEEN


@pytest.mark.parametrize(
    "sizes", [{"glm-a": 10, "glm-b": 10}, {"glm-a": 7, "glm-b": 7, "glm-c": 6}], ids=["two", "three"]
)
@pytest.mark.parametrize("seconds", [2.0, 4.0])
def test_where_there_are_many_places_they_are_back_within_20_seconds_of_a_few_seconds_of_refusals(
    seconds: float, sizes: dict[str, int]
) -> None:
    for seed in range(8):
        world = in_storm(seconds, sizes, lambda _: 24, seed, by_model=False)
        assert back_after(world, seconds, 0.8 * 20) <= 20.0, seed


@pytest.mark.parametrize("clients", [1, 2, 3])
@pytest.mark.parametrize("answer", [2.0, 5.0, 20.0])
@pytest.mark.parametrize("by_model", [True, False], ids=["by model", "of the account"])
@pytest.mark.parametrize("seconds", [15.0, 40.0])
@pytest.mark.parametrize("sizes", [SIZES, {"glm-a": 5}], ids=["three models", "one model"])
def test_where_few_wait_what_was_proven_is_back_within_20_seconds_of_the_last_refusal(
    sizes: dict[str, int], seconds: float, by_model: bool, answer: float, clients: int
) -> None:
    for seed in range(8):
        world = in_storm(seconds, sizes, lambda _: clients, seed, by_model=by_model, answer=answer)
        assert back_after(world, seconds, 0.8 * clients * len(sizes)) <= 20.0, seed


@pytest.mark.parametrize("clients", [2, 12])
@pytest.mark.parametrize("struck", [("glm-a",), ("glm-a", "glm-b")], ids=["one model", "two models"])
@pytest.mark.parametrize("seconds", [15.0, 40.0])
def test_after_a_storm_that_strikes_some_models_they_are_back_within_20_seconds_and_the_others_lose_nothing(
    seconds: float, struck: Collection[str], clients: int
) -> None:
    over = BEGINS + seconds
    for seed in range(8):
        world = in_storm(seconds, SIZES, lambda _: clients, seed, by_model=True, struck=struck)
        assert back_after(world, seconds, 0.8 * sum(min(clients, size) for size in SIZES.values())) <= 20.0, seed
        during = [(a.ours, b.at - a.at) for a, b in pairwise(world.usage) if a.at >= BEGINS + 5.0 and b.at <= over]
        others = sum(min(clients, size) for model, size in SIZES.items() if model not in struck)
        in_use = sum(ours * lasts for ours, lasts in during) / sum(lasts for _, lasts in during)
        assert in_use >= 0.9 * others, seed


def refused_together(*, running: int = 0) -> ConcurrencyLimit:
    """Three were fine. Later two began at once, beside so many that were running, and both were refused."""
    limit = ConcurrencyLimit(3, 8)
    for _ in range(3):
        limit.start(0, Steady(1.0))
    limit.advance(Steady(9.0))
    for _ in range(3 - running):
        limit.end()
        limit.answered(Steady(10.0))
    for _ in range(2):
        limit.start(0, Steady(20.0))
    for at in (20.1, 20.2):
        limit.was_refused(2 + running, Steady(at))
        limit.distrust(2 + running, Steady(20.0))
        limit.refused(2 + running, 20.0, "upstream 1302", Steady(at))
    return limit


def test_where_all_that_are_in_flight_are_refused_it_is_a_storm() -> None:
    limit = refused_together()

    assert limit.pause_left(Steady(20.2)) == pytest.approx(1.0)


def test_where_something_runs_on_a_burst_of_refusals_is_no_storm() -> None:
    limit = refused_together(running=1)

    assert not limit.pause_left(Steady(20.2))


def test_what_gets_through_ends_a_pause() -> None:
    limit = ConcurrencyLimit(3, 8)
    for level, at in ((3, 1.0), (2, 2.0), (1, 3.0)):
        limit.start(0, Steady(at))
        limit.distrust(level, Steady(at))
        limit.refused(level, at, "upstream 1302", Steady(at + 0.2), nothing_gets_through=True)
        limit.end()
    limit.start(0, Steady(4.3))
    limit.refused(1, 4.25, "upstream 1302", Steady(6.0), nothing_gets_through=True)
    limit.end()
    assert limit.usable(1.0, Steady(6.2)) == 0

    limit.advance(Steady(6.4))

    assert limit.usable(1.0, Steady(6.4)) == 1


def refused_alone_at(*moments: float) -> ConcurrencyLimit:
    """Eight were fine. Later single requests were refused."""
    limit = ConcurrencyLimit(8, 20)
    for _ in range(8):
        limit.start(0, Steady(1.0))
    limit.advance(Steady(9.0))
    for _ in range(8):
        limit.end()
    for at in moments:
        limit.start(0, Steady(at))
        limit.distrust(1, Steady(at))
        limit.refused(1, at, "upstream 1302", Steady(at + 0.1))
        limit.end()
    return limit


def test_a_probe_that_a_storm_left_open_is_no_probe_of_what_comes_back_after_it() -> None:
    limit = refused_alone_at(12.0, 14.0, 17.0, 22.0)
    limit.start(0, Steady(34.0))
    limit.distrust(1, Steady(34.0))  # refused, as is found out later, by another limit
    limit.set_demand(True, Steady(35.0))
    limit.advance(Steady(35.1))
    assert limit.is_probing
    limit.end()

    now = 40.0
    while limit.in_flight < 8:
        if limit.has_room:
            limit.start(0, Steady(now))
        now += 0.1
        limit.set_demand(True, Steady(now))
    limit.refused(8, now - 0.1, "upstream 1302", Steady(now))

    assert limit.limit == 7


def test_what_there_was_before_a_storm_is_nothing_new_while_it_comes_back() -> None:
    limit = refused_alone_at(12.0, 14.0, 17.0)
    assert limit.is_new(8), "it may be gone for good"

    limit.start(0, Steady(22.0))
    limit.advance(Steady(24.1))

    assert not limit.is_new(8)
    assert limit.is_new(9)
