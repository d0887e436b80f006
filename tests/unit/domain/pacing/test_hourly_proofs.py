"""What pacing makes of plans whose capacity changes several times in two hours: in virtual time."""

from functools import cache

import pytest

from tests.unit.domain.pacing.scenarios import COLD_START, Runs, by_the_hour, mean, run_all

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@cache
def runs() -> Runs:
    return run_all(by_the_hour)


def test_95_percent_of_the_capacity_are_used_and_no_plan_lies_idle() -> None:
    assert mean(runs().used) >= 0.95
    assert min(runs().used) >= 0.85


def test_hardly_more_than_one_attempt_a_minute_is_refused_or_one_in_a_hundred() -> None:
    minutes = (7200.0 - COLD_START) / 60
    for refused, attempts in runs().refusals:
        assert refused <= max(1.4 * minutes, 0.01 * attempts), (refused, attempts)


def test_no_client_sees_a_refusal_that_waiting_would_have_cured() -> None:
    assert sum(runs().seen_by_clients) == 0
