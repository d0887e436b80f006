"""Whether misses look like a rule or like chance."""

from collections.abc import Iterable
from random import Random

import pytest

from extproc.domain.cache.rhythm import Step, chance_of_rule


def steps(misses: Iterable[bool], *, apart: float = 7.0) -> list[Step]:
    """Requests that come one after the other."""
    return [Step(apart * (number - 1), apart * number, each) for number, each in enumerate(misses)]


def test_of_too_few_or_none_nothing_is_told() -> None:
    assert chance_of_rule([]) == 1.0
    assert chance_of_rule(steps([False] * 20)) == 1.0
    assert chance_of_rule(steps([True] + [False] * 20)) == 1.0
    assert chance_of_rule(steps([True] * 20)) == 1.0


@pytest.mark.parametrize("every", range(2, 13))
def test_every_so_many_th_request_is_a_rule_the_surer_the_longer_it_lasts(every: int) -> None:
    chances = [chance_of_rule(steps(number % every == 0 for number in range(times * every + 1))) for times in (3, 6, 9)]

    assert chances == sorted(chances, reverse=True)
    assert chances[-1] < 0.001


def test_one_exception_makes_a_rule_less_sure_and_many_make_it_none() -> None:
    def chance(exceptions: int) -> float:
        return chance_of_rule(steps((number % 4 == 0) != (number % 4 == 1 and number < 4 * exceptions)
            for number in range(41)))  # fmt: skip

    assert chance(0) < chance(1) < chance(3)
    assert chance(6) > 0.01


def test_the_first_of_each_minute_is_a_rule_at_whichever_second_minutes_begin() -> None:
    for seed in range(10):
        random, came, found = Random(seed), 1_795_608_000.0, list[Step]()
        begins = random.uniform(0, 60)
        for _ in range(50):
            before, came = came, came + random.uniform(3, 30)
            found.append(Step(before, came, (before - begins) // 60 != (came - begins) // 60))
        assert chance_of_rule(found) < 0.00001


def test_a_rule_ends_once_twice_as_many_are_found_as_ever_were_between_two_misses() -> None:
    rule = [number % 3 == 0 for number in range(31)]

    assert chance_of_rule(steps(rule + [False] * 6)) < 0.0001
    assert chance_of_rule(steps(rule + [False] * 7)) == 1.0


def test_what_came_before_the_first_miss_tells_nothing() -> None:
    rule = [number % 5 == 0 for number in range(36)]

    assert chance_of_rule(steps([False] * 25 + rule)) == chance_of_rule(steps(rule))
