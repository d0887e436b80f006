"""One line for each request, the most useful first; no credential, query value or body in it."""

import json
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from common.settings import LogFormat
from extproc.domain.request.labels import method_label
from extproc.domain.usage.log_entry import NETWORK_ERROR, Ending, LogEntry
from extproc.domain.usage.outcome import Outcome, Usage

_LONGEST_TEXT: Final = 120
_MOST_LINES: Final = 50


class RequestLog:
    """Writes the lines. Probes that succeed are left out: they would drown the rest.

    Lines are kept until `flush`, up to fifty of them: `write` wakes a thread up, and that costs more than a line does.
    """

    def __init__(self, write: Callable[[str], None], log_format: LogFormat) -> None:
        self._write = write
        self._render = _as_json if log_format is LogFormat.JSON else _as_text
        self._lines: list[str] = []

    def write(self, outcome: Outcome) -> None:
        if outcome.route.is_probe and outcome.status < 400:
            return
        self._lines.append(self._render(describe(outcome)) + "\n")
        if len(self._lines) >= _MOST_LINES:
            self.flush()

    def flush(self) -> None:
        """Writes what has been kept."""
        if self._lines:
            text = "".join(self._lines)
            self._lines.clear()
            self._write(text)


def describe(outcome: Outcome) -> dict[str, object]:
    """The fields of a line, in order of usefulness. Times are seconds, sizes bytes; what is empty is left out."""
    entry, usage = outcome.entry, outcome.usage
    fields = {
        "time": _time(entry.started),
        "status": outcome.status,
        "error": outcome.error,
        "refused": entry.refused,
        "zai_code": entry.business_code,
        "method": method_label(entry.method),
        "path": outcome.route.label,
        "duration": round(entry.duration, 3),
        "waited": round(entry.waited, 3) if entry.waited else None,
        "first_byte": None if entry.first_byte is None else round(entry.first_byte, 3),
        "attempts": entry.attempts if entry.attempts > 1 else None,
        "model": entry.answer.model[:_LONGEST_TEXT],
        "model_asked": entry.model_asked[:_LONGEST_TEXT] if entry.model_asked != entry.answer.model else None,
    }
    if usage is not None:
        _add_usage(fields, usage)
    fields |= {
        "stop": NETWORK_ERROR if entry.answer.stop == NETWORK_ERROR else None,
        "unread": entry.answer.unread,
        "request_bytes": entry.request_bytes,
        "response_bytes": entry.response_bytes,
        "client": entry.client or entry.source,
        "request_id": entry.request_id[:_LONGEST_TEXT],
        "user_agent": entry.user_agent[:_LONGEST_TEXT],
        "why": entry.details if _needs_reason(outcome, entry) else None,
    }
    return {name: value for name, value in fields.items() if value is not None and value != ""}


def _needs_reason(outcome: Outcome, entry: LogEntry) -> bool:
    if outcome.status >= 500:
        return True
    return entry.ending is not Ending.COMPLETE and (outcome.error is not None or outcome.status >= 400)


def _add_usage(fields: dict[str, object], usage: Usage) -> None:
    tokens = usage.tokens
    fields["input_tokens"] = tokens.input
    fields["output_tokens"] = tokens.output
    fields["cache_read_tokens"] = tokens.cache_read or None
    fields["cache_write_tokens"] = tokens.cache_write or None
    fields["tokens_are"] = usage.record.value
    fields["cost_usd"] = None if usage.cost is None else round(usage.cost.total, 6)


def _time(at: float) -> str:
    milliseconds = round(at * 1000)
    return f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"


@lru_cache(maxsize=64)
def _second(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))


def _as_json(fields: dict[str, object]) -> str:
    return json.dumps(fields)


def _as_text(fields: dict[str, object]) -> str:
    head = " ".join(str(fields.pop(name)) for name in ("time", "status", "method", "path"))
    return f"{head}  " + " ".join(f"{name}={_safe(value)}" for name, value in fields.items())


def _safe(value: object) -> str:
    text = str(value)
    if isinstance(value, int | float):
        return text
    return text if text.isprintable() and " " not in text else json.dumps(text)
