"""Token counts of one request, split so that every token is in exactly one direction."""

from dataclasses import dataclass

# Far above any context window, far below what would make a running total lose single tokens: a larger number
# is an error upstream (a -1 that became unsigned, say) and would spoil the counters for good.
_LARGEST_COUNT = 1 << 31


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Disjoint counts, all >= 0: the four directions add up to what went through the model.

    `input` is what no cache served or took; `reasoning` is a part of `output`, not a fifth direction.
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0

    @property
    def input_total(self) -> int:
        """All of the prompt, however it was served."""
        return self.input + self.cache_read + self.cache_write

    @property
    def total(self) -> int:
        return self.input + self.output + self.cache_read + self.cache_write


def disjoint(input_total: int, output: int, cached: int, cache_creation: int, reasoning: int) -> TokenCounts:
    """Splits an inclusive report (Envoy's typed token usage) into disjoint counts.

    `input_total` includes `cached` and `cache_creation`; `output` includes `reasoning`. Where the numbers contradict
    each other the totals win, then `cached`. A negative or absurd number (beyond 2^31) counts as 0.
    """
    input_total = _count(input_total)
    output = _count(output)
    cache_read = min(_count(cached), input_total)
    cache_write = min(_count(cache_creation), input_total - cache_read)
    return TokenCounts(
        input=input_total - cache_read - cache_write,
        output=output,
        cache_read=cache_read,
        cache_write=cache_write,
        reasoning=min(_count(reasoning), output),
    )


def _count(reported: int) -> int:
    return reported if 0 < reported <= _LARGEST_COUNT else 0
