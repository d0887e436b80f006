"""What a text that should be the Z.AI key is instead. Nothing here ever repeats the text."""

import re
from typing import Final

_USUAL: Final = re.compile(r"[0-9a-f]{32}\.[A-Za-z0-9]{16}")
_QUOTES: Final = "\"'`\u201c\u201d\u2018\u2019"
_NAMED: Final = re.compile(
    r"((export|set|env|setx)\s+|\$env:)?[a-z_][a-z0-9_-]*\s*(=\s*[^=\s]|:\s+\S)"
    r"|(export|set|env|setx)\s+[a-z_][a-z0-9_]*\s+\S",
    re.IGNORECASE,
)
_SCHEME: Final = re.compile(r"(authorization\s*[:=]\s*)?bearer([\s:=,]|%20)", re.IGNORECASE)
_TWICE: Final = re.compile(rf"({_USUAL.pattern})[,;]*\1")
_WITHIN: Final = re.compile(rf"(?<![A-Za-z0-9]){_USUAL.pattern}(?![A-Za-z0-9])")
_STRAY: Final = ";,:|&\\"
"""What stands before or behind a text where it was copied from, and never in a key."""
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
    if _SCHEME.match(key):
        return "need the Z.AI key alone, without the word Bearer before it"
    if _NAMED.match(key):
        return "need the Z.AI key alone, without the name and the = before it"
    if _TWICE.fullmatch(key):
        return "need the Z.AI key once, this is the same one twice"
    if _is_stand_in(key):
        return "need the Z.AI key itself, this is a text that stands for one"
    if any(letter.isspace() for letter in key):
        return "need the Z.AI key in one line, without spaces"
    if not key.isascii() or not key.isprintable():
        return "need the Z.AI key in plain letters and digits, this has a character that no key has"
    if key[0] in _STRAY or key[-1] in _STRAY:
        return "need the Z.AI key alone, without the ; or , (or the like) before or behind it"
    if _WITHIN.search(key) and not is_usual(key):
        return "need the Z.AI key alone, there is something before or behind it"
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
