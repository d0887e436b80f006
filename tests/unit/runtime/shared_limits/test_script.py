"""What the script in the store answers to the reports of replicas, at given times."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import pytest

from extproc.domain.pacing.learned_limits import Learned, LearnedLimit
from extproc.domain.pacing.limits import MCP, UNKNOWN
from extproc.domain.pacing.plan_places import GroupPlaces, ModelPlaces, PlanPlaces
from extproc.domain.pacing.plan_view import Demand, ModelDemand, PlanLimits, RefusedAttempt
from extproc.domain.quota.gate_state import Cause, Closure, GateState
from extproc.domain.replicas.messages import Answer, Count, Counted, Report
from extproc.domain.request.business_codes import ErrorClass
from extproc.runtime.shared_wire import UnreadableAnswerError, decode, encode
from tests.unit.runtime.shared_limits.fleet import Store

NOW = 1_800_000_000.0
SETTLED = NOW + 2.5
LIMITS = Learned(NOW, LearnedLimit(4, 5.0, NOW, 20.0), LearnedLimit(50.0, None, None, None))
ONE_LIMIT = PlanPlaces()


class Plan:
    """Replicas that say what a test has them say."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._serials: dict[str, int] = {}

    def tell(
        self,
        name: str,
        now: float,
        held: int = 0,
        want: int = 0,
        weight: float = 1,
        models: Mapping[str, ModelDemand] | None = None,
        **more: object,
    ) -> Answer:
        serial = self._serials[name] = self._serials.get(name, 0) + 1
        demand = Demand({UNKNOWN: ModelDemand(held, want, weight)} if models is None else models)
        return self.send(replace(Report(name, serial, demand), **more), now)  # type: ignore[arg-type]

    def ask(self, name: str, now: float, held: int = 0, want: int = 0, weight: float = 1, **more: object) -> int:
        """How many places of an unknown model are granted."""
        return self.tell(name, now, held, want, weight, **more).granted.get(UNKNOWN, 0)  # type: ignore[arg-type]

    def want(self, name: str, now: float, **models: tuple[int, int] | tuple[int, int, float]) -> dict[str, int]:
        """How many places of each model are granted to who holds and wants so many, for so many sources."""
        demand = {
            model: ModelDemand(each[0], each[1], each[2] if len(each) > 2 else 1.0) for model, each in models.items()
        }
        return dict(self.tell(name, now, models=demand).granted)

    def send(self, report: Report, now: float) -> Answer:
        return decode(self._store.run(encode(report, now)))

    def rule(
        self,
        name: str,
        now: float,
        usable: int,
        pace: float = 1000.0,
        burst: float = 1000.0,
        places: PlanPlaces = ONE_LIMIT,
    ) -> None:
        """Makes `name`, who leads, rule so; nobody else is forgotten meanwhile."""
        epoch = self.tell(name, now).epoch
        plan_limits = PlanLimits(usable, pace, burst, usable, pace, 1.0, LIMITS, read_to=0, places=places)
        assert self.tell(name, now, epoch=epoch, plan_limits=plan_limits).up


@pytest.fixture
def plan(store: Store) -> Plan:
    return Plan(store)


@pytest.fixture
def four(plan: Plan) -> Plan:
    """A settled plan of four places, led by a replica that wants nothing."""
    plan.tell("leader", NOW)
    plan.rule("leader", SETTLED, usable=4)
    return plan


def test_nothing_is_granted_before_all_have_had_the_time_to_report(plan: Plan) -> None:
    assert not plan.tell("one", NOW, want=1).settled
    assert not plan.tell("one", SETTLED - 0.01, want=1).settled
    assert plan.tell("one", SETTLED, want=1).settled


def test_nothing_is_granted_before_somebody_has_ruled(plan: Plan) -> None:
    plan.tell("one", NOW)
    answer = plan.tell("one", SETTLED, want=1)

    assert (answer.up, answer.granted) == (False, {})


def test_places_are_granted_as_far_as_there_are_any(four: Plan) -> None:
    assert four.ask("one", SETTLED, want=3) == 3
    assert four.ask("other", SETTLED, want=3) == 1
    assert four.ask("other", SETTLED, held=1, want=2) == 0


def test_a_place_that_is_not_held_any_more_is_free(four: Plan) -> None:
    four.tell("one", SETTLED, want=4)
    four.tell("one", SETTLED, held=3)

    assert four.ask("other", SETTLED, want=2) == 1


