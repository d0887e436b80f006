"""One turn of a model: what the request asks, and what the scenario makes the model say. Pure, dialects apart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from simulator.api.sse import Reports
from simulator.scenario.agent_script import AGENT_SCRIPT
from simulator.scenario.model import DEFAULT_EVENTS, Scenario, ToolCall, UsageForm

BYTES_PER_TOKEN = 4
_THINKING_EVENTS = 4
_CACHEABLE_BYTES = 1 << 20

_SAID = ("The ", "answer ", "is ", "naïve ", "but ", "明白 ", "and ", "short", ": ", "42 ", "🙂 ", "indeed. ")
_THOUGHT = ("Let ", "me ", "think ", "über ", "思考 ", "this. ")


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request asks for. `served` is the model that answers, `thinks` whether it shows its thinking."""

    model: str
    served: str
    stream: bool
    tools: frozenset[str]
    has_tool_result: bool
    thinks: bool
    input_tokens: int
    max_tokens: int | None = None
    tool_stream: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a turn; the three inputs are disjoint, `reasoning` is a part of `output`."""

    input: int = 0
    cached: int = 0
    cache_creation: int = 0
    output: int = 0
    reasoning: int = 0

    @property
    def all_input(self) -> int:
        return self.input + self.cached + self.cache_creation

    def share(self, sent: int, total: int) -> Usage:
        """The usage when only `sent` of `total` pieces were generated; the prompt was read whole."""
        if sent >= total and total:
            return self
        output = self.output * sent // total if total else 0
        return Usage(self.input, self.cached, self.cache_creation, output, min(self.reasoning, output))


@dataclass(frozen=True, slots=True)
class Turn:
    """What the model says, in the pieces in which it says it."""

    log_id: str
    created: int
    model: str
    thinking: Sequence[str]
    text: Sequence[str]
    tool: ToolCall | None
    tool_stream: bool
    stop_reason: str | None
    usage: Usage
    usage_form: UsageForm
    pings: int
    web_search: bool = False

    @property
    def pieces(self) -> int:
        """The number of content events: thinking, text, and one for a tool call."""
        return len(self.thinking) + len(self.text) + (self.tool is not None)


def reported(turn: Turn, reports: Reports, sent: int) -> Usage | None:
    """The usage that a client has read when `sent` content events went out and the usage events say `reports`."""
    if reports is Reports.NOTHING or turn.usage_form is UsageForm.NONE:
        return None
    if turn.usage_form is UsageForm.ZERO:
        return Usage()
    if reports is Reports.FINAL:
        return turn.usage
    return turn.usage.share(0 if turn.usage_form is UsageForm.AT_START else sent, turn.pieces)


def compose(ask: Ask, scenario: Scenario, *, log_id: str, created: int, cached: int = 0) -> Turn:
    """The turn that answers `ask` as `scenario` has it, `cached` tokens of the prompt being in memory already."""
    thinking, thought = _thinking(ask, scenario)
    text, said = _text(ask, scenario)
    tool = _tool(ask, scenario)
    stop = scenario.stop_reason
    if stop is None and tool is None and _cut_short(ask, scenario):
        stop = "max_tokens"
    return Turn(
        log_id=log_id,
        created=created,
        model=scenario.model if scenario.model is not None else ask.served,
        thinking=thinking,
        text=text,
        tool=tool,
        tool_stream=ask.tool_stream,
        stop_reason=stop,
        usage=_usage(ask, scenario, cached, thought, said + (tool is not None)),
        usage_form=scenario.usage,
        pings=scenario.pings,
        web_search=scenario.web_search,
    )


def _usage(ask: Ask, scenario: Scenario, cached: int, thought: int, said: int) -> Usage:
    fresh, hit = _input(ask, scenario, cached)
    reasoning = thought if scenario.reasoning_tokens is None else scenario.reasoning_tokens
    output = max(thought + said, reasoning) if scenario.output_tokens is None else scenario.output_tokens
    return Usage(
        input=fresh,
        cached=hit,
        cache_creation=scenario.cache_creation_tokens,
        output=output,
        reasoning=min(reasoning, output),
    )


def _input(ask: Ask, scenario: Scenario, cached: int) -> tuple[int, int]:
    """The tokens of the prompt that are new, and those from memory: never all, as the last one is always read."""
    if scenario.input_tokens is None and scenario.cached_tokens is None:
        hit = min(cached, ask.input_tokens - 1)
        return ask.input_tokens - hit, hit
    fresh = ask.input_tokens if scenario.input_tokens is None else scenario.input_tokens
    return fresh, scenario.cached_tokens or 0


def _tool(ask: Ask, scenario: Scenario) -> ToolCall | None:
    if scenario.tool_call is not None:
        return scenario.tool_call
    if ask.has_tool_result:
        return None
    script = scenario.script or (AGENT_SCRIPT if scenario.agent else ())
    return next((call for call in script if call.name in ask.tools), None)


def _cut_short(ask: Ask, scenario: Scenario) -> bool:
    plain = scenario.events is None and scenario.text is None and scenario.content_bytes is None
    return plain and ask.max_tokens is not None and ask.max_tokens < DEFAULT_EVENTS


def _thinking(ask: Ask, scenario: Scenario) -> tuple[Sequence[str], int]:
    count = scenario.thinking
    if count is None:
        count = _THINKING_EVENTS if ask.thinks else 0
    return _pieces(_THOUGHT, count, 0)


def _text(ask: Ask, scenario: Scenario) -> tuple[Sequence[str], int]:
    """The pieces of the text, and the tokens that they are worth."""
    if scenario.text is not None:
        pieces = _split(scenario.text, scenario.events)
        return pieces, max(len(pieces), len(scenario.text.encode()) // BYTES_PER_TOKEN)
    count = DEFAULT_EVENTS if scenario.events is None else scenario.events
    if _cut_short(ask, scenario) and ask.max_tokens is not None:
        count = ask.max_tokens
    if scenario.content_bytes is not None:
        return _spread(scenario.content_bytes, count)
    return _pieces(_SAID, count, scenario.event_bytes)


def _split(text: str, count: int | None) -> Sequence[str]:
    """`text` in `count` pieces, or word by word."""
    if count is None:
        return re.findall(r"\s*\S+\s*", text) or ([text] if text else [])
    if count == 0:
        return []
    cuts = [len(text) * n // count for n in range(count + 1)]
    return [text[start:end] for start, end in pairwise(cuts)]


def _spread(total: int, count: int) -> tuple[Sequence[str], int]:
    """`total` bytes of text over `count` pieces."""
    count = max(count, 1)
    base, more = divmod(total, count)
    pieces = [_filler(base + 1)] * more + [_filler(base)] * (count - more)
    return pieces, max(1, total // BYTES_PER_TOKEN)


def _pieces(words: tuple[str, ...], count: int, size: int) -> tuple[Sequence[str], int]:
    if size:
        return [_filler(size)] * count, max(count, count * size // BYTES_PER_TOKEN)
    return _words(words, count), count


@lru_cache(maxsize=64)
def _words(words: tuple[str, ...], count: int) -> tuple[str, ...]:
    times, rest = divmod(count, len(words))
    return words * times + words[:rest]


def _filler(size: int) -> str:
    """Text of exactly `size` bytes of UTF-8."""
    return _make_filler(size) if size > _CACHEABLE_BYTES else _cached_filler(size)


@lru_cache(maxsize=32)
def _cached_filler(size: int) -> str:
    return _make_filler(size)


def _make_filler(size: int) -> str:
    paragraph = "".join(_SAID).encode()
    cut = (paragraph * (size // len(paragraph) + 1))[:size]
    text = cut.decode(errors="ignore")
    return text + "." * (size - len(text.encode()))


def estimated_tokens(size: int) -> int:
    """The tokens of a prompt of `size` bytes, roughly: at least one."""
    return max(1, size // BYTES_PER_TOKEN)
