"""How Claude Code comes back after a refusal: ten times, 0.5 s doubled each time up to 32 s, and up to a quarter more.

A `retry-after` is waited for as it is told, and `x-should-retry` is obeyed both ways. Pure.
"""

import random
from collections.abc import Mapping
from typing import Final

_TRIES: Final = 10
_FIRST: Final = 0.5
_LONGEST: Final = 32.0
_JITTER: Final = 0.25
_RETRIED: Final = frozenset({408, 409, 429})


def back_off(
    tries: int, status: int | None, headers: Mapping[str, str], dice: random.Random, speed: float
) -> float | None:
    """Seconds until the client comes back after `tries` refusals; None when it gives up.

    `status` is None for a connection that broke. `speed` shortens the client's own back-off; what the server told is
    in real seconds.
    """
    if tries > _TRIES or not _is_retried(status, headers.get("x-should-retry")):
        return None
    if told := headers.get("retry-after"):
        return float(told)
    wait = min(_FIRST * 2.0 ** (tries - 1), _LONGEST)
    return wait * (1.0 + dice.random() * _JITTER) / speed


def _is_retried(status: int | None, should: str | None) -> bool:
    if should is not None:
        return should == "true"
    return status is None or status in _RETRIED or status >= 500