def test_each_free_place_goes_to_whoever_holds_the_fewest(four: Plan) -> None:
    four.tell("one", SETTLED, want=9)
    four.tell("other", SETTLED, want=9)

    assert four.ask("one", SETTLED, held=3, want=9) == 0
    assert four.ask("other", SETTLED, want=9) == 1
    assert four.ask("one", SETTLED, held=2, want=9) == 0
    assert four.ask("other", SETTLED, held=1, want=9) == 1


def test_of_equals_the_one_goes_that_had_none_for_longest(plan: Plan) -> None:
    plan.tell("leader", NOW)
    plan.rule("leader", SETTLED, usable=1)
    order = ["a"]
    assert plan.ask("a", SETTLED, want=5) == 1
    for name in ("b", "c"):
        plan.tell(name, SETTLED, want=5)
    for _ in range(6):
        plan.tell(order[-1], SETTLED, held=0, want=5)  # its request has ended, and more wait
        order += [name for name in ("c", "b", "a") if plan.ask(name, SETTLED, want=5)]

    assert sorted(order[:3]) == ["a", "b", "c"]
    assert order[:4] == order[3:]


def test_a_replica_that_works_for_more_sources_gets_more(plan: Plan) -> None:
    plan.tell("leader", NOW)
    plan.rule("leader", SETTLED, usable=0)
    plan.tell("busy", SETTLED, want=9, weight=3)
    plan.tell("calm", SETTLED, want=9, weight=1)
    plan.rule("leader", SETTLED, usable=4)

    assert plan.ask("busy", SETTLED, want=9, weight=3) == 3
    assert plan.ask("calm", SETTLED, want=9, weight=1) == 1


def test_who_works_for_few_has_its_turn_where_those_who_work_for_many_want_all_there_is(four: Plan) -> None:
    """By places in flight for each source alone, the fifth of seven sources would always go before the first of one."""
    held = {"many": four.ask("many", SETTLED, want=9, weight=7), "few": 0}
    weights = {"many": 7, "few": 1}
    places: Counter[str] = Counter()
    for _ in range(80):
        busiest = max(held, key=held.__getitem__)
        held[busiest] -= 1  # an answer has ended
        for name in ("many", "few", "many"):
            held[name] += four.ask(name, SETTLED, held=held[name], want=9, weight=weights[name])
        places.update(held)

    assert sum(held.values()) == 4
    assert 0.5 / 8 <= places["few"] / places.total() <= 2 / 8


def test_who_has_paused_has_saved_no_turns_up(four: Plan) -> None:
    held = four.ask("many", SETTLED, want=9, weight=7)
    four.ask("few", SETTLED, want=0)
    for _ in range(200):
        held += four.ask("many", SETTLED, held=held - 1, want=9, weight=7) - 1

    places = 0
    few = four.ask("few", SETTLED, want=1)
    for _ in range(28):
        # Each time one answer of each has ended, and both want more.
        held += four.ask("many", SETTLED, held=held - 1, want=9, weight=7) - 1
        few = four.ask("few", SETTLED, held=0, want=1)
        held += four.ask("many", SETTLED, held=held, want=9, weight=7)
        places += few

    assert 1 <= places <= 7


def test_nobody_waits_for_the_turn_of_one_who_is_not_heard_of(four: Plan) -> None:
    four.tell("one", SETTLED, want=4)
    four.tell("dead", SETTLED, want=9)

    assert four.ask("one", SETTLED + 1.0, held=2, want=9) == 0
    assert four.ask("one", SETTLED + 2.0, held=2, want=9) == 2


def test_a_dead_replicas_places_are_free_when_its_lease_is_over(four: Plan) -> None:
    four.tell("dead", SETTLED, want=4)
    for seconds in range(10):
        assert four.ask("one", SETTLED + seconds, want=1) == 0

    answer = four.tell("one", SETTLED + 10.1, want=1)
    assert (answer.granted, answer.held, answer.replicas) == ({UNKNOWN: 1}, {UNKNOWN: 1}, 1)


