"""Whether the requests that missed the cache follow a rule, as those do in which a client changes something.

Of each of the latest requests is known when it came, when the one before it came, and whether it missed. Two rules are
tried on them:

* by count: a request misses if it is the third (the fifth, …) after the last one that missed;
* by the minute: a request misses if it is the first of a minute, at whichever second the client's minutes begin.

A cache that forgets now and then misses too, but whenever it likes. So a rule holds only if it foretells so many of the
misses, and so few of the others, that chance would hardly ever do as well. The more rules are tried, the likelier it is
that one of them fits by chance: that is taken into account.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import comb
from typing import Final

from extproc.domain.request.record import record

_COUNTS: Final = range(2, 13)
_MINUTE: Final = 60.0
_A_MOMENT: Final = 0.001
_OVERDUE: Final = 2


@record
class Step:
    """One request: when it and the one before it came (Unix times), and whether it missed the cache."""

    before: float
    came: float
    is_missed: bool


@record
class _Trial:
    """How a rule does: of so many requests `tried` as many were `missed`, it foretold `told` misses and was `right` in
    so many of them."""

    tried: int
    missed: int
    told: int
    right: int

    @property
    def chance(self) -> float:
        """How likely it is to be right as often, if the misses come in any order."""
        others = self.tried - self.missed
        most = min(self.missed, self.told)
        ways = sum(comb(self.missed, some) * comb(others, self.told - some) for some in range(self.right, most + 1))
        return ways / comb(self.tried, self.told)


def chance_of_rule(steps: Sequence[Step]) -> float:
    """How likely it is that misses which follow no rule look as much like one as these do: 0 to 1, and 1 once the next
    miss is long overdue. `steps` are in the order in which they came. The rules are tried from the first miss on."""
    places = [place for place, step in enumerate(steps) if step.is_missed]
    gaps = [after - before for before, after in pairwise(places)]
    if not gaps or len(steps) - 1 - places[-1] > _OVERDUE * max(gaps):
        return 1.0
    by_count = list(_by_count(gaps, len(steps) - 1 - places[-1]))
    by_minute = list(_by_minute(steps[places[0] + 1 :]))
    return min(1.0, *(len(rules) * min(rule.chance for rule in rules) for rules in (by_count, by_minute)))


def _by_count(gaps: Sequence[int], since: int) -> Iterator[_Trial]:
    """By how many requests each miss came after the one before, and how many came `since` the last."""
    tried = sum(gaps) + since
    for count in _COUNTS:
        told = sum(gap >= count for gap in (*gaps, since))
        yield _Trial(tried, len(gaps), told, gaps.count(count))


def _by_minute(steps: Sequence[Step]) -> Iterator[_Trial]:
    """One for each second at which minutes may begin: just before one of those that missed."""
    missed = sum(step.is_missed for step in steps)
    for second in {(step.came - _A_MOMENT) % _MINUTE for step in steps if step.is_missed}:
        told = [step for step in steps if (step.came - second) // _MINUTE != (step.before - second) // _MINUTE]
        yield _Trial(len(steps), missed, len(told), sum(step.is_missed for step in told))
