"""Tokens by the number and size of events: right for large and small ones in any mix, whatever was learned before."""

import math
import random
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.domain.request.routes import LlmProtocol
from extproc.domain.usage.streamed_tokens import NO_EVENTS, EventRatio, Events
from extproc.domain.usage.token_estimates import TokenEstimator

MESSAGES = LlmProtocol.ANTHROPIC_MESSAGES
RESPONSES = LlmProtocol.OPENAI_RESPONSES
PROTOCOLS = {MESSAGES: 126, LlmProtocol.OPENAI_CHAT_COMPLETIONS: 161, RESPONSES: 196}
REPEATED = {RESPONSES: 3}


@dataclass(frozen=True, slots=True)
class Kind:
    """Streams of one kind: so many tokens an event, and so many events."""

    of_each: float
    events: int


@dataclass(frozen=True, slots=True)
class Stream:
    """What has passed when somebody leaves just before the end, what has passed at the end, and the tokens in it."""

    live: Events
    whole: Events
    tokens: int


def stream_of(kinds: list[Kind], frame: float, token: float, repeated: int, odd: random.Random) -> Stream:
    count, tokens = sum(kind.events for kind in kinds), round(sum(kind.of_each * kind.events for kind in kinds))
    text = tokens * token * odd.uniform(0.9, 1.1)
    size = count * (frame + odd.uniform(-2, 2)) + text
    whole = Events(count + repeated, size + repeated * (frame + text))
    return Stream(Events(count, size), whole, tokens)


def mixes(seed: int) -> tuple[LlmProtocol, list[Stream]]:
    """The streams of one model: of small events, of large ones, and of both, in any order and proportion."""
    odd = random.Random(seed)
    protocol = odd.choice(list(PROTOCOLS))
    frame, token = PROTOCOLS[protocol] + odd.uniform(-12, 12), odd.uniform(3, 5)
    small = [Kind(odd.choice([1.0, 1.3, 2.0]), odd.randint(20, 1500)) for _ in range(odd.randint(1, 2))]
    large = [Kind(odd.choice([8.0, 30.0, 400.0, 2000.0]), odd.randint(3, 40)) for _ in range(odd.randint(0, 3))]
    chosen = [odd.sample(small + large, odd.choice([1, 1, min(2, len(small + large))])) for _ in range(80)]
    return protocol, [stream_of(kinds, frame, token, REPEATED.get(protocol, 0), odd) for kinds in chosen]


def test_any_mix_of_large_and_small_events_is_estimated_within_a_factor_of_two() -> None:
    """The sum of each mix is, and so are 99 of 100 single streams, from a model's tenth answer on."""
    errors = []
    for seed in range(200):
        protocol, streams = mixes(seed)
        estimator, guesses = TokenEstimator(), []
        for stream in streams:
            guess = estimator.estimate(protocol, "glm-5.3", True, 0, round(stream.live.size), stream.live)
            guesses.append(guess.output)
            estimator.learn(protocol, "glm-5.3", True, 0, round(stream.whole.size), 0, stream.tokens, stream.whole)
        known = list(zip(guesses[10:], (stream.tokens for stream in streams[10:]), strict=True))
        errors += [abs(math.log2(guess / tokens)) for guess, tokens in known]
        assert sum(tokens for _, tokens in known) / 2 < sum(guesses[10:]) < sum(tokens for _, tokens in known) * 2
    assert sum(error < 1 for error in errors) / len(errors) > 0.99
    assert max(errors) < 2


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_small_events_after_many_large_ones_are_what_they_were_before(protocol: LlmProtocol) -> None:
    estimator = TokenEstimator()
    frame, repeated = PROTOCOLS[protocol], REPEATED.get(protocol, 0)
    small = Events(400, 400 * (frame + 4))
    for _ in range(1000):
        text = 10_000 * 4
        large = Events(10 + repeated, 10 * frame + text + (frame + text) * repeated)
        estimator.learn(protocol, "glm-5.3", True, 0, round(large.size), 0, 10_000, large)

    assert estimator.estimate(protocol, "glm-5.3", True, 0, round(small.size), small).output == pytest.approx(400, 0.2)
    assert estimator.estimate(protocol, "glm-5.3", True, 0, 40_000, Events(10, 10 * frame + 40_000)).output == (
        pytest.approx(10_000, 0.1)
    )


@pytest.mark.parametrize("of_each", [0.5, 1.0, 3.0, 50.0])
def test_before_anything_was_learned_events_hold_what_text_of_their_size_holds(of_each: float) -> None:
    events = Events(100, 100 * (126 + 4 * of_each))

    assert 0.5 <= TokenEstimator().estimate(MESSAGES, "glm-5.3", True, 0, 1, events).output / (100 * of_each) <= 2.6


def test_a_model_that_cuts_its_text_into_letters_is_found_out() -> None:
    ratio = EventRatio(126, 4)
    events = Events(1000, 1000 * 127)
    for _ in range(60):
        ratio.learn(events, 250)

    assert ratio.tokens_in(events) == pytest.approx(250, rel=0.5)


def test_one_odd_answer_moves_little() -> None:
    ratio = EventRatio(126, 4)
    small, large = Events(400, 400 * 130), Events(10, 41_260)
    for _ in range(20):
        ratio.learn(small, 400)
        ratio.learn(large, 10_000)
    before = ratio.tokens_in(small), ratio.tokens_in(large)

    ratio.learn(small, 400_000)
    ratio.learn(large, 1)

    assert ratio.tokens_in(small) == pytest.approx(before[0], rel=0.5)
    assert ratio.tokens_in(large) == pytest.approx(before[1], rel=0.5)


def test_what_is_streamed_without_known_events_goes_by_its_bytes() -> None:
    estimator = TokenEstimator()
    by_bytes = estimator.estimate(MESSAGES, "glm-5.3", True, 0, 52_000)

    for events in (NO_EVENTS, Events(0, 10), Events(10, 3), Events(float("nan"), 10), Events(-5, 100)):
        assert estimator.estimate(MESSAGES, "glm-5.3", True, 0, 52_000, events) == by_bytes


NUMBERS = st.floats(allow_nan=True, allow_infinity=True) | st.integers(-10, 10**12).map(float)


@given(lessons=st.lists(st.tuples(NUMBERS, NUMBERS, st.integers(-5, 10**9)), max_size=30), count=NUMBERS, size=NUMBERS)
def test_odd_numbers_lead_nowhere(lessons: list[tuple[float, float, int]], count: float, size: float) -> None:
    estimator = TokenEstimator()
    for protocol in (*LlmProtocol, "unheard of"):
        for events, of_bytes, tokens in lessons:
            estimator.learn(protocol, "glm-5.3", True, 1, 1, 1, tokens, Events(events, of_bytes))
        estimate = estimator.estimate(protocol, "glm-5.3", True, 0, 10, Events(count, size)).output
        assert 0 <= estimate <= 131_072
