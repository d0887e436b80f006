"""For some minutes replicas of an older version share the plan, by a script of their own, which knows of no models."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from extproc.domain.pacing.limits import MCP, UNKNOWN
from extproc.domain.pacing.plan_places import ModelPlaces, PlanPlaces
from extproc.domain.pacing.plan_view import Demand, ModelDemand, RefusedAttempt
from extproc.domain.replicas.messages import Count, Counted, Report
from extproc.domain.request.business_codes import ErrorClass
from tests.unit.runtime.shared_limits.fleet import Store
from tests.unit.runtime.shared_limits.test_script import LIMITS, NOW, SETTLED, Plan

OLDER: Final = Path(__file__).with_name("script_before_models.lua").read_text()
LEARNED: Final = {key: LIMITS.as_dict()[key] for key in ("version", "saved_at", "concurrency", "rate")}
RULING: Final = {"usable": 4, "pace": 1000.0, "burst": 1000.0, "limit": 4, "rate": 1000.0, "breath": 1.0}


class Older:
    """A replica of the older version."""

    def __init__(self, store: Store, name: str) -> None:
        self.name = name
        self._store = store
        self._script = store.client.register_script(OLDER)
        self._serial = 0

    def tell(
        self, now: float, held: int = 0, want: int = 0, rules: bool = False, refused: str = "", **more: Any
    ) -> list[Any]:
        """One report in the older form, and its answer as it is."""
        self._serial += 1
        values = {"weight": 1, "retrying": 0, "leaves": 0, "epoch": 0, "read_to": -1, **more}
        ruled = (
            [json.dumps({**RULING, "learned": LEARNED, "read_to": 0}), 4, 1000, 1000, 0] if rules else ["", 0, 0, 0, 0]
        )
        refusal = [ErrorClass.CONCURRENCY.value, refused, f"{now - 0.5:.4f}", f"{now - 0.1:.4f}"] if refused else []
        arguments = [
            f"{now * 1000:.0f}", self.name, self._serial, held, want, values["weight"], values["retrying"], 0,
            values["leaves"], values["epoch"], values["read_to"], -1, *ruled, "", 0, *refusal,
        ]  # fmt: skip
        return list(self._script(keys=self._store.keys[:2], args=arguments))

    def ask(self, now: float, held: int = 0, want: int = 0) -> int:
        """How many places are granted."""
        return int(self.tell(now, held, want)[3])

    def leads(self, now: float) -> bool:
        return bool(self.tell(now)[4])


@pytest.fixture
def plan(store: Store) -> Plan:
    return Plan(store)


@pytest.fixture
def older(store: Store) -> Older:
    """It leads a plan of four places, alone."""
    older = Older(store, "older")
    older.tell(NOW)
    epoch = older.tell(SETTLED)[5]
    assert older.tell(SETTLED, rules=True, epoch=epoch)[2]
    return older


def ruled(plan: Plan, usable: int, now: float = SETTLED, **models: int) -> None:
    places = {model: ModelPlaces(count, count) for model, count in models.items()}
    plan.rule("new", now, usable=usable, places=PlanPlaces(places, new=usable, tools=2))


def test_a_newcomer_shares_the_places_at_once_and_leads_by_what_was_learned(plan: Plan, older: Older) -> None:
    assert older.ask(SETTLED, want=3) == 3
    answer = plan.tell("new", SETTLED, models={"glm-5.3": ModelDemand(0, 3, 1.0)})

    assert (answer.up, answer.leads, answer.granted, answer.held) == (
        True,
        True,
        {"glm-5.3": 1},
        {UNKNOWN: 3, "glm-5.3": 1},
    )
    assert answer.plan_limits is not None
    assert (answer.plan_limits.usable, answer.plan_limits.limit_of("glm-5.3"), answer.plan_limits.learned) == (
        4,
        4,
        LIMITS,
    )
    assert older.ask(SETTLED, held=3, want=3) == 0
    assert not older.leads(SETTLED)


def test_together_they_never_have_more_than_the_account(plan: Plan, older: Older) -> None:
    ruled(plan, 4)
    assert plan.want("new", SETTLED, big=(0, 3)) == {"big": 3}
    assert older.ask(SETTLED, want=9) == 1
    assert plan.want("new", SETTLED, big=(3, 3)) == {}
    assert older.ask(SETTLED, held=1, want=9) == 0


def test_the_older_take_turns_with_the_others(plan: Plan, older: Older) -> None:
    ruled(plan, 4)
    assert older.ask(SETTLED, want=9) == 4
    plan.want("new", SETTLED, big=(0, 9))

    assert older.ask(SETTLED, held=3, want=9) == 0
    assert plan.want("new", SETTLED, big=(0, 9)) == {"big": 1}


def test_what_waits_for_a_model_that_is_full_keeps_no_older_one_waiting(plan: Plan, older: Older) -> None:
    ruled(plan, 4, small=1)
    assert plan.want("new", SETTLED, small=(0, 9)) == {"small": 1}

    assert older.ask(SETTLED, want=9) == 3


def test_the_older_have_the_places_of_an_unknown_model(plan: Plan, older: Older) -> None:
    ruled(plan, 9, unknown=2)
    plan.want("new", SETTLED, big=(0, 1))

    assert older.ask(SETTLED, want=9) == 2
    assert plan.want("new", SETTLED, big=(1, 9), unknown=(0, 1)) == {"big": 6}


def test_mcp_tools_of_the_others_take_nothing_from_the_older(plan: Plan, older: Older) -> None:
    ruled(plan, 4)
    assert plan.want("new", SETTLED, mcp=(0, 9)) == {MCP: 2}

    assert older.ask(SETTLED, want=9) == 4


def test_what_the_older_do_and_are_refused_teaches_the_new_leader(plan: Plan, older: Older) -> None:
    ruled(plan, 4)
    epoch = plan.tell("new", SETTLED).epoch
    read_to = plan.tell("new", SETTLED, epoch=epoch, read_to=0).newest
    older.tell(SETTLED + 1, want=2)
    older.tell(SETTLED + 1.5, held=2, refused="1302@2.000")

    told = plan.tell("new", SETTLED + 1.6, epoch=epoch, read_to=read_to)
    refused = RefusedAttempt(
        SETTLED + 1.5, ErrorClass.CONCURRENCY, "1302", SETTLED + 1.0, SETTLED + 1.4, retry_after=2.0, model=UNKNOWN
    )
    assert told.events == (refused, Counted(SETTLED + 1.6, (Count(UNKNOWN, 2, 0, False, 2),)))
    assert plan.tell("new", SETTLED + 1.7, epoch=epoch, read_to=told.read_to).events == ()


def test_what_an_older_leader_had_not_read_is_read_by_its_successor(plan: Plan, older: Older) -> None:
    older.tell(SETTLED + 1, want=2)

    told = plan.tell("new", SETTLED + 1)
    assert told.leads
    assert told.events == (Counted(SETTLED + 1, (Count(UNKNOWN, 2, 0, False, 2),)),)


def test_an_older_one_goes_on_from_the_last_ruling_when_the_new_have_gone(plan: Plan, older: Older) -> None:
    ruled(plan, 7, big=2)
    older.tell(SETTLED, want=1)
    plan.send(Report("new", 99, Demand(), leaves=True), SETTLED + 0.1)

    answer = older.tell(SETTLED + 0.2, held=1)
    assert (answer[2], answer[4], answer[6]) == (1, 1, 1)
    ruling = json.loads(answer[10])
    assert (ruling["usable"], ruling["learned"]["version"], ruling["learned"]["concurrency"]["limit"]) == (7, 1, 4)
    assert answer[17:] == [f"c {SETTLED:.3f} 1 0 0 1"]  # in its own words
    assert older.ask(SETTLED + 0.2, held=1, want=9) == 6


def test_a_second_newcomer_leaves_the_first_in_the_lead(plan: Plan, older: Older) -> None:
    ruled(plan, 4)

    assert not plan.tell("second", SETTLED + 0.5).leads
    assert not older.leads(SETTLED + 0.6)
    assert plan.tell("new", SETTLED + 0.7).leads


def test_what_a_leader_that_names_no_account_has_learned_is_taken(plan: Plan, store: Store) -> None:
    plan.tell("leader", NOW)
    plan.rule("leader", SETTLED, usable=4, places=PlanPlaces({"big": ModelPlaces(2, 2)}, new=4, tools=2))
    ruling = json.loads(str(store.client.hget(store.keys[0], "ruling")))
    del ruling["learned"]["accounts"]
    store.client.hset(store.keys[0], "ruling", json.dumps(ruling))

    answer = plan.tell("new", SETTLED)
    assert answer.plan_limits is not None
    assert (answer.plan_limits.learned, answer.plan_limits.own_limit_of("big")) == (LIMITS, 2)


def test_what_is_learned_now_is_read_by_replicas_that_name_no_account(plan: Plan, store: Store) -> None:
    plan.tell("leader", NOW)
    plan.rule("leader", SETTLED, usable=4)

    learned = json.loads(str(store.client.hget(store.keys[0], "ruling")))["learned"]
    assert {name: learned[name] for name in LEARNED} == LEARNED
