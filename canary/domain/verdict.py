"""The verdict: which measures of the canary are fine, worse or unclear, and what follows.

A measure is *fine* when the whole interval lies on the good side of its margin, *worse* when the whole interval lies
beyond it, and *unclear* otherwise. Promotion needs every measure fine: a canary that is worse in one by the margin
passes with at most `Rules.risk`, whatever the others do. One worse measure is enough to roll back, so that risk is
shared by all. Both are divided by the planned looks (Bonferroni): looking often doesn't make a false verdict likelier.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from canary.domain.counts import Histogram, VariantCounts
from canary.domain.intervals import (
    LEAST_BLOCKS,
    Interval,
    busy_blocks,
    geometric_mean,
    log_ratio_of_means,
    log_ratio_of_rates,
    quantile,
    share_difference,
)


class Verdict(StrEnum):
    PROMOTE = "promote"
    WAIT = "wait"
    ROLL_BACK = "roll back"


class Judgement(StrEnum):
    FINE = "fine"
    UNCLEAR = "unclear"
    WORSE = "worse"
    ABSENT = "absent"
    """Neither variant has it: token counting is off, or nobody asked a model. It has no say."""


class Measure(StrEnum):
    ERRORS = "error ratio"
    FIRST_BYTE = "first byte"
    DURATION = "duration"
    SLOW = "slow answers"
    TOKEN_RATE = "tokens/s"  # noqa: S105 - a measure, no secret
    COST = "cost per token"


SHARES: Final = frozenset({Measure.ERRORS, Measure.SLOW})
"""Compared by difference; the others by ratio."""


@dataclass(frozen=True)
class Rules:
    """`risk` is of a false promotion, and of a false roll-back, over all planned `looks` together.

    Margins: how much worse is tolerable; `error_margin` and `slow_margin` are differences of shares, `margin` a
    part of production's value.
    """

    looks: int = 8
    risk: float = 0.05
    least_requests: int = 100
    error_margin: float = 0.02
    slow_margin: float = 0.05
    margin: float = 0.25
    slow_quantile: float = 0.9

    @property
    def promotion_tail(self) -> float:
        return self.risk / self.looks

    @property
    def roll_back_tail(self) -> float:
        return self.risk / (self.looks * len(Measure))

    def tolerated(self, measure: Measure) -> float:
        """The margin in the unit of the measure's interval: a difference, or a logarithm of a ratio."""
        if measure in SHARES:
            return self.error_margin if measure is Measure.ERRORS else self.slow_margin
        return math.log1p(self.margin)


@dataclass(frozen=True)
class Comparison:
    """One measure. `worse` is how much worse the canary is, in the unit of `Rules.tolerated`; its bounds are those that
    promotion looks at. `canary` and `production` are values for people (a share, seconds, tokens/s, USD per token)."""

    measure: Measure
    judgement: Judgement
    canary: float | None = None
    production: float | None = None
    worse: Interval | None = None
    tolerated: float = 0.0


@dataclass(frozen=True)
class Decision:
    verdict: Verdict
    reason: str
    canary_requests: int = 0
    production_requests: int = 0
    comparisons: tuple[Comparison, ...] = field(default=())


def decide(canary: VariantCounts, production: VariantCounts, rules: Rules) -> Decision:
    """The verdict and its reason."""
    requests, base_requests = round(sum(canary.requests)), round(sum(production.requests))
    if too_little := _too_little(canary, production, rules):
        return Decision(Verdict.WAIT, too_little, requests, base_requests)
    comparisons = tuple(_compare(measure, canary, production, rules) for measure in Measure)
    verdict, reason = _verdict(comparisons)
    return Decision(verdict, reason, requests, base_requests, comparisons)


def _too_little(canary: VariantCounts, production: VariantCounts, rules: Rules) -> str | None:
    for name, counts in (("canary", canary), ("production", production)):
        if counts.pods == 0:
            return f"there is no {name}: no process with its variant label was scraped in the window"
        requests = round(sum(counts.requests))
        if requests < rules.least_requests:
            return f"too little traffic: {requests} requests to {name}, need {rules.least_requests}"
    blocks = busy_blocks(canary.requests, production.requests)
    if blocks < LEAST_BLOCKS:
        return f"too little traffic: both had requests in {blocks} parts of the window, need {LEAST_BLOCKS}"
    return None


