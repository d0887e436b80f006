"""Who goes next: sources take turns by what their requests cost, and within a source its main conversation leads.

Source: start-time fair queueing (Goyal, Vin, Cheng, SIGCOMM 1996): a source's next request carries a start tag, the
virtual time at which the source's earlier ones are paid for, and the smallest tag goes. Virtual time is the tag of the
last that went, so a pause saves nothing up, and one who comes anew goes next but does not overtake a whole queue twice.
"""

import itertools
from collections import OrderedDict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush, heapreplace
from typing import Final

from extproc.domain.request.priority import Lane

# A request occupies a place however short it is; above a megabyte of prompt (a model's whole context) it is images,
# whose bytes cost nothing like text's.
_CHEAPEST: Final = 16 * 1024
_DEAREST: Final = 1024 * 1024

# After so many seconds in the queue a request is lifted: less than the queue's usual time-out of a minute.
_LIFTED_AFTER: Final = {Lane.MAIN: 0.0, Lane.SUBAGENT: 15.0, Lane.BACKGROUND: 35.0}
# Of a source's turns, one in so many goes to the oldest lifted request, whatever its lane: so nothing starves, and a
# main conversation does not stand behind a whole swarm whose age has lifted it.
_LIFT_EVERY: Final = 4

# Sources that have nothing waiting, and are remembered for what they sent.
_MOST_DEBTORS: Final = 256


@dataclass(frozen=True, slots=True)
class Waiting:
    """One request in the queue. `since` is in seconds, `cost` in bytes."""

    id: str
    source: str
    lane: Lane
    cost: float
    since: float


class _Flow:
    """A source: what it has waiting, and the virtual time from which it may go on."""

    __slots__ = ("lanes", "listed", "passed", "size", "start", "turn")

    def __init__(self, start: float) -> None:
        self.start = start
        self.turn = 0
        self.size = 0
        self.passed = 0
        self.lanes: dict[Lane, OrderedDict[str, Waiting]] = {lane: OrderedDict() for lane in Lane}
        self.listed = dict.fromkeys(Lane, False)


_Rank = tuple[float, int, int, _Flow]  # start tag, turn among equal tags, serial (flows do not compare), flow


