"""Who goes next: sources take turns by what their requests cost, and within a source its main conversation leads.

A request waits for a place of its model alone: one whose model has a place passes those whose model has none. Where
several may go, the source with the smallest counter does. A counter grows by the credits that a source's requests take:
by a guess when one starts, put right when it is known what it took (virtual token counter: Sheng et al., Fairness in
Serving Large Language Models, OSDI 2024). A source that comes back after a pause starts at the counter of the last that
went, so nobody saves turns up by idling, and one who comes anew goes next but does not overtake a whole queue twice.
Between two sources that always have something waiting, counters differ at most by what runs and is not yet charged:
the credits of one request for each place.
"""

import itertools
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush, heapreplace
from typing import Final

from extproc.domain.request.priority import Lane

# A request occupies a place however short it is.
_CHEAPEST: Final = 0.1

# After this many seconds in the queue a request is lifted: less than the queue's usual time-out of a minute.
_LIFTED_AFTER: Final = {Lane.MAIN: 0.0, Lane.SUBAGENT: 15.0, Lane.BACKGROUND: 35.0}
# Of a source's turns, one in this many goes to the oldest lifted request, whatever its lane: so nothing starves, and a
# main conversation does not stand behind a whole swarm whose age has lifted it.
_LIFT_EVERY: Final = 4

# Sources that have nothing waiting, and are remembered for what they sent.
_MOST_DEBTORS: Final = 256


@dataclass(frozen=True, slots=True)
class Waiting:
    """One request in the queue. `since` is in seconds, `cost` in credits. It asked for one model and needs a
    place of another, or of the same."""

    id: str
    source: str
    lane: Lane
    cost: float
    since: float
    asked: str = ""
    model: str = ""


class _Flow:
    """A source: what it has waiting, and the virtual time from which it may go on."""

    __slots__ = ("lines", "listed", "passed", "size", "start", "turn")

    def __init__(self, start: float) -> None:
        self.start = start
        self.turn = 0
        self.size = 0
        self.passed = 0
        self.lines: dict[_Line, OrderedDict[str, Waiting]] = {}
        self.listed: set[_Line] = set()


_Line = tuple[str, Lane]  # what waits for one model in one lane
_Rank = tuple[float, int, int, _Flow]  # counter, turn among equal counters, serial (flows do not compare), flow


