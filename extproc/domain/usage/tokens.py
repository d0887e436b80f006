"""Token counts of one request, split so that every token is in exactly one direction."""

from collections.abc import Mapping
from typing import Final

from extproc.domain.request.record import record

# Far above any context window, far below what would make a running total lose single tokens: a larger number
# is an error upstream (a -1 that became unsigned, say) and would spoil the counters for good.
_LARGEST_COUNT: Final = 1 << 31


@record
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


NO_TOKENS: Final = TokenCounts()

TOKEN_FIELDS: Final = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "reasoning_tokens",
)
"""What the dialects report, by the names of the fields; the last two are details of the others."""


def disjoint(reported: Mapping[str, float]) -> TokenCounts:
    """Splits what an answer reported, by the names of its fields, whichever dialect they are of.

    * Messages: `input_tokens` excludes `cache_read_input_tokens` and `cache_creation_input_tokens`.
    * Chat Completions: `prompt_tokens` includes `cached_tokens`, the detail.
    * Responses: `input_tokens` includes `cached_tokens`.
    * `output_tokens` or `completion_tokens` includes `reasoning_tokens`.

    Where the numbers contradict each other the totals win, then what a cache served. What is negative, no number or
    absurd (beyond 2^31) counts as 0, and a fraction is cut off.
    """
    counts = {field: int(n) for field, n in reported.items() if 0 < n <= _LARGEST_COUNT}
    get = counts.get
    prompt = get("prompt_tokens", 0)
    total = prompt or get("input_tokens", 0)
    read, written = get("cache_read_input_tokens", 0), get("cache_creation_input_tokens", 0)
    if not prompt and (read or written):
        uncached = total  # a detail beside them would tell the same tokens twice
    else:
        read = min(max(read, get("cached_tokens", 0)), total)
        written = min(written, total - read)
        uncached = total - read - written
    output = get("output_tokens", 0) or get("completion_tokens", 0)
    return TokenCounts(uncached, output, read, written, min(get("reasoning_tokens", 0), output))
