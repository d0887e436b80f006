"""What is shown of places that several models share, where they are learned and where they are granted."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from extproc.domain.pacing.clock import Steady
from extproc.domain.pacing.config import PacingConfig
from extproc.domain.pacing.granted_places import GrantedPlaces
from extproc.domain.pacing.learned_limits import Learned, LearnedGroup, LearnedLimit
from extproc.domain.pacing.limits import MCP, Limits
from extproc.domain.pacing.plan_places import PlanPlaces
from extproc.domain.pacing.plan_view import PlanLimits, PlanView
from extproc.domain.pacing.records import GroupStatus, ModelStatus, group_status
from tests.unit.domain.pacing.test_names_and_storms import refuse_alone, with_room_in_the_account

NOW = Steady(80.0)
HUNDRED = LearnedLimit(100.0, None, None, None)


def learned_of(*together: str, shared: int = 6) -> Learned:
    """An account with 40 places: five for each of four models, and so many for some of them together."""
    five = dict.fromkeys(("glm-a", "glm-b", "glm-c", "glm-d"), LearnedLimit(5, 6.0, 0.0, 240.0))
    groups = (LearnedGroup(together, LearnedLimit(shared, shared + 1.0, 0.0, 240.0)),)
    return Learned(0.0, LearnedLimit(40.0, None, None, None), HUNDRED, five, groups)


def limits_of(*together: str, shared: int = 6) -> Limits:
    """The limits of such an account."""
    limits = Limits(PacingConfig(max_workers=60, rate_initial=100.0, rate_burst=100.0))
    limits.restore(learned_of(*together, shared=shared), Steady, Steady(0.0))
    return limits


def start(limits: Limits, model: str, count: int, at: float) -> None:
    for _ in range(count):
        limits.start(model, {}, Steady(at))


def on_trial() -> Limits:
    """The model glm-a, which was refused even alone, is held together with glm-b since the 74th second."""
    limits = with_room_in_the_account(glm_a=1, glm_b=1)
    for second in (12, 15, 19, 25):
        refuse_alone(limits, "glm-a", second)
    start(limits, "glm-b", 1, 28.0)
    limits.advance(Steady(33.0))
    refuse_alone(limits, "glm-a", 74.0)
    return limits


def groups_in(models: Iterable[ModelStatus]) -> dict[str, GroupStatus | None]:
    return {each.model: each.group for each in models}


def learned_here(limits: Limits) -> dict[str, GroupStatus | None]:
    return groups_in(limits.status({}, float, float(NOW), NOW).models)


def told_by_the_leader(limits: Limits) -> PlanLimits:
    return PlanLimits(
        usable=40,
        pace=100.0,
        burst=100.0,
        limit=40,
        rate=100.0,
        share_in_use=1.0,
        learned=limits.learned(float, float(NOW)),
        read_to=0,
        places=limits.plan_places(float, NOW),
    )


def shown_by_a_replica(told: PlanLimits, in_flight: Mapping[str, int]) -> dict[str, GroupStatus | None]:
    """What a replica shows that has so many in flight itself."""
    replica = GrantedPlaces(PlanView(told, {}, {}, replicas=2, busy=2), {}, None, float)
    return groups_in(replica.status(in_flight, {}, float, float(NOW), NOW).models)


def test_models_that_share_places_show_how_many_and_with_whom() -> None:
    limits = limits_of("glm-a", "glm-b", "glm-c")
    start(limits, "glm-a", 1, 1.0)
    start(limits, "glm-b", 3, 1.0)
    start(limits, "glm-d", 2, 1.0)
    start(limits, MCP, 1, 1.0)

    shown = learned_here(limits)

    assert shown["glm-a"] == GroupStatus(limit=6, in_flight=4, known=("glm-b", "glm-c"), on_trial=())
    assert shown["glm-b"] == GroupStatus(limit=6, in_flight=4, known=("glm-a", "glm-c"), on_trial=())
    assert [shown["glm-d"], shown[MCP]] == [None, None]


def test_a_replica_shows_the_places_that_its_models_share_and_its_own_work_under_them() -> None:
    limits = limits_of("glm-a", "glm-b")
    start(limits, "glm-b", 5, 1.0)

    shown = shown_by_a_replica(told_by_the_leader(limits), {"glm-a": 1, "glm-b": 2, "glm-d": 1})

    assert shown["glm-a"] == GroupStatus(limit=6, in_flight=3, known=("glm-b",), on_trial=())
    assert shown["glm-b"] == GroupStatus(limit=6, in_flight=3, known=("glm-a",), on_trial=())
    assert [shown["glm-c"], shown["glm-d"]] == [None, None]


def test_a_replica_whose_leader_tells_of_no_models_shows_none_that_share() -> None:
    learned = Learned(0.0, HUNDRED, HUNDRED)
    told = PlanLimits(9, 30.0, 3.0, 9, 30.0, 1.0, learned, read_to=0, places=PlanPlaces())

    assert shown_by_a_replica(told, {"glm-a": 1}) == {"glm-a": None}


def test_a_leader_of_an_older_version_does_not_say_who_is_on_trial_so_none_is_sure_to_share() -> None:
    told = told_by_the_leader(limits_of("glm-a", "glm-b"))
    older = replace(told, learned=replace(told.learned, groups=()))

    shown = shown_by_a_replica(older, {})

    assert shown["glm-a"] == GroupStatus(limit=6, in_flight=0, known=(), on_trial=("glm-b",))


def shown_anywhere(limits: Limits, name: str) -> list[GroupStatus | None]:
    """What is shown of a model where its limits are learned, and at a replica that has one of glm-b in flight."""
    return [learned_here(limits)[name], shown_by_a_replica(told_by_the_leader(limits), {"glm-b": 1})[name]]


def test_models_that_are_held_together_on_trial_are_not_said_to_share_for_sure() -> None:
    limits = on_trial()

    assert shown_anywhere(limits, "glm-a") == 2 * [GroupStatus(limit=1, in_flight=1, known=(), on_trial=("glm-b",))]
    assert shown_anywhere(limits, "glm-b") == 2 * [GroupStatus(limit=1, in_flight=1, known=(), on_trial=("glm-a",))]


def test_once_the_one_gets_through_the_trial_is_over_and_they_share() -> None:
    limits = on_trial()
    limits.end("glm-b", Steady(75.0), refused=False)
    limits.start("glm-a", {}, Steady(76.0))
    limits.advance(Steady(79.0))
    limits.end("glm-a", Steady(79.0), refused=False)
    limits.start("glm-b", {}, Steady(79.5))

    assert [shown and shown.known for shown in shown_anywhere(limits, "glm-a")] == [("glm-b",), ("glm-b",)]
    assert [shown and shown.known for shown in shown_anywhere(limits, "glm-b")] == [("glm-a",), ("glm-a",)]


def test_one_on_trial_casts_no_doubt_on_those_that_are_known_to_share() -> None:
    together = {"glm-a", "glm-b", "glm-c"}

    sure, tried = (group_status(model, together, {"glm-a", "glm-b"}, 6, 5) for model in ("glm-a", "glm-c"))

    assert sure == GroupStatus(limit=6, in_flight=5, known=("glm-b",), on_trial=("glm-c",))
    assert tried == GroupStatus(limit=6, in_flight=5, known=(), on_trial=("glm-a", "glm-b"))
