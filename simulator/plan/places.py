"""Places: the requests that each model answers at once, and the gate before the MCP tools. Pure: the caller brings
the time, in seconds of one clock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(slots=True)
class ModelPlaces:
    """What one model does and did. `place_seconds`: each request's seconds, together."""

    in_flight: int = 0
    max_in_flight: int = 0
    place_seconds: float = 0.0
    counted_at: float = 0.0

    def change(self, by: int, now: float) -> None:
        self.count(now)
        self.in_flight += by
        self.max_in_flight = max(self.max_in_flight, self.in_flight)

    def count(self, now: float) -> None:
        """Adds what was used up to now."""
        self.place_seconds += self.in_flight * max(0.0, now - self.counted_at)
        self.counted_at = now


class Places:
    """The places of all models that serve, which are few."""

    def __init__(self) -> None:
        self._models: defaultdict[str, ModelPlaces] = defaultdict(ModelPlaces)

    def has_room(self, model: str, limits: Mapping[str, int], pools: Sequence[Sequence[str]]) -> bool:
        """Whether one more request of the model fits. Models of one pool share the smallest limit among them."""
        sharing = next((pool for pool in pools if model in pool), (model,))
        allowed = [limits[name] for name in sharing if name in limits]
        taken = sum(self._models[name].in_flight for name in sharing if name in self._models)
        return not allowed or taken < min(allowed)

    def enter(self, model: str, now: float) -> None:
        self._models[model].change(1, now)

    def leave(self, model: str, now: float) -> None:
        self._models[model].change(-1, now)

    def forget(self, now: float) -> None:
        """Counts from now on; what is in flight stays so."""
        for places in self._models.values():
            places.max_in_flight, places.place_seconds, places.counted_at = places.in_flight, 0.0, now

    def as_json(self, now: float) -> dict[str, dict[str, float]]:
        for places in self._models.values():
            places.count(now)
        return {
            name: {
                "in_flight": places.in_flight,
                "max_in_flight": places.max_in_flight,
                "place_seconds": round(places.place_seconds, 6),
            }
            for name, places in self._models.items()
        }


class ToolGate:
    """Lets `concurrency` calls in at once (None: any number). One too many shuts it for `recovery` seconds."""

    def __init__(self) -> None:
        self._in_flight = 0
        self._shut_until = 0.0

    @property
    def in_flight(self) -> int:
        return self._in_flight

    def shut_until(self, now: float) -> float | None:
        return self._shut_until if now < self._shut_until else None

    def enter(self, now: float, concurrency: int | None, recovery: float) -> bool:
        """Takes a place, which `leave` gives back. Refusals while it is shut do not prolong that."""
        if concurrency is not None and self.shut_until(now) is not None:
            return False
        if concurrency is not None and self._in_flight >= concurrency:
            self._shut_until = now + recovery
            return False
        self._in_flight += 1
        return True

    def leave(self) -> None:
        self._in_flight -= 1

    def open(self) -> None:
        """Ends a recovery."""
        self._shut_until = 0.0