class FairQueue:
    """A queue of `Waiting`, bounded by whoever pushes. Every operation is O(log n), amortized."""

    def __init__(self) -> None:
        self._virtual = 0.0
        self._flows: dict[str, _Flow] = {}
        self._waiting: OrderedDict[str, Waiting] = OrderedDict()
        self._sizes = dict.fromkeys(Lane, 0)
        # One heap a lane, so that a lane that may not go hides no source behind it. A flow is at most once in each;
        # its rank there may be older, so smaller, than its own, and is put right when it comes to the top.
        self._heaps: dict[Lane, list[_Rank]] = {lane: [] for lane in Lane}
        self._serial = itertools.count()
        self._sweep_at = 64

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._waiting

    def waiting(self) -> Iterator[Waiting]:
        """All that wait, in the order in which they came."""
        return iter(self._waiting.values())

    def oldest(self) -> Waiting | None:
        """The one that waits longest."""
        return next(iter(self._waiting.values()), None)

    def waiting_sources(self) -> set[str]:
        """The sources that have something waiting."""
        return {name for name, flow in self._flows.items() if flow.size}

    def in_lane(self, lane: Lane) -> int:
        """How many wait in a lane."""
        return self._sizes[lane]

    def sources(self) -> int:
        """How many sources have something waiting, or a debt from what they sent."""
        return len(self._flows)

    def has(self, closed: Collection[Lane] = ()) -> bool:
        """Whether anybody waits in a lane that is not closed."""
        if not closed:
            return bool(self._waiting)
        return any(size and lane not in closed for lane, size in self._sizes.items())

    def push(self, waiting: Waiting) -> None:
        """Adds a request. Raises ValueError if one with this id waits already."""
        if waiting.id in self._waiting:
            raise ValueError(f"{waiting.id} is in the queue already")
        flow = self._flow(waiting.source)
        if not flow.size:
            flow.start = max(flow.start, self._virtual)
            flow.turn = next(self._serial)
        flow.size += 1
        flow.lanes[waiting.lane][waiting.id] = waiting
        self._waiting[waiting.id] = waiting
        self._sizes[waiting.lane] += 1
        if not flow.listed[waiting.lane]:
            flow.listed[waiting.lane] = True
            heappush(self._heaps[waiting.lane], (flow.start, flow.turn, next(self._serial), flow))

    def cancel(self, request_id: str) -> Waiting | None:
        """Takes a request out, wherever it stands; None if it does not wait."""
        waiting = self._waiting.get(request_id)
        if waiting is not None:
            self._remove(self._flows[waiting.source], waiting)
            self._tidy(waiting.lane)
        return waiting

    def pop(self, now: float, closed: Collection[Lane] = ()) -> Waiting | None:
        """Takes out whoever goes next and charges its source; None if nobody waits in a lane that is not closed."""
        lanes = [lane for lane, size in self._sizes.items() if size and lane not in closed]
        if not lanes:
            return None
        flow = min(self._first(lane) for lane in lanes)[3]
        waiting = self._choose(
            flow, [self._head(flow, lane) for lane in Lane if lane in lanes and flow.lanes[lane]], now
        )
        self._remove(flow, waiting)
        self._bill(flow, waiting.cost)
        return waiting

    def charge(self, source: str, cost: float) -> None:
        """Charges a source for a request that went without waiting."""
        flow = self._flow(source)
        if not flow.size:
            flow.start = max(flow.start, self._virtual)
        self._bill(flow, cost)

    @staticmethod
    def _choose(flow: _Flow, heads: list[Waiting], now: float) -> Waiting:
        """The first of the most urgent lane, or at every fourth turn the oldest of those whose age has lifted them."""
        lifted = [each for each in heads[1:] if now - each.since >= _LIFTED_AFTER[each.lane]]
        if not lifted:
            return heads[0]
        flow.passed += 1
        if flow.passed < _LIFT_EVERY:
            return heads[0]
        flow.passed = 0
        return min(lifted, key=_age)

    def _bill(self, flow: _Flow, cost: float) -> None:
        self._virtual = max(self._virtual, flow.start)
        flow.start += min(max(cost, _CHEAPEST), _DEAREST)
        flow.turn = next(self._serial)

    def _flow(self, source: str) -> _Flow:
        flow = self._flows.get(source)
        if flow is None:
            if len(self._flows) >= self._sweep_at:
                self._sweep()
            flow = self._flows[source] = _Flow(self._virtual)
        return flow

    def _sweep(self) -> None:
        """Forgets the sources that neither wait nor owe, and of those that only owe all but the deepest in debt."""
        idle = [(name, flow) for name, flow in self._flows.items() if not flow.size and flow.start > self._virtual]
        idle.sort(key=lambda item: item[1].start, reverse=True)
        waiting = {name: flow for name, flow in self._flows.items() if flow.size}
        self._flows = waiting | dict(idle[:_MOST_DEBTORS])
        self._sweep_at = 2 * len(self._flows) + 64

    def _remove(self, flow: _Flow, waiting: Waiting) -> None:
        del flow.lanes[waiting.lane][waiting.id]
        del self._waiting[waiting.id]
        flow.size -= 1
        self._sizes[waiting.lane] -= 1

    def _first(self, lane: Lane) -> _Rank:
        """The rank of the source that goes next in a lane where somebody waits."""
        heap = self._heaps[lane]
        while True:
            start, turn, serial, flow = heap[0]
            if not flow.lanes[lane]:
                flow.listed[lane] = False
                heappop(heap)
            elif (start, turn) != (flow.start, flow.turn):
                heapreplace(heap, (flow.start, flow.turn, serial, flow))
            else:
                return heap[0]

    def _tidy(self, lane: Lane) -> None:
        """Drops the ranks of sources that left a lane, before they outnumber the others."""
        heap = self._heaps[lane]
        if len(heap) <= 2 * self._sizes[lane] + 64:
            return
        for rank in heap:
            rank[3].listed[lane] = bool(rank[3].lanes[lane])
        heap[:] = sorted(rank for rank in heap if rank[3].listed[lane])

    @staticmethod
    def _head(flow: _Flow, lane: Lane) -> Waiting:
        return next(iter(flow.lanes[lane].values()))


def _age(waiting: Waiting) -> float:
    return waiting.since
