"""Where the Z.AI key stands in a text of others, so that nobody reads it there."""

import re
from functools import lru_cache
from typing import Final

HIDDEN: Final = "***"
LONG: Final = 8
"""Characters from which on a key that stands in a text is no accident. A shorter one has to stand by itself: `x` is in
many words, and to take it out of them all would spoil the text, and show the key by what is missing."""


def without_key(text: str, key: str) -> str:
    """The text with stars in place of the key."""
    return _pattern(key).sub(HIDDEN, text) if key else text


def holds_key(text: str, key: str) -> bool:
    """Whether the key stands in the text."""
    return bool(key) and _pattern(key).search(text) is not None


@lru_cache(maxsize=4)
def _pattern(key: str) -> re.Pattern[str]:
    literal = re.escape(key)
    return re.compile(literal if len(key) >= LONG else rf"(?<![A-Za-z0-9]){literal}(?![A-Za-z0-9])")
