"""Slowing down whoever tries tokens. Pure: the caller brings the time, and does the waiting."""

from dataclasses import dataclass
from typing import Final

_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 5.0
_FORGIVEN_AFTER: Final = 60.0
_MOST_WAITING_EACH: Final = 4
_MOST_WAITING: Final = 64
_MOST_REMEMBERED: Final = 1000


@dataclass(slots=True)
class _Attempts:
    wrong: int
    last: float
    waiting: int = 0


class Throttle:
    """Each wrong token of an address doubles its pause, from half a second to five; a quiet minute forgives them."""

    def __init__(self) -> None:
        self._by_address: dict[str, _Attempts] = {}
        self._waiting = 0

    def may_try(self, address: str) -> bool:
        """Whether a token of this address is looked at at all: not while several wrong ones wait for their answer."""
        known = self._by_address.get(address)
        return self._waiting < _MOST_WAITING and (known is None or known.waiting < _MOST_WAITING_EACH)

    def wrong(self, address: str, now: float) -> float:
        """A wrong token at this monotonic time: how many seconds its answer has to wait, until `answered`."""
        self._forget(now)
        known = self._by_address.setdefault(address, _Attempts(0, now))
        known.wrong, known.last, known.waiting = known.wrong + 1, now, known.waiting + 1
        self._waiting += 1
        return float(min(_FIRST_PAUSE * 2 ** min(known.wrong - 1, 10), _LONGEST_PAUSE))

    def answered(self, address: str) -> None:
        """The wrong token's answer has been given."""
        self._waiting -= 1
        if (known := self._by_address.get(address)) is not None:
            known.waiting -= 1

    def _forget(self, now: float) -> None:
        quiet = [
            key for key, each in self._by_address.items() if not each.waiting and now - each.last > _FORGIVEN_AFTER
        ]
        for key in quiet:
            del self._by_address[key]
        while len(self._by_address) >= _MOST_REMEMBERED:
            idle = next((key for key, each in self._by_address.items() if not each.waiting), None)
            if idle is None:
                return
            del self._by_address[idle]
