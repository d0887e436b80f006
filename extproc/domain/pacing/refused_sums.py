"""Which models are refused at one sum, whatever each has of it. Pure: the caller brings the time.

Two models of which each has a limit of its own are each refused at a level of its own, until the plan changes. If they
share one, what one has more the other has less: the levels at which each is refused vary, and the sum of both does not.
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
_KEPT: Final = 64


@dataclass(frozen=True, slots=True)
class _Refusal:
    at: Steady
    model: str
    in_flight: Mapping[str, int]

    @property
    def level(self) -> int:
        return self.in_flight[self.model]

    def sum(self, models: Collection[str]) -> int:
        return sum(self.in_flight.get(model, 0) for model in models)


class RefusedSums:
    """Remembers how many of each model were at the upstream when one was refused. Times are steady seconds."""

    __slots__ = ("_refusals",)

    def __init__(self) -> None:
        self._refusals: deque[_Refusal] = deque(maxlen=_KEPT)

    def note(
        self, model: str, in_flight: Mapping[str, int], others: Collection[str], t: Steady
    ) -> tuple[str, int] | None:
        """One of a model was refused while so many of each were at the upstream, itself included. Returns which of the
        `others` seems to share its limit, and how many places that has: within five minutes both were refused, each at
        two levels at least and at different times, all at one sum, and neither at a smaller one, in the ten seconds
        since least of all."""
        self._refusals.append(_Refusal(t, model, in_flight))
        for other in others:
            pair = (model, other)
            refusals = [each for each in self._refusals if each.model in pair and each.at > t - _WITHIN]
            smallest = min(each.sum(pair) for each in refusals)
            at_it = [each for each in refusals if each.sum(pair) == smallest and each.at < t - _ONE_CHANGE]
            if all(_varies([each for each in at_it if each.model == one]) for one in pair):
                return other, smallest - 1
        return None

    def forget(self) -> None:
        """What was noted may be due to a storm, which strikes models that share nothing, too."""
        self._refusals.clear()


def _varies(refusals: Sequence[_Refusal]) -> bool:
    """Whether a model was refused at one level, and at another one when what made the first break was over."""
    return any(
        before.level != after.level and after.at > before.at + _ONE_CHANGE
        for before, after in combinations(refusals, 2)
    )
