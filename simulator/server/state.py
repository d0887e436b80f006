"""All that a simulator knows while it runs."""

from __future__ import annotations

from simulator.api.files import FileStore
from simulator.api.turn import BYTES_PER_TOKEN, Usage
from simulator.plan.keys import KeyRing
from simulator.plan.limits import PlanLimits
from simulator.plan.monitor import ModelUse
from simulator.plan.prefix_cache import PrefixCache
from simulator.scenario.rulebook import Reader, Rulebook
from simulator.server.journal import Journal
from simulator.server.settings import SimulatorSettings

_MAX_MODELS = 200


class State:
    """The parts of one simulator, and its way back to the beginning."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self.settings = settings
        self.keys = KeyRing(settings.key)
        self.journal = Journal()
        self.limits = PlanLimits(settings.limits)
        self.reader = Reader(settings.rulebook)
        self.files = FileStore()
        self.model_use: dict[str, ModelUse] = {}
        self.prefix_cache = _prefix_cache(settings)

    def use(self, book: Rulebook) -> None:
        """Puts a rulebook in force; its rules count from the beginning."""
        self.reader = Reader(book)

    def stats(self, now: float) -> dict[str, object]:
        """Totals, what is in flight, and the plan's limits."""
        limits = self.limits
        windows = {
            window.name.value: {"allowance": window.allowance, "used": window.used, "resets_at": window.resets_at}
            for window in limits.windows(now)
        }
        return {
            **self.journal.stats(),
            "metered_in_flight": limits.in_flight,
            "models": limits.places.as_json(now),
            "mcp": {"in_flight": limits.tools.in_flight, "shut_until": limits.tools.shut_until(now)},
            "windows": windows,
        }

    def forget(self, now: float) -> None:
        """Forgets the journal and what the places counted; requests in flight keep their places."""
        self.journal.clear()
        self.limits.places.forget(now)

    def reset(self, now: float) -> None:
        """Everything as it was at the start; what is in flight stays so."""
        self.forget(now)
        self.limits.change(self.settings.limits)
        self.limits.reset()
        self.reader = Reader(self.settings.rulebook)
        self.files.clear()
        self.model_use.clear()
        self.prefix_cache = _prefix_cache(self.settings)

    def count(self, model: str, usage: Usage, credits: float) -> None:
        """Adds a call to what the monitor API reports of a model."""
        name = model if model in self.model_use or len(self.model_use) < _MAX_MODELS else "other"
        use = self.model_use.setdefault(name, ModelUse())
        use.calls += 1
        use.input += usage.input + usage.cache_creation
        use.cached += usage.cached
        use.output += usage.output
        use.credits += credits


def _prefix_cache(settings: SimulatorSettings) -> PrefixCache | None:
    """An empty cache, if there is to be one."""
    seconds = settings.prefix_cache_seconds
    return None if seconds is None else PrefixCache(seconds, bytes_per_token=BYTES_PER_TOKEN)