def test_a_replica_that_comes_back_late_is_counted_once(four: Plan) -> None:
    four.tell("slow", SETTLED, want=3)
    for seconds in (4, 8, 12):
        four.tell("one", SETTLED + seconds)
    assert four.ask("one", SETTLED + 12, want=4) == 4

    assert four.tell("slow", SETTLED + 13, held=3, want=1).held == {UNKNOWN: 7}
    assert four.ask("slow", SETTLED + 13, held=3, want=1) == 0
    assert four.tell("one", SETTLED + 13, held=1).held == {UNKNOWN: 4}


def test_a_report_that_comes_after_a_later_one_changes_nothing(four: Plan) -> None:
    four.send(Report("one", 7, Demand({UNKNOWN: ModelDemand(1, 0, 1)})), SETTLED)

    with pytest.raises(UnreadableAnswerError, match="too late"):
        four.send(Report("one", 6, Demand({UNKNOWN: ModelDemand(4, 0, 1)})), SETTLED)
    assert four.tell("other", SETTLED).held == {UNKNOWN: 1}


def test_who_leaves_gives_everything_back(four: Plan) -> None:
    four.tell("one", SETTLED, want=4)

    assert four.tell("one", SETTLED, held=4, leaves=True).replicas == 1
    assert four.ask("other", SETTLED, want=4) == 4


def test_the_rate_holds_for_all_together(plan: Plan) -> None:
    plan.tell("leader", NOW)
    plan.rule("leader", SETTLED, usable=100, pace=2.0, burst=3.0)
    granted = sum(plan.ask(name, SETTLED, want=9) for name in ("a", "b", "c"))
    later = sum(plan.ask(name, SETTLED + 1.0, want=9) for name in ("a", "b", "c"))

    assert (granted, later) == (3, 2)


def test_one_leads_until_it_is_not_heard_of_and_its_late_ruling_counts_for_nothing(four: Plan) -> None:
    assert not four.tell("next", SETTLED + 1.9).leads
    old = four.tell("leader", SETTLED + 1.9)
    assert old.leads
    new = four.tell("next", SETTLED + 4.0)
    assert (new.leads, new.epoch) == (True, old.epoch + 1)

    plan_limits = PlanLimits(100, 1.0, 1.0, 100, 1.0, 1.0, LIMITS, read_to=0)
    answer = four.tell("leader", SETTLED + 4.0, epoch=old.epoch, plan_limits=plan_limits, want=100)
    assert not answer.leads
    assert answer.granted == {UNKNOWN: 4}


def test_the_leader_is_told_what_happened_and_its_successor_goes_on_where_it_stopped(four: Plan) -> None:
    four.tell("one", SETTLED + 1, want=2)
    refused = RefusedAttempt(0.0, ErrorClass.CONCURRENCY, "1302", NOW, NOW + 0.5, model="glm")
    four.tell("one", SETTLED + 1, held=2, refusals=(refused,))
    epoch = four.tell("leader", SETTLED + 1).epoch

    told = four.tell("leader", SETTLED + 1, epoch=epoch, read_to=0)
    successor = four.tell("one", SETTLED + 4, held=2)

    assert told.events[-2] == Counted(SETTLED + 1, (Count(UNKNOWN, 2, 0, False, 2),))
    assert told.events[-1] == replace(refused, at=SETTLED + 1)
    assert successor.leads
    assert successor.events[: len(told.events)] == told.events


def test_the_seconds_that_came_with_a_refusal_are_told_with_its_code(four: Plan) -> None:
    refused = RefusedAttempt(0.0, ErrorClass.CONCURRENCY, "1302", NOW, NOW + 0.5, retry_after=37.5, model="glm")
    arguments = encode(Report("one", 1, Demand(), refusals=(refused, replace(refused, retry_after=None))))
    assert [arguments[-10:][i] for i in (2, 7)] == ["1302@37.500", "1302"]

    four.tell("one", SETTLED + 1, refusals=(refused,))
    epoch = four.tell("leader", SETTLED + 1).epoch
    told = four.tell("leader", SETTLED + 1, epoch=epoch, read_to=0)

    assert told.events[-1] == replace(refused, at=SETTLED + 1)


