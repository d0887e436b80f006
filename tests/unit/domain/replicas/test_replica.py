"""One replica: what it tells, what it makes of the answer, and how it goes on alone."""

import json
import math
from collections.abc import Mapping
from dataclasses import replace

import pytest

from extproc.domain.pacing.config import PacingConfig
from extproc.domain.pacing.learned_limits import Learned, LearnedLimit
from extproc.domain.pacing.limits import MCP, UNKNOWN
from extproc.domain.pacing.plan_places import GroupPlaces, ModelPlaces, PlanPlaces
from extproc.domain.pacing.plan_view import Demand, ModelDemand, PlanLimits, RefusedAttempt, read_plan_limits
from extproc.domain.pacing.records import Admitted, Attempt, PacedRequest, Queued, Refused
from extproc.domain.pacing.scheduler import Pacing
from extproc.domain.quota.quota import Quota, QuotaRules
from extproc.domain.replicas import replica as replica_module
from extproc.domain.replicas.messages import Answer, Count, Counted
from extproc.domain.replicas.replica import Replica
from extproc.domain.request.business_codes import ErrorClass
from extproc.domain.request.priority import Lane
from extproc.runtime import shared_limits

NOW = 1_800_000_000.0
AHEAD = 100.0  # the store's clock
KNOWN = Learned(NOW + AHEAD, LearnedLimit(9, 10.0, NOW + AHEAD, 40.0), LearnedLimit(30.0, None, None, None))
PLAN_LIMITS = PlanLimits(9, 30.0, 3.0, 9, 30.0, 1.0, KNOWN, read_to=5)


def counted(at: float, starts: int) -> tuple[Counted, ...]:
    """One request starts each second, and none ends."""
    return tuple(Counted(at + number, (Count(UNKNOWN, number + 1, 0, False, 1),)) for number in range(starts))


class One:
    """A replica of three, and the answers that it gets."""

    def __init__(self) -> None:
        self.pacing = Pacing(PacingConfig(max_workers=50, replicas=3, rate_initial=50.0))
        self.quota = Quota(QuotaRules())
        self.replica = Replica("one", self.pacing, self.quota)
        self.now = NOW
        self._ids = 0

    def ask(self, lane: Lane = Lane.MAIN, model: str = "", source: str = "source") -> Admitted | Queued | object:
        self._ids += 1
        return self.pacing.arrive(PacedRequest(f"r{self._ids}", source, lane, asked=model, model=model), self.now)

    def demand(self, model: str = UNKNOWN) -> ModelDemand:
        return self.replica.report(self.now).demand.models[model]

    def hear(self, granted: int | Mapping[str, int] = 0, **more: object) -> None:
        answer = Answer(
            now=self.now + AHEAD,
            settled=True,
            up=True,
            leads=False,
            epoch=1,
            replicas=3,
            plan_limits_version=1,
            plan_limits=PLAN_LIMITS,
            gate_version=0,
            gate=None,
            may_probe=False,
            read_to=5,
            newest=5,
            busy=3,
            held={},
            waiting={},
            granted={UNKNOWN: granted} if isinstance(granted, int) else granted,
            events=(),
        )
        self.replica.take(replace(answer, **more), self.now, self.now)  # type: ignore[arg-type]

    def go(self) -> list[str]:
        return [decision.id for decision in self.pacing.due(self.now)]


@pytest.fixture
def one() -> One:
    return One()


def test_alone_it_keeps_to_its_share(one: One) -> None:
    assert one.pacing.limits[0] == 1
    assert isinstance(one.ask(), Admitted)
    assert isinstance(one.ask(), Queued)


def test_while_sharing_each_request_waits_for_a_place_that_is_granted(one: One) -> None:
    one.hear()
    assert isinstance(one.ask(), Queued)
    assert one.demand().want == 1
    assert one.go() == []
    one.hear(granted=1)
    assert one.go() == ["r1"]
    assert one.demand().held == 1


