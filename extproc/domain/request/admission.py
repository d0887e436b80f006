"""Who may go upstream: a bounded number of worker slots. Pure: no clock, no socket."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

from extproc.domain.request import refusals
from extproc.domain.request.exchange import Exchange
from extproc.domain.request.refusals import Refusal

Value = TypeVar("Value")

# Envoy tells of an attempt up to a second after it: this many that have left meanwhile are remembered.
_MOST_LEFT: Final = 4096
_MOST_REQUEST_IDS: Final = 20_000


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
        self._left: OrderedDict[str, Exchange] = OrderedDict()
        self._by_request_id: OrderedDict[str, str] = OrderedDict()
        self._draining = False

    @contextmanager
    def enter(self, exchange: Exchange) -> Iterator[Refusal | None]:
        """Holds a slot for the exchange while the context is open, or yields why there is none."""
        refusal = self._refusal()
        if refusal is not None:
            yield refusal
            return
        self._in_flight[exchange.id] = exchange
        _put(self._by_request_id, exchange.request_id, exchange.id, _MOST_REQUEST_IDS)
        try:
            yield None
        finally:
            del self._in_flight[exchange.id]
            _put(self._left, exchange.id, exchange, _MOST_LEFT)

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

    def recall(self, exchange_id: str) -> Exchange | None:
        """The exchange with this id, also if it has given its slot back lately."""
        return self._in_flight.get(exchange_id) or self._left.get(exchange_id)

    def id_of(self, request_id: str) -> str | None:
        """The id of the exchange that came last with this request id, which is the client's and may be there twice."""
        return self._by_request_id.get(request_id)

    def _refusal(self) -> Refusal | None:
        if self._draining:
            return refusals.draining()
        if len(self._in_flight) >= self._max_workers:
            return refusals.at_capacity(self._max_workers)
        return None


def _put(memory: "OrderedDict[str, Value]", key: str, value: Value, most: int) -> None:
    memory[key] = value
    if len(memory) > most:
        memory.popitem(last=False)
