"""A plan's five hours in virtual time: three lanes that want work, and a pilot that shares out what is left."""

import math
import random
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from extproc.domain.quota.pilot import LaneShares, QuotaPilot
from extproc.domain.quota.windows import WEEKLY
from extproc.domain.request.priority import Lane
from tests.unit.domain.quota.windows import DAY, HOUR, NOON, TIME_LIMIT, report, window

USD_A_WINDOW = 7.0
SEEDS = range(8)


@dataclass
class Plan:
    """Lanes use the window at these shares an hour, in bursts that fill a part of the minutes, as the pilot allows."""

    main: float
    subagent: float
    background: float
    busy: float = 1.0
    seed: int = 0
    step: float = 0.01
    length: float = 5 * HOUR
    poll: float = 60.0
    used: float = 0.0
    used_up_at: float | None = None
    shares: list[LaneShares] = field(default_factory=list)

    def run(self, steered: bool = True) -> "Plan":
        pilot, chance, at = QuotaPilot(), random.Random(self.seed), 0.0
        now = LaneShares()
        while at < self.length:
            at += self.poll
            for lane, wanted in zip(Lane, (self.main, self.subagent, self.background), strict=True):
                worked = wanted * now.of(lane) * self.poll / HOUR
                spent = worked / self.busy if chance.random() < self.busy else 0.0
                self.used += spent
                pilot.spend(lane, spent * USD_A_WINDOW)
            if self.used >= 1 and self.used_up_at is None:
                self.used_up_at = at
            shown = math.floor(min(self.used, 1.0) / self.step) * self.step
            pilot.take_report(report(window(shown, resets_in=self.length - at, at=at, step=self.step)), NOON + at)
            now = pilot.shares if steered else LaneShares()
            self.shares.append(now)
        return self

    @property
    def lowest(self) -> LaneShares:
        return LaneShares(
            subagent=min(s.subagent for s in self.shares), background=min(s.background for s in self.shares)
        )

    @property
    def movement(self) -> float:
        """How much the shares move from report to report, on average."""
        moves = [abs(a.background - b.background) + abs(a.subagent - b.subagent) for a, b in pairwise(self.shares)]
        return sum(moves) / len(moves)


TOO_MUCH = [(0.05, 0.10, 0.40), (0.10, 0.30, 0.30), (0.10, 0.60, 0.60), (0.15, 0.00, 0.10), (0.14, 0.10, 0.20)]


@pytest.mark.parametrize("demand", TOO_MUCH)
def test_a_window_that_would_run_out_lasts_to_its_reset_and_is_used(demand: tuple[float, float, float]) -> None:
    without, steered = Plan(*demand).run(steered=False), Plan(*demand).run()

    assert without.used_up_at is not None
    assert steered.used_up_at is None
    assert steered.used > 0.96


@pytest.mark.parametrize("demand", TOO_MUCH[:2])
def test_it_does_so_too_when_everybody_works_in_bursts(demand: tuple[float, float, float]) -> None:
    plans = [Plan(*demand, busy=0.2, seed=seed).run() for seed in SEEDS]

    assert all(plan.used_up_at is None or plan.used_up_at > 0.98 * plan.length for plan in plans)
    assert sum(plan.used for plan in plans) / len(plans) > 0.96


def test_background_work_gives_way_before_sub_agents_do() -> None:
    plan = Plan(main=0.05, subagent=0.05, background=0.4).run()

    assert plan.lowest.background < 0.3
    assert plan.lowest.subagent > 0.95


def test_sub_agents_give_way_when_that_is_not_enough() -> None:
    plan = Plan(main=0.1, subagent=0.3, background=0.3).run()

    assert plan.lowest.background < 0.02
    assert plan.lowest.subagent < 0.5


def test_the_main_lane_is_never_held_back_and_no_lane_stands_still() -> None:
    plan = Plan(main=0.4, subagent=0.3, background=0.3).run()

    assert all(share.main == 1.0 and share.subagent > 0 and share.background > 0 for share in plan.shares)