def test_places_that_were_not_used_are_given_back_with_the_next_report(one: One) -> None:
    one.hear(granted=2)
    assert one.go() == []
    assert one.replica.report(one.now).demand == Demand()
    assert isinstance(one.ask(), Queued)


def test_the_weight_is_the_number_of_sources_that_run_or_wait(one: One) -> None:
    one.hear(granted=1)
    for source in ("a", "b", "b"):
        one.pacing.arrive(PacedRequest(f"{source}{one.now}", source), one.now)
        one.now += 0.001
    one.go()

    demand = one.demand()
    assert (demand.held, demand.want, demand.weight) == (1, 2, 2)


def told(one: One, granted: int = 0, *, share: float = 1.0, rate_is_proven: bool = True) -> None:
    """What the leader says of a plan of three, of which others have two."""
    model = ModelPlaces(3, 3, share_in_use=share)
    places = PlanPlaces({"glm-5": model}, new=3, tools=3, rate_is_proven=rate_is_proven)
    one.hear({"glm-5": granted}, plan_limits=replace(PLAN_LIMITS, places=places), held={"glm-5": 2 + granted})


def refused_often(one: One) -> None:
    """One that was refused three times waits to be sent again."""
    told(one, granted=1)
    one.ask(model="glm-5")
    for _ in range(3):
        one.pacing.observe(Attempt("r1", one.now, one.now, ErrorClass.CONCURRENCY, "1302"), one.now)
    one.pacing.retry("r1", one.now)
    one.now += 1.0


def test_who_was_refused_takes_a_granted_place_before_what_is_new(one: One) -> None:
    refused_often(one)
    told(one)
    one.ask(model="glm-5")
    assert one.demand("glm-5").want == 2

    told(one, granted=1)
    assert one.go() == ["r1"]


@pytest.mark.parametrize(("share", "rate_is_proven"), [(0.5, True), (1.0, False)], ids=["overload", "too often"])
def test_who_was_refused_often_waits_for_what_other_places_would_not_cure(
    one: One, share: float, rate_is_proven: bool
) -> None:
    refused_often(one)

    told(one, granted=1, share=share, rate_is_proven=rate_is_proven)

    assert one.demand("glm-5").want == 0
    assert one.go() == []


def test_who_has_no_place_at_its_time_out_is_refused(one: One) -> None:
    began = one.now
    refused_often(one)
    while one.now < began + 59.9:  # a clock that goes on by more than some seconds at once has jumped
        assert one.go() == []
        one.now = min(began + 59.9, one.now + 5.0)

    one.now = began + 60.1
    (decision,) = one.pacing.due(one.now)
    assert isinstance(decision.answer, Refused)


def test_a_place_that_may_come_back_late_is_held_for_as_long_as_the_leader_says(one: One) -> None:
    places = PlanPlaces({"glm": ModelPlaces(2, 2, lag=0.25)}, new=3, tools=3)
    one.hear({"glm": 1}, plan_limits=replace(PLAN_LIMITS, places=places))
    assert one.ask(model="glm") == Admitted()
    one.pacing.leave("r1", one.now)

    assert one.demand("glm").held == 1
    assert one.replica.pause() == pytest.approx(0.05)
    one.now += 0.26
    assert one.demand("glm").held == 0


def test_the_leader_takes_a_refusal_right_after_an_answer_for_a_late_place_and_tells_all(one: One) -> None:
    at = NOW + AHEAD
    one.now = NOW + 10
    counts = ((0.0, 1, 1), (9.0, 0, 0), (9.05, 1, 1))
    news = tuple(Counted(at + when, (Count("glm", held, 0, True, started),)) for when, held, started in counts)
    refused = RefusedAttempt(at + 9.2, ErrorClass.CONCURRENCY, "1302", at + 9.07, at + 9.15, model="glm")
    one.hear(leads=True, events=(*news, refused), held={"glm": 1})

    plan_limits = one.replica.report(one.now).plan_limits
    assert plan_limits is not None
    of_glm = plan_limits.places.models["glm"]
    assert (of_glm.lag, of_glm.limit) == (0.5, 9)
    assert read_plan_limits(json.loads(json.dumps(plan_limits.as_dict()))) == plan_limits


