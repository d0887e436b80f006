"""What is in flight under one limit, with what its lessons are judged by. Pure: the caller brings the time."""

from extproc.domain.pacing.concurrency_limit import ConcurrencyLimit
from extproc.domain.pacing.in_flight_history import InFlightHistory
from extproc.domain.pacing.overload_backoff import OverloadBackoff


class Gate:
    """Counts the requests of one model, of models that share a limit, or of the account. Times are steady seconds."""

    __slots__ = ("_history", "backoff", "limit")

    def __init__(self, initial: int, maximum: int) -> None:
        self.limit = ConcurrencyLimit(initial, maximum)
        self.backoff = OverloadBackoff()
        self._history = InFlightHistory()

    @property
    def in_flight(self) -> int:
        return self.limit.in_flight

    @property
    def is_open(self) -> bool:
        """Whether no level is known to be refused."""
        return self.limit.ceiling is None

    def places(self, t: float) -> int:
        """How many more may be in flight now; none or less while it is full."""
        return self.limit.places(self.backoff.share(t), t)

    def start(self, retrying: int, t: float) -> int:
        """A request has started; `retrying` of those in flight may not be at the upstream. Returns how many are in
        flight."""
        level = self.limit.start(retrying, t)
        self._history.note(level, t)
        return level

    def end(self, t: float) -> None:
        """One has ended."""
        self.limit.end()
        self._history.note(self.limit.in_flight, t)

    def correct(self, in_flight: int, t: float) -> None:
        """Sets how many are in flight, whatever was counted."""
        if in_flight != self.limit.in_flight:
            self.limit.correct(in_flight)
            self._history.note(in_flight, t)

    def level(self, started: float, ended: float) -> int | None:
        """The most in flight while an attempt ran; None if that is too long ago."""
        return self._history.highest(started, ended)
