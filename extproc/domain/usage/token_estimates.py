"""Tokens of a request whose answer reported none: bytes times a ratio learned from the requests that did report.

An aborted or broken stream has no usage, and a tokenizer would have to see bodies. So every answer with usage teaches
how many tokens a byte holds, per protocol and model, and for output apart by whether it was streamed: an event's frame
makes a streamed token weigh thirty to fifty times what it weighs in JSON. Where the number of events is known that
says more than their bytes (`streamed_tokens`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from extproc.domain.request.record import record
from extproc.domain.usage.streamed_tokens import NO_EVENTS, EventRatio, Events


@dataclass(frozen=True, slots=True)
class Priors:
    """Bytes per token to assume before anything was learned; infinity where there are no tokens to count.

    `told_again` is how often a stream repeats its whole text before it ends.
    """

    input: float
    output: float
    output_streamed: float
    told_again: int = 0


# Request: an agent's smallest prompt is about 100 KB for 23,000 tokens, 4.35 bytes a token (prose has 4.8 with a
# cl100k vocabulary, code and JSON 3.7 to 3.9, Chinese 2.9 to 4.6).
_PROMPT: Final = 4.35
# Answer in one JSON object: the same text with its line ends and quotes escaped, so nearer to JSON's 3.9.
_JSON_TEXT: Final = 4.0
# Streamed: one token of 4 bytes an event, the least that a decoder sends, in the frames that Z.AI sends: Messages 127
# (text), 135 (thinking) and 141 bytes (tool input), Chat Completions 156 to 189, Responses 198.
PRIORS: Final[Mapping[str, Priors]] = {
    "anthropic_messages": Priors(input=_PROMPT, output=_JSON_TEXT, output_streamed=130),
    "openai_chat_completions": Priors(input=_PROMPT, output=_JSON_TEXT, output_streamed=165),
    # The text comes again in output_text.done, content_part.done and output_item.done (and in response.completed, which
    # is not counted as an event).
    "openai_responses": Priors(input=_PROMPT, output=_JSON_TEXT, output_streamed=200, told_again=3),
    # The answer is vectors.
    "openai_embeddings": Priors(input=_PROMPT, output=math.inf, output_streamed=math.inf),
}
_ANY_PROTOCOL: Final = Priors(input=_PROMPT, output=_JSON_TEXT, output_streamed=165)

# A vocabulary of bytes has no token of less than one; 5 MB of image for a thousand tokens is the other end.
_LEAST_TOKENS_PER_BYTE: Final = 1 / 5000
_MOST_TOKENS_PER_BYTE: Final = 1.0

# One answer moves a ratio by a quarter at most: a few events of thousands of tokens hold thirty times as many a byte.
_LARGEST_STEP: Final = 1.25

# Beyond these a number is an error, not a lesson.
_LARGEST_BODY: Final = 1 << 40
_LARGEST_COUNT: Final = 10_000_000

# What the largest model takes and gives in one request.
_CONTEXT_WINDOW: Final = 1_048_576
_LONGEST_OUTPUT: Final = 131_072


@record
class EstimatedTokens:
    """`input` is the whole prompt, cached or not: bytes do not tell what a cache served."""

    input: int
    output: int


class TokenEstimator:
    """Learns tokens per byte and applies it. Memory is bounded by `max_models` models for each protocol.

    A model starts from what its protocol's other models taught, and models beyond the bound share that. Protocols are
    the keys of `priors` (any StrEnum with these values will do); all others share one set of ratios.
    """

    __slots__ = ("_others", "_protocols")

    def __init__(self, priors: Mapping[str, Priors] = PRIORS, max_models: int = 64) -> None:
        self._protocols = {protocol: _ProtocolRatios(prior, max_models) for protocol, prior in priors.items()}
        self._others = _ProtocolRatios(_ANY_PROTOCOL, max_models)

    def learn(
        self,
        protocol: str,
        model: str,
        streamed: bool,
        request_bytes: int,
        response_bytes: int,
        input_tokens: int,
        output_tokens: int,
        events: Events = NO_EVENTS,
    ) -> None:
        """Takes the lesson of a request that ended whole and reported its usage.

        `input_tokens` includes the cached ones, `output_tokens` the reasoning. A pair with a number that is 0, negative
        or absurd teaches nothing: some endpoints answer 0 for "unknown". `events` are those of a stream.
        """
        teaches_input = _is_lesson(request_bytes, input_tokens)
        teaches_output = _is_lesson(response_bytes, output_tokens)
        if not (teaches_input or teaches_output):
            return
        for ratios in self._protocols.get(protocol, self._others).taught_by(model):
            if teaches_input:
                ratios.input.learn(request_bytes, input_tokens)
            if teaches_output:
                ratios.output_of(streamed).learn(response_bytes, output_tokens)
                if streamed and ratios.events is not None and _can_be(events):
                    ratios.events.learn(events, output_tokens)

    def estimate(
        self,
        protocol: str,
        model: str,
        streamed: bool,
        request_bytes: int,
        response_bytes: int,
        events: Events = NO_EVENTS,
    ) -> EstimatedTokens:
        """What the bytes that passed held, at most what a model can take and give; no bytes, no tokens."""
        learned = self._protocols.get(protocol, self._others).of(model)
        if streamed and learned.events is not None and _can_be(events):
            output = min(round(learned.events.tokens_in(events)), _LONGEST_OUTPUT)
        else:
            output = learned.output_of(streamed).tokens_in(response_bytes, _LONGEST_OUTPUT)
        return EstimatedTokens(input=learned.input.tokens_in(request_bytes, _CONTEXT_WINDOW), output=output)


@dataclass(frozen=True, slots=True)
class _Pace:
    """How fast a ratio moves, in tokens that its prior would expect: what the start is worth, the most that a single
    sample is worth (a huge one must not rule), and how many the memory holds before the oldest fade."""

    start: int
    sample: int
    memory: int


# Input: the start is worth one agent's prompt, fifty of them fill the memory. Output: a page, and a hundred.
_INPUT_PACE: Final = _Pace(start=20_000, sample=100_000, memory=1_000_000)
_OUTPUT_PACE: Final = _Pace(start=1_000, sample=10_000, memory=100_000)


class _Ratio:
    """Tokens per byte: a mean weighted by bytes, which becomes an exponential one once its memory is full."""

    __slots__ = ("_evidence", "_pace", "_prior", "_tokens_per_byte")

    def __init__(self, prior: float, pace: _Pace, tokens_per_byte: float) -> None:
        self._prior = prior
        self._pace = pace
        self._tokens_per_byte = tokens_per_byte
        self._evidence = float(pace.start)

    @classmethod
    def from_prior(cls, bytes_per_token: float, pace: _Pace) -> "_Ratio":
        return cls(1 / bytes_per_token, pace, 1 / bytes_per_token)

    def heir(self) -> "_Ratio":
        """A ratio that starts where this one is, with the evidence of a mere start."""
        return _Ratio(self._prior, self._pace, self._tokens_per_byte)

    def learn(self, size: int, tokens: int) -> None:
        sample = min(max(tokens / size, _LEAST_TOKENS_PER_BYTE), _MOST_TOKENS_PER_BYTE)
        weight = min(size * self._prior, self._pace.sample)
        evidence = self._evidence + weight
        known = self._tokens_per_byte
        moved = known + weight / evidence * (sample - known)
        self._tokens_per_byte = min(max(moved, known / _LARGEST_STEP), known * _LARGEST_STEP)
        self._evidence = min(evidence, self._pace.memory)

    def tokens_in(self, size: int, most: int) -> int:
        if size <= 0:
            return 0
        return min(round(min(size, _LARGEST_BODY) * self._tokens_per_byte), most)


@dataclass(frozen=True, slots=True)
class _Ratios:
    input: _Ratio
    output: _Ratio
    output_streamed: _Ratio
    events: EventRatio | None  # None where an answer has no tokens that could be counted

    @classmethod
    def from_priors(cls, priors: Priors) -> "_Ratios":
        return cls(
            input=_Ratio.from_prior(priors.input, _INPUT_PACE),
            output=_Ratio.from_prior(priors.output, _OUTPUT_PACE),
            output_streamed=_Ratio.from_prior(priors.output_streamed, _OUTPUT_PACE),
            events=None
            if math.isinf(priors.output_streamed)
            else EventRatio(priors.output_streamed - _JSON_TEXT, _JSON_TEXT, priors.told_again),
        )

    def heirs(self) -> "_Ratios":
        events = None if self.events is None else self.events.heir()
        return _Ratios(self.input.heir(), self.output.heir(), self.output_streamed.heir(), events)

    def output_of(self, streamed: bool) -> _Ratio:
        return self.output_streamed if streamed else self.output


class _ProtocolRatios:
    """The ratios that all models of a protocol share, and each model's own."""

    __slots__ = ("_max_models", "_models", "_shared")

    def __init__(self, priors: Priors, max_models: int) -> None:
        self._max_models = max_models
        self._shared = _Ratios.from_priors(priors)
        self._models: dict[str, _Ratios] = {}

    def of(self, model: str) -> _Ratios:
        return self._models.get(model, self._shared)

    def taught_by(self, model: str) -> tuple[_Ratios, ...]:
        own = self._models.get(model)
        if own is None:
            if len(self._models) >= self._max_models:
                return (self._shared,)
            own = self._models[model] = self._shared.heirs()
        return (own, self._shared)


def _can_be(events: Events) -> bool:
    """Each event has more than a byte."""
    return 1 <= events.count <= events.size <= _LARGEST_BODY


def _is_lesson(size: int, tokens: int) -> bool:
    return 0 < size <= _LARGEST_BODY and 0 < tokens <= _LARGEST_COUNT
