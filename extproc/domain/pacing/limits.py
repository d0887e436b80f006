"""What may go upstream at once and in a second, and everything that teaches it. Pure: the caller brings the time.

Z.AI limits each model of an account on its own, or the account as a whole, or both, or some models together: nobody has
published which, and it may change. So there is a limit for each model that serves, one for the account over all of
them, one for models that turn out to share theirs, one for MCP tools beside, and one rate. A request needs a place
under each of its limits; `attribution` tells whom a refusal speaks of, `model_groups` which models share theirs,
`kept_place` keeps those that get through from leaving nothing to one that does not, and `account_tries` lets those try
the account's that it may not bound.
"""

import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from typing import Final

from extproc.domain.pacing.account_tries import AccountTries
from extproc.domain.pacing.adjustments import Direction
from extproc.domain.pacing.attribution import Attribution, RefusedStart
from extproc.domain.pacing.clock import Steady
from extproc.domain.pacing.concurrency_limit import ConcurrencyLimit
from extproc.domain.pacing.config import PacingConfig, PacingMode
from extproc.domain.pacing.gate import Gate
from extproc.domain.pacing.kept_place import KeptPlace
from extproc.domain.pacing.learned_limits import MOST_MODELS, Learned
from extproc.domain.pacing.model_groups import ModelGroups
from extproc.domain.pacing.plan_places import ModelPlaces, PlanPlaces
from extproc.domain.pacing.probing import RareProbes
from extproc.domain.pacing.rate_limit import RateLimit
from extproc.domain.pacing.records import LimitsStatus, ModelStatus, limit_status
from extproc.domain.request.business_codes import ErrorClass
from extproc.domain.request.model_names import model_name

MCP: Final = "mcp"
"""Stands for the tools of /api/mcp, which have a gate of their own beside the account's limits."""
UNKNOWN: Final = "unknown"
"""Stands for all models whose name could not be read."""
# What is put before the name of a model that is really called `mcp` or `unknown`.
_NAME_PREFIX: Final = "model:"

# After an overload the share in use comes back bit by bit: whoever waits looks this often whether there is room.
_BACKOFF_STEP: Final = 0.5
# The lag that is told to other replicas is rounded up to such steps, so that it does not change with each report.
_LAG_STEP: Final = 0.05
# A longer `retry-after` is not taken for a pause: it is another kind of limit, or a mistake, and the limits learn what
# it is from refusals.
_LONGEST_PAUSE: Final = 3600.0


def places_name(model: str) -> str:
    """The name by which a model's places are kept, told to other replicas and shown. That is the model's own, unless it
    is one that stands for something else, or begins as the substitute of such a name does."""
    return model_name(_NAME_PREFIX + model) if model in (MCP, UNKNOWN) or model.startswith(_NAME_PREFIX) else model