def told_of_glm(places: ModelPlaces) -> dict[str, dict[str, dict[str, dict[str, object]]]]:
    """What a leader tells, as it comes from the store."""
    told = json.loads(json.dumps(replace(PLAN_LIMITS, places=PlanPlaces({"glm": places})).as_dict()))
    assert isinstance(told, dict)
    return told


@pytest.mark.parametrize(("name", "value"), [("lag", 0.1), ("paused_until", NOW)])
def test_a_leader_of_an_older_version_says_nothing_of_late_places_and_pauses(name: str, value: float) -> None:
    told = told_of_glm(replace(ModelPlaces(2, 2), **{name: value}))
    del told["places"]["models"]["glm"][name]
    assert read_plan_limits(told).places.models["glm"] == ModelPlaces(2, 2)


@pytest.mark.parametrize("until", ["soon", math.nan, math.inf])
def test_a_pause_without_a_time_at_which_it_ends_is_none(until: object) -> None:
    told = told_of_glm(ModelPlaces(0, 2))
    told["places"]["models"]["glm"]["paused_until"] = until
    with pytest.raises(ValueError, match="the places"):
        read_plan_limits(told)


def test_a_source_that_works_for_several_models_counts_for_a_part_in_each(one: One) -> None:
    one.hear()
    for source, model in (("a", "glm-5.3"), ("a", "glm-5"), ("b", "glm-5"), ("b", MCP), ("c", MCP)):
        one.ask(model=model, source=source)

    weights = {model: demand.weight for model, demand in one.replica.report(one.now).demand.models.items()}
    assert weights == {"glm-5.3": 0.5, "glm-5": 1.5, MCP: 2.0}


def test_a_place_is_granted_for_one_model_and_lets_no_other_go(one: One) -> None:
    one.hear()
    for model in ("glm-5.3", "glm-5", "glm-5.3", MCP):
        one.ask(model=model)
    one.hear(granted={"glm-5": 3, MCP: 1})

    assert one.go() == ["r2", "r4"]
    assert [one.demand(model).want for model in ("glm-5.3", "glm-5", MCP)] == [2, 0, 0]


def test_what_turns_out_to_be_served_by_another_model_is_told_so_with_the_next_report(one: One) -> None:
    one.hear()
    for _ in range(3):
        one.ask(model="glm-latest")
    one.hear(granted={"glm-latest": 2})
    one.go()
    one.pacing.serves("glm-latest", "glm-5.3", one.now)

    demand = one.replica.report(one.now).demand.models
    assert [(each.held, each.want) for each in (demand["glm-latest"], demand["glm-5.3"])] == [(0, 0), (2, 1)]


def test_limits_and_places_are_told_by_model_and_are_the_plans(one: One) -> None:
    models = {"glm-5.3": ModelPlaces(2, 2), "glm-5": ModelPlaces(6, 6, group=1), "glm-4": ModelPlaces(6, 6, group=1)}
    places = PlanPlaces({**models, MCP: ModelPlaces(5, 5)}, (GroupPlaces(4, 4),), new=3, tools=3)
    one.hear(plan_limits=replace(PLAN_LIMITS, places=places), held={"glm-5.3": 1, "glm-5": 2, "glm-4": 1, MCP: 1})

    names = ("glm-5.3", "glm-5", "new", MCP)
    assert [one.pacing.limit_of(model) for model in names] == [2, 4, 3, 5]
    assert [one.pacing.places_left(model) for model in names] == [1, 1, 3, 4]


