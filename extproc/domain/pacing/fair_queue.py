"""Who goes next: sources take turns by what their requests cost, and within a source its main conversation leads.

A request waits for a place of its model alone: one whose model has a place passes those whose model has none. So turns
are taken for each model's places on their own (virtual token counter: Sheng et al., Fairness in Serving Large Language
Models, OSDI 2024). A source has a tally for each model: the credits that its requests take there, by a guess when one
starts, put right when it is known what it took. Of those that wait for a model the one with the smallest tally goes.

* A source that begins to wait for a model is lifted to the smallest tally of those that wait for it, or of the last
  that went if nobody does: nobody saves turns up by idling, and nobody is lifted above one who waits. Among equal ones
  the source goes first whose last turn is the longest ago; one that is new goes last.
* What a guess was too high is given back, but never below where the source has been lifted to since.
* What a source does with one model is nothing to those that wait for another, as long as each model has places of its
  own. Where several models want the same places (of the account, of a shared limit, of the rate), a turn is one of all
  of them: there sources are compared by what they took in such turns, and a turn counts for each of those models for
  which its source waits. A source that could not have taken part in the last such turn is lifted as above.

So between two sources that always have something waiting for a model, tallies differ at most by what runs and is not
yet charged: the credits of one request for each place. And whoever waits goes after a bounded number of others, however
many models these work with: in each kind of turn all others' tallies grow past its own.
"""

import itertools
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from extproc.domain.pacing.clock import Steady
from extproc.domain.request.priority import Lane

# A request occupies a place however short it is.
_CHEAPEST: Final = 0.1

# After this many seconds in the queue a request is lifted: less than the queue's usual time-out of a minute.
_LIFTED_AFTER: Final = {Lane.MAIN: 0.0, Lane.SUBAGENT: 15.0, Lane.BACKGROUND: 35.0}
# Of a source's turns, one in this many goes to the oldest lifted request, whatever its lane: so nothing starves, and a
# main conversation does not stand behind a whole swarm whose age has lifted it.
_LIFT_EVERY: Final = 4

# How many sources are remembered for what they have taken though they have nothing waiting.
_MOST_DEBTORS: Final = 256
# So many requests that have left are kept until what they took is known, which takes up to a second.
_MOST_BILLS: Final = 4096


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


class _Tally:
    """What a source has taken in one kind of turns, in `credits`, and the number of its last `turn`.

    A lift begins a new `era`. `credits` is what was taken since the lift, on top of either what had been taken before
    or the floor it was lifted to, whichever is more. So a guess of an earlier era that turns out to have been too high
    cannot bring the tally below that floor.
    """

    __slots__ = ("_before", "_floor", "_since", "contest", "credits", "era", "passed", "turn")

    def __init__(self, turn: int) -> None:
        self._before = self._floor = self._since = self.credits = 0.0
        self.era = 0
        self.turn = turn
        self.passed = 0
        self.contest = -1

    def lift(self, floor: float) -> None:
        self._before, self._floor, self._since = self.credits, floor, 0.0
        self.era += 1
        self._add_up()

    def charge(self, cost: float, turn: int) -> None:
        self._since += cost
        self.turn = turn
        self._add_up()

    def correct(self, era: int, more: float) -> None:
        """What was charged in an era turns out to have cost `more` credits than that, or less if it is negative."""
        if era == self.era:
            self._since += more
        else:
            self._before += more
        self._add_up()

    def _add_up(self) -> None:
        self.credits = max(self._before, self._floor) + self._since


class _Flow:
    """What a source has taken of a model, what in turns for which several models competed, and what it has waiting for
    the model, by lane."""

    __slots__ = ("contended", "lines", "tally")

    def __init__(self, turn: int, contended: _Tally) -> None:
        self.tally = _Tally(turn)
        self.contended = contended
        self.lines: dict[Lane, OrderedDict[str, Waiting]] = {}


