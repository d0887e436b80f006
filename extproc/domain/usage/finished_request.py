"""A finished request as the feed tells it: what it was and what it cost, never what it said."""

from extproc.domain.request.labels import method_label
from extproc.domain.request.programs import program_of
from extproc.domain.usage.outcome import Outcome, Usage


def as_json(outcome: Outcome) -> dict[str, object]:
    """The record, ready for JSON. `started` is Unix time; other times are seconds, sizes bytes; null is "unknown"."""
    entry, usage = outcome.entry, outcome.usage
    return {
        "id": entry.exchange_id or None,
        "request_id": entry.request_id,
        "started": entry.started,
        "client": entry.client or entry.source or None,
        "program": program_of(entry.user_agent) or None,
        "session": entry.session or None,
        "agent": entry.agent or None,
        "lane": entry.lane or None,
        "method": method_label(entry.method),
        "path": outcome.route.label,
        "status": outcome.status,
        "error": outcome.error,
        "refused": entry.refused or None,
        "code": entry.business_code or None,
        "waited": entry.waited,
        "duration": entry.duration,
        "first_byte": entry.first_byte,
        "request_bytes": entry.request_bytes,
        "response_bytes": entry.response_bytes,
        "attempts": entry.attempts,
        "model": (entry.answer.model if usage is None else usage.model) or None,
        "model_asked": entry.model_asked or None,
        "stop": entry.answer.stop or None,
        "unread": entry.answer.unread or None,
        **_usage(usage),
    }


def _usage(usage: Usage | None) -> dict[str, object]:
    if usage is None:
        return {"tokens": None, "tokens_are": None, "cost_usd": None, "credits": None}
    tokens = usage.tokens
    return {
        "tokens": {
            "input": tokens.input,
            "output": tokens.output,
            "cache_read": tokens.cache_read,
            "cache_write": tokens.cache_write,
            "reasoning": tokens.reasoning,
        },
        "tokens_are": usage.record.value,
        "cost_usd": None if usage.cost is None else usage.cost.total,
        "credits": usage.credits,
    }
