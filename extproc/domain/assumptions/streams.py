"""Where streams tell their tokens, and how they end."""

from collections.abc import Callable
from typing import Final

from extproc.domain.assumptions import trials
from extproc.domain.assumptions.evidence import Assumption, Evidence, Judgement, answered, told
from extproc.domain.assumptions.exchange import Event, usage_of
from extproc.domain.assumptions.wording import word

_LONGEST_END: Final = 1.0
_SHORTEST_GAP: Final = 0.001
_USAGE_LOST: Final = "Tokens of such streams are counted wrongly, or estimated. Send us what was seen (--record)."
_END_LOST: Final = (
    "Whether such a stream was whole is told wrongly, and a client that leaves at its end counts as one that broke off."
)


def _stream_anthropic(evidence: Evidence) -> Judgement:
    if missing := answered(evidence, "stream anthropic"):
        return missing
    usages = [(event, usage_of(event.fields)) for event in evidence.exchanges["stream anthropic"].events()]
    start = next((figures for event, figures in usages if event.fields.get("type") == "message_start"), {})
    deltas = [figures for event, figures in usages if event.fields.get("type") == "message_delta" and figures]
    figures = deltas[-1] if deltas else {}
    seen = (
        f"{len(deltas)} message_delta with usage, the last with {figures.get('input_tokens', 'no')} input and "
        f"{figures.get('output_tokens', 'no')} output; message_start has {start.get('input_tokens', 'no')} input"
    )
    final = bool(figures.get("input_tokens")) and "output_tokens" in figures
    return told(len(deltas) == 1 and final and not start.get("input_tokens"), seen)


def _stream_chat(evidence: Evidence) -> Judgement:
    if missing := answered(evidence, "stream chat"):
        return missing
    chunks = [event for event in evidence.exchanges["stream chat"].events() if event.fields]
    with_usage = [n for n, event in enumerate(chunks, start=1) if usage_of(event.fields).get("prompt_tokens")]
    seen = f"usage in chunk {', '.join(map(str, with_usage[:5])) or 'none'} of {len(chunks)}"
    has_choices = bool(with_usage) and bool(chunks[-1].fields.get("choices"))
    return told(with_usage == [len(chunks)] and has_choices, seen + (", with choices" if has_choices else ""))


def _stream_responses(evidence: Evidence) -> Judgement:
    if missing := answered(evidence, "stream responses"):
        return missing
    ends = ("response.completed", "response.incomplete")
    events = evidence.exchanges["stream responses"].events()
    kinds = [word(str(event.fields.get("type", ""))) for event in events if usage_of(event.fields).get("input_tokens")]
    return told(len(kinds) == 1 and kinds[0] in ends, f"usage in {', '.join(kinds[:5]) or 'no event'}")


def _final(trial: str, expected: str) -> Callable[[Evidence], Judgement]:
    """The last event is the expected one, and the body ends soon after."""

    def judge(evidence: Evidence) -> Judgement:
        if missing := answered(evidence, trial):
            return missing
        exchange = evidence.exchanges[trial]
        events = [event for event in exchange.events() if event.data]
        if not events:
            return told(False, "no event at all")
        last = events[-1]
        name = last.data if last.data == "[DONE]" else _type_of(last)
        gap = max(0.0, exchange.ended - last.at)
        when = f"{gap * 1000:.0f} ms later" if gap >= _SHORTEST_GAP else "at once"
        return told(name == expected and gap <= _LONGEST_END, f"{name}, and the end {when}")

    return judge


def _type_of(event: Event) -> str:
    return word(kind) if isinstance(kind := event.fields.get("type"), str) else "an event without type"


def _ends_with(surface: str, last: str, more: str = "") -> Assumption:
    assumed = f"{last}{more}, and the end of the body within 1 s"
    return Assumption(f"end of streams, {surface}", assumed, _END_LOST, _final(trials.name_of("stream", surface), last))


STREAMS: Final = (
    Assumption(
        "usage in streams, Anthropic",
        "0 in message_start, all of it in one message_delta at the end",
        _USAGE_LOST,
        _stream_anthropic,
    ),
    Assumption(
        "usage in streams, Chat",
        "in the last chunk, the one with the finish_reason, unasked",
        _USAGE_LOST,
        _stream_chat,
    ),
    Assumption(
        "usage in streams, Responses",
        "in response.completed or response.incomplete",
        _USAGE_LOST,
        _stream_responses,
    ),
    _ends_with("Anthropic", "message_stop"),
    _ends_with("Chat", "[DONE]"),
    _ends_with("Responses", "[DONE]", " after the last event"),
)
