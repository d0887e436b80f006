"""A cold start on a plan with few places of one model and many of another: whose limit is whose is found at once."""

from collections.abc import Sequence

import pytest

from tests.unit.domain.pacing.plan_model import EPOCH, Agent, Gate, Plan, World
from tests.unit.domain.pacing.worlds import MODELS, crowd, pacing_for

pytestmark = pytest.mark.slow

PLACES = dict(zip(MODELS, (2, 6, 1), strict=True))
ONE_TOO_MANY = [Agent(f"{model}-{n}", model=model) for model, places in PLACES.items() for n in range(places + 1)]


class OnOneBeat(World):
    """Each answer takes two seconds."""

    def _service_time(self) -> float:
        return 2.0


@pytest.mark.parametrize("agents", [crowd(), ONE_TOO_MANY], ids=["a crowd", "one too many of each"])
@pytest.mark.parametrize(
    ("mean", "world_of"),
    [(1.0, World), (2.0, World), (2.0, OnOneBeat), (5.0, World), (10.0, World)],
    ids=["1 s", "2 s", "2 s each", "5 s", "10 s"],
)
def test_a_mixed_plan_is_in_use_fifteen_seconds_after_a_cold_start(
    mean: float, world_of: type[World], agents: Sequence[Agent]
) -> None:
    gates = [Gate(frozenset([model]), [(0.0, places)]) for model, places in PLACES.items()]
    plan = Plan([(0.0, 10_000)], gates, mean=mean)
    for seed in range(40):
        world = world_of(plan, pacing_for(len(agents)), seed, 40.0, epoch=EPOCH + 1.0)
        world.counts_from = 15.0
        world.run(agents)

        used = {model: world.place_seconds[model] / (25.0 * places) for model, places in PLACES.items()}
        assert min(used.values()) > 0.85, (seed, used)
