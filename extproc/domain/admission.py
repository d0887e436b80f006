"""Who may go upstream: a bounded number of worker slots. Pure: no clock, no socket."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from extproc.domain import refusals
from extproc.domain.exchange import Exchange
from extproc.domain.refusals import Refusal


@dataclass(frozen=True, slots=True)
class AdmissionSnapshot:
    """The state of the slots at one moment."""

    in_flight: int
    max_workers: int
    draining: bool

    @property
    def utilization(self) -> float:
        """Slots in use over slots there are, 0.0 to 1.0."""
        return self.in_flight / self.max_workers


class Admission:
    """Hands out at most `max_workers` slots. Raises ValueError unless max_workers >= 1."""

    def __init__(self, max_workers: int) -> None:
        if max_workers < 1:
            raise ValueError(f"max_workers={max_workers}: need at least 1")
        self._max_workers = max_workers
        self._in_flight: dict[str, Exchange] = {}
        self._draining = False

    @contextmanager
    def enter(self, exchange: Exchange) -> Iterator[Refusal | None]:
        """Holds a slot for the exchange while the context is open, or yields why there is none."""
        refusal = self._refusal()
        if refusal is not None:
            yield refusal
            return
        self._in_flight[exchange.id] = exchange
        try:
            yield None
        finally:
            del self._in_flight[exchange.id]

    def drain(self) -> None:
        """Refuses everything new from now on; what holds a slot keeps it."""
        self._draining = True

    def snapshot(self) -> AdmissionSnapshot:
        return AdmissionSnapshot(len(self._in_flight), self._max_workers, self._draining)

    def in_flight(self) -> list[Exchange]:
        """The exchanges that hold a slot, oldest first."""
        return list(self._in_flight.values())

    def find(self, exchange_id: str) -> Exchange | None:
        """The exchange with this id, while it holds a slot."""
        return self._in_flight.get(exchange_id)

    def _refusal(self) -> Refusal | None:
        if self._draining:
            return refusals.draining()
        if len(self._in_flight) >= self._max_workers:
            return refusals.at_capacity(self._max_workers)
        return None