def _verdict(comparisons: Sequence[Comparison]) -> tuple[Verdict, str]:
    judged = {
        judgement: [each.measure.value for each in comparisons if each.judgement is judgement]
        for judgement in Judgement
    }
    if worse := judged[Judgement.WORSE]:
        return Verdict.ROLL_BACK, f"worse than production by more than is tolerated: {', '.join(worse)}"
    if unclear := judged[Judgement.UNCLEAR]:
        return Verdict.WAIT, f"not yet clear: {', '.join(unclear)}"
    absent = judged[Judgement.ABSENT]
    without = f" (not compared, there is no data: {', '.join(absent)})" if absent else ""
    return Verdict.PROMOTE, f"as good as production within what is tolerated{without}"


def _compare(measure: Measure, canary: VariantCounts, production: VariantCounts, rules: Rules) -> Comparison:
    observed, base_observed = _observed(measure, canary), _observed(measure, production)
    tolerated = rules.tolerated(measure)
    if sum(observed) == 0 and sum(base_observed) == 0:
        return Comparison(measure, Judgement.ABSENT, tolerated=tolerated)
    if busy_blocks(observed, base_observed) < LEAST_BLOCKS:
        return Comparison(measure, Judgement.UNCLEAR, tolerated=tolerated)
    for_promotion, for_roll_back = (
        _how_much_worse(measure, canary, production, rules, tail)
        for tail in (rules.promotion_tail, rules.roll_back_tail)
    )
    judgement = Judgement.UNCLEAR
    if for_roll_back.lower > tolerated:
        judgement = Judgement.WORSE
    elif for_promotion.upper < tolerated:
        judgement = Judgement.FINE
    bound = slow_bound(production.duration, rules)
    return Comparison(
        measure,
        judgement,
        _value(measure, canary, bound),
        _value(measure, production, bound),
        for_promotion,
        tolerated,
    )


def _observed(measure: Measure, counts: VariantCounts) -> Sequence[float]:
    match measure:
        case Measure.ERRORS:
            return counts.requests
        case Measure.COST:
            # Without prices there is nothing to compare, however many tokens there are.
            return counts.tokens if sum(counts.cost) > 0 else [0.0] * len(counts.requests)
        case Measure.FIRST_BYTE:
            histogram = counts.first_byte
        case Measure.TOKEN_RATE:
            histogram = counts.token_rate
        case _:
            histogram = counts.duration
    return histogram.totals or [0.0] * len(counts.requests)


def _how_much_worse(
    measure: Measure, canary: VariantCounts, production: VariantCounts, rules: Rules, tail: float
) -> Interval:
    match measure:
        case Measure.ERRORS:
            return share_difference(canary.failures, canary.requests, production.failures, production.requests, tail)
        case Measure.SLOW:
            bound = slow_bound(production.duration, rules)
            slow, base_slow = above(canary.duration, bound), above(production.duration, bound)
            return share_difference(slow, canary.duration.totals, base_slow, production.duration.totals, tail)
        case Measure.FIRST_BYTE:
            return log_ratio_of_means(canary.first_byte, production.first_byte, tail)
        case Measure.DURATION:
            return log_ratio_of_means(canary.duration, production.duration, tail)
        case Measure.TOKEN_RATE:
            return -log_ratio_of_means(canary.token_rate, production.token_rate, tail)
        case Measure.COST:
            return log_ratio_of_rates(canary.cost, canary.tokens, production.cost, production.tokens, tail)


def slow_bound(duration: Histogram, rules: Rules) -> float:
    """Seconds above which an answer is slow: the bucket's bound that nine tenths of production stay below."""
    return quantile(duration, rules.slow_quantile) if duration.blocks else math.inf


def above(histogram: Histogram, bound: float) -> list[float]:
    """Observations above a bucket's bound, in each block."""
    first = sum(each <= bound for each in histogram.bounds) if math.isfinite(bound) else len(histogram.bounds) + 1
    return [sum(block[first:]) for block in histogram.blocks]


def _value(measure: Measure, counts: VariantCounts, bound: float) -> float:
    match measure:
        case Measure.ERRORS:
            return sum(counts.failures) / sum(counts.requests)
        case Measure.SLOW:
            return sum(above(counts.duration, bound)) / sum(counts.duration.totals)
        case Measure.FIRST_BYTE:
            return geometric_mean(counts.first_byte)
        case Measure.DURATION:
            return geometric_mean(counts.duration)
        case Measure.TOKEN_RATE:
            return geometric_mean(counts.token_rate)
        case Measure.COST:
            return sum(counts.cost) / sum(counts.tokens)
