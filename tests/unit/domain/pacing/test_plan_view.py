"""The whole plan as one of its replicas sees it."""

from extproc.domain.pacing.learned_limits import Learned, LearnedLimit
from extproc.domain.pacing.limits import MCP
from extproc.domain.pacing.plan_places import GroupPlaces, ModelPlaces, PlanPlaces
from extproc.domain.pacing.plan_view import PlanLimits, PlanView

PLACES = PlanPlaces(
    {
        "glm-a": ModelPlaces(5, 5, group=1),
        "glm-b": ModelPlaces(5, 5, group=1),
        "glm-c": ModelPlaces(5, 5),
        MCP: ModelPlaces(2, 2),
    },
    groups=(GroupPlaces(6, 6),),
    new=5,
    tools=2,
)
WAITING = {"glm-a": 1, "glm-b": 2, "glm-c": 4, MCP: 8}


def waiting_with(model: str, held: dict[str, int], account: int = 20) -> int:
    """How many wait for what those of a model wait for, while so many of each model are in flight."""
    learned = Learned(0.0, LearnedLimit(account, None, None, None), LearnedLimit(9.0, None, None, None))
    limits = PlanLimits(account, 9.0, 3.0, account, 9.0, 1.0, learned, read_to=0, places=PLACES)
    return PlanView(limits, held, WAITING, replicas=2, busy=2).waiting_with(model)


def test_all_that_wait_for_places_that_models_share_wait_together() -> None:
    held = {"glm-a": 3, "glm-b": 3}

    assert [waiting_with(model, held) for model in ("glm-a", "glm-b", "glm-c", MCP)] == [3, 3, 4, 8]


def test_who_waits_for_a_place_of_its_own_model_waits_with_no_other() -> None:
    held = {"glm-a": 5, "glm-b": 1}

    assert [waiting_with(model, held) for model in ("glm-a", "glm-b")] == [1, 3]


def test_who_waits_for_a_place_of_the_account_waits_with_all_models_and_no_tool() -> None:
    held = {"glm-a": 2, "glm-b": 2, "glm-c": 3}

    assert [waiting_with(model, held, account=7) for model in ("glm-a", "glm-c", MCP)] == [7, 7, 8]


def test_where_shared_places_and_the_account_are_full_the_shared_ones_come_first() -> None:
    held = {"glm-a": 3, "glm-b": 3, "glm-c": 1}

    assert [waiting_with(model, held, account=7) for model in ("glm-a", "glm-c")] == [3, 7]