class Limits:
    """All limits of one account, what scales them, and what their lessons are judged by. Times are steady seconds.

    Whoever holds them tells of every start, end and refusal, and what waits. A model's name is the one that serves.
    """

    def __init__(self, config: PacingConfig) -> None:
        self._mode = config.mode
        self._config = config
        self._models: OrderedDict[str, Gate] = OrderedDict()
        self._forgotten: Counter[Direction] = Counter()
        self._ways: dict[str, tuple[Gate, ...]] = {}
        self._shared: tuple[Gate, ...] = ()
        self._attribution = Attribution()
        self._wanting: set[str] = set()
        self._account = Gate(config.concurrency_initial, config.most_in_flight)
        self._groups = ModelGroups(
            self._models, self._account, self._attribution, config.most_in_flight, self._regrouped
        )
        self._kept = KeptPlace(self._models, self._account)
        self._account_tries = AccountTries(self._models, self._account, self._kept)
        self._initial = config.concurrency_initial
        self.rate = RateLimit(config.rate_initial, config.rate_min, config.rate_max, config.rate_burst)

    @property
    def account(self) -> ConcurrencyLimit:
        """The limit of the account as a whole."""
        return self._account.limit

    def of(self, model: str) -> ConcurrencyLimit:
        """A model's own limit."""
        return self._gate(model).limit

    @property
    def limit(self) -> int:
        """How many may be in flight in all, as far as is known: what the models may together, the account at most."""
        own = {model: gate.limit.limit for model, gate in self._models.items() if model != MCP}
        return min(self.account.limit, self._groups.together(own)) if own else self.account.limit

    def limit_of(self, model: str) -> int:
        """How many of a model may be in flight, if no other is."""
        return min([gate.limit.limit for gate in self._on_its_way(model)])

    def left(self, model: str) -> int:
        """How many more of a model may be in flight beside what is in flight of the models that share a limit with it;
        less than none while more are than may be."""
        return min([gate.limit.limit - gate.in_flight for gate in self._on_its_way(model)])

    def waiting_with(self, model: str, t: Steady) -> set[str]:
        """The models whose requests wait for what those of a model wait for: all that share a limit with it, if that is
        full and the model's own is not."""
        own, *larger = self._on_its_way(model)
        full = None if own.is_full(t) else next((gate for gate in larger if gate.is_full(t)), None)
        return {model} | {each for each in self._models if full is not None and full in self._on_its_way(each)}

    def pause_left(self, model: str, t: Steady) -> float:
        """Seconds until anything of a model may start; 0.0 but during a pause."""
        return max(gate.limit.pause_left(t) for gate in self._on_its_way(model))

    def share_in_use(self, t: Steady) -> float:
        """The smallest share of a model's limit that may be used: 1.0 except after overloads."""
        return min((gate.backoff.share(t) for gate in self._models.values()), default=1.0)

    def usable(self, model: str, t: Steady) -> int:
        """How many of a model may be in flight now, if no other is; 0 during a pause."""
        return min(gate.usable(t) for gate in self._on_its_way(model))

    def places(self, model: str, t: Steady) -> int:
        """How many more of a model may be in flight now."""
        return min(gate.places(t) for gate in self._on_its_way(model))

    def is_free(self, model: str, t: Steady) -> bool:
        """Whether one of a model may start now."""
        return self._has_place(model, t) and (model == MCP or self.rate.wait(t) <= 0.0)

    def _has_place(self, model: str, t: Steady) -> bool:
        if model != MCP and self._kept.shuts_out(model, t):
            return False
        # The largest may be full for all models: then no other is looked at. This is asked of each model, whatever
        # happens, so it is a loop: a generator takes twice as long.
        for gate in reversed(self._on_its_way(model)):  # noqa: SIM110
            if not gate.has_place(t):
                return False
        return True

    def rivals(self, waiting: Mapping[str, int], t: Steady) -> set[str]:
        """Which of some models that are free, and of which so many wait, take places from one another: not all of
        them can start what they could each alone."""
        models = [each for each in waiting if each != MCP]
        if len(models) < 2:
            return set()
        room = min(self._account.places(t), self.rate.room(t))
        if len(models) > room:
            return set(models)
        # How many of each would start if their own limits alone counted: one at least, since all are free.
        wanted = {each: min(waiting[each], self._gate(each).places(t)) for each in models}
        if sum(wanted.values()) > room:
            return set(models)
        return self._groups.rivals(wanted, t)

    def is_calm(self, model: str, t: Steady) -> bool:
        """Whether nothing but the number of places may be why one more of a model is refused."""
        gates = self._on_its_way(model)
        if any(gate.release_lag.is_in_doubt(t) for gate in gates):
            return False
        if gates[0].backoff.share(t) < 1.0:
            return False
        return model == MCP or self.rate.is_proven(t)

    def may_be_late(self, model: str, t: Steady) -> bool:
        """Whether a place that became free for a model may still be taken at the upstream, as far as is known."""
        return any(gate.release_lag.may_be_late(t) for gate in self._on_its_way(model))

    def expect_change(self, t: Steady) -> None:
        """The plan may have changed just now: what it allowed before is worth a probe."""
        for gate in self._gates():
            gate.limit.expect_change(t)
        self.rate.expect_change(t)

    def advance(self, t: Steady) -> None:
        """Lets the numbers in flight rise as far as they may by now; the rate rises in `set_demand`."""
        for gate in self._gates():
            gate.limit.advance(t)
        if self._attribution.is_in_doubt:
            self._attribution.reconsider(self._wanted(), t)
        self._groups.advance(t)
        self._account_tries.advance(self._wanting - {MCP}, t)

    def start(self, model: str, retrying: Mapping[str, int], t: Steady) -> None:
        """A request has started. `retrying` says how many of those in flight, by model, may not be at the upstream."""
        self._gate(model).start(retrying.get(model, 0), t)
        self._models.move_to_end(model)
        if model == MCP:
            return
        self._kept.started(model, t)
        levels = []
        if (shared := self._groups.gate(model)) is not None:
            of_members = sum(retrying.get(each, 0) for each in self._groups.members(model))
            levels.append((shared, shared.start(of_members, t)))
        in_all = sum(count for each, count in retrying.items() if each != MCP)
        levels.append((self._account, self._account.start(in_all, t)))
        at_upstream = {each: gate.in_flight - retrying.get(each, 0) for each, gate in self._models.items()}
        self._attribution.started(model, tuple(levels), at_upstream, t)
        self.rate.start(t)

    def end(self, model: str, t: Steady, *, refused: bool) -> None:
        """One has ended, by being refused or not."""
        for gate in self._on_its_way(model):
            gate.end(t, refused=refused)
        if not refused and model != MCP:
            self._attribution.ended(t)
            if self._wanting:
                self._kept.came_free(model, self._wanting - {MCP}, t)

    def move(self, before: str, after: str, count: int, t: Steady) -> None:
        """`count` of those in flight turn out to be of another model. One that is new takes over what was learned while
        its name was unknown; what is known of a model stays its own, whoever answers for its name."""
        if before == UNKNOWN and after not in self._models and self._gate(before).in_flight == count:
            self._models[after] = self._models.pop(before)
            self._groups.leave(before)
        else:
            self._gate(before).correct(self._gate(before).in_flight - count, t)
            self._gate(after).correct(self._gate(after).in_flight + count, t)
        self._groups.recount(t)

    def correct(self, in_flight: Mapping[str, int], t: Steady) -> None:
        """Sets how many of each model are in flight, whatever was counted."""
        for model in {*self._models, *in_flight}:
            self._gate(model).correct(in_flight.get(model, 0), t)
        self._groups.recount(t)
        self._account.correct(sum(count for model, count in in_flight.items() if model != MCP), t)

    def refused(
        self,
        model: str,
        error_class: ErrorClass,
        code: str,
        started: Steady,
        ended: Steady,
        t: Steady,
        retry_after: float | None = None,
    ) -> None:
        """The upstream refused an attempt that had `started` and `ended` then. Only refusals by the plan's limits and
        overloads teach anything.

        If it asked to be left alone for up to an hour (`retry_after`, in seconds since the end), nothing new of the
        model starts until that has passed; nothing of the account if it was its rate.
        """
        is_pause = retry_after is not None and 0.0 < retry_after <= _LONGEST_PAUSE
        until = ended + retry_after if is_pause and retry_after is not None else None
        own, cause = self._gate(model), f"upstream {code}"
        if error_class is ErrorClass.CONCURRENCY:
            self._too_many(RefusedStart(model, started, ended, cause, until), own, t)
            return
        if error_class is ErrorClass.FREQUENCY:
            self.rate.refused(started, cause, t)
        elif error_class is ErrorClass.OVERLOAD:
            own.backoff.overloaded(started, t)
            own.limit.overloaded(cause, t)
            for gate in self._on_its_way(model)[1:]:
                # It speaks of no limit that others share: what they try goes on, and only this attempt proves nothing.
                if (level := gate.level(started, ended)) is not None:
                    gate.limit.distrust(level, started)
            return
        else:
            return
        if until is not None:
            (own if model == MCP else self._account).limit.pause(until)

    def _too_many(self, attempt: RefusedStart, own: Gate, t: Steady) -> None:
        model = attempt.model
        self._kept.refused(model)
        self._account_tries.refused(model)
        self._groups.refused(attempt, t)
        is_single = model == MCP or self._mode is not PacingMode.ADAPTIVE
        larger = () if is_single else self._on_its_way(model)[1:]
        with_it = self._attribution.in_flight_with(attempt)
        level = self._attribution.refused(attempt, own, larger, t)
        if with_it is not None and not is_single:
            self._groups.refused_with(model, with_it, self._others(model), t)
        if level == 1 and not is_single and own.limit.is_stormy:
            self._groups.refused_alone(model, self._others(model), t)

    def _others(self, model: str) -> Mapping[str, Gate]:
        """The other models that one may share a limit with."""
        return {other: gate for other, gate in self._models.items() if other not in (model, MCP)}

    def set_demand(self, waiting: Mapping[str, int], t: Steady) -> None:
        """Says how many of each model wait that nothing but the limits holds back; only then they rise."""
        if self._mode is not PacingMode.ADAPTIVE:
            return
        before, self._wanting = self._wanting, {model for model, count in waiting.items() if count > 0}
        wanted: set[Gate] = set()
        wants_rate = False
        looked_at = self._models.items() if before or self._wanting else ()
        all_full = {gate for gate in self._shared_gates() if gate.is_full(t)} if looked_at else ()
        for model, own in looked_at:
            wants = model in self._wanting
            if not wants and not own.limit.is_wanted:
                continue
            is_full = own.is_full(t)
            full = [gate for gate in self._on_its_way(model)[1:] if gate in all_full] if all_full else ()
            # Where a model's own limit and a larger one are both full, one that still searches must not grow past one
            # that holds by levels that nobody has tried: all of them would be used at once when that one makes room.
            grows = not own.is_open or own.limit.is_proven or all(gate.is_open for gate in full)
            own.limit.set_demand(wants and is_full and grows and own.backoff.share(t) >= 1.0, t)
            if full and wants and (not is_full or own.is_open):
                wanted.update(full)
            if wants and not (wants_rate or full or model == MCP):
                wants_rate = self._has_place(model, t)
        for gate in self._shared_gates():
            gate.limit.set_demand(gate in wanted, t)
        self.rate.use_share(self._largest_share(t), t)
        self.rate.set_demand(wants_rate, t)

    def _largest_share(self, t: Steady) -> float:
        """The share of the rate to use: all of it, but where each model is short of capacity."""
        largest = 0.0
        for model, gate in self._models.items():
            if model != MCP and gate.limit.in_flight and (share := gate.backoff.share(t)) > largest:
                if share >= 1.0:
                    return 1.0
                largest = share
        return largest or 1.0

    def next_changes(self, wanted: Mapping[str, int], t: Steady) -> list[float]:
        """When more may start if nothing happens but that time passes; `wanted` is how many of each model wait."""
        times = [change for gate in self._gates() if (change := gate.next_change(t)) is not None]
        if (kept_until := self._kept.next_change(t)) is not None:
            times.append(kept_until)
        waits_for_rate = False
        for model, gate in self._models.items():
            if wanted.get(model, 0) > 0 and self._has_place(model, t):
                waits_for_rate = waits_for_rate or model != MCP
            elif gate.backoff.share(t) < 1.0:
                times.append(t + _BACKOFF_STEP)
        if waits_for_rate and (wait := self.rate.wait(t)) > 0.0:
            times.append(t + wait)
        return times

    def gave_back(self, model: str, count: int, t: Steady) -> None:
        """So many answers of a model have ended then, elsewhere: their places may still be taken at the upstream."""
        for gate in self._on_its_way(model):
            for _ in range(count):
                gate.release_lag.ended(t)

    def _lag(self, model: str, t: Steady) -> float:
        """For how many seconds other replicas are to leave a place of a model alone, in whole steps."""
        lag = max(gate.release_lag.lag(t) for gate in self._on_its_way(model))
        return math.ceil(lag / _LAG_STEP) * _LAG_STEP

    def account_usable(self, t: Steady) -> int:
        """How many may be in flight of the account as a whole now; 0 during a pause."""
        return self._account.usable(t)

    def plan_places(self, outside: Callable[[float], float], t: Steady) -> PlanPlaces:
        """How many of each model may be in flight now, for those who deal the places out; `outside` turns a time into
        the one that is to be told."""
        numbers = self._groups.numbers()
        models = {
            model: ModelPlaces(
                usable=gate.usable(t),
                limit=gate.limit.limit,
                share_in_use=gate.backoff.share(t),
                group=numbers.get(model, 0),
                lag=self._lag(model, t),
                paused_until=outside(t + left) if (left := self.pause_left(model, t)) else None,
            )
            for model, gate in self._models.items()
        }
        return PlanPlaces(
            models=models,
            groups=self._groups.places(t),
            new=self._initial_of(UNKNOWN),
            tools=self._initial_of(MCP),
            rate_is_proven=self.rate.is_proven(t),
        )

    def learned(self, outside: Callable[[float], float], now: float) -> Learned:
        """What is known of the plan at the outside time `now`; `outside` turns a steady time into one of those."""
        models = {model: gate.limit.learned(outside) for model, gate in self._models.items()}
        groups = self._groups.learned(outside)
        return Learned(now, self.account.learned(outside), self.rate.learned(outside), models, groups)

    def restore(self, learned: Learned, past: Callable[[float], Steady], t: Steady) -> None:
        """Goes on from what was known, unless the limits are fixed; `past` turns an outside time into a steady one."""
        if self._mode is not PacingMode.ADAPTIVE:
            return
        self.account.restore(learned.concurrency, past)
        self.rate.restore(learned.rate, past, t)
        if not learned.models:
            # Learned when there was one limit for all: a model may have all of it.
            self._initial = max(self._initial, self.account.limit)
        for model, known in list(learned.models.items())[-MOST_MODELS:]:
            self._gate(model).limit.restore(known, past)
        self._groups.restore(learned.groups, self._models.keys() - {MCP}, past, t)

    def status(
        self, waiting: Mapping[str, int], outside: Callable[[float], float], now: float, t: Steady
    ) -> LimitsStatus:
        """What there is to see; `waiting` is how many of each model wait."""
        models = tuple(
            ModelStatus(
                model=model,
                in_flight=gate.in_flight,
                waiting=waiting.get(model, 0),
                limit=limit_status(
                    self._shown(model, gate), gate.limit.learned(outside), gate.limit.adjustments, outside, now
                ),
                share_in_use=gate.backoff.share(t),
                group=self._groups.status(model),
            )
            for model, gate in sorted(self._models.items())
        )
        account, rate = self.account, self.rate
        return LimitsStatus(
            models,
            limit_status(account.limit, account.learned(outside), account.adjustments, outside, now),
            limit_status(rate.rate, rate.learned(outside), rate.adjustments, outside, now),
            forgotten={direction: self._forgotten[direction] for direction in Direction},
        )

    def _shown(self, model: str, gate: Gate) -> int:
        """A model's own limit; where nothing is learned it has none, and the account's is what holds."""
        return gate.limit.limit if self._mode is PacingMode.ADAPTIVE else self.limit_of(model)

    def _on_its_way(self, model: str) -> tuple[Gate, ...]:
        """The gates that a request of a model passes, the smallest first."""
        way = self._ways.get(model)
        if way is None:
            own, shared = self._gate(model), self._groups.gate(model)
            if model == MCP:
                way = (own,)
            elif shared is None:
                way = (own, self._account)
            else:
                way = (own, shared, self._account)
            self._ways[model] = way
        return way

    def _shared_gates(self) -> tuple[Gate, ...]:
        """The gates that several models pass, the smallest first."""
        if not self._shared:
            self._shared = (*self._groups.gates(), self._account)
        return self._shared

    def _regrouped(self) -> None:
        """A model or a group has come or gone: what each passes is found out anew."""
        self._ways.clear()
        self._shared = ()

    def _wanted(self) -> dict[Gate, set[str]]:
        """Whose work waits for a place of each of those."""
        wanted: dict[Gate, set[str]] = {gate: set() for gate in self._shared_gates()}
        for model in self._wanting - {MCP}:
            for gate in self._on_its_way(model)[1:]:
                wanted[gate].add(model)
        return wanted

    def _gates(self) -> list[Gate]:
        return [*self._models.values(), *self._shared_gates()]

    def _gate(self, model: str) -> Gate:
        gate = self._models.get(model)
        if gate is None:
            self._make_room()
            probes = RareProbes() if model == MCP else None
            gate = self._models[model] = Gate(self._initial_of(model), self._config.most_in_flight, probes)
            self._regrouped()
        return gate

    def _initial_of(self, model: str) -> int:
        is_bound = self._mode is PacingMode.ADAPTIVE or model == MCP
        return min(self._initial, self._config.most_in_flight) if is_bound else self._config.most_in_flight

    def _make_room(self) -> None:
        """Forgets the longest unused model of which nothing is in flight, if there are too many. The gate of tools
        stays: it is tried so rarely that what is known of it would be missed."""
        if len(self._models) >= MOST_MODELS:
            idle = next((name for name, gate in self._models.items() if not gate.in_flight and name != MCP), None)
            if idle is not None:
                self._forgotten.update(self._models.pop(idle).limit.adjustments.counts)
                self._groups.leave(idle)
