"""Which models are refused at one sum, whatever each has of it. Pure: the caller brings the time.

A model with a limit of its own does not get through at a level at which it was refused, until the plan changes. If
models share a limit, what one has more the others have less: each gets through later where it was refused, but the sum
of all never gets to where they were.
"""

import math
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, TypeAlias

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


Through: TypeAlias = Sequence[tuple[Steady, Mapping[str, int]]]
"""When attempts began that got through, and how many of each model were at the upstream with each of them."""


class RefusedSums:
    """Remembers how many of each model were at the upstream when one was refused. Times are steady seconds."""

    __slots__ = ("_refusals",)

    def __init__(self) -> None:
        self._refusals: deque[_Refusal] = deque(maxlen=_KEPT)

    def note(
        self,
        model: str,
        in_flight: Mapping[str, int],
        units: Sequence[Collection[str]],
        through: Through,
        t: Steady,
    ) -> tuple[set[str], int] | None:
        """One of a model was refused while so many of each were at the upstream, itself included. `units` are models
        that are known to share a limit and those that are not, each on its own; that of the refused one comes first.

        Returns which models seem to share a limit, and how many places that has: within five minutes each of their
        units was refused and got through later at such a level, all were refused at one sum, and none at a smaller
        one, in the ten seconds since least of all; and nothing that is in `through` got to that sum meanwhile. A sum of
        one is no limit: a storm refuses single requests of models that share nothing, too.
        """
        self._refusals.append(_Refusal(t, model, in_flight))
        lately = [each for each in self._refusals if each.at > t - _WITHIN]
        own, *others = units
        refused = [unit for unit in others if any(each.model in unit for each in lately)][:_MOST_OTHERS]
        for size in range(1, len(refused) + 1):
            for chosen in combinations(refused, size):
                if (places := _shared_places([own, *chosen], lately, through, t)) is not None:
                    return {model for unit in (own, *chosen) for model in unit}, places
        return None

    def forget(self) -> None:
        """What was noted has told what it could."""
        self._refusals.clear()


def _sum(in_flight: Mapping[str, int], models: Collection[str]) -> int:
    return sum(in_flight.get(model, 0) for model in models)


def _shared_places(
    units: Sequence[Collection[str]], lately: Sequence[_Refusal], through: Through, t: Steady
) -> int | None:
    models = {model for unit in units for model in unit}
    refusals = [each for each in lately if each.model in models]
    smallest = min(_sum(each.in_flight, models) for each in refusals)
    fitted = max((at for at, in_flight in through if _sum(in_flight, models) >= smallest), default=-math.inf)
    at_it = [
        each for each in refusals if fitted < each.at < t - _ONE_CHANGE and _sum(each.in_flight, models) == smallest
    ]
    return smallest - 1 if smallest > 1 and all(_has_more_later(unit, at_it, through) for unit in units) else None


def _has_more_later(unit: Collection[str], refusals: Sequence[_Refusal], through: Through) -> bool:
    """Whether a unit was refused at a level at which it got through when what made the break was over."""
    return any(
        each.model in unit
        and any(
            at > each.at + _ONE_CHANGE and _sum(in_flight, unit) >= _sum(each.in_flight, unit)
            for at, in_flight in through
        )
        for each in refusals
    )
