"""Slows down whoever tries tokens. Pure: the caller brings the time."""

from collections import OrderedDict
from typing import Final

_FREE_TRIES: Final = 3
_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 5.0
_FORGIVEN_AFTER: Final = 600.0
_MOST_PEERS: Final = 10_000


class WrongTokens:
    """Remembers the wrong tokens of each peer: the first few cost nothing, as people mistype, then each one doubles the
    pause."""

    def __init__(self) -> None:
        self._tries: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def pause(self, peer: str, now: float) -> float:
        """A wrong token has come from `peer` at `now` (steady seconds): how many seconds its answer should wait."""
        tries, last = self._tries.pop(peer, (0, now))
        tries = 1 if now - last > _FORGIVEN_AFTER else tries + 1
        self._tries[peer] = (tries, now)
        if len(self._tries) > _MOST_PEERS:
            self._tries.popitem(last=False)
        doublings = tries - _FREE_TRIES - 1
        return 0.0 if doublings < 0 else min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(doublings, 10))
