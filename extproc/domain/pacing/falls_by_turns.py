"""Which models fall by turns, so that they may share a limit. Pure: the caller brings the time."""

from collections import deque
from typing import Final

from extproc.domain.pacing.clock import Steady

# Three falls of two models, one of each at least, within this time are no chance: a plan that shrinks strikes each of
# them once.
_FALLS: Final = 3
_WITHIN: Final = 300.0


class FallsByTurns:
    """Remembers which model fell while which other had grown. Times are steady seconds."""

    __slots__ = ("_falls",)

    def __init__(self) -> None:
        self._falls: dict[tuple[str, str], deque[Steady]] = {}

    def note(self, model: str, other: str, t: Steady) -> bool:
        """A model falls, and another has grown and gets through. Returns whether these two fall by turns."""
        for pair in [pair for pair, falls in self._falls.items() if falls[-1] < t - _WITHIN]:
            del self._falls[pair]
        of_model = self._falls.setdefault((model, other), deque(maxlen=_FALLS))
        of_model.append(t)
        of_other = self._falls.get((other, model), ())
        latest = sorted((*of_model, *of_other))[-_FALLS:]
        return bool(of_other) and len(latest) == _FALLS and latest[0] >= t - _WITHIN

    def forget(self) -> None:
        """A storm strikes models that share nothing, too: what was noted may be due to it."""
        self._falls.clear()
