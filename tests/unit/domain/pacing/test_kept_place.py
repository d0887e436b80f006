"""A model to which the others leave nothing gets the next place that comes free."""

import random
from collections import Counter

import pytest

from extproc.domain.pacing.clock import Steady
from extproc.domain.pacing.config import PacingConfig
from extproc.domain.pacing.limits import MCP, Limits
from extproc.domain.request.business_codes import ErrorClass
from tests.unit.domain.pacing.plan_model import EPOCH, Agent, Plan, World
from tests.unit.domain.pacing.worlds import MODELS, pacing_for

SHRINKS = 120.0
MEASURED = 240.0


def longest_without(seed: int, before: int, after: int, clients: int) -> float:
    """For how many seconds at most a model of an account that shrinks had nothing, all of them having work."""
    plan = Plan([(0.0, before), (SHRINKS, after)], mean=random.Random(seed).uniform(2.0, 8.0))
    agents = [Agent(f"{model}-{number}", model=model, think=0.02) for model in MODELS for number in range(clients)]
    world = World(plan, pacing_for(len(agents)), seed, SHRINKS + MEASURED, epoch=EPOCH + 1.0)
    without: Counter[str] = Counter()
    longest = 0.0

    def look() -> None:
        nonlocal longest
        for model in MODELS:
            without[model] = 0 if world._running[model] else without[model] + 1
        longest = max(longest, *without.values())
        world.at(world.now + 1.0, look)

    world.at(SHRINKS, look)
    world.run(agents)
    return longest


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after", "clients"), [(12, 3, 4), (12, 4, 4), (16, 5, 4), (12, 3, 24)])
def test_where_an_account_shrinks_hardly_any_model_has_nothing_for_a_minute(
    before: int, after: int, clients: int
) -> None:
    longest = sorted(longest_without(seed, before, after, clients) for seed in range(12))

    assert longest[6] <= 30.0
    assert longest[-2] <= 60.0
    assert longest[-1] <= 90.0


ALONE = (10.0, 12.0, 15.0)
"""When single requests of glm-c are refused; the next may go four seconds after the last of them."""


def starved() -> Limits:
    """Two run of glm-a, while even single requests of glm-c are refused and one waits."""
    limits = Limits(PacingConfig(max_workers=20, rate_initial=100.0, rate_burst=100.0))
    for model in ("glm-a", "glm-a", "glm-c"):
        limits.start(model, {}, Steady(0.0))
    limits.advance(Steady(5.0))
    limits.end("glm-c", Steady(6.0), refused=False)
    for at in ALONE:
        limits.start("glm-c", {}, Steady(at))
        limits.refused("glm-c", ErrorClass.CONCURRENCY, "1302", Steady(at), Steady(at + 0.1), Steady(at + 0.1))
        limits.end("glm-c", Steady(at + 0.1), refused=True)
    limits.set_demand({"glm-a": 1, "glm-c": 1, MCP: 1}, Steady(15.2))
    assert not limits.is_free("glm-c", Steady(15.2)), "it pauses"
    assert limits.is_free("glm-a", Steady(15.2))
    return limits


def test_the_place_that_comes_free_shortly_before_its_next_try_is_kept_for_it() -> None:
    limits = starved()
    limits.end("glm-a", Steady(18.0), refused=False)

    assert limits.is_free("glm-c", Steady(18.0))
    assert not limits.is_free("glm-a", Steady(18.0))
    assert limits.is_free(MCP, Steady(18.0)), "tools have places of their own"


def test_one_that_comes_free_too_soon_is_not_kept() -> None:
    limits = starved()
    limits.end("glm-a", Steady(15.5), refused=False)

    assert not limits.is_free("glm-c", Steady(15.5))
    assert limits.is_free("glm-a", Steady(15.5))


def test_only_one_place_is_kept() -> None:
    limits = starved()
    limits.end("glm-a", Steady(18.0), refused=False)
    limits.end("glm-a", Steady(18.1), refused=False)

    assert limits.is_free("glm-a", Steady(18.1))
    limits.start("glm-a", {}, Steady(18.1))
    assert not limits.is_free("glm-a", Steady(18.1))


def test_it_is_kept_until_it_is_known_whether_the_try_gets_through() -> None:
    limits = starved()
    limits.end("glm-a", Steady(18.0), refused=False)
    limits.start("glm-c", {}, Steady(18.01))

    assert not limits.is_free("glm-a", Steady(18.9))
    assert Steady(19.01) in limits.next_changes({"glm-a": 1}, Steady(18.9))
    assert limits.is_free("glm-a", Steady(19.02))


def test_a_try_that_is_refused_gives_it_to_the_others() -> None:
    limits = starved()
    limits.end("glm-a", Steady(18.0), refused=False)
    limits.start("glm-c", {}, Steady(18.01))
    limits.refused("glm-c", ErrorClass.CONCURRENCY, "1302", Steady(18.02), Steady(18.2), Steady(18.2))

    assert limits.is_free("glm-a", Steady(18.2))


def test_it_is_not_kept_for_long_where_the_one_that_waited_has_left() -> None:
    limits = starved()
    limits.end("glm-a", Steady(18.0), refused=False)

    assert not limits.is_free("glm-a", Steady(18.4))
    assert limits.is_free("glm-a", Steady(18.5))


@pytest.mark.parametrize("waiting", ["glm-a", "glm-c"])
def test_nothing_is_kept_where_nothing_of_one_of_them_waits(waiting: str) -> None:
    limits = starved()
    limits.set_demand({waiting: 1}, Steady(17.0))
    limits.end("glm-a", Steady(18.0), refused=False)

    assert limits.is_free("glm-a", Steady(18.0))
