"""How many requests the upstream is known to take for sure. Pure: the caller brings the time.

A limit learns from what is in flight here, and not all of that is at the upstream. An attempt that was refused is in
flight until the news of that is here, and what started meanwhile was counted with it. And what had just started when an
answer ended may have arrived after that. The limit may be one too high by this for a while: the next refusal corrects
it. For a request that has one try left, that refusal would be its client's.
"""

from collections import deque
from typing import Final

from extproc.domain.pacing.clock import Steady

# The news of a refusal is here after this time, or there is none.
_VERDICT: Final = 2.0
# An attempt begins a little after it was let go.
_BEGINS_WITHIN: Final = 0.05
# This long a request may be on its way to the upstream, or the news of an answer's end on its way here.
_ON_THE_WAY: Final = 0.1
# If more answers than these end within that time, nearly every request starts just before one ends, so nothing could be
# proven. But there are many places then, and one more or less is a small part of them.
_FEW: Final = 4


class SureLevel:
    """The most that was at the upstream at once, for sure, since the plan last shrank. Times are steady seconds."""

    __slots__ = ("_ends", "_in_trial", "_is_none", "_level")

    def __init__(self) -> None:
        self._level = 0
        self._is_none = True
        self._ends: deque[float] = deque(maxlen=_FEW + 1)
        # Higher levels, and since when they are in use.
        self._in_trial: deque[tuple[int, float]] = deque()

    def level(self, t: Steady) -> int:
        """How many; 0 if not even one has got through."""
        while self._in_trial and self._in_trial[0][1] <= t - _VERDICT:
            self.assume(self._in_trial.popleft()[0])
        return self._level

    def is_none(self, t: Steady) -> bool:
        """Whether nothing has ever got through."""
        self.level(t)
        return self._is_none

    def ended(self, t: Steady) -> None:
        """An answer has ended. What had just started may have arrived after that, so its level proves nothing; unless
        it was alone, since then it is the one that was answered."""
        self._ends.append(t)
        self.forget_crossed(self._in_trial, t)

    def forget_crossed(self, in_trial: deque[tuple[int, float]], t: Steady) -> None:
        """Takes out of levels and since when they are in use what the answer that has just ended leaves unproven."""
        is_told = len(self._ends) <= _FEW or self._ends[0] <= t - _ON_THE_WAY
        if is_told and in_trial and in_trial[-1][1] > t - _ON_THE_WAY and in_trial[-1][0] > 1:
            in_trial.pop()

    def started(self, level: int, t: Steady) -> None:
        """One has started as the `level`-th at the upstream."""
        if level > (self._in_trial[-1][0] if self._in_trial else self._level):
            self._in_trial.append((level, t))

    def refused(self, level: int, started_at: Steady, t: Steady) -> None:
        """An attempt that started then was refused, for whatever reason, and up to `level` were in flight with it.
        Neither its own level nor those from `level` on prove anything, nor does what has started since."""
        self.level(t)
        forget_refused(self._in_trial, level, started_at)

    def assume(self, level: int) -> None:
        """It is known in another way that so many are there at least."""
        self._level = max(self._level, level)
        self._is_none = self._is_none and level < 1
        while self._in_trial and self._in_trial[0][0] <= level:
            self._in_trial.popleft()

    def fell(self, level: int, limit: int) -> None:
        """No more than `level` is known to be there any more, and no more than `limit` may be in flight."""
        self._level = min(self._level, level)
        while self._in_trial and self._in_trial[-1][0] > limit:
            self._in_trial.pop()


def is_start_of(since: float, started_at: float) -> bool:
    """Whether a level is in use since an attempt started that began at the upstream then."""
    return started_at - _BEGINS_WITHIN < since <= started_at


def forget_refused(in_trial: deque[tuple[int, float]], level: int, started_at: Steady) -> None:
    """Takes what proves nothing any more out of levels and since when they are in use: an attempt that started then was
    refused, and up to `level` were in flight with it. That is its own level, those from `level` on, and what has
    started since, which was counted with it."""
    is_out = False
    while in_trial:
        trial, since = in_trial[-1]
        is_own = is_start_of(since, started_at)
        if trial < level and since <= started_at and (is_out or not is_own):
            break
        in_trial.pop()
        is_out = is_out or is_own
