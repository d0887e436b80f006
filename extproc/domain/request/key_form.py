"""What a text that should be the Z.AI key is instead. Nothing here ever repeats the text."""

import re
from typing import Final

_USUAL: Final = re.compile(r"[0-9a-f]{32}\.[A-Za-z0-9]{16}")
_QUOTES: Final = "\"'`\u201c\u201d\u2018\u2019"
_NAMED: Final = re.compile(r"(export\s+)?[A-Za-z_][A-Za-z0-9_]*\s*=\s*[^=\s]")
_SCHEME: Final = re.compile(r"bearer\s", re.IGNORECASE)
_BLANK: Final = re.compile(r"<.*>|\[.*\]|\{.*\}|\$\{?\w+\}?|%\w+%|(.)\1{2,}|.*\u2026", re.DOTALL)
_SEPARATORS: Final = re.compile(r"[^a-z0-9]+")
_STAND_INS: Final = frozenset(
    ("key", "apikey", "zaikey", "zaiapikey", "secret", "token", "changeme", "changeit", "replaceme", "placeholder")
)
_PREFIX: Final = re.compile(r"sk-([a-z]{2,4}-)?", re.IGNORECASE)
_HERE: Final = re.compile(r"(zai|api|secret|token|key)*here")
_YOURS: Final = re.compile(r"(your|my|insert|enter|paste|put|replace|the)[a-z]*(key|token|secret|here|this)")


def what_is_needed(text: str) -> str | None:
    """What would be right in place of a text that can't be the key, as "need …"; None if it can be the key. White space
    around it is no fault."""
    key = text.strip()
    if not key:
        return "need the Z.AI key, this is empty"
    if key[0] in _QUOTES or key[-1] in _QUOTES:
        return "need the Z.AI key without the quotes around it"
    if _NAMED.match(key):
        return "need the Z.AI key alone, without the name and the = before it"
    if _SCHEME.match(key):
        return "need the Z.AI key alone, without the word Bearer before it"
    if _is_stand_in(key):
        return "need the Z.AI key itself, this is a text that stands for one"
    if not key.isascii() or not key.isprintable() or " " in key:
        return "need the Z.AI key in one line, without spaces"
    return None


def is_usual(key: str) -> bool:
    """Whether it has the form of Z.AI's keys: 32 hexadecimal digits, a dot, 16 letters and digits."""
    return _USUAL.fullmatch(key) is not None


def _is_stand_in(key: str) -> bool:
    letters = _SEPARATORS.sub("", key.lower())
    if _YOURS.match(letters):
        return True
    if prefix := _PREFIX.match(key):  # what comes after it may be of another's own making: nothing else may be there
        key = key[prefix.end() :]
        letters = _SEPARATORS.sub("", key.lower())
    return letters in _STAND_INS or any((_BLANK.fullmatch(key), _YOURS.fullmatch(letters), _HERE.fullmatch(letters)))
