"""How one part of a conversation's prompts, or of a program's sessions, changes: a row of changes."""

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Final

from extproc.domain.cache.prompt import LATER_MESSAGE, TOOL_LIST, Cause, Change

ENOUGH: Final = 3
"""So many changes in a row are a finding."""

# Servers of tools start one after the other, so their list may grow several times at the beginning. That what is in it
# changes while it stays as long is no such growth, and has another name.
_ENOUGH_OF_TOOLS: Final = 6

# Agents have a role each, of which a program has a few. Each may be asked one thing, under one name.
_ENOUGH_OF_ROLES: Final = 6

MOST_HITS: Final = 24
"""After more hits in a row than these nothing is known any more of a part that has changed, or has not."""

_MOST_VALUES: Final = 8
_LONGER: Final = 2


@dataclass(slots=True)
class Row:
    """How one part changed, each time that the cache missed. `hits` are the most in a row between two changes.

    Of a message behind the first ones, `placed` counts the changes in a row of the same message, as far as it is known
    which one it was, and `rewritten` those in which the messages behind it stayed where they were. `sequels` are the
    changes in a row in which the prompt went on with the one that it was held against.

    Its cause is the one that more than half of the changes have. So a single odd one (a clock that gains a digit, a
    line that is rewritten once) does not hide a clock."""

    since: float
    at: float
    change: Change
    requests: int = 0
    hits: int = 0
    placed: int = 0
    rewritten: int = 0
    sequels: int = 0
    values: list[str] = field(default_factory=list)
    causes: Counter[Cause] = field(default_factory=Counter)

    @classmethod
    def of(cls, change: Change, at: float) -> "Row":
        """That of a part before its first change."""
        return cls(at, at, change, values=[change.was] if change.was else [])

    def add(self, change: Change, at: float, *, hits: int = 0, goes_on: bool = False) -> None:
        """Another one, with as many `hits` in a row since the one before at most, in a prompt that `goes_on`."""
        is_news = change.cause is Cause.TOOLS_REORDERED or change.value not in self.values
        self.causes[change.cause] += 1
        [(cause, times)] = self.causes.most_common(1)
        cause = cause if 2 * times > self.causes.total() else Cause.UNKNOWN
        if change.number:
            self.placed = self.placed + 1 if change.number == self.change.number else 1
        self.rewritten += change.is_in_place
        known = change if change.bytes or not self.change.place else self.change  # which of two says more exactly where
        self.change = replace(change, cause=cause, place=known.place, bytes=known.bytes, number=known.number)
        self.values = [*self.values, change.value][-_MOST_VALUES:]
        self.at = at
        self.requests = self.requests + 1 if is_news else 0
        if self.requests <= 1:
            self.since, self.hits, self.sequels = at, 0, 0
        else:
            self.hits = max(self.hits, hits)
        self.sequels += goes_on

    def outlasts(self, hits: int) -> bool:
        """Whether it may still be going on after so many hits in a row."""
        return hits <= (_LONGER * self.hits if self.is_enough else MOST_HITS)

    @property
    def may_be_the_end(self) -> bool:
        """Whether it was another message each time, or nobody knows which one, and it may have been taken back."""
        return self.change.name == LATER_MESSAGE and self.placed < ENOUGH and self.rewritten < ENOUGH

    @property
    def is_enough(self) -> bool:
        return self.requests >= self._needed

    @property
    def _needed(self) -> int:
        if self.change.cause is not Cause.UNKNOWN:
            return ENOUGH
        if self.change.is_of_system and self.sequels < ENOUGH:
            return _ENOUGH_OF_ROLES
        return _ENOUGH_OF_TOOLS if self.change.name == TOOL_LIST else ENOUGH
