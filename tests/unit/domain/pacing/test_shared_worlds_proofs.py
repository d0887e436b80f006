"""What pacing makes of a plan that somebody else uses too, whatever limits it: against an oracle, in virtual time.

Somebody comes for minutes at a time, for one model, and wants up to a third of the places that are there. Who works
without a proxy asks again after pauses that double, and so is turned away for most of a visit while we have work for
all places; who asks again each second or two gets most of what he wants. `PACING_SEEDS=40` asks for so many plans.
"""

import os
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest

from extproc.domain.pacing.scheduler import Pacing
from tests.unit.domain.pacing.oracle import Oracle, at, what_visitors_leave
from tests.unit.domain.pacing.plan_model import EPOCH, Changes, Plan, World
from tests.unit.domain.pacing.visits import LADDER, Visit
from tests.unit.domain.pacing.worlds import COLD_START, MODELS, PLENTY, WORLDS, crowd, of_the_account, pacing_for, worth

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

_ASKED: Final = int(os.environ.get("PACING_SEEDS", "0"))
_EVERY: Final = 600.0
_HORIZON: Final = 1200.0
# The shortest time between two tries of a limit that has fallen.
_TRY: Final = 12.0
WorldOf = Callable[[random.Random, float, float], Plan]


def least(changes: Changes, start: float, end: float) -> int:
    return min(at(changes, start), *(number for since, number in changes if start < since < end), PLENTY)


def visits(rng: random.Random, plan: Plan, longest_pause: float) -> list[Visit]:
    """Somebody who comes and goes for each limit that bounds anything: the account's, or else each gate's."""
    is_of_the_account = plan.capacity[0][1] < PLENTY
    come: list[Visit] = []
    for models in [frozenset(MODELS)] if is_of_the_account else [gate.models for gate in plan.gates]:
        end = 0.0
        while (start := end + rng.uniform(60.0, 240.0)) < _HORIZON:
            end, model = start + rng.uniform(120.0, 420.0), rng.choice(sorted(models))
            limits = [plan.capacity, *(gate.capacity for gate in plan.gates if model in gate.models)]
            third = min(least(capacity, start, end) for capacity in limits) // 3
            if third:
                come.append(Visit(start, end, rng.randint(1, third), model, longest_pause))
    return come


def run(plan: Plan, pacing: Pacing | Oracle, seed: int) -> World:
    world = World(plan, pacing, seed, _HORIZON, epoch=EPOCH + 1.0)
    world.counts_from = COLD_START
    return world.run(crowd())


# The longest pause of somebody who was refused, the share of the oracle's score that may be lost, and how many plans.
_VISITORS: Final = ((LADDER, 0.030, 12), (2.0, 0.050, 3))
# Of the account more is lost: where answers are short, somebody who takes a place as it becomes free is taken for an
# upstream that gives places back late, and each place is left alone for a moment from then on.
_MORE_OF_THE_ACCOUNT: Final = 0.010


@pytest.mark.parametrize(("longest_pause", "most", "seeds"), _VISITORS)
@pytest.mark.parametrize("world", WORLDS[:4], ids=lambda world: world.__name__)
def test_little_is_lost_of_what_somebody_else_leaves(
    world: WorldOf, longest_pause: float, most: float, seeds: int
) -> None:
    """The oracle knows the plan, and what somebody else ran beside pacing. It may use all other places, but none that
    stays free for twelve seconds at most between two requests of somebody: no try could find that out in time, and
    using it would take it away. What somebody did not get because we had it is ours in both."""
    got = best = 0.0
    refused = attempts = 0
    for seed in range(_ASKED or seeds):
        rng = random.Random(seed * 7919)
        alone = world(rng, _EVERY, _HORIZON)
        ours = run(replace(alone, others=visits(rng, alone, longest_pause)), pacing_for(len(crowd())), seed)
        left = what_visitors_leave(alone, ours.visitors.places, _TRY)
        got, best = got + worth(ours), best + worth(run(left, Oracle(left, EPOCH + 1.0), seed))
        refused, attempts = refused + ours.refused_to_clients, attempts + len(ours.attempts)
    most += _MORE_OF_THE_ACCOUNT if world is of_the_account else 0.0
    assert got >= (1.0 - most) * best, f"{1.0 - got / best:.4f} lost, {refused} of {attempts} seen by clients"
    assert refused <= max(3, 0.0005 * attempts), f"{refused} of {attempts} seen by clients"
