"""The place that is kept for a model to which the others may leave nothing. Pure: the caller brings the time.

Even single requests of a model are refused while others get through: a storm has struck that model alone, or those
others have all the places that it shares with them. In the second case each place that comes free is taken again before
the model's next try. So one is kept for that try, and its refusal or success tells which it is.
"""

import math
from collections.abc import Collection, Mapping
from typing import Final

from extproc.domain.pacing.clock import Steady
from extproc.domain.pacing.gate import Gate

# The model's request goes at once if there is one.
_UNTIL_IT_STARTS: Final = 0.5
# A refusal comes within a round trip, and the news of it up to half a second later.
_UNTIL_IT_IS_KNOWN: Final = 1.0


class KeptPlace:
    """At most one place, kept for one of the `models` of an account."""

    __slots__ = ("_account", "_beside", "_model", "_models", "_until")

    def __init__(self, models: Mapping[str, Gate], account: Gate) -> None:
        self._models = models
        self._account = account
        self._model = ""
        self._until = -math.inf
        # How many of other models may be in flight meanwhile.
        self._beside = 0

    def came_free(self, model: str, wanting: Collection[str], t: Steady) -> None:
        """An answer of a model has ended; `wanting` are the models that have work waiting. Where nothing of the model
        waits, its place is not taken again, so it keeps nobody from anything."""
        if t < self._until or model not in wanting:
            return
        without = [
            (gate.limit.alone_since, each)
            for each, gate in self._models.items()
            if each != model and each in wanting and gate.limit.may_try_early(t)
        ]
        if without:
            _, starved = min(without)
            self._models[starved].limit.try_early(t)
            self.keep(starved, t)

    def keep(self, model: str, t: Steady) -> None:
        """The next place is a model's, if it takes it at once: as many of the others may be in flight as are now."""
        self._model = model
        self._beside = self._others()
        self._until = t + _UNTIL_IT_STARTS

    def started(self, model: str, t: Steady) -> None:
        """A request of a model has started."""
        if model == self._model and t < self._until:
            self._until = t + _UNTIL_IT_IS_KNOWN

    def refused(self, model: str) -> None:
        """A request of a model was refused."""
        if model == self._model:
            self._until = -math.inf

    def shuts_out(self, model: str, t: Steady) -> bool:
        """Whether a request of a model would take the place that is kept for another."""
        return t < self._until and model != self._model and self._others() >= self._beside

    def next_change(self, t: Steady) -> float | None:
        """When it is kept no longer; None if none is."""
        return self._until if t < self._until else None

    def _others(self) -> int:
        own = self._models.get(self._model)  # it may go by another name by now, or be forgotten
        return self._account.in_flight - (0 if own is None else own.in_flight)
