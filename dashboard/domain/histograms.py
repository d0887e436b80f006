"""Percentiles from the counts of a histogram's buckets."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate


def quantile(share: float, ends: Sequence[float], counts: Sequence[float]) -> float | None:
    """The value below which this share (0.0 to 1.0) of the measurements lies; None if there are none.

    `ends` are the buckets' upper ends, ascending, the last one infinite; `counts` is what each bucket holds alone.
    Within a bucket values are taken to lie evenly; one in the last bucket is given as that bucket's lower end.
    Source: Prometheus, histogram_quantile.
    """
    upto = list(accumulate(counts))
    if not upto or upto[-1] <= 0:
        return None
    rank = share * upto[-1]
    number = bisect_left(upto, rank)
    while counts[number] <= 0:
        number += 1
    lower, below = (ends[number - 1], upto[number - 1]) if number else (0.0, 0.0)
    if number == len(ends) - 1:
        return lower
    return lower + (ends[number] - lower) * (rank - below) / counts[number]
