"""What was sent, what was done to the proxy meanwhile, and what it must have counted after that."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tests.chaos.blows import Blow
from tests.chaos.load import Sent
from tests.chaos.victim import Victim
from tests.harness.waiting import eventually

_AROUND: Final = 1.5
"""Seconds around a blow in which it can still cost something: what was on its way."""
_PATIENCE: Final = 60.0
_UNKNOWN: Final = 0
"""The status of what a client did not hear of to its end: it may be counted under any. Beside it stand all together."""


@dataclass(frozen=True, slots=True)
class Struck:
    """A blow from its first moment until everything was well again (steady seconds). What had ended at `settled_at` was
    counted before, and had its line. At `done_at` whoever struck had done it: what was killed was dead, what hangs was
    silent from then on."""

    blow: Blow
    settled_at: float
    at: float
    done_at: float
    well_at: float

    def touches(self, sent: Sent) -> bool:
        return sent.began <= self.well_at + _AROUND and (sent.ended or self.well_at) >= self.at - _AROUND

    def cuts(self, sent: Sent) -> bool:
        """Whether it may have broken the answer."""
        return self.blow.cuts and self.touches(sent)

    def costs_entry(self, sent: Sent) -> bool:
        """Whether the request may be counted nowhere."""
        return self.blow.costs_log and self._reaches(sent)

    def costs_line(self, sent: Sent) -> bool:
        """Whether the request may have no line."""
        return (self.blow.costs_log or self.blow.costs_lines) and self._reaches(sent)

    def _reaches(self, sent: Sent) -> bool:
        """Whether its log entry may have been with a process that was lost: Envoy keeps those of requests that end
        while there is nobody to tell, but tells one that hangs."""
        lost_until = self.well_at if self.blow.hangs else self.done_at
        return self.settled_at <= (sent.ended or lost_until) <= lost_until + _AROUND


@dataclass
class Account:
    """`sent` is what the load has sent; what the victim has been asked to see whether it is well counts too."""

    victim: Victim
    sent: list[Sent]
    blows: list[Struck] = field(default_factory=list)

    async def settle(self) -> float:
        """Waits until what has ended is counted and has its line, but for what a blow may have cost; returns up to when
        (steady seconds) that is so."""
        now = time.monotonic()
        lines, counts = self._must_have_lines(), _by_status(self._must_be_counted())
        written, books = self.victim.written, self.victim.books
        await eventually(lambda: lines - written.requests().keys(), lambda left: not left, within=_PATIENCE)
        await eventually(lambda: _beyond(counts, books.look()), lambda left: not left, within=_PATIENCE)
        return now

    def counted_too_often(self) -> dict[int, int]:
        """By status, how many requests more are counted than were sent."""
        sent = _by_status(self._all())
        known = {status: number + sent[_UNKNOWN] for status, number in sent.items()}
        counted = self.victim.books.look()
        beyond = {status: number - known.get(status, sent[_UNKNOWN]) for status, number in counted.items()}
        beyond[_UNKNOWN] = counted.total() - sent.total()
        return {status: number for status, number in beyond.items() if number > 0}

    def told_twice(self) -> list[str]:
        """Requests with more than one line."""
        return [each for each, lines in self.victim.written.requests().items() if lines > 1]

    def __str__(self) -> str:
        certain, counted = len(self._must_be_counted()), self.victim.books.look().total()
        lines = len(self._must_have_lines())
        return f"{len(self._all())} sent, {certain} must be counted, {counted} are; {lines} must have a line"

    def _all(self) -> list[Sent]:
        return [*self.sent, *self.victim.probes]

    def _answered(self) -> list[Sent]:
        """Those that have ended and of whose answer at least the beginning came."""
        return [each for each in self._all() if each.ended and each.status]

    def _must_have_lines(self) -> set[str]:
        return {each.id for each in self._answered() if not any(blow.costs_line(each) for blow in self.blows)}

    def _must_be_counted(self) -> list[Sent]:
        return [each for each in self._answered() if not any(blow.costs_entry(each) for blow in self.blows)]


def _by_status(requests: list[Sent]) -> Counter[int]:
    return Counter(each.status if each.is_whole else _UNKNOWN for each in requests)


def _beyond(wanted: Counter[int], counted: Mapping[int, int]) -> dict[int, int]:
    """By status, how many are missing of those that are wanted; of all together where the status is unknown."""
    missing = {status: number - counted.get(status, 0) for status, number in wanted.items() if status != _UNKNOWN}
    missing[_UNKNOWN] = wanted.total() - sum(counted.values())
    return {status: number for status, number in missing.items() if number > 0}