def test_a_follower_shows_the_limits_of_the_plan_and_its_own_work(one: One) -> None:
    known = {"glm-5.3": LearnedLimit(2, 3.0, NOW + AHEAD, 40.0), "glm-5": LearnedLimit(6, None, None, None)}
    places = PlanPlaces({"glm-5.3": ModelPlaces(1, 2, share_in_use=0.5), "glm-5": ModelPlaces(6, 6)}, new=3, tools=3)
    plan_limits = replace(PLAN_LIMITS, learned=replace(KNOWN, models=known), places=places)
    one.hear(plan_limits=plan_limits)
    one.ask(model="glm-5.3")
    one.ask(model="glm-5")
    one.hear(granted={"glm-5": 1}, held={"glm-5.3": 2, "glm-5": 1}, plan_limits=plan_limits)
    one.go()

    shown = one.pacing.status(one.now).models
    told = [
        (each.model, each.in_flight, each.waiting, each.limit.limit, each.limit.ceiling, each.share_in_use)
        for each in shown
    ]
    assert told == [("glm-5", 1, 0, 6, None, 1.0), ("glm-5.3", 0, 1, 2, 3.0, 0.5)]
    assert one.pacing.status(one.now).concurrency.limit == 9


def test_the_leader_shows_also_what_moved_the_limits(one: One) -> None:
    at = NOW + AHEAD
    one.hear(leads=True, events=(Counted(at, (Count("glm-5.3", 1, 0, False, 1),)),))
    refused = RefusedAttempt(at, ErrorClass.CONCURRENCY, "1302", at, at, model="glm-5.3")
    one.hear(leads=True, events=(refused,), plan_limits=None, held={"glm-5.3": 1})

    [model] = one.pacing.status(one.now).models
    assert (model.model, model.in_flight, model.limit.limit, len(model.limit.moves)) == ("glm-5.3", 0, 1, 1)


def test_a_store_that_is_lost_leaves_each_its_share_of_what_was_known(one: One) -> None:
    one.hear()
    assert one.pacing.limits == (9, 30.0)
    one.replica.lose(one.now)

    assert one.pacing.limits[0] == 3
    assert one.pacing.limits[1] == pytest.approx(10.0)
    assert not one.replica.is_up


def test_what_waits_for_a_place_goes_on_the_share_when_the_store_is_lost(one: One) -> None:
    one.hear()
    for _ in range(4):
        one.ask()
    one.replica.lose(one.now)
    gone = one.go()
    for _ in range(10):  # its share of the rate lets one through each 0.1 s
        one.now += 0.1
        gone += one.go()

    assert gone == ["r1", "r2", "r3"]


def test_what_runs_when_the_store_is_lost_counts_for_the_share(one: One) -> None:
    one.ask()
    one.hear()
    one.ask()
    one.ask()
    one.hear(granted=2)
    assert len(one.go()) == 2
    one.replica.lose(one.now)

    assert isinstance(one.ask(), Queued)
    assert one.go() == []


def test_a_place_that_is_free_in_the_plan_is_no_wait_and_a_queue_elsewhere_is_one(one: One) -> None:
    one.hear(held={UNKNOWN: 8})
    assert one.pacing.expected_wait("", one.now) == 0.0
    assert one.pacing.places_left("") == 1
    one.hear(held={UNKNOWN: 9}, waiting={UNKNOWN: 8})
    assert one.pacing.expected_wait("", one.now) == pytest.approx(10.0)  # nine requests of 10 s in nine places


def test_a_lane_that_is_held_back_gets_its_share_of_this_replicas_part(one: One) -> None:
    one.hear()
    one.pacing.set_shares({Lane.BACKGROUND: 1 / 3}, one.now)
    for _ in range(9):
        one.ask(Lane.BACKGROUND)
    used = 0
    running: dict[str, float] = {}
    for _ in range(600):
        one.now += 0.1
        for each in [each for each, since in running.items() if one.now - since >= 1.0]:
            del running[each]
            one.pacing.leave(each, one.now)
            one.ask(Lane.BACKGROUND)
        want = one.demand().want
        one.hear(granted=min(want, 3 - len(running)))
        running |= dict.fromkeys(one.go(), one.now)
        used += len(running)

    # Three of nine places are this replica's part, and a third of them is one place.
    assert used / 600 == pytest.approx(1.0, abs=0.2)


