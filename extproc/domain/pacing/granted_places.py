"""Places of a plan that replicas share: granted by model, a few at a time. Pure: the caller brings the time."""

from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Final

from extproc.domain.pacing.adjustments import Direction
from extproc.domain.pacing.clock import Steady
from extproc.domain.pacing.learned_limits import LearnedLimit
from extproc.domain.pacing.limits import Limits
from extproc.domain.pacing.places import Refusal
from extproc.domain.pacing.plan_view import PlanView, RefusedAttempt
from extproc.domain.pacing.records import LimitsStatus, LimitStatus, ModelStatus
from extproc.domain.request.business_codes import ErrorClass

_PLANS_OWN: Final = (ErrorClass.CONCURRENCY, ErrorClass.FREQUENCY, ErrorClass.OVERLOAD)
# More than that many refusals in the half second between two reports would teach nothing new.
_MOST_REFUSALS: Final = 256


class GrantedPlaces:
    """The limits are the whole plan's, learned by one of the replicas that share it; places are granted until the next
    report. `leading` are those limits if it is this replica that learns them; `outside` turns a steady time into a Unix
    time."""

    teaches_at_once = False

    def __init__(
        self,
        plan: PlanView,
        granted: Mapping[str, int],
        leading: Limits | None,
        outside: Callable[[float], float],
    ) -> None:
        self._outside = outside
        self._refusals: deque[RefusedAttempt] = deque(maxlen=_MOST_REFUSALS)
        self.take(plan, granted, leading)

    def take(self, plan: PlanView, granted: Mapping[str, int], leading: Limits | None) -> None:
        """How things are now, and what is granted from now on."""
        self.plan = plan
        self.leading = leading
        self._granted = Counter(granted)

    def give_back(self) -> None:
        """Gives up all places that are granted and not in use."""
        self._granted.clear()

    def take_refusals(self) -> tuple[RefusedAttempt, ...]:
        """What the upstream has refused since the last call."""
        refusals = tuple(self._refusals)
        self._refusals.clear()
        return refusals

    def is_free(self, model: str, t: Steady) -> bool:
        return self._granted[model] > 0

    def rivals(self, waiting: Mapping[str, int], t: Steady) -> Collection[str]:
        """None: what is granted is granted to each model on its own."""
        return ()

    def hardly_waits(self, model: str, t: Steady) -> bool:
        is_free = self.plan.left(model) > 0 and not self.plan.waiting.get(model, 0)
        return is_free and self.pause_left(model, t) <= 0.0

    def is_calm(self, model: str, t: Steady) -> bool:
        return self.plan.is_calm(model)

    def may_be_late(self, model: str, t: Steady) -> bool:
        return False

    def start(self, model: str, retrying: Mapping[str, int], t: Steady) -> None:
        if self._granted[model] > 0:
            self._granted[model] -= 1

    def end(self, model: str, t: Steady, *, refused: bool) -> None:
        """Nothing to do: the next report to the store says it."""

    def move(self, before: str, after: str, count: int, t: Steady) -> None:
        """Nothing to do: the next report to the store says it."""

    def refused(self, refusal: Refusal, t: Steady) -> None:
        if refusal.told.error_class in _PLANS_OWN:
            self._refusals.append(refusal.told)

    def advance(self, t: Steady) -> None:
        """Nothing changes by itself."""

    def set_demand(self, waiting: Mapping[str, int], t: Steady) -> None:
        """Nothing to do: the next report to the store says it."""

    def next_changes(self, waiting: Mapping[str, int], t: Steady) -> list[float]:
        return []

    def limit(self, model: str | None) -> int:
        return self.plan.limits.limit if model is None else self.plan.limits.limit_of(model)

    @property
    def rate(self) -> float:
        return self.plan.limits.rate

    def left(self, model: str, in_flight: int) -> int:
        return self.plan.left(model)

    def ahead(self, model: str, waiting: Mapping[str, int], t: Steady) -> int:
        return max(waiting.get(model, 0), self.plan.waiting_with(model))

    def pause_left(self, model: str, t: Steady) -> float:
        known = self.plan.limits.places.models.get(model)
        if known is None or known.paused_until is None:
            return 0.0
        return max(0.0, known.paused_until - self._outside(t))

    def share_in_use(self, t: Steady) -> float:
        return self.plan.limits.share_in_use

    def status(
        self,
        in_flight: Mapping[str, int],
        waiting: Mapping[str, int],
        outside: Callable[[float], float],
        now: float,
        t: Steady,
    ) -> LimitsStatus:
        """The plan's limits, with the moves that made them if they are learned here."""
        limits = self.plan.limits
        learned, places = limits.learned, limits.places.models
        led = self.leading.status(waiting, outside, now, t) if self.leading is not None else None
        of_models = {each.model: each.limit for each in led.models} if led is not None else {}
        models = tuple(
            ModelStatus(
                model=model,
                in_flight=in_flight.get(model, 0),
                waiting=waiting.get(model, 0),
                limit=_status(limits.own_limit_of(model), learned.models.get(model), of_models.get(model), now),
                share_in_use=places[model].share_in_use if model in places else 1.0,
                group=limits.group_status(model, in_flight),
            )
            for model in sorted({*learned.models, *places, *in_flight, *waiting})
        )
        account = _status(limits.account, learned.concurrency, led.account if led is not None else None, now)
        rate = _status(limits.rate, learned.rate, led.rate if led is not None else None, now)
        forgotten = led.forgotten if led is not None else dict.fromkeys(Direction, 0)
        return LimitsStatus(models, account, rate, forgotten)


def _status(limit: float, known: LearnedLimit | None, led: LimitStatus | None, now: float) -> LimitStatus:
    ceiling, confidence = (None, 0.0) if known is None else (known.ceiling, known.confidence(now))
    if led is not None:
        return replace(led, limit=limit, ceiling=ceiling, confidence=confidence)
    return LimitStatus(limit, ceiling, confidence, dict.fromkeys(Direction, 0), ())
