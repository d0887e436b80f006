"""What may be in flight of all models together, and what is told of it."""

from dataclasses import replace

import pytest

from extproc.domain.pacing.adjustments import Direction
from extproc.domain.pacing.clock import Steady
from extproc.domain.pacing.config import PacingConfig
from extproc.domain.pacing.granted_places import GrantedPlaces
from extproc.domain.pacing.learned_limits import MOST_MODELS, LearnedLimit
from extproc.domain.pacing.limits import MCP
from extproc.domain.pacing.plan_view import PlanView
from extproc.domain.pacing.records import Attempt, PacedRequest
from extproc.domain.pacing.scheduler import Pacing
from extproc.domain.request.business_codes import ErrorClass
from tests.unit.domain.pacing.plan_model import EPOCH
from tests.unit.domain.pacing.test_group_status import learned_of, limits_of, start, told_by_the_leader


@pytest.mark.parametrize(("shared", "in_all"), [(6, 16), (12, 20)])
def test_what_may_be_in_flight_in_all_counts_places_that_models_share_once(shared: int, in_all: int) -> None:
    limits = limits_of("glm-a", "glm-b", shared=shared)
    start(limits, MCP, 1, 1.0)

    assert limits.limit == in_all


def test_the_number_that_broke_in_all_counts_places_that_models_share_once() -> None:
    paced = Pacing(PacingConfig(max_workers=60))
    learned = learned_of("glm-a", "glm-b").shifted(EPOCH)
    paced.restore(learned.as_dict(), EPOCH)

    shown = paced.status(EPOCH).concurrency

    assert (shown.limit, shown.ceiling, shown.confidence) == (16, 7.0 + 6.0 + 6.0, 1.0)


def test_models_of_which_no_number_broke_may_share_one_that_did() -> None:
    paced = Pacing(PacingConfig(max_workers=60))
    learned = learned_of("glm-a", "glm-b", "glm-c", "glm-d").shifted(EPOCH)
    models = {model: LearnedLimit(5, None, None, None) for model in learned.models}
    paced.restore(replace(learned, models=models).as_dict(), EPOCH)

    shown = paced.status(EPOCH).concurrency

    assert (shown.limit, shown.ceiling, shown.confidence) == (6, 7.0, 1.0)


def test_the_changes_of_models_that_are_forgotten_still_count() -> None:
    paced, counts = Pacing(PacingConfig(max_workers=20, concurrency_initial=4)), []
    for number in range(MOST_MODELS + 10):
        now = EPOCH + 10.0 * number
        for each in range(4):
            paced.arrive(PacedRequest(f"{number}-{each}", "s", model=f"glm-{number}"), now)
        paced.due(now + 1.0)
        paced.observe(Attempt(f"{number}-3", now, now + 1.5, ErrorClass.CONCURRENCY, "1302"), now + 1.5)
        for each in range(4):
            paced.leave(f"{number}-{each}", now + 2.0)
        counts.append(paced.status(now + 3.0).concurrency.adjustments[Direction.DECREASE])

    assert len(paced.status(now + 3.0).models) == MOST_MODELS
    assert counts == list(range(1, MOST_MODELS + 11))


def test_the_gate_of_tools_is_never_forgotten_for_models() -> None:
    paced = Pacing(PacingConfig(max_workers=20))
    paced.arrive(PacedRequest("call", "s", model=MCP), EPOCH)
    paced.leave("call", EPOCH + 1.0)
    for number in range(MOST_MODELS + 10):
        paced.arrive(PacedRequest(f"{number}", "s", model=f"glm-{number}"), EPOCH + 2.0 + number)
        paced.leave(f"{number}", EPOCH + 2.5 + number)

    shown = [each.model for each in paced.status(EPOCH + 200.0).models]
    assert len(shown) == MOST_MODELS
    assert MCP in shown


def test_the_replica_that_learns_for_all_still_counts_the_changes_of_models_that_are_forgotten() -> None:
    limits = limits_of("glm-a", "glm-b")
    start(limits, "glm-d", 5, 1.0)
    limits.refused("glm-d", ErrorClass.CONCURRENCY, "1302", Steady(1.0), Steady(2.0), Steady(2.0))
    limits.end("glm-d", Steady(2.0), refused=True)
    limits.correct({}, Steady(3.0))
    plan = PlanView(told_by_the_leader(limits), {}, {}, replicas=2, busy=2)
    leader, follower = (GrantedPlaces(plan, {}, leading, float) for leading in (limits, None))
    for number in range(MOST_MODELS):
        limits.start(f"new-{number}", {}, Steady(4.0))

    assert leader.status({}, {}, float, 5.0, Steady(5.0)).forgotten[Direction.DECREASE] == 1
    assert follower.status({}, {}, float, 5.0, Steady(5.0)).forgotten[Direction.DECREASE] == 0