def test_times_are_told_by_the_clock_of_the_store(one: One) -> None:
    one.hear(granted=1)
    one.ask()
    one.go()
    one.now += 1.0
    one.pacing.observe(Attempt("r1", one.now - 0.5, one.now - 0.1, ErrorClass.CONCURRENCY, "1302"), one.now)
    [refused] = one.replica.report(one.now).refusals

    assert refused.started == pytest.approx(one.now - 0.5 + AHEAD)
    assert refused.ended == pytest.approx(one.now - 0.1 + AHEAD)
    assert one.replica.report(one.now).refusals == ()


def test_errors_that_are_not_of_the_plan_are_not_told(one: One) -> None:
    one.hear()
    one.pacing.observe(Attempt("r1", one.now, one.now, ErrorClass.CLIENT, "1214"), one.now)

    assert one.replica.report(one.now).refusals == ()


def test_the_leader_learns_from_what_all_do_and_tells_at_once(one: One) -> None:
    at = NOW + AHEAD
    one.now = NOW + 10
    one.hear(leads=True, events=counted(at, 9), held={UNKNOWN: 9})
    assert one.replica.pause() == 0.0
    first = one.replica.report(one.now)
    assert first.plan_limits is not None
    assert (first.plan_limits.usable, first.epoch) == (9, 1)

    refused = tuple(
        RefusedAttempt(at + 10, ErrorClass.CONCURRENCY, "1302", at + 8.5 + each / 10, at + 9, model=UNKNOWN)
        for each in range(3)
    )
    one.hear(leads=True, events=refused, plan_limits=None, held={UNKNOWN: 9})
    plan_limits = one.replica.report(one.now).plan_limits
    assert plan_limits is not None
    assert plan_limits.places.models[UNKNOWN].usable == 7  # once for the burst
    assert one.pacing.limits[0] == plan_limits.limit


def test_a_pause_that_the_upstream_asks_of_one_holds_for_all(one: One) -> None:
    one.hear()
    one.ask()
    one.pacing.observe(Attempt("r1", one.now, one.now, ErrorClass.CONCURRENCY, "1302", 20.0), one.now)
    (told,) = one.replica.report(one.now).refusals
    assert told.retry_after == 20.0

    at = NOW + AHEAD
    leader = One()
    leader.now = NOW + 10
    news = (*counted(at, 9), replace(told, at=at + 10, started=at + 9.5, ended=at + 10))
    leader.hear(leads=True, events=news, held={UNKNOWN: 9})
    plan_limits = leader.replica.report(leader.now).plan_limits
    assert plan_limits is not None
    assert (plan_limits.places.models[UNKNOWN].usable, plan_limits.limit) == (0, 9)
    assert leader.pacing.expected_wait("", leader.now) == pytest.approx(20.0)

    one.now = NOW + 14
    one.hear(plan_limits=read_plan_limits(json.loads(json.dumps(plan_limits.as_dict()))))
    assert one.pacing.expected_wait("", one.now) == pytest.approx(16.0)
    one.now = NOW + 24
    assert one.pacing.expected_wait("", one.now) == pytest.approx(6.0)

    leader.now = NOW + 31
    leader.hear(leads=True, plan_limits=None, held={UNKNOWN: 9})
    plan_limits = leader.replica.report(leader.now).plan_limits
    assert plan_limits is not None
    told = plan_limits.places.models[UNKNOWN]
    assert (told.usable, told.paused_until) == (9, None)


