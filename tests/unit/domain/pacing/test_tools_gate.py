"""One call of a tool too many shuts the gate of all tools, for twenty minutes and more: that is tried rarely."""

import pytest

from extproc.domain.pacing.config import PacingConfig
from extproc.domain.pacing.limits import MCP
from extproc.domain.pacing.scheduler import Pacing
from extproc.domain.request.business_codes import ErrorClass
from tests.unit.domain.pacing.plan_model import EPOCH, Agent, Plan, World

HORIZON = 4 * 3600.0


class OfTools(World):
    """So many calls may run at once; one more shuts the gate for so many seconds."""

    def gated(self, places: int, shut_for: float) -> "OfTools":
        self._places, self._shut_for = places, shut_for
        self._shut_until = 0.0
        self.times_shut = 0
        return self

    def _verdict(self, model: str) -> ErrorClass | None:
        if model != MCP:
            return super()._verdict(model)
        if self.now >= self._shut_until and self._running[MCP] < self._places:
            return None
        if self.now >= self._shut_until:
            self._shut_until = self.now + self._shut_for
            self.times_shut += 1
        return ErrorClass.CONCURRENCY


@pytest.mark.parametrize("places", [1, 2])
@pytest.mark.parametrize("shut_for", [5.0, 60.0, 1200.0])
def test_the_gate_is_shut_once_or_twice_to_find_it_and_then_held(shut_for: float, places: int) -> None:
    pacing = Pacing(PacingConfig(max_workers=60, rate_initial=80.0, rate_burst=40.0, rate_max=1000.0))
    world = OfTools(Plan([(0.0, 1000)], mean=4.0), pacing, 1, HORIZON, epoch=EPOCH + 1.0).gated(places, shut_for)

    world.run([Agent(f"tools-{number}", model=MCP, think=1.0) for number in range(places + 1)])

    assert world.times_shut <= 2
    assert world.place_seconds[MCP] >= 0.9 * places * (HORIZON - world.times_shut * (shut_for + 60.0))
    assert world.refused[MCP] <= world.times_shut * (10 + shut_for / 15.0)
