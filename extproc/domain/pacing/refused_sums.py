"""Which models are refused at one sum, whatever each has of it. Pure: the caller brings the time.

Models of which each has a limit of its own are each refused at a level of its own, until the plan changes. If they
share one, what one has more the others have less: the levels at which each is refused vary, and the sum of all does
not.
"""

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from extproc.domain.pacing.clock import Steady

_WITHIN: Final = 300.0
# What is refused at several levels within this time has shrunk, or met a storm.
_ONE_CHANGE: Final = 10.0
# Of more than these that were refused lately, no set is looked at.
_MOST_OTHERS: Final = 4
_KEPT: Final = 64


@dataclass(frozen=True, slots=True)
class _Refusal:
    at: Steady
    model: str
    in_flight: Mapping[str, int]

    def sum(self, models: Collection[str]) -> int:
        return sum(self.in_flight.get(model, 0) for model in models)


class RefusedSums:
    """Remembers how many of each model were at the upstream when one was refused. Times are steady seconds."""

    __slots__ = ("_refusals",)

    def __init__(self) -> None:
        self._refusals: deque[_Refusal] = deque(maxlen=_KEPT)

    def note(
        self, model: str, in_flight: Mapping[str, int], units: Sequence[Collection[str]], t: Steady
    ) -> tuple[set[str], int] | None:
        """One of a model was refused while so many of each were at the upstream, itself included. `units` are models
        that are known to share a limit and those that are not, each on its own; that of the refused one comes first.

        Returns which models seem to share a limit, and how many places that has: within five minutes each of their
        units was refused, at two levels at least and at different times, all at one sum, and none at a smaller one, in
        the ten seconds since least of all.
        """
        self._refusals.append(_Refusal(t, model, in_flight))
        lately = [each for each in self._refusals if each.at > t - _WITHIN]
        own, *others = units
        refused = [unit for unit in others if any(each.model in unit for each in lately)][:_MOST_OTHERS]
        for size in range(1, len(refused) + 1):
            for chosen in combinations(refused, size):
                if (places := _shared_places([own, *chosen], lately, t)) is not None:
                    return {model for unit in (own, *chosen) for model in unit}, places
        return None

    def forget(self) -> None:
        """What was noted may be due to a storm, which strikes models that share nothing, too."""
        self._refusals.clear()


def _shared_places(units: Sequence[Collection[str]], lately: Sequence[_Refusal], t: Steady) -> int | None:
    models = {model for unit in units for model in unit}
    refusals = [each for each in lately if each.model in models]
    smallest = min(each.sum(models) for each in refusals)
    at_it = [each for each in refusals if each.sum(models) == smallest and each.at < t - _ONE_CHANGE]
    return smallest - 1 if all(_varies(unit, at_it) for unit in units) else None


def _varies(unit: Collection[str], refusals: Sequence[_Refusal]) -> bool:
    """Whether a unit was refused at one level, and at another one when what made the first break was over."""
    levels = [(each.at, each.sum(unit)) for each in refusals if each.model in unit]
    return any(level != other and later > at + _ONE_CHANGE for (at, level), (later, other) in combinations(levels, 2))