def test_who_waits_in_vain_for_the_end_of_a_shared_pause_is_told_when_it_is(one: One) -> None:
    places = PlanPlaces({"glm": ModelPlaces(0, 2, paused_until=NOW + AHEAD + 500.0)}, new=3, tools=3)
    one.hear(plan_limits=replace(PLAN_LIMITS, places=places))
    assert isinstance(one.ask(model="glm"), Queued)
    assert one.pacing.status(one.now).expected_wait == pytest.approx(500.0)
    while not (late := one.pacing.due(one.now)):
        one.now += 5.0

    answer = late[0].answer
    assert isinstance(answer, Refused)
    assert answer.retry_after == 500 - (one.now - NOW)
    assert one.pacing.expected_wait("other", one.now) == 0.0


def test_the_leader_knows_fifty_models_of_all_replicas_and_the_rest_as_one(one: One) -> None:
    at = NOW + AHEAD
    held = {f"model-{number}": 1 for number in range(120)}
    counts = tuple(Count(model, 1, 0, True, 1) for model in held)
    refused = RefusedAttempt(at, ErrorClass.CONCURRENCY, "1302", at, at, model="model-119")
    one.hear(leads=True, events=(Counted(at, counts), refused), held=held)
    plan_limits = one.replica.report(one.now).plan_limits

    assert plan_limits is not None
    assert len(plan_limits.places.models) <= 50
    assert UNKNOWN in plan_limits.places.models
    assert "model-119" not in plan_limits.places.models


def test_a_count_that_was_lost_is_put_right_by_what_the_store_says(one: One) -> None:
    at = NOW + AHEAD
    one.hear(leads=True, events=(Counted(at, (Count("glm-5", 3, 0, False, 3),)),), held={"glm-4": 2})

    learner = one.replica._learner
    assert learner is not None
    assert (learner.limits.of("glm-5").in_flight, learner.limits.of("glm-4").in_flight) == (0, 2)
    assert learner.limits.account.in_flight == 2


def test_the_lessons_of_another_reign_are_not_told(one: One) -> None:
    one.hear(leads=True)
    one.replica.report(one.now)
    one.hear(leads=False)

    assert one.replica.report(one.now).plan_limits is None


def test_a_store_that_has_forgotten_is_told_what_was_known(one: One) -> None:
    one.hear()
    one.hear(leads=True, up=False, plan_limits=None, plan_limits_version=0, events=(), read_to=0, newest=0)
    plan_limits = one.replica.report(one.now).plan_limits

    assert plan_limits is not None
    assert plan_limits.learned.concurrency.limit == 9


def test_a_gate_that_closes_here_is_told_and_one_that_closed_elsewhere_is_taken_over(one: One) -> None:
    other = One()
    one.hear()
    other.hear()
    one.quota.take_refusal("1310", "r1", one.now, one.now)
    told = one.replica.report(one.now).gate
    assert told is not None

    other.hear(gate_version=7, gate=told)
    assert [closure.window for closure in other.quota.snapshot(other.now).closures] == ["weekly"]
    assert other.replica.report(other.now).gate is None
    assert other.quota.decide("r2", Lane.MAIN, other.now) is not None


def test_two_who_close_and_open_at_once_lose_neither(one: One) -> None:
    other = One()
    for each in (one, other):
        each.hear()
    other.quota.take_refusal("1308", "r1", other.now, other.now)
    theirs = other.replica.report(other.now).gate
    one.quota.take_refusal("1310", "r1", one.now, one.now)
    one.replica.report(one.now)
    one.hear(gate_version=7, gate=theirs)

    assert sorted(closure.window for closure in one.quota.snapshot(one.now).closures) == ["five_hour", "weekly"]
    again = one.replica.report(one.now)
    assert again.gate is not None
    assert (len(again.gate.closures), again.gate_seen) == (2, 7)


