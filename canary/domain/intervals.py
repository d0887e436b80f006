"""Confidence intervals for the difference of two variants that were observed over the same blocks of time.

Requests of one minute resemble each other: Z.AI is slow for all of them, a pod is ill, a client sends a hundred alike.
So the blocks, not the requests, are what varies, and every spread here is measured between blocks (never taken to be
smaller than that of independent requests). `tail` is the probability on one side.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

from canary.domain.counts import Histogram

LEAST_BLOCKS: Final = 8
"""Fewer blocks with traffic than this say nothing about how they vary."""


@dataclass(frozen=True)
class Interval:
    """An estimate and its bounds."""

    estimate: float
    lower: float
    upper: float

    def __neg__(self) -> "Interval":
        return Interval(-self.estimate, -self.upper, -self.lower)


def student_t(tail: float, freedom: int) -> float:
    """The value that Student's t exceeds with probability `tail` (0 to 0.5), within 1 % from 7 degrees of freedom on.

    Source: Cornish-Fisher expansion, Abramowitz and Stegun 26.7.5.
    """
    z = NormalDist().inv_cdf(1.0 - tail)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return math.fsum([z, *(term / float(freedom) ** power for power, term in enumerate(terms, start=1))])


def share_difference(
    hits: Sequence[float], of: Sequence[float], base_hits: Sequence[float], base_of: Sequence[float], tail: float
) -> Interval:
    """A share less the base's share, in -1 to 1.

    Source: Newcombe (1998), method 10, with Wilson's bounds on effective sample sizes: the number of requests over the
    design effect, which is how much more the share varies between blocks than independent requests would.
    """
    critical = student_t(tail, _freedom(of, base_of))
    share, low, high = _wilson(hits, of, critical)
    base, base_low, base_high = _wilson(base_hits, base_of, critical)
    estimate = share - base
    return Interval(
        estimate,
        estimate - math.hypot(share - low, base_high - base),
        estimate + math.hypot(high - share, base - base_low),
    )


def log_ratio_of_means(values: Histogram, base: Histogram, tail: float) -> Interval:
    """The logarithm of the ratio of two geometric means, of which only buckets are known.

    An observation counts as the geometric middle of its bucket. That is wrong by the same amount on both sides.
    """
    sums, variance = _scores(values)
    base_sums, base_variance = _scores(base)
    mean = sum(sums) / sum(values.totals)
    base_mean = sum(base_sums) / sum(base.totals)
    residuals = _residuals(sums, values.totals, mean)
    base_residuals = _residuals(base_sums, base.totals, base_mean)
    independent = variance / sum(values.totals) + base_variance / sum(base.totals)
    return _around(mean - base_mean, residuals, base_residuals, independent, tail, _freedom(values.totals, base.totals))


def log_ratio_of_rates(
    amounts: Sequence[float], of: Sequence[float], base_amounts: Sequence[float], base_of: Sequence[float], tail: float
) -> Interval:
    """The logarithm of the ratio of two quotients of sums, by the delta method. All four sums are above 0."""
    rate, base_rate = sum(amounts) / sum(of), sum(base_amounts) / sum(base_of)
    residuals = [each / rate for each in _residuals(amounts, of, rate)]
    base_residuals = [each / base_rate for each in _residuals(base_amounts, base_of, base_rate)]
    return _around(math.log(rate / base_rate), residuals, base_residuals, 0.0, tail, _freedom(of, base_of))


def busy_blocks(of: Sequence[float], base_of: Sequence[float]) -> int:
    """Blocks in which both had something to count."""
    return sum(mine > 0 and theirs > 0 for mine, theirs in zip(of, base_of, strict=True))


def quantile(histogram: Histogram, share: float) -> float:
    """The bound of the bucket in which that share of the observations is reached; infinite beyond the last one."""
    buckets = histogram.buckets
    target, reached = share * sum(buckets), 0.0
    for bound, count in zip(histogram.bounds, buckets, strict=False):  # the bucket up to +Inf has no bound
        reached += count
        if reached >= target:
            return bound
    return math.inf


def geometric_mean(histogram: Histogram) -> float:
    """The typical observation; see `log_ratio_of_means`."""
    sums, _ = _scores(histogram)
    return math.exp(sum(sums) / sum(histogram.totals))


def _freedom(of: Sequence[float], base_of: Sequence[float]) -> int:
    return max(1, busy_blocks(of, base_of) - 1)


def _wilson(hits: Sequence[float], of: Sequence[float], critical: float) -> tuple[float, float, float]:
    share = sum(hits) / sum(of)
    size = sum(of) / _design_effect(hits, of, share)
    square = critical**2
    centre = (share + square / (2 * size)) / (1 + square / size)
    half = critical / (1 + square / size) * math.sqrt(share * (1 - share) / size + square / (4 * size**2))
    return share, max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


def _design_effect(hits: Sequence[float], of: Sequence[float], share: float) -> float:
    """At least 1. Source: Rao and Scott (1992), the ratio estimator's variance over the binomial one."""
    if share in (0.0, 1.0):
        return 1.0
    squares = _lasting_squares(_residuals(hits, of, share))
    return max(1.0, squares * _correction(of) * sum(of) / (share * (1 - share)))


def _residuals(amounts: Sequence[float], of: Sequence[float], rate: float) -> list[float]:
    """What each block contributes to the error of the rate."""
    total = sum(of)
    return [(amount - rate * size) / total for amount, size in zip(amounts, of, strict=True)]


def _lasting_squares(residuals: Sequence[float]) -> float:
    """The sum of squares, and more if what hits one block still hits the next two.

    Source: Newey and West (1987), Bartlett's weights with two lags; never less than the plain sum.
    """
    plain = sum(each**2 for each in residuals)
    near = sum(one * other for one, other in itertools.pairwise(residuals))
    far = sum(one * other for one, other in zip(residuals, residuals[2:], strict=False))
    return max(plain, plain + 2 * (2 / 3 * near + 1 / 3 * far))


def _correction(of: Sequence[float]) -> float:
    """Bessel's, for the blocks that hold anything."""
    filled = sum(size > 0 for size in of)
    return filled / (filled - 1) if filled > 1 else math.inf


def _around(
    estimate: float, residuals: list[float], base_residuals: list[float], least: float, tail: float, freedom: int
) -> Interval:
    """Blocks are paired: what hit both variants in the same minute cancels, but never below independent requests."""
    squares = _lasting_squares([mine - theirs for mine, theirs in zip(residuals, base_residuals, strict=True)])
    variance = max(squares * (freedom + 1) / freedom, least)
    reach = student_t(tail, freedom) * math.sqrt(variance)
    return Interval(estimate, estimate - reach, estimate + reach)


def _scores(histogram: Histogram) -> tuple[list[float], float]:
    """The sum of the logarithms in each block, and the variance of one observation's."""
    bounds = histogram.bounds
    inner = [math.sqrt(low * high) for low, high in itertools.pairwise(bounds)]
    middles = [math.log(each) for each in (bounds[0] / 2, *inner, bounds[-1] * 2)]
    sums = [sum(count * middle for count, middle in zip(block, middles, strict=True)) for block in histogram.blocks]
    buckets = histogram.buckets
    mean = sum(sums) / sum(buckets)
    variance = sum(count * (middle - mean) ** 2 for count, middle in zip(buckets, middles, strict=True)) / sum(buckets)
    return sums, variance
