"""What is compared: the counts of a variant, block of time by block of time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

Reading = float | None
"""A counter at the edge of a block; None where the process was not seen."""

K = TypeVar("K")

NO_BLOCKS: Final[tuple[float, ...]] = ()


@dataclass(frozen=True)
class Histogram:
    """Counts of each bucket (not cumulative, the last one up to +Inf) in each block. `bounds` are ascending."""

    bounds: tuple[float, ...] = ()
    blocks: tuple[tuple[float, ...], ...] = ()

    @property
    def totals(self) -> list[float]:
        """Observations of each block."""
        return [sum(block) for block in self.blocks]

    @property
    def buckets(self) -> list[float]:
        """Observations of each bucket, over all blocks."""
        return [sum(bucket) for bucket in zip(*self.blocks, strict=True)]


@dataclass(frozen=True)
class VariantCounts:
    """Everything about one variant. `pods` counts processes seen; all sequences have one element a block."""

    pods: int
    requests: tuple[float, ...] = NO_BLOCKS
    failures: tuple[float, ...] = NO_BLOCKS
    first_byte: Histogram = Histogram()
    duration: Histogram = Histogram()
    token_rate: Histogram = Histogram()
    cost: tuple[float, ...] = NO_BLOCKS
    tokens: tuple[float, ...] = NO_BLOCKS


def increases(counter: Sequence[Reading], presence: Sequence[Reading], lead: int) -> list[float]:
    """By how much a counter of one process grew in each block.

    `counter` has a reading at each edge; the first `lead` edges lie before the window and serve as a base alone.
    `presence` is a series that the process always exports: where it is absent the process was not seen, where it alone
    is present the counter is 0. A process's first sight is a base too, so that what happened before does not count. A
    fall is a restart, after which the counter began at 0; what the block had before it is lost.
    """
    grown = [0.0] * (len(counter) - 1)
    last: float | None = None
    for edge, (value, present) in enumerate(zip(counter, presence, strict=True)):
        if present is None and value is None:
            continue
        now = value or 0.0
        if edge > 0 and last is not None:
            grown[edge - 1] = now - last if now >= last else now
        last = now
    return grown[lead:]


def histogram(cumulative: Mapping[float, Sequence[float]]) -> Histogram:
    """From the growth of cumulative buckets, by upper bound (the last is infinite), block by block."""
    bounds = sorted(cumulative)
    blocks = []
    for column in zip(*(cumulative[bound] for bound in bounds), strict=True):
        below = [0.0, *column[:-1]]
        blocks.append(tuple(max(0.0, upper - lower) for lower, upper in zip(below, column, strict=True)))
    return Histogram(tuple(bounds[:-1]), tuple(blocks))


def added(first: Mapping[K, Sequence[float]], second: Mapping[K, Sequence[float]]) -> dict[K, list[float]]:
    """The growth of two processes together."""
    sums = {key: list(values) for key, values in first.items()}
    for key, values in second.items():
        known = sums.get(key, [0.0] * len(values))
        sums[key] = [one + other for one, other in zip(known, values, strict=True)]
    return sums
