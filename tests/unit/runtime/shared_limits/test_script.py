"""What the script in the store answers to the reports of replicas, at given times."""

from dataclasses import replace

import pytest

from extproc.domain.pacing.learned_limits import Learned, LearnedLimit
from extproc.domain.pacing.plan_view import Demand, PlanLimits, RefusedAttempt
from extproc.domain.quota.gate_state import Cause, Closure, GateState
from extproc.domain.replicas.messages import Answer, Counted, Report
from extproc.domain.request.business_codes import ErrorClass
from extproc.runtime.shared_wire import UnreadableAnswerError, decode, encode
from tests.unit.runtime.shared_limits.fleet import Store

NOW = 1_800_000_000.0
SETTLED = NOW + 2.5
LIMITS = Learned(NOW, LearnedLimit(4, 5.0, NOW, 20.0), LearnedLimit(50.0, None, None, None))


class Plan:
    """Replicas that say what a test has them say."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._serials: dict[str, int] = {}

    def tell(self, name: str, now: float, held: int = 0, want: int = 0, weight: int = 1, **more: object) -> Answer:
        serial = self._serials[name] = self._serials.get(name, 0) + 1
        report = Report(name, serial, Demand(held, want, weight, 0))
        return self.send(replace(report, **more), now)  # type: ignore[arg-type]

    def send(self, report: Report, now: float) -> Answer:
        return decode(self._store.run(encode(report, now)))

    def rule(self, name: str, now: float, usable: int, pace: float = 1000.0, burst: float = 1000.0) -> None:
        """Makes `name`, who leads, rule so; nobody else is forgotten meanwhile."""
        epoch = self.tell(name, now).epoch
        ruling = PlanLimits(usable, pace, burst, usable, pace, 1.0, LIMITS, read_to=0)
        assert self.tell(name, now, epoch=epoch, ruling=ruling).up


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

    assert (answer.up, answer.granted) == (False, 0)


def test_places_are_granted_as_far_as_there_are_any(four: Plan) -> None:
    assert four.tell("one", SETTLED, want=3).granted == 3
    assert four.tell("other", SETTLED, want=3).granted == 1
    assert four.tell("other", SETTLED, held=1, want=2).granted == 0


def test_a_place_that_is_not_held_any_more_is_free(four: Plan) -> None:
    four.tell("one", SETTLED, want=4)
    four.tell("one", SETTLED, held=3)

    assert four.tell("other", SETTLED, want=2).granted == 1


def test_each_free_place_goes_to_whoever_holds_the_fewest(four: Plan) -> None:
    four.tell("one", SETTLED, want=9)
    four.tell("other", SETTLED, want=9)

    assert four.tell("one", SETTLED, held=3, want=9).granted == 0
    assert four.tell("other", SETTLED, want=9).granted == 1
    assert four.tell("one", SETTLED, held=2, want=9).granted == 0
    assert four.tell("other", SETTLED, held=1, want=9).granted == 1


def test_of_equals_the_one_goes_that_had_none_for_longest(plan: Plan) -> None:
    plan.tell("leader", NOW)
    plan.rule("leader", SETTLED, usable=1)
    order = ["a"]
    assert plan.tell("a", SETTLED, want=5).granted == 1
    for name in ("b", "c"):
        plan.tell(name, SETTLED, want=5)
    for _ in range(6):
        plan.tell(order[-1], SETTLED, held=0, want=5)  # its request has ended, and more wait
        order += [name for name in ("c", "b", "a") if plan.tell(name, SETTLED, want=5).granted]

    assert sorted(order[:3]) == ["a", "b", "c"]
    assert order[:4] == order[3:]


def test_a_replica_that_works_for_more_sources_gets_more(plan: Plan) -> None:
    plan.tell("leader", NOW)
    plan.rule("leader", SETTLED, usable=0)
    plan.tell("busy", SETTLED, want=9, weight=3)
    plan.tell("calm", SETTLED, want=9, weight=1)
    plan.rule("leader", SETTLED, usable=4)

    assert plan.tell("busy", SETTLED, want=9, weight=3).granted == 3
    assert plan.tell("calm", SETTLED, want=9, weight=1).granted == 1


def test_nobody_waits_for_the_turn_of_one_who_is_not_heard_of(four: Plan) -> None:
    four.tell("one", SETTLED, want=4)
    four.tell("dead", SETTLED, want=9)

    assert four.tell("one", SETTLED + 1.0, held=2, want=9).granted == 0
    assert four.tell("one", SETTLED + 2.0, held=2, want=9).granted == 2


def test_a_dead_replicas_places_are_free_when_its_lease_is_over(four: Plan) -> None:
    four.tell("dead", SETTLED, want=4)
    for seconds in range(10):
        assert four.tell("one", SETTLED + seconds, want=1).granted == 0

    answer = four.tell("one", SETTLED + 10.1, want=1)
    assert (answer.granted, answer.held, answer.replicas) == (1, 1, 1)


def test_a_replica_that_comes_back_late_is_counted_once(four: Plan) -> None:
    four.tell("slow", SETTLED, want=3)
    for seconds in (4, 8, 12):
        four.tell("one", SETTLED + seconds)
    assert four.tell("one", SETTLED + 12, want=4).granted == 4

    assert four.tell("slow", SETTLED + 13, held=3, want=1).held == 7
    assert four.tell("slow", SETTLED + 13, held=3, want=1).granted == 0
    assert four.tell("one", SETTLED + 13, held=1).held == 4


def test_a_report_that_comes_after_a_later_one_changes_nothing(four: Plan) -> None:
    four.send(Report("one", 7, Demand(1, 0, 1, 0)), SETTLED)

    with pytest.raises(UnreadableAnswerError, match="too late"):
        four.send(Report("one", 6, Demand(4, 0, 1, 0)), SETTLED)
    assert four.tell("other", SETTLED).held == 1


def test_who_leaves_gives_everything_back(four: Plan) -> None:
    four.tell("one", SETTLED, want=4)

    assert four.tell("one", SETTLED, held=4, leaves=True).replicas == 1
    assert four.tell("other", SETTLED, want=4).granted == 4


def test_the_rate_holds_for_all_together(plan: Plan) -> None:
    plan.tell("leader", NOW)
    plan.rule("leader", SETTLED, usable=100, pace=2.0, burst=3.0)
    granted = sum(plan.tell(name, SETTLED, want=9).granted for name in ("a", "b", "c"))
    later = sum(plan.tell(name, SETTLED + 1.0, want=9).granted for name in ("a", "b", "c"))

    assert (granted, later) == (3, 2)


def test_one_leads_until_it_is_not_heard_of_and_its_late_ruling_counts_for_nothing(four: Plan) -> None:
    assert not four.tell("next", SETTLED + 1.9).leads
    old = four.tell("leader", SETTLED + 1.9)
    assert old.leads
    new = four.tell("next", SETTLED + 4.0)
    assert (new.leads, new.epoch) == (True, old.epoch + 1)

    ruling = PlanLimits(100, 1.0, 1.0, 100, 1.0, 1.0, LIMITS, read_to=0)
    answer = four.tell("leader", SETTLED + 4.0, epoch=old.epoch, ruling=ruling, want=100)
    assert not answer.leads
    assert answer.granted == 4


def test_the_leader_is_told_what_happened_and_its_successor_goes_on_where_it_stopped(four: Plan) -> None:
    four.tell("one", SETTLED + 1, want=2)
    refused = RefusedAttempt(0.0, ErrorClass.CONCURRENCY, "1302", NOW, NOW + 0.5)
    four.tell("one", SETTLED + 1, held=2, refusals=(refused,))
    epoch = four.tell("leader", SETTLED + 1).epoch

    told = four.tell("leader", SETTLED + 1, epoch=epoch, read_to=0)
    successor = four.tell("one", SETTLED + 4, held=2)

    assert told.events[-2] == Counted(SETTLED + 1, 2, 0, False, 2)
    assert told.events[-1] == replace(refused, at=SETTLED + 1)
    assert successor.leads
    assert successor.events[: len(told.events)] == told.events


def test_the_seconds_that_came_with_a_refusal_are_told_in_a_form_that_older_replicas_can_read(four: Plan) -> None:
    refused = RefusedAttempt(0.0, ErrorClass.CONCURRENCY, "1302", NOW, NOW + 0.5, retry_after=37.5)
    arguments = encode(Report("one", 1, Demand(0, 0, 1, 0), refusals=(refused, replace(refused, retry_after=None))))
    assert [arguments[-8:][i] for i in (1, 5)] == ["1302@37.500", "1302"]

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
    for number in range(6000):
        four.tell("one", SETTLED + number / 1000, held=number % 2)

    assert store.client.llen(store.keys[1]) == 4096
    assert all(0 < store.client.pttl(key) <= 86_400_000 for key in store.keys)


def test_a_clock_of_the_server_that_jumps_back_takes_nothing_away(four: Plan) -> None:
    four.tell("one", SETTLED + 5, want=2)
    answer = four.tell("other", SETTLED - 100, want=4)

    assert (answer.up, answer.held, answer.granted) == (True, 4, 2)