class _Model:
    """The sources that work with a model, those that wait for it, and the tally of the last that went."""

    __slots__ = ("flows", "last", "waiting")

    def __init__(self) -> None:
        self.flows: dict[str, _Flow] = {}
        self.waiting: dict[str, _Flow] = {}
        self.last = 0.0

    def open(self, closed: Collection[Lane]) -> Iterable[_Flow]:
        """Those that have something waiting in a lane that is not closed."""
        if not closed:
            return self.waiting.values()
        return [flow for flow in self.waiting.values() if any(lane not in closed for lane in flow.lines)]

    def level(self, closed: Collection[Lane]) -> float:
        """Where a source stands that begins to wait."""
        return min((flow.tally.credits for flow in self.open(closed)), default=self.last)


@dataclass(frozen=True, slots=True)
class _Bill:
    """What was charged for a request, and to which tallies in which of their eras."""

    cost: float
    charged: tuple[tuple[_Tally, int], ...]


_Line = tuple[str, Lane]  # what waits for one model in one lane


def _all_free(_: str) -> bool:
    return True


def _no_rivals(_: Mapping[str, int]) -> Collection[str]:
    return ()


class FairQueue:
    """A queue of `Waiting`, bounded by whoever pushes. A turn is found in O(sources that wait for its model)."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, Waiting] = OrderedDict()
        self._sizes: dict[_Line, int] = {}
        self._by_model: Counter[str] | None = None
        self._models: dict[str, _Model] = {}
        self._bills: OrderedDict[str, _Bill] = OrderedDict()
        self._closed: Collection[Lane] = ()
        # What each source took in turns for which several models competed, and how many of those there were.
        self._contended: dict[str, _Tally] = {}
        self._contests = 0
        self._last_contended = 0.0
        self._turns = itertools.count()
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

    def in_lane(self, lane: Lane) -> int:
        """How many wait in a lane."""
        return sum(size for (_, each), size in self._sizes.items() if each is lane)

    def waiting_for(self, model: str) -> int:
        """How many wait for a model, in all lanes."""
        return sum(self._sizes.get((model, lane), 0) for lane in Lane)

    def by_model(self, closed: Collection[Lane] = ()) -> Counter[str]:
        """How many wait for each model in lanes that are not closed. Whoever asks leaves it as it is."""
        if not closed and self._by_model is not None:
            return self._by_model
        counts: Counter[str] = Counter()
        for (model, lane), size in self._sizes.items():
            if lane not in closed:
                counts[model] += size
        if not closed:
            self._by_model = counts
        return counts

    def sources(self) -> int:
        """How many sources have something waiting, or are remembered for what they sent."""
        return len(self._contended)

    def has(self, model: str, closed: Collection[Lane] = ()) -> bool:
        """Whether anybody waits for a model in a lane that is not closed."""
        return any((model, lane) in self._sizes for lane in Lane if lane not in closed)

    def push(self, waiting: Waiting) -> None:
        """Adds a request. Raises ValueError if one with this id waits already."""
        if waiting.id in self._waiting:
            raise ValueError(f"{waiting.id} is in the queue already")
        self._waiting[waiting.id] = waiting
        self._line_up(waiting)

    def cancel(self, request_id: str) -> Waiting | None:
        """Takes a request out, wherever it stands; None if it does not wait. It is not charged."""
        waiting = self._waiting.pop(request_id, None)
        if waiting is not None:
            self._leave_line(waiting)
        return waiting

    def rename(self, asked: str, model: str) -> None:
        """Those that asked for a name wait for another model from now on: that is the one that serves it."""
        arrivals = {request_id: place for place, request_id in enumerate(self._waiting)}

        def arrival(line: tuple[str, Waiting]) -> int:
            return arrivals[line[0]]

        for waiting in [each for each in self._waiting.values() if each.asked == asked and each.model != model]:
            before, moved = self._leave_line(waiting), replace(waiting, model=model)
            self._waiting[waiting.id] = moved
            flow = self._line_up(moved)
            # It has waited for its turn, wherever it stood.
            flow.tally.turn = min(flow.tally.turn, before.tally.turn)
            flow.lines[moved.lane] = OrderedDict(sorted(flow.lines[moved.lane].items(), key=arrival))

    def pop(
        self,
        t: Steady,
        closed: Collection[Lane] = (),
        is_free: Callable[[str], bool] = _all_free,
        rivals: Callable[[Mapping[str, int]], Collection[str]] = _no_rivals,
    ) -> Waiting | None:
        """Takes out whoever goes next and charges its source; None if nobody waits whose lane is not closed and whose
        model is free. `rivals` says which of the free models, of which so many wait, want the same places."""
        self._open_lanes(closed)
        free = {model: count for model, count in self.by_model(closed).items() if is_free(model)}
        if not free:
            return None
        compete = rivals(free) if len(free) > 1 else ()
        model = next((each for each in free if each not in compete), None)
        if model is not None:
            flow = min(self._models[model].open(closed), key=_rank_in_model)
            waiting = self._choose(flow.tally, [flow], closed, t)
            charged = [flow.tally]
        else:
            tally, flows = self._contest(list(free), closed)  # all of them compete
            waiting = self._choose(tally, flows, closed, t)
            charged = [tally, *(each.tally for each in flows)]
        of_model = self._models[waiting.model]
        of_model.last = of_model.flows[waiting.source].tally.credits
        del self._waiting[waiting.id]
        self._leave_line(waiting)
        self._bill(waiting.id, waiting.cost, charged)
        return waiting

    def charge(self, request_id: str, source: str, model: str, cost: float) -> None:
        """Charges a source for a request that went without waiting."""
        of_model, flow = self._flow(source, model)
        if source not in of_model.waiting:
            flow.tally.lift(of_model.level(self._closed))
        of_model.last = flow.tally.credits
        self._bill(request_id, cost, [flow.tally])

    def settle(self, request_id: str, cost: float) -> None:
        """A request has taken so many credits. Only one that was charged, and whose bill is open, changes anything."""
        bill = self._bills.pop(request_id, None)
        if bill is not None:
            for tally, era in bill.charged:
                tally.correct(era, max(cost, _CHEAPEST) - bill.cost)

    @staticmethod
    def _choose(tally: _Tally, flows: Iterable[_Flow], closed: Collection[Lane], t: Steady) -> Waiting:
        """The first of the most urgent lane, or at every fourth turn the oldest of those whose age has lifted them."""
        first: dict[Lane, Waiting] = {}
        for flow in flows:
            for lane, line in flow.lines.items():
                head = next(iter(line.values()))
                if lane not in closed and (lane not in first or head.since < first[lane].since):
                    first[lane] = head
        heads = [first[lane] for lane in Lane if lane in first]
        lifted = [each for each in heads[1:] if t - each.since >= _LIFTED_AFTER[each.lane]]
        if not lifted:
            return heads[0]
        tally.passed += 1
        if tally.passed < _LIFT_EVERY:
            return heads[0]
        tally.passed = 0
        return min(lifted, key=_age)

    def _contest(self, models: Collection[str], closed: Collection[Lane]) -> tuple[_Tally, list[_Flow]]:
        """Who goes next where models compete, with what it has waiting for each of them."""
        flows = [flow for model in models for flow in self._models[model].open(closed)]
        last = self._contests
        self._contests = this = last + 1
        # The first of those that took part in the last such turn, and those that did not.
        first: _Tally | None = None
        joining: list[_Tally] = []
        for flow in flows:
            tally = flow.contended
            if tally.contest == last:
                if first is None or (tally.credits <= first.credits and _rank(tally) < _rank(first)):
                    first = tally
            elif tally.contest < last:
                joining.append(tally)
            tally.contest = this
        level = self._last_contended if first is None else first.credits
        for tally in joining:
            tally.lift(level)
        first = min(joining if first is None else [first, *joining], key=_rank)
        self._last_contended = first.credits
        return first, [flow for flow in flows if flow.contended is first]

    def _bill(self, request_id: str, cost: float, tallies: Collection[_Tally]) -> None:
        cost, turn = max(cost, _CHEAPEST), next(self._turns)
        for tally in tallies:
            tally.charge(cost, turn)
        self._bills[request_id] = _Bill(cost, tuple((tally, tally.era) for tally in tallies))
        if len(self._bills) > _MOST_BILLS:
            self._bills.popitem(last=False)

    def _open_lanes(self, closed: Collection[Lane]) -> None:
        """Notes which lanes are closed now. A source that waited only in lanes which were closed has saved no turns up:
        it is lifted like one that begins to wait."""
        before, self._closed = self._closed, frozenset(closed)
        if any(lane not in self._closed for lane in before):
            for model in self._models.values():
                level = model.level(before)
                for flow in model.waiting.values():
                    if not _is_open(flow, before) and _is_open(flow, closed):
                        flow.tally.lift(level)

    def _flow(self, source: str, name: str) -> tuple[_Model, _Flow]:
        model = self._models.get(name)
        flow = None if model is None else model.flows.get(source)
        if model is not None and flow is not None:
            return model, flow
        if sum(len(each.flows) for each in self._models.values()) + len(self._contended) >= self._sweep_at:
            self._sweep()
        model = self._models.setdefault(name, _Model())
        contended = self._contended.get(source)
        if contended is None:
            contended = self._contended[source] = _Tally(next(self._turns))
        flow = model.flows[source] = _Flow(next(self._turns), contended)
        return model, flow

    def _sweep(self) -> None:
        """Forgets sources that have nothing waiting, except those that have taken most above their equals: they would
        come back without that debt."""
        debts: list[tuple[float, str, str]] = []
        for name, model in self._models.items():
            level = model.level(())
            idle = [each for each in model.flows if each not in model.waiting]
            debts += [(debt, name, each) for each in idle if (debt := model.flows[each].tally.credits - level) > 0.0]
        debts.sort(reverse=True)
        kept = {(name, source) for _, name, source in debts[:_MOST_DEBTORS]}
        for name, model in list(self._models.items()):
            model.flows = {
                source: flow
                for source, flow in model.flows.items()
                if source in model.waiting or (name, source) in kept
            }
            if not model.flows:
                del self._models[name]
        known = {source for model in self._models.values() for source in model.flows}
        self._contended = {source: tally for source, tally in self._contended.items() if source in known}
        self._sweep_at = 2 * (sum(len(each.flows) for each in self._models.values()) + len(self._contended)) + 64

    def _line_up(self, waiting: Waiting) -> _Flow:
        model, flow = self._flow(waiting.source, waiting.model)
        if not flow.lines:
            flow.tally.lift(model.level(self._closed))
            model.waiting[waiting.source] = flow
        flow.lines.setdefault(waiting.lane, OrderedDict())[waiting.id] = waiting
        line = (waiting.model, waiting.lane)
        self._sizes[line] = self._sizes.get(line, 0) + 1
        self._by_model = None
        return flow

    def _leave_line(self, waiting: Waiting) -> _Flow:
        model, line = self._models[waiting.model], (waiting.model, waiting.lane)
        flow = model.flows[waiting.source]
        del flow.lines[waiting.lane][waiting.id]
        if not flow.lines[waiting.lane]:
            del flow.lines[waiting.lane]
        if not flow.lines:
            del model.waiting[waiting.source]
        self._by_model = None
        self._sizes[line] -= 1
        if not self._sizes[line]:
            del self._sizes[line]
        return flow


def _is_open(flow: _Flow, closed: Collection[Lane]) -> bool:
    return any(lane not in closed for lane in flow.lines)


def _rank(tally: _Tally) -> tuple[float, int]:
    return tally.credits, tally.turn


def _rank_in_model(flow: _Flow) -> tuple[float, int]:
    return flow.tally.credits, flow.tally.turn


def _age(waiting: Waiting) -> float:
    return waiting.since