class FairQueue:
    """A queue of `Waiting`, bounded by whoever pushes. Every operation is O(log n), amortized."""

    def __init__(self) -> None:
        self._virtual = 0.0
        self._flows: dict[str, _Flow] = {}
        self._waiting: OrderedDict[str, Waiting] = OrderedDict()
        self._sizes: dict[_Line, int] = {}
        # One heap a line, so that a line that may not go hides no source behind it. A flow is at most once in each;
        # its rank there may be older, so smaller than its own, and is put right when it comes to the top.
        self._heaps: dict[_Line, list[_Rank]] = {}
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
        return sum(size for (_, each), size in self._sizes.items() if each is lane)

    def waiting_for(self, model: str) -> int:
        """How many wait for a model, in all lanes."""
        return sum(size for (each, _), size in self._sizes.items() if each == model)

    def by_model(self, closed: Collection[Lane] = ()) -> Counter[str]:
        """How many wait for each model in lanes that are not closed."""
        counts: Counter[str] = Counter()
        for (model, lane), size in self._sizes.items():
            if lane not in closed:
                counts[model] += size
        return counts

    def sources(self) -> int:
        """How many sources have something waiting, or a debt from what they sent."""
        return len(self._flows)

    def has(self, model: str, closed: Collection[Lane] = ()) -> bool:
        """Whether anybody waits for a model in a lane that is not closed."""
        return any((model, lane) in self._sizes for lane in Lane if lane not in closed)

    def push(self, waiting: Waiting) -> None:
        """Adds a request. Raises ValueError if one with this id waits already."""
        if waiting.id in self._waiting:
            raise ValueError(f"{waiting.id} is in the queue already")
        flow = self._flow(waiting.source)
        if not flow.size:
            flow.start = max(flow.start, self._virtual)
            flow.turn = next(self._serial)
        flow.size += 1
        self._waiting[waiting.id] = waiting
        self._line_up(flow, waiting)

    def cancel(self, request_id: str) -> Waiting | None:
        """Takes a request out, wherever it stands; None if it does not wait."""
        waiting = self._waiting.get(request_id)
        if waiting is not None:
            self._remove(self._flows[waiting.source], waiting)
        return waiting

    def rename(self, asked: str, model: str) -> None:
        """Those that asked for a name wait for another model from now on: that is the one that serves it."""
        for waiting in [each for each in self._waiting.values() if each.asked == asked and each.model != model]:
            flow, moved = self._flows[waiting.source], replace(waiting, model=model)
            self._leave_line(flow, waiting)
            self._waiting[waiting.id] = moved
            self._line_up(flow, moved)

    def pop(
        self, now: float, closed: Collection[Lane] = (), is_free: Callable[[str], bool] = lambda _: True
    ) -> Waiting | None:
        """Takes out whoever goes next and charges its source; None if nobody waits whose lane is not closed and whose
        model is free."""
        free = {model: is_free(model) for model in {model for model, _ in self._sizes}}
        lines = [line for line in self._sizes if line[1] not in closed and free[line[0]]]
        if not lines:
            return None
        flow = min(self._first(line) for line in lines)[3]
        waiting = self._choose(flow, self._heads(flow, lines), now)
        self._remove(flow, waiting)
        self._bill(flow, waiting.cost)
        return waiting

    def charge(self, source: str, cost: float) -> None:
        """Charges a source for a request that went without waiting."""
        flow = self._flow(source)
        if not flow.size:
            flow.start = max(flow.start, self._virtual)
        self._bill(flow, cost)

    def settle(self, source: str, guessed: float, cost: float) -> None:
        """A request of a source that was charged a guess has taken so many credits."""
        flow = self._flows.get(source)
        if flow is not None:
            flow.start += max(cost, _CHEAPEST) - max(guessed, _CHEAPEST)
            self._relist(flow)

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

    @staticmethod
    def _heads(flow: _Flow, lines: Collection[_Line]) -> list[Waiting]:
        """The first of each lane among a flow's lines, the most urgent lane first."""
        heads: dict[Lane, Waiting] = {}
        for line in lines:
            if line in flow.lines:
                head = next(iter(flow.lines[line].values()))
                if line[1] not in heads or head.since < heads[line[1]].since:
                    heads[line[1]] = head
        return [heads[lane] for lane in Lane if lane in heads]

    def _bill(self, flow: _Flow, cost: float) -> None:
        self._virtual = max(self._virtual, flow.start)
        flow.start += max(cost, _CHEAPEST)
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

    def _line_up(self, flow: _Flow, waiting: Waiting) -> None:
        line = (waiting.model, waiting.lane)
        flow.lines.setdefault(line, OrderedDict())[waiting.id] = waiting
        self._sizes[line] = self._sizes.get(line, 0) + 1
        if line not in flow.listed:
            self._list(flow, line)

    def _list(self, flow: _Flow, line: _Line) -> None:
        flow.listed.add(line)
        heappush(self._heaps.setdefault(line, []), (flow.start, flow.turn, next(self._serial), flow))

    def _remove(self, flow: _Flow, waiting: Waiting) -> None:
        self._leave_line(flow, waiting)
        del self._waiting[waiting.id]
        flow.size -= 1

    def _leave_line(self, flow: _Flow, waiting: Waiting) -> None:
        line = (waiting.model, waiting.lane)
        del flow.lines[line][waiting.id]
        if not flow.lines[line]:
            del flow.lines[line]
        self._sizes[line] -= 1
        if not self._sizes[line]:
            del self._sizes[line]
            for rank in self._heaps.pop(line):
                rank[3].listed.discard(line)
        else:
            self._tidy(line)

    def _relist(self, flow: _Flow) -> None:
        """Puts a flow whose counter went down where it belongs: what is behind another's rank is not looked at."""
        for line in flow.listed:
            heap = self._heaps[line]
            heap[:] = [rank for rank in heap if rank[3] is not flow]
            heapify(heap)
            heappush(heap, (flow.start, flow.turn, next(self._serial), flow))

    def _first(self, line: _Line) -> _Rank:
        """The rank of the source that goes next in a line where somebody waits."""
        heap = self._heaps[line]
        while True:
            start, turn, serial, flow = heap[0]
            if line not in flow.lines:
                flow.listed.discard(line)
                heappop(heap)
            elif (start, turn) != (flow.start, flow.turn):
                heapreplace(heap, (flow.start, flow.turn, serial, flow))
            else:
                return heap[0]

    def _tidy(self, line: _Line) -> None:
        """Drops the ranks of sources that left a line, before they outnumber the others."""
        heap = self._heaps[line]
        if len(heap) <= 2 * self._sizes[line] + 64:
            return
        for rank in heap:
            if line not in rank[3].lines:
                rank[3].listed.discard(line)
        heap[:] = sorted(rank for rank in heap if line in rank[3].listed)


def _age(waiting: Waiting) -> float:
    return waiting.since
