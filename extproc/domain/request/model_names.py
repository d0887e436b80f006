"""Which model serves a request that asks for a name: learned from answers. Pure.

A plan serves names that are none of its own (`claude-…`), and some of its own by a newer model, so the name in a
request does not say whose limits and price will count.
"""

import re
from collections import OrderedDict
from typing import Final

_LONGEST: Final = 64
_UNSEEN: Final = re.compile(r"[^!-~]")


def model_name(text: str) -> str:
    """A model's name as it may be kept and shown: 64 characters, what is no visible ASCII replaced by `_`."""
    name = text[:_LONGEST]
    return name if _UNSEEN.search(name) is None else _UNSEEN.sub("_", name)


class ModelNames:
    """The names that were asked for lately, `limit` at most, and what answered them last; the longest unused goes.

    Names are as `model_name` leaves them. Raises ValueError unless limit >= 1.
    """

    def __init__(self, limit: int = 200) -> None:
        if limit < 1:
            raise ValueError(f"limit={limit}: need at least 1")
        self._limit = limit
        self._served: OrderedDict[str, str] = OrderedDict()

    def learn(self, asked: str, served: str) -> None:
        """A request for `asked` was answered by `served`; says nothing if either is unknown."""
        if not asked or not served:
            return
        self._served[asked] = served
        self._served.move_to_end(asked)
        if len(self._served) > self._limit:
            self._served.popitem(last=False)

    def serves(self, asked: str) -> str:
        """What would serve this name, as far as is known; empty if nobody has seen it answered. Counts as a use."""
        served = self._served.get(asked, "")
        if served:
            self._served.move_to_end(asked)
        return served

    def pairs(self) -> list[tuple[str, str]]:
        """Each name with what serves it, the longest unused first."""
        return list(self._served.items())
