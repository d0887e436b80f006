"""The two ends of the books: the tokens that the simulator reported, and those that the proxy counted."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from tests.harness.readings import Readings

_DIRECTIONS = {"input": "input", "cached": "cache_read", "cache_creation": "cache_write", "output": "output"}

Tokens = Mapping[tuple[str, str], int]
"""By model and direction; what is 0 is left out."""


def reported(entries: Iterable[Mapping[str, Any]]) -> Tokens:
    """What the simulator's answers said."""
    tokens: Counter[tuple[str, str]] = Counter()
    for entry in entries:
        for kind, direction in _DIRECTIONS.items():
            tokens[entry["model"], direction] += (entry["usage_sent"] or {}).get(kind, 0)
    return +tokens


def counted(difference: Readings) -> Tokens:
    """What the proxy counted, without what it had to estimate."""
    tokens: Counter[tuple[str, str]] = Counter()
    for (series, labels), value in difference.samples.items():
        label = dict(labels)
        if series == "zai_proxy_tokens_total":
            tokens[label["model"], label["direction"]] += int(value)
        elif series == "zai_proxy_estimated_tokens_total":
            tokens[label["model"], label["direction"]] -= int(value)
    return +tokens
