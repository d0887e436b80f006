"""Tokens per byte: sane before anything is known, soon right, and never led astray by odd numbers."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.domain.request.routes import LlmProtocol
from extproc.domain.usage.token_estimates import PRIORS, EstimatedTokens, TokenEstimator

MESSAGES = LlmProtocol.ANTHROPIC_MESSAGES
CHAT = LlmProtocol.OPENAI_CHAT_COMPLETIONS
RESPONSES = LlmProtocol.OPENAI_RESPONSES
EMBEDDINGS = LlmProtocol.OPENAI_EMBEDDINGS
SPEAKING = [MESSAGES, CHAT, RESPONSES]

ANY_NUMBER = st.integers(min_value=-(10**30), max_value=10**30) | st.integers(min_value=-10, max_value=10**7)
LESSONS = st.tuples(
    st.sampled_from([*LlmProtocol, "unheard of"]),
    st.sampled_from(["glm-5.3", "glm-4.6", "unknown"]),
    st.booleans(),
    *[ANY_NUMBER] * 4,
)


def sse(*events: tuple[str, dict[str, object]]) -> int:
    """Bytes of events as Z.AI writes them in Messages and Responses."""
    return sum(len(f"event: {name}\ndata: {json.dumps(data)}\n\n") for name, data in events)


def test_every_protocol_has_priors() -> None:
    assert set(PRIORS) == {protocol.value for protocol in LlmProtocol}


@pytest.mark.parametrize("protocol", SPEAKING)
def test_an_agents_first_prompt_is_about_23_000_tokens(protocol: LlmProtocol) -> None:
    assert TokenEstimator().estimate(protocol, "glm-5.3", True, 100_000, 0).input == pytest.approx(23_000, rel=0.05)


@pytest.mark.parametrize(
    ("protocol", "bytes_per_event"),
    [
        (
            MESSAGES,
            sse(
                (
                    "content_block_delta",
                    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " the"}},
                )
            ),
        ),
        (
            CHAT,
            len(
                'data: {"id":"20251115100802a655cfe5c74aa2","created":1785982811,"model":"glm-4.6",'
                '"choices":[{"index":0,"delta":{"role":"assistant","content":"","reasoning_content":" the"}}]}\n\n'
            ),
        ),
        (
            RESPONSES,
            sse(
                (
                    "response.output_text.delta",
                    {
                        "type": "response.output_text.delta",
                        "item_id": "msg_20251115100802a655cfe5c74aa2",
                        "output_index": 0,
                        "content_index": 0,
                        "delta": " the",
                    },
                )
            ),
        ),
    ],
)
def test_a_stream_of_400_events_is_about_400_tokens(protocol: LlmProtocol, bytes_per_event: int) -> None:
    estimate = TokenEstimator().estimate(protocol, "glm-5.3", True, 0, 400 * bytes_per_event)
    assert estimate.input == 0
    assert estimate.output == pytest.approx(400, rel=0.15)


@pytest.mark.parametrize("protocol", SPEAKING)
def test_text_in_one_json_object_has_far_more_tokens_a_byte_than_in_a_stream(protocol: LlmProtocol) -> None:
    estimator = TokenEstimator()
    whole = estimator.estimate(protocol, "glm-5.3", False, 0, 40_000).output
    streamed = estimator.estimate(protocol, "glm-5.3", True, 0, 40_000).output
    assert whole == 10_000
    assert 30 * streamed < whole < 60 * streamed


def test_no_bytes_are_no_tokens() -> None:
    assert TokenEstimator().estimate(MESSAGES, "glm-5.3", True, 0, 0) == EstimatedTokens(input=0, output=0)
    assert TokenEstimator().estimate(MESSAGES, "glm-5.3", True, -5, -5) == EstimatedTokens(input=0, output=0)


def test_absurdly_many_bytes_are_what_the_largest_model_takes_and_gives() -> None:
    estimate = TokenEstimator().estimate(MESSAGES, "glm-5.3", True, 10**400, 10**400)
    assert estimate == EstimatedTokens(input=1_048_576, output=131_072)


def test_vectors_hold_no_output_tokens_even_after_lessons_that_say_so() -> None:
    estimator = TokenEstimator()
    estimator.learn(EMBEDDINGS, "embedding-3", False, 4350, 30_000, 1000, 1000)
    assert estimator.estimate(EMBEDDINGS, "embedding-3", False, 4350, 30_000) == EstimatedTokens(1000, 0)


def test_a_working_day_of_answers_replaces_the_priors() -> None:
    estimator = TokenEstimator()
    for _ in range(100):
        estimator.learn(MESSAGES, "glm-5.3", True, 200_000, 90_000, 80_000, 1_500)
    estimate = estimator.estimate(MESSAGES, "glm-5.3", True, 100_000, 30_000)
    assert estimate.input == pytest.approx(40_000, rel=0.01)
    assert estimate.output == pytest.approx(500, rel=0.01)


def test_what_was_true_last_week_fades() -> None:
    estimator = TokenEstimator()
    for _ in range(1000):
        estimator.learn(MESSAGES, "glm-5.3", True, 200_000, 90_000, 80_000, 1_500)
    for _ in range(500):
        estimator.learn(MESSAGES, "glm-5.3", True, 200_000, 90_000, 40_000, 600)
    estimate = estimator.estimate(MESSAGES, "glm-5.3", True, 100_000, 90_000)
    assert estimate.input == pytest.approx(20_000, rel=0.01)
    assert estimate.output == pytest.approx(600, rel=0.1)


def test_streamed_and_whole_answers_teach_apart() -> None:
    estimator = TokenEstimator()
    before = estimator.estimate(MESSAGES, "glm-5.3", False, 0, 40_000)
    for _ in range(100):
        estimator.learn(MESSAGES, "glm-5.3", True, 0, 90_000, 0, 3_000)
    assert estimator.estimate(MESSAGES, "glm-5.3", False, 0, 40_000) == before


def test_protocols_teach_apart() -> None:
    estimator = TokenEstimator()
    before = estimator.estimate(CHAT, "glm-5.3", True, 100_000, 40_000)
    for _ in range(100):
        estimator.learn(MESSAGES, "glm-5.3", True, 200_000, 90_000, 80_000, 3_000)
    assert estimator.estimate(CHAT, "glm-5.3", True, 100_000, 40_000) == before


def test_a_tiny_answer_moves_next_to_nothing() -> None:
    estimator = TokenEstimator()
    before = estimator.estimate(MESSAGES, "glm-5.3", False, 100_000, 40_000)
    # "42": two tokens in an envelope of 325 bytes, after a question of 23 tokens in 120 bytes.
    estimator.learn(MESSAGES, "glm-5.3", False, 120, 327, 23, 2)
    after = estimator.estimate(MESSAGES, "glm-5.3", False, 100_000, 40_000)
    assert after.input == pytest.approx(before.input, rel=0.01)
    assert after.output == pytest.approx(before.output, rel=0.08)


def test_a_huge_prompt_counts_for_a_tenth_of_what_is_known_and_no_more() -> None:
    estimator = TokenEstimator()
    for _ in range(100):
        estimator.learn(MESSAGES, "glm-5.3", True, 200_000, 0, 50_000, 0)
    estimator.learn(MESSAGES, "glm-5.3", True, 20_000_000, 0, 5_000, 0)  # images
    assert 22_500 <= estimator.estimate(MESSAGES, "glm-5.3", True, 100_000, 0).input < 25_000


def test_one_answer_in_large_events_moves_an_estimate_by_a_quarter_at_most() -> None:
    estimator = TokenEstimator()
    before = estimator.estimate(MESSAGES, "glm-5.3", True, 0, 52_000).output
    estimator.learn(MESSAGES, "glm-5.3", True, 0, 40_600, 0, 10_000)
    after = estimator.estimate(MESSAGES, "glm-5.3", True, 0, 52_000).output
    assert before < after <= 1.26 * before


@pytest.mark.parametrize("large_of_ten", [0, 1, 3, 5, 9])
def test_estimates_of_a_mix_with_large_events_add_up_to_what_was_used_within_a_factor_of_two(large_of_ten: int) -> None:
    estimator = TokenEstimator()
    used = estimated = 0
    for number in range(3000):
        # An answer whose events hold a token each, or one whose events hold hundreds.
        size, tokens = (40_600, 10_000) if number * 7 % 10 < large_of_ten else (104_000, 800)
        if number > 300 and number % 11 == 0:
            used += tokens
            estimated += estimator.estimate(MESSAGES, "glm-5.3", True, 0, size).output
        else:
            estimator.learn(MESSAGES, "glm-5.3", True, 0, size, 0, tokens)
    assert used / 2 < estimated < used * 2


def test_a_new_model_starts_from_what_the_others_taught() -> None:
    estimator = TokenEstimator()
    for _ in range(100):
        estimator.learn(MESSAGES, "glm-5.3", True, 200_000, 90_000, 80_000, 1_500)
    unseen = estimator.estimate(MESSAGES, "unknown", True, 100_000, 30_000)
    assert unseen == estimator.estimate(MESSAGES, "glm-5.3", True, 100_000, 30_000)
    estimator.learn(MESSAGES, "glm-6", True, 100, 100, 20, 1)
    assert estimator.estimate(MESSAGES, "glm-6", True, 100_000, 30_000).input == pytest.approx(unseen.input, rel=0.01)


def test_models_beyond_the_bound_share_one_estimate() -> None:
    estimator = TokenEstimator(max_models=1)
    estimator.learn(MESSAGES, "glm-5.3", True, 200_000, 90_000, 40_000, 1_500)
    own = estimator.estimate(MESSAGES, "glm-5.3", True, 100_000, 90_000)
    for number in range(1000):
        estimator.learn(MESSAGES, f"invented-{number}", True, 200_000, 90_000, 100_000, 3_000)
    shared = {estimator.estimate(MESSAGES, f"invented-{number}", True, 100_000, 90_000) for number in range(2000)}
    assert len(shared) == 1
    assert shared.pop().input == pytest.approx(50_000, rel=0.01)
    assert estimator.estimate(MESSAGES, "glm-5.3", True, 100_000, 90_000) == own


@pytest.mark.parametrize(
    ("request_bytes", "response_bytes", "input_tokens", "output_tokens"),
    [
        (100_000, 50_000, 0, 0),
        (0, 0, 20_000, 500),
        (100_000, 50_000, -20_000, -500),
        (-100_000, -50_000, 20_000, 500),
        (100_000, 50_000, 2**64 - 1, 2**64 - 1),
        (10**400, 10**400, 20_000, 500),
    ],
    ids=["no tokens", "no bytes", "negative tokens", "negative bytes", "absurd tokens", "absurd bytes"],
)
def test_an_impossible_report_teaches_nothing(
    request_bytes: int, response_bytes: int, input_tokens: int, output_tokens: int
) -> None:
    estimator = TokenEstimator()
    before = estimator.estimate(MESSAGES, "glm-5.3", True, 100_000, 50_000)
    estimator.learn(MESSAGES, "glm-5.3", True, request_bytes, response_bytes, input_tokens, output_tokens)
    assert estimator.estimate(MESSAGES, "glm-5.3", True, 100_000, 50_000) == before


def test_a_report_teaches_what_it_knows_when_the_other_half_is_missing() -> None:
    estimator = TokenEstimator()
    for _ in range(100):
        estimator.learn(MESSAGES, "glm-5.3", True, 200_000, 90_000, 0, 1_500)
    prior = TokenEstimator().estimate(MESSAGES, "glm-5.3", True, 100_000, 90_000)
    estimate = estimator.estimate(MESSAGES, "glm-5.3", True, 100_000, 90_000)
    assert estimate.input == prior.input
    assert estimate.output == pytest.approx(1_500, rel=0.01)


@given(st.lists(LESSONS, max_size=30), ANY_NUMBER, ANY_NUMBER, st.booleans())
def test_estimates_stay_within_what_a_model_can_take_and_give(
    lessons: list[tuple[str, str, bool, int, int, int, int]], request_bytes: int, response_bytes: int, streamed: bool
) -> None:
    estimator = TokenEstimator(max_models=2)
    for lesson in lessons:
        estimator.learn(*lesson)
    for protocol in (*LlmProtocol, "unheard of"):
        estimate = estimator.estimate(protocol, "glm-5.3", streamed, request_bytes, response_bytes)
        assert 0 <= estimate.input <= min(max(0, request_bytes), 1_048_576)
        assert 0 <= estimate.output <= min(max(0, response_bytes), 131_072)


@given(st.lists(LESSONS, max_size=10), st.integers(0, 10**7), st.integers(0, 10**7))
def test_more_bytes_are_never_fewer_tokens(
    lessons: list[tuple[str, str, bool, int, int, int, int]], fewer: int, more: int
) -> None:
    estimator = TokenEstimator()
    for lesson in lessons:
        estimator.learn(*lesson)
    less = estimator.estimate(MESSAGES, "glm-5.3", True, fewer, fewer)
    greater = estimator.estimate(MESSAGES, "glm-5.3", True, fewer + more, fewer + more)
    assert less.input <= greater.input
    assert less.output <= greater.output


def test_priors_are_bytes_per_token_that_text_can_have() -> None:
    for prior in PRIORS.values():
        for bytes_per_token in (prior.input, prior.output, prior.output_streamed):
            assert 1 < bytes_per_token < 500 or math.isinf(bytes_per_token)
