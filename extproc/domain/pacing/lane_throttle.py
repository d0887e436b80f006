"""Lanes that may use only a share of what they would use, so that a plan's window lasts for the others. Pure."""

from collections.abc import Collection, Mapping
from typing import Final

from extproc.domain.pacing.clock import Steady
from extproc.domain.request.priority import Lane

# Place-seconds that a lane may be ahead or behind: long enough for one long answer, too short to save a burst up.
_MOST_AHEAD: Final = 1.0
_MOST_BEHIND: Final = 3600.0


class LaneThrottle:
    """Keeps each lane to its share of place-seconds, by pauses between its requests.

    A lane's demand is what it would use if nothing held it back: what it has running and waiting, as far as the other
    lanes leave places for it. The lane earns its share of the demand, second by second, and pays for what runs; while
    it is in debt it is closed. So a single agent that asks again and again, with a share of a third, rests twice as
    long as its answers take.
    """

    def __init__(self) -> None:
        self._shares: dict[Lane, float] = dict.fromkeys(Lane, 1.0)
        self._balance: dict[Lane, float] = dict.fromkeys(Lane, 0.0)
        self._demand: dict[Lane, float] = dict.fromkeys(Lane, 0.0)
        self._running: dict[Lane, int] = dict.fromkeys(Lane, 0)
        self._held: tuple[Lane, ...] = ()
        self._at = 0.0

    @property
    def is_active(self) -> bool:
        """Whether any lane is held back."""
        return bool(self._held)

    def set(self, shares: Mapping[Lane, float], t: Steady) -> None:
        """Sets the share (0.0 to 1.0) of each lane; those not named are free. Raises ValueError for other shares."""
        for lane, share in shares.items():
            if not 0.0 <= share <= 1.0:
                raise ValueError(f"share of {lane}: {share}: need 0.0 to 1.0")
        self.advance(t)
        self._shares = {lane: shares.get(lane, 1.0) for lane in Lane}
        self._held = tuple(lane for lane, share in self._shares.items() if share < 1.0)
        self._balance = {lane: self._balance[lane] if lane in self._held else 0.0 for lane in Lane}

    def note(self, running: Mapping[Lane, int], waiting: Mapping[Lane, int], limit: int, t: Steady) -> None:
        """What runs and waits from now on, under a limit of places."""
        self.advance(t)
        total = sum(running.values())
        for lane in self._held:
            room = max(running[lane], limit - (total - running[lane]))
            self._demand[lane] = min(running[lane] + waiting[lane], room)
            self._running[lane] = running[lane]

    def advance(self, t: Steady) -> None:
        """Pays the lanes for the time that went by, and charges them for what ran in it."""
        seconds, self._at = t - self._at, t
        for lane in self._held:
            balance = self._balance[lane] + self._income(lane) * seconds
            self._balance[lane] = max(-_MOST_BEHIND, min(_MOST_AHEAD, balance))

    def closed(self, t: Steady) -> Collection[Lane]:
        """The lanes that may not start anything now."""
        if not self._held:
            return ()
        self.advance(t)
        return {lane for lane in self._held if self._shares[lane] == 0.0 or self._balance[lane] < 0.0}

    def opens_at(self, lane: Lane, t: Steady) -> float | None:
        """When a closed lane may start again if nothing else happens; None if only an event can open it."""
        income = self._income(lane)
        return t - self._balance[lane] / income if income > 0.0 else None

    def _income(self, lane: Lane) -> float:
        return self._shares[lane] * self._demand[lane] - self._running[lane]
