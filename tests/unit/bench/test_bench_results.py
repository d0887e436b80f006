"""What a run of the benchmark says of itself."""

import pytest

from bench.results import Results, client_and_upstream_alone, events_per_second_count, verdicts
from bench.stacks import Way


def results(case: str, measure: str, **rounds: list[float]) -> Results:
    found = Results()
    for way, values in rounds.items():
        for value in values:
            found.add(case, Way[way], {measure: value})
    return found


@pytest.mark.parametrize(("alone", "count"), [([300.0, 190.0, 210.0], True), ([300.0, 190.0, 190.0], False)])
def test_events_a_second_count_if_client_and_upstream_alone_bring_twice_as_many(
    alone: list[float], count: bool
) -> None:
    found = results("sse", "events_per_second", DIRECT=alone, BARE=[100.0, 100.0, 100.0])

    spread = client_and_upstream_alone(found, "sse")
    assert spread is not None
    assert (spread.median >= 2, events_per_second_count(found, "sse")) == (count, count)


def test_without_a_bare_envoy_nothing_counts() -> None:
    assert not events_per_second_count(results("sse", "events_per_second", PROXY=[100.0]), "sse")


def test_the_cpu_of_an_event_is_judged_by_the_median_of_the_rounds_own_ratios() -> None:
    found = results("sse", "envoy_cpu_us_per_event", BARE=[5.0, 10.0, 5.0], PROXY=[6.0, 12.0, 9.0])

    [verdict] = verdicts(found)
    assert (verdict.spread.median, verdict.is_reached) == (1.2, True)


def test_without_a_before_nothing_is_compared_to_it() -> None:
    found = results("json_1", "p50_ms", PROXY=[1.0], BARE=[0.5], FLOOR=[0.9])

    assert not [verdict for verdict in verdicts(found) if "before" in verdict.goal.text]
