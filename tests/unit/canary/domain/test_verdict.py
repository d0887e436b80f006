"""What is promoted, what waits and what is rolled back; and how often that is wrong."""

import json
from dataclasses import replace

import numpy as np
import pytest

from canary import report
from canary.domain.counts import Histogram, VariantCounts
from canary.domain.verdict import Judgement, Measure, Rules, Verdict, decide
from tests.unit.canary.trials import BLOCKS, SAME, SCENARIOS, Canary, Scenario, World, outcome, windows

RULES = Rules()
WORLD = World(canary_rate=200.0, production_rate=800.0)


def pair(canary: Canary = SAME) -> tuple[VariantCounts, VariantCounts]:
    return next(windows(replace(SCENARIOS[0], canary=canary, world=WORLD), np.random.default_rng(5)))


def test_an_equal_canary_with_much_traffic_is_promoted() -> None:
    decision = decide(*pair(), RULES)
    assert decision.verdict is Verdict.PROMOTE
    assert [each.measure for each in decision.comparisons] == list(Measure)


@pytest.mark.parametrize(
    ("canary", "measure"),
    [
        (Canary(more_errors=0.1), Measure.ERRORS),
        (Canary(first_byte=2.0), Measure.FIRST_BYTE),
        (Canary(duration=2.0), Measure.DURATION),
        (Canary(hanging=0.2), Measure.SLOW),
        (Canary(token_rate=0.5), Measure.TOKEN_RATE),
        (Canary(cost=2.0), Measure.COST),
    ],
)
def test_one_measure_that_is_far_worse_rolls_back_and_is_named(canary: Canary, measure: Measure) -> None:
    decision = decide(*pair(canary), RULES)
    assert decision.verdict is Verdict.ROLL_BACK
    assert measure in decision.reason


def test_a_canary_that_is_better_is_not_worse() -> None:
    better = Canary(more_errors=-0.01, first_byte=0.5, duration=0.5, token_rate=2.0, cost=0.5)
    assert decide(*pair(better), RULES).verdict is Verdict.PROMOTE


def test_no_canary_waits_and_says_so() -> None:
    _, production = pair()
    decision = decide(VariantCounts(0), production, RULES)
    assert decision.verdict is Verdict.WAIT
    assert decision.reason == "there is no canary: no process with its variant label was scraped in the window"


def test_no_production_waits() -> None:
    canary, _ = pair()
    assert "there is no production" in decide(canary, VariantCounts(0), RULES).reason


def test_a_canary_without_requests_waits() -> None:
    canary, production = pair()
    decision = decide(replace(canary, requests=(0.0,) * BLOCKS), production, RULES)
    assert (decision.verdict, decision.reason) == (
        Verdict.WAIT,
        "too little traffic: 0 requests to canary, need 100",
    )


def test_traffic_in_a_few_minutes_alone_waits() -> None:
    canary, production = pair()
    bunched = tuple(3000.0 if block < 3 else 0.0 for block in range(BLOCKS))
    decision = decide(replace(canary, requests=bunched), production, RULES)
    assert (decision.verdict, decision.reason) == (
        Verdict.WAIT,
        "too little traffic: both had requests in 3 parts of the window, need 8",
    )


def test_measures_that_neither_has_do_not_stand_in_the_way() -> None:
    canary, production = (replace(each, token_rate=Histogram(), cost=(), tokens=()) for each in pair())
    decision = decide(canary, production, RULES)
    assert decision.verdict is Verdict.PROMOTE
    assert "not compared, there is no data: tokens/s, cost per token" in decision.reason


def test_a_measure_that_the_canary_alone_lacks_waits() -> None:
    canary, production = pair()
    decision = decide(replace(canary, token_rate=Histogram()), production, RULES)
    assert (decision.verdict, decision.reason) == (Verdict.WAIT, "not yet clear: tokens/s")


def test_more_looks_and_less_risk_need_more_proof() -> None:
    canary, production = pair()
    widths = []
    for rules in (Rules(looks=1), Rules(looks=50), Rules(looks=50, risk=0.005)):
        worse = decide(canary, production, rules).comparisons[0].worse
        assert worse is not None
        widths.append(worse.upper - worse.lower)
    assert widths == sorted(widths)
    assert widths[0] < widths[2]


def test_the_report_for_programs_has_every_measure_and_no_nan() -> None:
    canary, production = pair()
    decision = decide(replace(canary, token_rate=Histogram()), production, RULES)
    found = json.loads(report.as_json(decision), parse_constant=lambda text: pytest.fail(text))
    assert found["verdict"] == "wait"
    assert {each["measure"]: each["judgement"] for each in found["comparisons"]}["tokens/s"] == Judgement.UNCLEAR
    assert found["requests"]["canary"] == decision.canary_requests


def test_the_report_for_people_has_a_line_for_each_measure() -> None:
    text = report.as_text(decide(*pair(Canary(duration=2.0)), RULES))
    assert text.startswith("roll back: worse than production by more than is tolerated: duration")
    assert len(text.splitlines()) == 2 + len(Measure)


WORST = ("the same, rough weather", "2 points more errors", "25 % longer, rough weather", "25 % dearer")


@pytest.mark.slow
@pytest.mark.parametrize("scenario", [each for each in SCENARIOS if each.name in WORST], ids=lambda each: each.name)
def test_false_verdicts_stay_below_the_risk_over_500_rollouts(scenario: Scenario) -> None:
    """With one planned look, which has the risk all to itself; the page has the numbers for eight."""
    found = outcome(scenario, 500, Rules(looks=1))
    assert found.verdicts[scenario.wrong] <= 0.05 * 500 + 10  # two standard deviations of the count itself