@pytest.mark.parametrize("busy", [1.0, 0.5])
def test_nothing_is_held_back_when_some_would_be_left_unused(busy: float) -> None:
    plans = [Plan(0.05, 0.04, 0.04, busy=busy, seed=seed).run() for seed in SEEDS]

    assert all(plan.used < 0.8 for plan in plans)
    assert all(share == LaneShares() for plan in plans for share in plan.shares)


def test_a_burst_early_in_the_window_is_no_reason() -> None:
    pilot = QuotaPilot()
    for minute in range(1, 6):
        pilot.spend(Lane.BACKGROUND, 1.0)
        at = 60.0 * minute
        pilot.take_report(report(window(0.005 * minute, resets_in=5 * HOUR - at, at=at)), NOON + at)

    assert pilot.shares == LaneShares()


def test_the_shares_move_smoothly() -> None:
    steady, bursts = Plan(0.1, 0.3, 0.3).run(), Plan(0.1, 0.3, 0.3, busy=0.2).run()

    for plan in (steady, bursts):
        assert all(abs(a.background - b.background) < 0.3 and abs(a.subagent - b.subagent) < 0.3
                   for a, b in pairwise(plan.shares))  # fmt: skip
    assert steady.movement < 0.02
    assert bursts.movement < 0.05


def test_what_is_held_back_is_let_go_when_the_main_lane_stops() -> None:
    pilot = QuotaPilot()
    used = 0.0
    for minute in range(1, 240):
        at = 60.0 * minute
        main = 0.4 if minute < 90 else 0.0
        for lane, wanted in ((Lane.MAIN, main), (Lane.BACKGROUND, 0.05 * pilot.shares.background)):
            used += wanted / 60
            pilot.spend(lane, wanted)
        pilot.take_report(report(window(math.floor(used * 100) / 100, resets_in=5 * HOUR - at, at=at)), NOON + at)
        if minute == 89:
            assert pilot.shares.background < 0.2

    assert pilot.shares == LaneShares()


def test_a_week_is_steered_as_five_hours_are() -> None:
    pilot, used = QuotaPilot(), 0.0
    for hour in range(1, 7 * 24):
        at = hour * HOUR
        for lane, wanted in ((Lane.MAIN, 0.05), (Lane.BACKGROUND, 0.25)):
            spent = wanted * pilot.shares.of(lane) / 24
            used += spent
            pilot.spend(lane, spent)
        shown = window(math.floor(used * 100) / 100, resets_in=7 * DAY - at, name=WEEKLY, at=at)
        pilot.take_report(report(shown), NOON + at)

    assert 0.95 < used < 1.0


def test_the_month_of_tool_calls_holds_no_model_back() -> None:
    pilot = QuotaPilot()
    for minute in range(1, 60):
        pilot.spend(Lane.BACKGROUND, 1.0)
        shown = window(0.3 + 0.01 * minute, resets_in=20 * DAY, name="monthly", limit_type=TIME_LIMIT)
        pilot.take_report(report(shown), NOON + 60.0 * minute)

    assert pilot.shares == LaneShares()


def test_without_prices_it_does_nothing() -> None:
    pilot = QuotaPilot()
    for minute in range(1, 100):
        at = 60.0 * minute
        pilot.take_report(report(window(0.009 * minute, resets_in=5 * HOUR - at, at=at)), NOON + at)

    assert pilot.shares == LaneShares()


def test_a_reset_frees_the_lanes() -> None:
    pilot = QuotaPilot()
    for minute in range(1, 300):
        at = 60.0 * minute
        pilot.spend(Lane.BACKGROUND, 1.0)
        pilot.take_report(report(window(min(1.0, minute / 100), resets_in=5 * HOUR - at, at=at)), NOON + at)
    assert pilot.shares.background < 0.05

    for minute in range(300, 330):
        at = 60.0 * minute
        pilot.take_report(report(window(0.0, resets_in=None)), NOON + at)

    assert pilot.shares == LaneShares()