def test_only_who_may_tries_a_closed_gate_and_only_who_was_asked_wants_to(one: One) -> None:
    one.hear()
    one.quota.take_refusal("1310", "r1", one.now, one.now)
    one.now += 31.0
    assert not one.replica.report(one.now).probe
    assert one.quota.decide("r2", Lane.MAIN, one.now) is not None
    assert one.replica.report(one.now).probe
    one.hear(may_probe=True)

    assert one.quota.decide("r3", Lane.MAIN, one.now) is None
    assert one.quota.decide("r4", Lane.MAIN, one.now) is not None
    assert one.replica.report(one.now).probe
    one.quota.release("r3")
    assert not one.replica.report(one.now).probe


def test_without_the_store_each_tries_the_gate_for_itself(one: One) -> None:
    one.hear()
    one.quota.take_refusal("1310", "r1", one.now, one.now)
    one.replica.lose(one.now)
    one.now += 31.0

    assert one.quota.decide("r2", Lane.MAIN, one.now) is None


def test_what_was_learned_alone_is_saved_and_restored_as_the_whole_plans(one: One) -> None:
    one.pacing.restore(KNOWN.as_dict(), NOW + 2 * AHEAD)
    assert one.pacing.limits[0] == 3

    assert one.pacing.learned(NOW + 2 * AHEAD).concurrency.limit == 9


@pytest.mark.parametrize("known_from", ["STATE_DIR", "the store"])
def test_a_plan_of_fewer_places_than_replicas_is_no_larger_after_it_was_shared_out(one: One, known_from: str) -> None:
    few = replace(KNOWN, models={"small": replace(KNOWN.concurrency, limit=2.0, ceiling=3.0)})
    if known_from == "STATE_DIR":
        one.pacing.restore(few.as_dict(), one.now)
    else:
        one.hear(plan_limits=replace(PLAN_LIMITS, learned=few))
        one.replica.lose(one.now)
    assert one.pacing.status(one.now).models[0].limit.limit == 1

    known = one.pacing.learned(one.now).models["small"]
    assert (known.limit, known.ceiling) == (2.0, 3.0)


def test_what_a_share_learns_alone_counts_for_the_whole_plan(one: One) -> None:
    one.pacing.restore(replace(KNOWN, models={"small": KNOWN.concurrency}).as_dict(), NOW + 2 * AHEAD)
    at = NOW + 2 * AHEAD + 1.0
    for number in range(3):
        one.pacing.arrive(PacedRequest(f"r{number}", "s", model="small"), at)
    refused = Attempt("r2", at, at + 0.5, ErrorClass.CONCURRENCY, "1302", model="small")
    one.pacing.observe(refused, at + 0.5)

    assert one.pacing.learned(at + 1.0).models["small"].limit < 9


def test_a_store_that_hangs_is_noticed_within_a_second() -> None:
    assert replica_module._HEARTBEAT + shared_limits._CALL_SECONDS < 1.0


def test_the_name_of_a_plan_is_the_same_everywhere_and_tells_nothing_of_the_key() -> None:
    key = f"{'0a' * 16}.{'Xy' * 8}"

    assert shared_limits.plan_name(key) == shared_limits.plan_name(key) != shared_limits.plan_name(key[:-1] + "z")
    assert len(shared_limits.plan_name(key)) == 32
    assert not any(part in shared_limits.plan_name(key) for part in key.split("."))


@pytest.mark.parametrize("url", ["redis://:secret@store?no_such_option=1", "redis://:secret@store?socket_timeout=soon"])
def test_options_that_no_connection_has_are_refused_without_the_url(url: str) -> None:
    with pytest.raises(ValueError, match="options") as refusal:
        shared_limits.check(url)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:secret@store:6380/1", "store:6380"),
        ("rediss://:secret@store/0?ssl_ca_certs=/ca.pem", "store:6379"),
        ("unix://user:secret@/run/valkey.sock?db=2", "/run/valkey.sock"),
    ],
)
def test_nothing_but_the_place_of_the_store_is_shown(url: str, shown: str) -> None:
    assert shared_limits.address(url) == shown
