"""The last finished requests, numbered without a gap, so that a reader can tell what it missed."""

from collections import deque
from dataclasses import dataclass
from itertools import islice

from extproc.domain.request.record import record
from extproc.domain.usage.outcome import Outcome


@record
class Finished:
    """A finished request and its number in this run, counting from 1."""

    serial: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Replay:
    """What a reader has to catch up on: the requests still held, and how many before them are gone."""

    lost: int
    requests: tuple[Finished, ...]


class RequestRing:
    """Holds the last `capacity` finished requests."""

    def __init__(self, capacity: int = 2000) -> None:
        self._held: deque[Finished] = deque(maxlen=capacity)
        self._serial = 0

    def add(self, outcome: Outcome) -> Finished:
        self._serial += 1
        finished = Finished(self._serial, outcome)
        self._held.append(finished)
        return finished

    def since(self, serial: int) -> Replay:
        """Everything after this serial (0: everything held). A serial from the future counts as 0."""
        if serial > self._serial:
            serial = 0
        first_held = self._serial - len(self._held) + 1
        lost = max(0, first_held - serial - 1)
        skip = max(0, serial - first_held + 1)
        return Replay(lost, tuple(islice(self._held, skip, None)))
