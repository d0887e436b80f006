"""Which levels are in use that have yet to prove to be there. Pure: the caller brings the time.

A limit learns from what is in flight here, and not all of that is at the upstream. An attempt that was refused is in
flight until the news of that is here, and what started meanwhile was counted with it. And what had just started when an
answer ended may have arrived after that.
"""

from collections import deque
from collections.abc import Iterator
from typing import Final

from extproc.domain.pacing.clock import Steady

# A refusal comes within a round trip and is told within half a second, also between replicas: a level that was in use
# this long without one has proven to be there.
VERDICT: Final = 2.0
# An attempt begins a little after it was let go.
_BEGINS_WITHIN: Final = 0.05
# This long a request may be on its way to the upstream, or the news of an answer's end on its way here.
ON_THE_WAY: Final = 0.1
# If more answers than these end within that time, nearly every request starts just before one ends, so nothing could be
# proven. But there are many places then, and one more or less is a small part of them.
_FEW: Final = 4
# News of a refusal that is later than usual takes back what its attempt seemed to prove, if that is one of so many.
_PROOFS_KEPT: Final = 8


class LevelsOnTrial:
    """The levels above the proven one, and since when they are in use. Times are steady seconds."""

    __slots__ = ("_ends", "_levels", "_proofs")

    def __init__(self) -> None:
        self._levels: deque[tuple[int, float]] = deque()
        self._ends: deque[float] = deque(maxlen=_FEW + 1)
        # Since when the latest levels were in use that have proven to be there, and which was proven before each.
        self._proofs: deque[tuple[float, int]] = deque(maxlen=_PROOFS_KEPT)

    def __bool__(self) -> bool:
        return bool(self._levels)

    def highest(self, proven: int) -> int:
        """The highest one; the proven one while there is none."""
        return self._levels[-1][0] if self._levels else proven

    def proven_at(self, level: int) -> float | None:
        """When a level will have proven to be there; None if it is not the highest one."""
        return self._levels[-1][1] + VERDICT if self._levels and self._levels[-1][0] >= level else None

    def started(self, level: int, t: Steady) -> None:
        """One has started as the `level`-th at the upstream, more than are in use so far."""
        self._levels.append((level, t))

    def answered(self, t: Steady) -> None:
        """An answer has ended. What had just started may have arrived after that, so its level proves nothing; unless
        it was alone, since then it is the one that was answered."""
        self._ends.append(t)
        is_told = len(self._ends) <= _FEW or self._ends[0] <= t - ON_THE_WAY
        if is_told and self._levels and self._levels[-1][1] > t - ON_THE_WAY and self._levels[-1][0] > 1:
            self._levels.pop()

    def proven(self, before: int, t: Steady) -> Iterator[int]:
        """Takes out those that have proven to be there by now, the lowest first; `before` is what was proven."""
        while self._levels and self._levels[0][1] <= t - VERDICT:
            level, since = self._levels.popleft()
            self._proofs.append((since, before))
            yield level
            before = level

    def distrust(self, level: int, started_at: Steady) -> int | None:
        """An attempt that started then, and while which up to `level` were in flight, was refused. Its own level and
        those from `level` on prove nothing any more, nor does what has started since, which was counted with it.

        Returns what was proven before the attempt, if it seemed to prove anything.
        """
        is_out = False
        while self._levels:
            trial, since = self._levels[-1]
            is_own = _is_start_of(since, started_at)
            if trial < level and since <= started_at and (is_out or not is_own):
                break
            self._levels.pop()
            is_out = is_out or is_own
        before = next((before for since, before in self._proofs if _is_start_of(since, started_at)), None)
        if before is not None:
            self._proofs.clear()
        return before

    def fell(self, limit: int) -> None:
        """No more than `limit` may be in flight any more."""
        while self._levels and self._levels[-1][0] > limit:
            self._levels.pop()

    def clear(self) -> None:
        """None of them proves anything."""
        self._levels.clear()


def _is_start_of(since: float, started_at: float) -> bool:
    """Whether a level is in use since an attempt started that began at the upstream then."""
    return started_at - _BEGINS_WITHIN < since <= started_at
