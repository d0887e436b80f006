"""The prompts that a model still has in memory: what a new one has in common with them costs a quarter. Pure.

Z.AI documents neither sizes nor times. Assumed is what its engines do by default: whole blocks of tokens, found by
all that stands before them, and no hits in short prompts. What the model said is there once a prompt repeats it.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator

BLOCK_TOKENS = 64
LEAST_TOKENS = 1024
MOST_BLOCKS = 100_000
_DIGEST_BYTES = 16


class PrefixCache:
    """Blocks of prompts by the hash of everything up to their end, the longest unused ones first.

    A block goes `seconds` after its last use, and beyond `most` blocks the longest unused one does. Of a prompt only
    hashes are kept.
    """

    def __init__(self, seconds: float, *, bytes_per_token: int, most: int = MOST_BLOCKS) -> None:
        self._seconds = seconds
        self._block_bytes = BLOCK_TOKENS * bytes_per_token
        self._most = most
        self._used: OrderedDict[bytes, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._used)

    def read(self, owner: str, prompt: bytes, now: float) -> int:
        """The tokens of `prompt` that are here already; from now on the whole of it is.

        `owner` tells apart what shares nothing: account and model. `now` may be any clock that does not go back.
        """
        self._forget(now - self._seconds)
        used, hit, hits = self._used, True, 0
        for block in self._blocks(owner, prompt):
            hit = hit and block in used
            hits += hit
            used[block] = now
            used.move_to_end(block)
        while len(used) > self._most:
            used.popitem(last=False)
        tokens = hits * BLOCK_TOKENS
        return tokens if tokens >= LEAST_TOKENS else 0

    def _blocks(self, owner: str, prompt: bytes) -> Iterator[bytes]:
        size = self._block_bytes
        chain = owner.encode()
        for end in range(size, len(prompt) + 1, size):
            chain = hashlib.blake2b(chain + prompt[end - size : end], digest_size=_DIGEST_BYTES).digest()
            yield chain

    def _forget(self, before: float) -> None:
        """Drops what was last used at `before` or earlier."""
        used = self._used
        while used and next(iter(used.values())) <= before:
            used.popitem(last=False)
