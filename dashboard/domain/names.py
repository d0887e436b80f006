"""What a name may be that a person gives. Pure."""

import unicodedata
from typing import Final

MOST_NAMES: Final = 500
LONGEST_NAME: Final = 60
LONGEST_KEY: Final = 200
"""Of a client or a session no more is kept."""
# Control characters and what turns the direction of a text, surrogates, private and unassigned ones, ends of lines.
_REFUSED: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Joins the parts of one picture.
_JOINER: Final = "\u200d"


def proper_name(text: str) -> str:
    """The name without spaces around it, empty for none. Raises ValueError, with a sentence, for what can't be one."""
    name = text.strip()
    if len(name) > LONGEST_NAME:
        raise ValueError(f"name: need at most {LONGEST_NAME} characters")
    if any(unicodedata.category(each) in _REFUSED and each != _JOINER for each in name):
        raise ValueError("name: need one line, without control characters")
    return name
