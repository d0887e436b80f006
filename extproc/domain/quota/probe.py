"""Who may try a gate that is closed: one request at a time, at growing intervals. Pure: the caller brings the time."""

from typing import Final

FIRST_SECONDS: Final = 30.0
LONGEST_SECONDS: Final = 600.0
LONGEST_BLIND_SECONDS: Final = 120.0
"""The longest interval while no reset is known: the gate may be closed for nothing."""

_GROWTH: Final = 2.0


class Prober:
    """Times are Unix seconds. A probe is named by its exchange's id, and is one until it is answered or has ended."""

    def __init__(self) -> None:
        self._interval = FIRST_SECONDS
        self._due = 0.0
        self._probe: str | None = None
        self._judged: str | None = None

    def start(self, now: float) -> None:
        """The gate has closed: the first probe is due after the shortest interval. If a probe is still on its way from
        an earlier closure, its answer says nothing about this one, but no other is sent before it has ended."""
        self._interval = FIRST_SECONDS
        self._due = now + self._interval
        self._judged = None

    @property
    def schedule(self) -> tuple[float, float]:
        """The interval between probes, and when one is due."""
        return self._interval, self._due

    @property
    def is_busy(self) -> bool:
        """Whether a probe is on its way."""
        return self._probe is not None

    def adopt(self, interval: float, due: float) -> None:
        """Takes over the schedule of another replica."""
        self._interval, self._due = interval, due

    def may_try(self, now: float) -> bool:
        """Whether a request may be a probe now."""
        # A clock that was put back must not keep the gate closed for as long again.
        self._due = min(self._due, now + LONGEST_SECONDS)
        return self._probe is None and now >= self._due

    def begin(self, exchange_id: str, now: float) -> None:
        """Makes a request the probe. Nobody else may try before it has ended and the interval has passed."""
        self._probe = self._judged = exchange_id
        self._due = now + self._interval

    def is_trying(self, exchange_id: str) -> bool:
        """Whether this request is the probe and has not ended."""
        return exchange_id == self._probe

    def awaits(self, exchange_id: str) -> bool:
        """Whether this request's verdict counts: it is the latest probe, ended or not."""
        return exchange_id != "" and exchange_id == self._judged

    def succeed(self, exchange_id: str) -> bool:
        """Z.AI answers this request. Returns whether that is the verdict on the gate as it is closed now."""
        counts = self.awaits(exchange_id)
        self.end(exchange_id)
        if counts:
            self._judged = None
        return counts

    def fail(self, exchange_id: str, now: float, longest: float) -> None:
        """The probe was refused: the next one waits twice as long, `longest` seconds at most."""
        if self.awaits(exchange_id):
            self._interval = min(self._interval * _GROWTH, longest)
            self._due = now + self._interval
            self._judged = None

    def end(self, exchange_id: str) -> None:
        """The request is over; its verdict may still come. Does nothing for a request that is no probe."""
        if exchange_id == self._probe:
            self._probe = None

    def hurry(self, now: float) -> None:
        """Something says that the gate is closed for nothing: a probe is due now, unless one is on its way."""
        self._due = min(self._due, now)
