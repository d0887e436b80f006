"""What pacing makes of plans whose capacity changes several times in two hours: 200 seeds, in virtual time."""

from functools import cache

import pytest

from tests.unit.domain.pacing.scenarios import Runs, by_the_hour, mean, run_all

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@cache
def runs() -> Runs:
    return run_all(by_the_hour)


def test_95_percent_of_the_capacity_are_used_and_no_plan_lies_idle() -> None:
    assert mean(runs().used) >= 0.95
    assert min(runs().used) >= 0.85


def test_at_most_1_percent_of_attempts_are_refused() -> None:
    assert runs().refused_ratio <= 0.01


def test_no_client_sees_a_refusal_that_waiting_would_have_cured() -> None:
    assert sum(runs().seen_by_clients) == 0
