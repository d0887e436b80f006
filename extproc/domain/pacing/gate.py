"""What is in flight under one limit, with what its lessons are judged by. Pure: the caller brings the time."""

from extproc.domain.pacing.clock import Steady
from extproc.domain.pacing.concurrency_limit import ConcurrencyLimit
from extproc.domain.pacing.in_flight_history import InFlightHistory
from extproc.domain.pacing.overload_backoff import OverloadBackoff
from extproc.domain.pacing.probing import ProbePolicy
from extproc.domain.pacing.release_lag import ReleaseLag


class Gate:
    """Counts the requests of one model, of models that share a limit, or of the account. Times are steady seconds."""

    __slots__ = ("_history", "backoff", "limit", "release_lag")

    def __init__(self, initial: int, maximum: int, probes: ProbePolicy | None = None) -> None:
        self.limit = ConcurrencyLimit(initial, maximum, probes)
        self.backoff = OverloadBackoff()
        self.release_lag = ReleaseLag()
        self._history = InFlightHistory()

    @property
    def in_flight(self) -> int:
        return self.limit.in_flight

    @property
    def is_open(self) -> bool:
        """Whether no level is known to be refused."""
        return self.limit.ceiling is None

    def usable(self, t: Steady) -> int:
        """How many may be in flight now; 0 during a pause."""
        return self.limit.usable(self.backoff.share(t), t)

    def places(self, t: Steady) -> int:
        """How many more may be in flight now; none or less while it is full."""
        return self.limit.places(self.backoff.share(t), t) - self.release_lag.left_alone(
            t, trying=self.limit.is_probing
        )

    def has_place(self, t: Steady) -> bool:
        """Whether one more may be in flight now."""
        return self.limit.has_room and self.places(t) > 0

    def next_change(self, t: Steady) -> float | None:
        """When more may be in flight, if nothing happens before; None if only an event can do it."""
        of_limit, of_places = self.limit.next_change(t), self.release_lag.next_release(t, trying=self.limit.is_probing)
        if of_limit is None or of_places is None:
            return of_places if of_limit is None else of_limit
        return min(of_limit, of_places)

    def excuses(self, level: int, started: Steady, t: Steady) -> bool:
        """Whether a place that the upstream gave back late may be why an attempt was refused that had `started` as the
        `level`-th in flight. While the limit falls nothing is excused: the plan is known to have shrunk."""
        return not self.limit.is_falling and self.release_lag.excuses(level, started, t)

    def is_full(self, t: Steady) -> bool:
        """Whether as many are in flight as may be: places that are left alone for a moment are none of those."""
        return not self.limit.has_room or self.limit.places(self.backoff.share(t), t) <= 0

    def start(self, retrying: int, t: Steady) -> int:
        """A request has started; `retrying` of those in flight may not be at the upstream. Returns how many are in
        flight."""
        level = self.limit.start(retrying, t)
        self._history.note(level, t)
        self.release_lag.started(level - retrying, t)
        return level

    def end(self, t: Steady, *, refused: bool) -> None:
        """One has ended. Who was refused has had no place at the upstream."""
        self.limit.end()
        if not refused:
            self.limit.answered(t)
            self.release_lag.ended(t)
        self._history.note(self.limit.in_flight, t)

    def correct(self, in_flight: int, t: Steady) -> None:
        """Sets how many are in flight, whatever was counted."""
        if in_flight != self.limit.in_flight:
            self.limit.correct(in_flight)
            self._history.note(in_flight, t)

    def level(self, started: Steady, ended: Steady) -> int | None:
        """The most in flight while an attempt ran; None if that is too long ago."""
        return self._history.highest(started, ended)

    def take_out(self, started: Steady, ended: Steady) -> None:
        """An attempt was refused: it was counted between these moments, and was not at the upstream."""
        self._history.take_out(started, ended)
