"""A cold start on a plan with few places of one model and many of another: whose limit is whose is found at once."""

import pytest

from tests.unit.domain.pacing.plan_model import EPOCH, Gate, Plan, World
from tests.unit.domain.pacing.worlds import MODELS, crowd, pacing_for

pytestmark = pytest.mark.slow

PLACES = dict(zip(MODELS, (2, 6, 1), strict=True))


@pytest.mark.parametrize("mean", [1.0, 2.0, 5.0, 10.0])
def test_a_mixed_plan_is_in_use_fifteen_seconds_after_a_cold_start(mean: float) -> None:
    gates = [Gate(frozenset([model]), [(0.0, places)]) for model, places in PLACES.items()]
    plan = Plan([(0.0, 10_000)], gates, mean=mean)
    for seed in range(40):
        world = World(plan, pacing_for(len(crowd())), seed, 40.0, epoch=EPOCH + 1.0)
        world.counts_from = 15.0
        world.run(crowd())

        used = {model: world.place_seconds[model] / (25.0 * places) for model, places in PLACES.items()}
        assert min(used.values()) > 0.85, (seed, used)
