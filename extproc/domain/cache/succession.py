"""Which request goes on with which, by their tokens and times alone: nobody says so, and no text is known.

Others may interrupt a conversation under its own name: titles, pages that are summed up, guesses at what comes next. A
request that does not go on with the conversation is put aside until others show what it was:

| the next request goes on with | what was put aside           | the conversation              |
| ----------------------------- | ---------------------------- | ----------------------------- |
| the conversation              | was a question               | goes on as if it had not been |
| what was put aside            | has begun a conversation     | is over, or was the questions |
| neither of them               | the larger of both is so now | is over after the fourth      |

The larger of two that take turns is the conversation: what is put aside is remembered as long as it is larger.
"""

from dataclasses import replace
from enum import Enum, auto
from typing import Final

from extproc.domain.request.record import record

WARM: Final = 0.9
"""The share of a prompt from which on nothing in it can have changed but its end."""

LONGEST_PAUSE: Final = 240.0
"""Seconds between two requests being sent after which nothing is claimed: caches of this kind forget after five
minutes."""

_LARGEST_GROWTH: Final = 0.5
_LARGEST_RESULT: Final = 16_384


@record
class Asked:
    """One request that was answered.

    Times are Unix times. It came at `came` (0 if not known: it left at once) and may have waited for its turn. It left
    at `sent`. Its answer began at `begun` and ended at `ended` (0 if not known: as it began).

    Counts are tokens: `input` of the whole prompt, `cached` of what came from the cache, `output` of what the next
    prompt may repeat of the answer.

    `prompt` is what Envoy tells of its parts, empty if it tells nothing. `needs_marks` is whether its API caches only
    what is marked for it. `model` is what it asked for, empty if that is the speaker's."""

    sent: float
    begun: float
    input: int
    cached: int
    output: int = 0
    prompt: str = ""
    needs_marks: bool = False
    model: str = ""
    ended: float = 0.0
    came: float = 0.0

    @property
    def missed(self) -> int:
        """Tokens of it that did not come from the cache."""
        return max(0, self.input - self.cached)

    @property
    def arrived(self) -> float:
        """When it came or, if that is not known, when it left."""
        return self.came or self.sent


def goes_on_with(asked: Asked, tokens: int) -> bool:
    """Whether a request may go on with a prompt of so many `tokens`, by its size. Small questions to the same model,
    and other conversations, take turns with a conversation under one name."""
    return 0 <= asked.input - tokens <= tokens * _LARGEST_GROWTH + _LARGEST_RESULT and tokens > 0


def misses_what_was_there(asked: Asked, before: Asked) -> bool:
    """Whether a request that goes on with another one found clearly less than that had put into the cache. It is not
    said to after a pause in which the cache may have forgotten it."""
    return asked.sent - before.sent <= LONGEST_PAUSE and asked.cached < min(before.input, asked.input) * WARM


class Place(Enum):
    """Where a request stands in its speaker's conversation."""

    FIRST = auto()
    """It goes on with none that is known."""
    NEXT = auto()
    """It goes on with the conversation."""
    ASIDE = auto()
    """It may interrupt the conversation, or be the first of another one."""
    NEXT_TO_ASIDE = auto()
    """It goes on with the one that was put aside, which so was the first of another conversation."""


class Succession:
    """The requests of one speaker, in the order in which they are taken. `last` is the latest of its conversation, None
    before the first. So many as `most_aside` in a row may be put aside."""

    def __init__(self, most_aside: int = 3) -> None:
        self._most_aside = most_aside
        self._put_aside = 0
        self._aside: Asked | None = None
        self.last: Asked | None = None

    def take(self, asked: Asked) -> tuple[Place, Asked | None]:
        """Where the next request stands, and which one it goes on with, if any. Of that nobody remembers the parts."""
        asked = replace(asked, prompt="")
        last, aside = self.last, self._aside
        if aside is not None and asked.sent - aside.sent > LONGEST_PAUSE:
            aside = None
        before = max(
            (each for each in (last, aside) if each is not None and _may_follow(asked, each)),
            key=lambda each: each.input,
            default=None,
        )
        if before is None and last is not None and self._put_aside < self._most_aside:
            self._aside, self._put_aside = _larger(asked, aside), self._put_aside + 1
            return Place.ASIDE, None
        other = last if before is aside else aside
        self.last, self._put_aside = asked, 0
        self._aside = other if before is not None and other is not None and other.input > asked.input else None
        if before is None:
            return Place.FIRST, None
        return Place.NEXT if before is last else Place.NEXT_TO_ASIDE, before


def _may_follow(asked: Asked, before: Asked) -> bool:
    """By its size, and since a client has the answer before it asks on."""
    return goes_on_with(asked, before.input) and asked.sent >= before.begun


def _larger(asked: Asked, other: Asked | None) -> Asked:
    return asked if other is None or asked.input >= other.input else other
