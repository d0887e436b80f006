"""How many credits a request will take, guessed before it starts: sources take turns by what they use of the plan.

What a prompt costs depends on its bytes, on the model's coefficients, and on how much of it the cache has; none but the
bytes is known yet. So what a byte has cost lately is learned for each model. Pure.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from extproc.domain.usage.tokens import TokenCounts

# An agent's prompt of 100 KB: 23,000 tokens, nine tenths of them cached, and an answer of 500.
_TYPICAL: Final = TokenCounts(input=2_300, cache_read=20_700, output=500)
_TYPICAL_BYTES: Final = 100_000
# What that comes to by glm-5.3: for a model whose coefficients are not known.
_PRIOR: Final = 6.0e-5
_UNKNOWN_BYTES: Final = 64 * 1024
# Below that a prompt's bytes say nothing: a picture's address, a call of an embedding.
_SHORTEST: Final = 1024
# Above that they say nothing more: no model reads so much text (200,000 tokens), what is longer has pictures in it.
_LONGEST: Final = 1_000_000
_WEIGHT: Final = 0.1
_MOST_MODELS: Final = 64
# Credits per token of a model whose coefficients are not published: those of the dearest that are.
_INPUT: Final = 6.9e-4
_CACHED: Final = 1.7e-4
_OUTPUT: Final = 24e-4


def weighed(tokens: TokenCounts) -> float:
    """The credits that tokens may have cost of a model that has no published coefficients."""
    return tokens.input * _INPUT + tokens.cache_read * _CACHED + tokens.output * _OUTPUT


def _unknown(_: str, __: TokenCounts) -> None:
    """No model's coefficients are known."""


class CreditGuesses:
    """Credits per byte of a prompt, by model; the longest unused goes.

    `credits_of` says what tokens take of a model, None for one whose coefficients are not known.
    """

    def __init__(self, credits_of: Callable[[str, TokenCounts], float | None] = _unknown) -> None:
        self._credits_of = credits_of
        self._per_byte: OrderedDict[str, float] = OrderedDict()

    def guess(self, model: str, prompt_bytes: int | None) -> float:
        """The credits that a prompt of so many bytes may take; None stands for a length that nobody announced."""
        size = _UNKNOWN_BYTES if prompt_bytes is None else _counted(prompt_bytes)
        per_byte = self._per_byte.get(model)
        return size * (self._prior(model) if per_byte is None else per_byte)

    def learn(self, model: str, prompt_bytes: int, credits_taken: float) -> None:
        """A prompt of so many bytes has taken so many credits."""
        per_byte = credits_taken / _counted(prompt_bytes)
        known = self._per_byte.get(model, per_byte)
        self._per_byte[model] = known + _WEIGHT * (per_byte - known)
        self._per_byte.move_to_end(model)
        if len(self._per_byte) > _MOST_MODELS:
            self._per_byte.popitem(last=False)

    def _prior(self, model: str) -> float:
        typical = self._credits_of(model, _TYPICAL)
        return _PRIOR if typical is None else typical / _TYPICAL_BYTES


def _counted(prompt_bytes: int) -> int:
    """The bytes of a prompt that tell something of its tokens."""
    return min(max(prompt_bytes, _SHORTEST), _LONGEST)