def test_a_gate_is_told_to_all_and_only_who_knows_it_can_change_it(four: Plan) -> None:
    closed = GateState((Closure("weekly", Cause.REFUSED, NOW, NOW + 3600, "1310"),), (), -1.0, 30.0, NOW + 30)
    four.tell("one", SETTLED, gate=closed, gate_seen=0)
    seen = four.tell("other", SETTLED)
    assert seen.gate == closed

    four.tell("one", SETTLED, gate=GateState(), gate_seen=0)
    assert four.tell("other", SETTLED, gate_seen=seen.gate_version).gate is None
    four.tell("other", SETTLED, gate=GateState(), gate_seen=seen.gate_version)
    assert four.tell("one", SETTLED, gate_seen=seen.gate_version).gate == GateState()


def test_one_at_a_time_may_try_the_gate(four: Plan) -> None:
    assert four.tell("one", SETTLED, probe=True).may_probe
    assert not four.tell("other", SETTLED, probe=True).may_probe
    assert four.tell("one", SETTLED + 5, probe=True).may_probe
    assert not four.tell("one", SETTLED + 6).may_probe
    assert four.tell("other", SETTLED + 6, probe=True).may_probe


def test_who_tries_the_gate_and_dies_lets_others_try_when_its_lease_is_over(four: Plan) -> None:
    four.tell("dead", SETTLED, probe=True)
    assert not four.tell("other", SETTLED + 9, probe=True).may_probe
    assert four.tell("other", SETTLED + 10.1, probe=True).may_probe


def test_what_is_kept_is_bounded_and_expires(four: Plan, store: Store) -> None:
    for number in range(10):
        four.tell("one", SETTLED + number / 1000, held=number % 2)
    store.client.rpush(store.keys[2], *store.client.lrange(store.keys[2], 0, 0) * 6000)
    for number in range(10, 20):
        four.tell("one", SETTLED + number / 1000, held=number % 2)

    assert store.client.llen(store.keys[2]) == 4096
    assert not store.client.exists(store.keys[1])
    assert all(0 < store.client.pttl(key) <= 86_400_000 for key in (store.keys[0], store.keys[2]))


def test_a_clock_of_the_server_that_jumps_back_takes_nothing_away(four: Plan) -> None:
    four.tell("one", SETTLED + 5, want=2)
    answer = four.tell("other", SETTLED - 100, want=4)

    assert (answer.up, answer.held, answer.granted) == (True, {UNKNOWN: 4}, {UNKNOWN: 2})


@pytest.fixture
def mixed(plan: Plan) -> Plan:
    """A settled plan of nine places: two, six and one for three models, of which two share five; four for MCP tools."""
    models = {"small": ModelPlaces(1, 1), "big": ModelPlaces(6, 6, group=1), "mid": ModelPlaces(2, 2, group=1)}
    places = PlanPlaces({**models, MCP: ModelPlaces(4, 4)}, (GroupPlaces(5, 5),), new=3, tools=3)
    plan.tell("leader", NOW)
    plan.rule("leader", SETTLED, usable=9, places=places)
    return plan


def test_each_model_has_its_own_places_and_one_that_is_full_holds_no_other_back(mixed: Plan) -> None:
    assert mixed.want("one", SETTLED, small=(0, 9)) == {"small": 1}
    assert mixed.want("one", SETTLED, small=(1, 8), mid=(0, 9), new=(0, 9)) == {"mid": 2, "new": 3}
    assert mixed.want("other", SETTLED, small=(0, 9), new=(0, 1)) == {}


def test_models_that_share_a_limit_have_no_more_than_it_together(mixed: Plan) -> None:
    assert mixed.want("one", SETTLED, big=(0, 4)) == {"big": 4}
    assert sum(mixed.want("other", SETTLED, mid=(0, 2), big=(0, 4)).values()) == 1


def test_all_models_together_have_what_the_account_has(mixed: Plan) -> None:
    assert mixed.want("one", SETTLED, big=(0, 5), new=(0, 3)) == {"big": 5, "new": 3}
    assert mixed.want("other", SETTLED, newer=(0, 3)) == {"newer": 1}


def test_mcp_tools_take_nothing_of_the_account_nor_of_the_rate(plan: Plan) -> None:
    plan.tell("leader", NOW)
    plan.rule(
        "leader", SETTLED, usable=1, pace=0.1, burst=1.0, places=PlanPlaces({MCP: ModelPlaces(4, 4)}, new=1, tools=1)
    )

    assert plan.want("one", SETTLED, big=(0, 2), mcp=(0, 9)) == {"big": 1, MCP: 4}
    assert plan.want("other", SETTLED, mcp=(0, 1)) == {}
    assert plan.want("one", SETTLED, mcp=(3, 0)) == {}
    assert plan.want("other", SETTLED, mcp=(0, 9), big=(0, 1)) == {MCP: 1}


