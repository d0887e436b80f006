"""Lengths of time as people write them: `5`, `0.5s`, `15m`, `24h`, `30d`."""

import re
from typing import Final

_FORM: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ?(s|m|h|d|w)?")
_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0, None: 1.0}


def parse_duration(text: str) -> float:
    """Seconds; a number without a unit is seconds. Raises ValueError."""
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text[:50]!r} is no length of time")
    return float(match[1]) * _SECONDS[match[2]]


def spoken_duration(seconds: float) -> str:
    """As a person says it: `20 s`, `5 min`, `3 h`, `2 days`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} min"
    if seconds < 2 * 86400:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 86400:.0f} days"
