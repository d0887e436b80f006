"""Which request goes on with which, by their tokens and times alone: nobody says so, and no text is known.

A conversation is not alone under its name: sub-agents work for a while, titles are made, pages are summed up, and after
a compaction another one takes its place. So the requests of one speaker are sorted into two lanes. Each lane has its
latest request, and what is learned of a conversation is learned of a lane.

| the next request             | goes to                                                                  |
| ---------------------------- | ------------------------------------------------------------------------ |
| goes on with one of the two  | that lane                                                                |
| goes on with both            | the lane with the larger prompt                                          |
| is a little shorter          | the latest lane, and begins it anew: its end was taken back              |
| than the latest              |                                                                          |
| goes on with neither of them | a new lane, in place of the one that was left longer ago                 |
|                              | or, while the latest has had less than twelve in a row, of the one with  |
|                              | fewer requests: a question does not end the conversation it interrupts   |

A lane that was left is gone after the pause in which a cache forgets.
"""

from dataclasses import dataclass, replace
from typing import Final

from extproc.domain.request.record import record

WARM: Final = 0.9
"""The share of a prompt from which on nothing in it can have changed but its end."""

LONGEST_PAUSE: Final = 240.0
"""Seconds between two requests being sent after which nothing is claimed: caches of this kind forget after five
minutes."""

_LARGEST_GROWTH: Final = 0.5
_LARGEST_RESULT: Final = 16_384
_SETTLED_AFTER: Final = 12
_NEAR_SHARE: Final = 0.8


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


@dataclass(slots=True)
class _Lane:
    """Its latest request, and how many it has had: in all, and since the other one was used."""

    number: int
    last: Asked
    requests: int = 0
    in_a_row: int = 0


@record
class Sequel:
    """Where a request belongs: the number of its lane, 1 or 2, and whether that is new. `before` is the request that
    it goes on with, None if there is none; nobody remembers the parts of that."""

    lane: int
    is_new: bool
    before: Asked | None


class Lanes:
    """The requests of one speaker, in the order in which they are taken."""

    def __init__(self) -> None:
        self._latest: _Lane | None = None
        self._left: _Lane | None = None

    def take(self, asked: Asked) -> Sequel:
        """Where the next request belongs."""
        asked = replace(asked, prompt="")
        if self._left is not None and asked.sent - self._left.last.sent > LONGEST_PAUSE:
            self._left = None
        known = [lane for lane in (self._latest, self._left) if lane is not None and _may_follow(asked, lane.last)]
        lane = max(known, key=lambda each: each.last.input, default=None)
        before, is_new = None if lane is None else lane.last, False
        if lane is None and self._latest is not None and _is_near(asked, self._latest.last):
            lane = self._latest
        elif lane is None:
            is_new, (lane, self._left) = True, self._new_lane(asked)
        elif lane is self._left and self._latest is not None:
            self._left, lane.in_a_row = self._latest, 0
        self._latest, lane.last = lane, asked
        lane.requests, lane.in_a_row = lane.requests + 1, lane.in_a_row + 1
        return Sequel(lane.number, is_new, before)

    def largest(self) -> int:
        """The tokens of the larger of the two latest prompts; 0 before the first."""
        return max((lane.last.input for lane in (self._latest, self._left) if lane is not None), default=0)

    def _new_lane(self, asked: Asked) -> tuple[_Lane, _Lane | None]:
        """A new lane, and the one that stays beside it."""
        latest, left = self._latest, self._left
        if latest is None or left is None:
            return _Lane(1 if latest is None or latest.number == 2 else 2, asked), latest
        is_interrupting = latest.in_a_row < _SETTLED_AFTER and latest.requests < left.requests
        gone, stays = (latest, left) if is_interrupting else (left, latest)
        return _Lane(gone.number, asked), stays


def _is_near(asked: Asked, before: Asked) -> bool:
    """Whether a prompt is a little shorter than the one before: its end was taken back, or the client went back."""
    return before.input * _NEAR_SHARE <= asked.input < before.input


def _may_follow(asked: Asked, before: Asked) -> bool:
    """By its size, and since a client has the answer before it asks on."""
    return goes_on_with(asked, before.input) and asked.sent >= before.begun
