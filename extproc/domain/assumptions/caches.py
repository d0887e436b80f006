"""What the cache of prompts keeps, and how its tokens are told."""

from typing import Final

from extproc.domain.assumptions.evidence import Assumption, Evidence, Judgement, answered, told, untold
from extproc.domain.assumptions.exchange import Exchange, usage_of

_NEARLY: Final = 0.1
_LEAST_CACHED: Final = 1024


def _cached(exchange: Exchange) -> int:
    figures = usage_of(exchange.fields)
    return figures.get("cache_read_input_tokens", 0) or figures.get("cached_tokens", 0)


def _cached_beside(evidence: Evidence) -> Judgement:
    if missing := answered(evidence, "cache first", "cache again"):
        return missing
    first, again = evidence.exchanges["cache first"], evidence.exchanges["cache again"]
    whole = usage_of(first.fields).get("input_tokens", 0) + _cached(first)
    rest, cached = usage_of(again.fields).get("input_tokens", 0), _cached(again)
    if not cached or not whole:
        return untold("the second of two equal prompts was not taken from the cache")
    seen = f"{rest:,} input_tokens beside {cached:,} cached; the same prompt was {whole:,} in all"
    if abs(rest + cached - whole) <= _NEARLY * whole:
        return told(True, seen)
    return told(False, seen)


def _cache_hit(evidence: Evidence) -> Judgement:
    if missing := answered(evidence, "cache first", "cache again"):
        return missing
    again = evidence.exchanges["cache again"]
    cached, rest = _cached(again), usage_of(again.fields).get("input_tokens", 0)
    if not cached:
        seen = f"none of {rest:,} tokens came from the cache when the same prompt was sent again at once"
        return untold(f"{seen}; it may take no prompt this short") if rest < _LEAST_CACHED else told(False, seen)
    return told(True, f"{cached:,} tokens came from the cache when the same prompt was sent again at once")


def _attribution(evidence: Evidence) -> Judgement:
    if missing := answered(evidence, "cache again", "cache other line"):
        return missing
    same, other = (_cached(evidence.exchanges[trial]) for trial in ("cache again", "cache other line"))
    if not same:
        return untold("nothing came from the cache, with the same line either")
    return told(other < same / 2, f"{other:,} tokens from the cache after another line, {same:,} after the same")


def _cache_writes(evidence: Evidence) -> Judgement:
    if missing := answered(evidence, "cache first"):
        return missing
    written = usage_of(evidence.exchanges["cache first"].fields).get("cache_creation_input_tokens", 0)
    return told(not written, f"{written:,} tokens" if written else "absent, or 0")


CACHES: Final = (
    Assumption(
        "cached tokens, Anthropic",
        "stand beside input_tokens, not inside",
        "Cached tokens are counted twice, as input and as cache_read: usage, prices and credits come out too high.",
        _cached_beside,
    ),
    Assumption(
        "cache hit at once",
        "the same prompt again is taken from the cache",
        "Short or quick repeats cost the full price; what the proxy tells of lost cache hits is too dark.",
        _cache_hit,
    ),
    Assumption(
        "attribution line",
        "is not stripped: another line at the front of a prompt loses the cache",
        "Good news: Claude Code needs no CLAUDE_CODE_ATTRIBUTION_HEADER=0 for its cache hits.",
        _attribution,
    ),
    Assumption(
        "cache writes",
        "no cache_creation_input_tokens: they are free",
        "Such tokens are counted as cache_creation; whether they cost something, the price table does not know.",
        _cache_writes,
    ),
)