def test_who_holds_much_of_one_model_waits_no_longer_for_another(mixed: Plan) -> None:
    assert mixed.want("calm", SETTLED, small=(0, 9)) == {"small": 1}
    assert mixed.want("busy", SETTLED, big=(5, 9), small=(0, 1)) == {}

    assert mixed.want("calm", SETTLED, small=(0, 9)) == {}  # its request has ended, and others wait
    assert mixed.want("busy", SETTLED, big=(5, 9), small=(0, 1)) == {"small": 1}


@pytest.mark.parametrize("names", ["ab", "ba"])
def test_of_two_newcomers_one_goes_whoever_asks_first(plan: Plan, names: str) -> None:
    plan.tell("leader", NOW)
    plan.rule("leader", SETTLED, usable=0)
    for name in names:
        plan.ask(name, SETTLED, want=1)
    plan.rule("leader", SETTLED, usable=1)

    assert sum(plan.ask(name, SETTLED, want=1) for name in names) == 1


def test_turns_are_counted_by_model(plan: Plan) -> None:
    plan.tell("leader", NOW)
    plan.rule("leader", SETTLED, usable=9, places=PlanPlaces({"few": ModelPlaces(1, 1)}, new=8, tools=1))
    order = ["a"]
    assert plan.want("a", SETTLED, few=(0, 9)) == {"few": 1}
    for _ in range(6):
        plan.want("b", SETTLED, few=(int(order[-1] == "b"), 9), many=(0, 1))  # its latest place is always of another
        plan.want(order[-1], SETTLED, few=(0, 9))
        order += [name for name in ("b", "a") if plan.want(name, SETTLED, few=(0, 9)).get("few")]

    assert order == ["a", "b", "a", "b", "a", "b", "a"]


def test_the_leader_is_told_what_changed_of_each_model(mixed: Plan) -> None:
    epoch = mixed.tell("leader", SETTLED).epoch
    read_to = mixed.tell("leader", SETTLED, epoch=epoch, read_to=0).newest
    mixed.want("one", SETTLED + 1, big=(0, 2), mcp=(0, 1))
    mixed.want("one", SETTLED + 1.1, big=(2, 0), mcp=(0, 0))

    told = mixed.tell("leader", SETTLED + 1.2, epoch=epoch, read_to=read_to)
    news = [{count.model: count for count in event.counts} for event in told.events if isinstance(event, Counted)]
    assert news == [
        {"big": Count("big", 2, 0, False, 2), MCP: Count(MCP, 1, 0, False, 1)},
        {MCP: Count(MCP, 0, 0, False, 0)},
    ]
    assert (told.held, told.waiting) == ({"big": 2}, {"big": 0})


@pytest.mark.parametrize("name", ["a b", "", "models", "7", "r:one", "%S+", "\n", "x" * 99, "mcp ", "é"])
def test_whatever_a_model_is_called_its_places_are_counted(four: Plan, name: str) -> None:
    answer = four.tell("one", SETTLED, models={name: ModelDemand(0, 3, 1.0), "glm-5": ModelDemand(0, 1, 1.0)})
    assert sum(answer.granted.values()) == 4
    [called] = [model for model in answer.granted if model != "glm-5"]

    four.tell("one", SETTLED, models={name: ModelDemand(3, 0, 1.0)}, refusals=(
        RefusedAttempt(0.0, ErrorClass.CONCURRENCY, "1302", NOW, NOW, model=name),
    ))  # fmt: skip
    epoch = four.tell("leader", SETTLED).epoch
    told = four.tell("leader", SETTLED, epoch=epoch, read_to=0)
    assert told.held == {called: 3}
    assert [event.model for event in told.events if isinstance(event, RefusedAttempt)] == [called]


def test_no_more_models_are_asked_about_than_have_work(four: Plan) -> None:
    known = {f"model-{number}": ModelDemand() for number in range(50)}
    answer = four.tell("one", SETTLED, models={**known, "glm-5": ModelDemand(0, 1, 1.0)})

    assert (answer.granted, answer.held, answer.waiting) == ({"glm-5": 1}, {"glm-5": 1}, {"glm-5": 0})
