"""What a prompt has in common with earlier ones is found, for a while, and the memory of it stays small."""

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from simulator.plan.prefix_cache import BLOCK_TOKENS, LEAST_TOKENS, PrefixCache

BYTES_PER_TOKEN = 4
BLOCK = BLOCK_TOKENS * BYTES_PER_TOKEN
LEAST_BLOCKS = LEAST_TOKENS // BLOCK_TOKENS


def cache(seconds: float = 60.0, most: int = 10_000) -> PrefixCache:
    return PrefixCache(seconds, bytes_per_token=BYTES_PER_TOKEN, most=most)


def text(blocks: float, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(int(blocks * BLOCK))


def test_a_prompt_that_goes_on_finds_all_whole_blocks_of_the_one_before() -> None:
    known = cache()

    assert known.read("a", text(40.5), 0.0) == 0
    assert known.read("a", text(40.5) + text(9, seed=1), 1.0) == 40 * BLOCK_TOKENS


def test_nothing_behind_the_first_difference_is_found() -> None:
    known, prompt = cache(), bytearray(text(100))
    known.read("a", bytes(prompt), 0.0)
    prompt[30 * BLOCK] ^= 1

    assert known.read("a", bytes(prompt), 1.0) == 30 * BLOCK_TOKENS
    prompt[0] ^= 1
    assert known.read("a", bytes(prompt), 2.0) == 0


def test_a_short_common_prefix_is_no_hit() -> None:
    known, beginning = cache(), text(LEAST_BLOCKS - 1)
    known.read("a", beginning + text(50, seed=1), 0.0)

    assert known.read("a", beginning + text(50, seed=2), 1.0) == 0
    assert known.read("a", beginning + text(50, seed=2)[:BLOCK], 2.0) == LEAST_TOKENS


def test_owners_share_nothing() -> None:
    known = cache()
    known.read("a", text(40), 0.0)

    assert known.read("b", text(40), 1.0) == 0


def test_a_prompt_is_forgotten_so_long_after_its_last_use() -> None:
    known = cache(seconds=60.0)
    known.read("a", text(40), 0.0)

    assert known.read("a", text(40), 59.0) == 40 * BLOCK_TOKENS
    assert known.read("a", text(40), 118.0) == 40 * BLOCK_TOKENS
    assert known.read("a", text(40), 178.0) == 0


def test_the_longest_unused_blocks_make_room() -> None:
    known = cache(most=100)
    known.read("a", text(60, seed=1), 0.0)
    known.read("a", text(30, seed=2), 1.0)
    known.read("a", text(60, seed=1), 2.0)
    known.read("a", text(40, seed=3), 3.0)

    assert len(known) == 100
    assert known.read("a", text(60, seed=1), 4.0) == 60 * BLOCK_TOKENS
    assert known.read("a", text(30, seed=2), 5.0) == 0


@given(st.lists(st.integers(0, 60), min_size=2, max_size=8))
def test_a_conversation_that_only_grows_finds_what_it_had(more: list[int]) -> None:
    known, prompts = cache(), [b""]
    for seed, blocks in enumerate(more):
        prompts.append(prompts[-1] + text(blocks, seed=seed))

    found = [known.read("a", prompt, 0.0) for prompt in prompts]

    for (before, _), (prompt, tokens) in pairwise(zip(prompts, found, strict=True)):
        whole = len(before) // BLOCK * BLOCK_TOKENS
        assert tokens == (whole if whole >= LEAST_TOKENS else 0) <= len(prompt) // BYTES_PER_TOKEN
