"""The comparison of ways to share a plan works. How well each does is not tested: the machine is shared."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.pacing.ladder import back_off
from bench.pacing.load import PLANS, Agent, Plan, swarm
from bench.pacing.outcome import jain
from extproc.domain.request.priority import Lane
from tests.harness.processes import ROOT, bare_environment

pytestmark = pytest.mark.slow

WAYS = {
    "hours": ["no_proxy", "fixed_workers", "rate_aimd", "paced", "swarm"],
    "mixed": ["no_proxy", "fixed_workers", "rate_aimd", "paced"],
}


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.pacing", *options]
    return subprocess.run(command, cwd=ROOT, env=bare_environment(), capture_output=True, text=True, timeout=110)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a quick run leaves."""
    folder = tmp_path_factory.mktemp("pacing")
    done = run("--quick", "--plans", ",".join(WAYS), "--only", ",".join(WAYS["hours"]), "--output", str(folder))
    assert done.returncode == 0, done.stderr
    assert (folder / "pacing.md").read_text() in done.stdout
    return folder


def test_every_way_has_its_numbers_and_a_picture(folder: Path) -> None:
    document: dict[str, Any] = json.loads((folder / "pacing.json").read_text())
    assert {name: list(plan["ways"]) for name, plan in document["plans"].items()} == WAYS
    for name, plan in document["plans"].items():
        for way in plan["ways"].values():
            assert way["answers"] > 0
            assert 0.0 < way["used"] <= 1.0
            assert way["waits"]["main"]["p50"] >= 0.0
            assert 0.0 < way["jain"] <= 1.0
        assert (folder / f"pacing-{name}.png").stat().st_size > 10_000
        assert (folder / f"pacing-{name}.svg").read_text().count("capacity (hidden)") >= 1
    assert set(document["plans"]["mixed"]["ways"]["paced"]["used_by"]) == {"glm-5.3", "glm-5.3-flash", "glm-4.7"}


def test_a_decision_while_many_wait_has_its_cost_by_the_number_of_models(folder: Path) -> None:
    costs = json.loads((folder / "pacing.json").read_text())["decisions"]

    assert [each["models"] for each in costs] == [1, 3, 10, 50]
    assert all(0.0 <= each["median_ms"] <= each["p99_ms"] for each in costs)
    assert "A decision with 500 waiting" in (folder / "pacing.md").read_text()


def test_a_wrong_way_is_one_clear_line(tmp_path: Path) -> None:
    done = run("--only", "paced,psychic", "--output", str(tmp_path))
    assert done.returncode == 2
    assert "need some of no_proxy,fixed_workers," in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_plan_is_one_clear_line(tmp_path: Path) -> None:
    done = run("--plans", "hours,years", "--output", str(tmp_path))
    assert done.returncode == 2
    assert "need some of hours,mixed,minutes,growth" in done.stderr


def test_the_load_is_the_same_each_time() -> None:
    agent = Agent("session-0", Lane.MAIN, 0)
    assert [agent.turn(number) for number in range(5)] == [agent.turn(number) for number in range(5)]
    assert [each.lane for each in swarm()] == [Lane.MAIN] + [Lane.SUBAGENT] * 50


@pytest.mark.parametrize("plan", PLANS, ids=[plan.name for plan in PLANS])
def test_agents_ask_for_more_than_a_plan_has_of_each_model(plan: Plan) -> None:
    for model in plan.places:
        wanted = 0.0
        for each in plan.agents:
            turns = [each.turn(number) for number in range(100)]
            share = sum(turn.answer for turn in turns) / sum(turn.answer + turn.rest for turn in turns)
            wanted += share * plan.horizon * (not each.calls_tools and model in ("", each.model))
        assert wanted > 1.2 * plan.place_seconds(model)


class Dice:
    def random(self) -> float:
        return 0.0


@pytest.mark.parametrize(
    ("tries", "status", "headers", "expected"),
    [
        (1, 429, {}, 0.5),
        (4, 529, {}, 4.0),
        (10, 429, {}, 32.0),
        (11, 429, {}, None),
        (1, 503, {"retry-after": "2"}, 2.0),
        (1, 429, {"x-should-retry": "false"}, None),
        (1, 400, {}, None),
        (1, 400, {"x-should-retry": "true"}, 0.5),
        (1, None, {}, 0.5),
    ],
)
def test_clients_come_back_as_claude_code_does(
    tries: int, status: int | None, headers: dict[str, str], expected: float | None
) -> None:
    assert back_off(tries, status, headers, Dice(), speed=1.0) == expected  # type: ignore[arg-type]  # dice enough


def test_jains_index_is_1_for_equal_shares_and_one_nth_where_one_has_all() -> None:
    assert jain([3, 3, 3]) == 1.0
    assert jain([9, 0, 0]) == pytest.approx(1 / 3)
    assert jain([0, 0]) == 1.0
