"""The simulated day: what the tables of the docs rest on."""

from pathlib import Path

import pytest

from bench import autoscale
from bench.autoscale_cluster import Outcome, Strategy, run_day
from bench.autoscale_day import DAY, MEAN_SECONDS, Arrival, arrivals, demand
from bench.autoscale_hpa import Metric, Target
from tests.harness.processes import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    return autoscale.compare(autoscale.SEED)


def test_the_day_is_the_same_each_time_and_as_busy_as_its_demand() -> None:
    day = list(arrivals(1))
    expected = sum(demand(second) for second in range(int(DAY))) / MEAN_SECONDS
    assert day == list(arrivals(1))
    assert len(day) == pytest.approx(expected, rel=0.02)
    assert sum(each.seconds for each in day) / len(day) == pytest.approx(MEAN_SECONDS, rel=0.05)


def test_a_request_that_finds_no_slot_is_refused_and_comes_again() -> None:
    one_slot = Strategy("one slot", max_workers=1, least=1, most=1)
    outcome = run_day(one_slot, [Arrival(0.0, 3.0), Arrival(1.0, 3.0)], seed=1)
    assert (outcome.requests, outcome.given_up) == (2, 0)
    assert outcome.refusals >= 1
    assert max(outcome.waits) >= 2.0


def test_a_client_gives_up_in_the_end() -> None:
    one_slot = Strategy("one slot", max_workers=1, least=1, most=1)
    assert run_day(one_slot, [Arrival(0.0, 500.0), Arrival(1.0, 3.0)], seed=1).given_up == 1


def test_every_request_is_served_or_given_up(outcomes: list[Outcome]) -> None:
    for each in outcomes:
        assert len(each.waits) + each.given_up == each.requests


def test_a_fixed_pool_never_changes_and_a_dynamic_one_costs_less(outcomes: list[Outcome]) -> None:
    fixed, dynamic, cost, _ = outcomes
    assert fixed.changes == 0
    assert {count for _, count in dynamic.replicas} >= {1, 2, 3}
    assert cost.pod_hours < dynamic.pod_hours < fixed.pod_hours


@pytest.mark.parametrize(("demand_at_once", "by_the_mean", "by_the_sum"), [(14, 1, 1), (18, 2, 5), (36, 3, 5)])
def test_the_sum_of_ratios_knows_only_the_least_and_the_most_pods(
    demand_at_once: int, by_the_mean: int, by_the_sum: int
) -> None:
    assert autoscale.settled(Metric("ratio", 0.8), demand_at_once) == by_the_mean
    assert autoscale.settled(Metric("ratio", 0.8, Target.SUM), demand_at_once) == by_the_sum


def test_the_pages_have_the_tables_that_the_simulator_prints(outcomes: list[Outcome]) -> None:
    assert autoscale.table(outcomes) in (ROOT / "docs/tuning.md").read_text()
    assert autoscale.settled_table() in (ROOT / "docs/autoscaling.md").read_text()


def test_the_plot_is_drawn_as_png_and_svg(outcomes: list[Outcome], tmp_path: Path) -> None:
    autoscale.draw(outcomes, tmp_path / "autoscale")
    assert {path.suffix for path in tmp_path.iterdir()} == {".png", ".svg"}
