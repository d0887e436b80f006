"""Paths that are nearly one of an API, as regular expressions: what a client is told of them stands in Envoy's routes.

They cost nobody a place or the key. What would go to Z.AI, since it stands below a path of its own, is matched before
every path that there is, letter by letter; all else after them, without regard to case.
"""

import re
from typing import Final

from extproc.domain.request.routes import labels

_PAAS: Final = "/api/paas/v4/"
_ELSEWHERE_TOO: Final = frozenset(("chat", "embeddings", "models", "v1", "realtime"))
_ANY: Final = "[a-z]"
_OF_OPENAI: Final = ("chat/completions", "embeddings", "models", "responses")
_OPENAI_BASES: Final = "openai(/v1)?|(coding/)?paas(/v4)?|coding|v4|v1"


def slips(word: str) -> str:
    """A regular expression for a word, and for all that one letter too much, too few, wrong or in another's place makes
    of it."""
    ways = [word]
    for at in range(len(word)):
        before, here, behind = word[:at], word[at], word[at + 1 :]
        ways.append(f"{before}{_ANY}?{behind}")
        ways.append(f"{before}{_ANY}{here}{behind}")
        if behind and behind[0] != here:
            ways.append(f"{before}{behind[0]}{here}{behind[1:]}")
    return "|".join(ways)


def _near(singular: str) -> str:
    return f"({slips(singular)})s?{_ANY}?"


BASES: Final = f"(api/)?(anthropic(/v1)?|{_OPENAI_BASES}|api)?/?"
"""A base URL, of this proxy or of Z.AI, that was taken for the path itself; behind its first slash."""

BASE_PARTS: Final = "(/(api|anthropic|openai|coding|paas|v1|v4))*"
"""Any number of parts of base URLs, in any order."""

ENDPOINTS: Final = f"{'|'.join(_OF_OPENAI)}|messages(/count_tokens)?"
"""What a client adds to its base URL, behind a slash and `v1`. Below one of these no other has a place."""


def _right(*endpoints: str) -> str:
    """The paths that there are of these endpoints: a base URL and no more before them."""
    path = re.compile(f"{BASE_PARTS}/({'|'.join(endpoints)})")
    return "|".join(sorted(label for label in labels() if path.fullmatch(label)))


RIGHT_MESSAGES: Final = _right("messages")
RIGHT_OF_OPENAI: Final = _right(*_OF_OPENAI)
"""The paths of an endpoint whose base is right; where it is made of the same parts otherwise, it is wrong."""

NEAR_MESSAGES: Final = f"{_near('message')}|complete"
NEAR_COMPLETIONS: Final = _near("completion")
NEAR_CHAT: Final = f"chats?|chats?/[^/]*|{NEAR_COMPLETIONS}"
NEAR_RESPONSES: Final = _near("response")
NEAR_EMBEDDINGS: Final = _near("embedding")
NEAR_MODELS: Final = _near("model")
"""What the end of a path, or a part of it, looks like that was meant to be one of these."""

ONLY_IN_PAAS: Final = "|".join(
    sorted({label.removeprefix(_PAAS).split("/")[0] for label in labels() if label.startswith(_PAAS)} - _ELSEWHERE_TOO)
)
"""How paths begin that Z.AI has below its OpenAI base paths, and this proxy not below /v1: images, files, audio."""
