"""Percentiles from the counts of a histogram's buckets."""

from collections.abc import Sequence


def quantile(share: float, ends: Sequence[float], counts: Sequence[float]) -> float | None:
    """The value below which this share (0.0 to 1.0) of the measurements lies; None if there are none.

    `ends` are the buckets' upper ends, ascending, the last one infinite; `counts` is what each bucket holds alone.
    Within a bucket values are taken to lie evenly; one in the last bucket is given as that bucket's lower end.
    Source: Prometheus, histogram_quantile.
    """
    total = sum(counts)
    if total <= 0:
        return None
    rank, below, lower = share * total, 0.0, 0.0
    last = len(ends) - 1
    for number, (end, count) in enumerate(zip(ends, counts, strict=True)):
        if count > 0 and below + count >= rank:
            return lower if number == last else lower + (end - lower) * max(0.0, rank - below) / count
        below += count
        lower = end
    return ends[-2] if len(ends) > 1 else None
