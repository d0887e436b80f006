"""The benchmark works. How fast anything is, is not tested: the machine is shared."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.traffic import Conversation
from tests.harness.processes import ROOT, bare_environment

pytestmark = [pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed"), pytest.mark.slow]

WAYS = {"no_proxy", "bare_envoy", "floor", "unpaced", "unguarded", "before", "proxy"}
BULK = {"sse", "sse_packed", "sse_flood", "sse_packed_flood"}


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", *options]
    return subprocess.run(command, cwd=ROOT, env=bare_environment(), capture_output=True, text=True, timeout=280)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """The two files of a quick run."""
    directory = tmp_path_factory.mktemp("bench")
    done = run("--quick", "--before", str(ROOT), "--output", str(directory))
    assert done.returncode == 0, done.stderr
    markdown = (directory / "bench.md").read_text()
    assert markdown in done.stdout
    return json.loads((directory / "bench.json").read_text()), markdown


def test_every_case_is_measured_on_every_way_that_it_is_about(report: tuple[dict[str, Any], str]) -> None:
    cases = report[0]["cases"]
    prompts = {"prompts_200_kb_model_first", "prompts_200_kb_model_behind"}
    paired = {f"{what}_{connections}" for what, connections in (("json", 1), ("json", 20), ("guard", 1), ("guard", 20))}
    doctored = {conversation.case(connections) for conversation in Conversation for connections in (1, 4)}
    assert set(cases) == paired | prompts | BULK | doctored | {"paced", "sse_paced", "memory"}
    for name, case in cases.items():
        assert set(case["ways"]) == ({"doctored", "proxy"} if name.startswith("doctor") else WAYS - left_out_of(name))
    rates = [way["requests_per_second"]["median"] for way in cases["json_20"]["ways"].values()]
    assert all(rate > 0 for rate in rates)


def left_out_of(case: str) -> set[str]:
    if case == "memory":
        return {"no_proxy", "unpaced"}
    if case.startswith("json"):
        return {"unguarded"}
    return {"unpaced"} if case.startswith("guard") else {"unpaced", "unguarded"}


def test_what_the_guard_costs_is_told(report: tuple[dict[str, Any], str]) -> None:
    for case in ("guard_1", "guard_20"):
        for way in ("unguarded", "proxy"):
            assert report[0]["cases"][case]["ways"][way]["processor_cpu_ms_per_stream"]["median"] > 0
    assert report[1].count("The guard, on to off: requests/s") == 2


def test_cpu_and_memory_are_told_by_process(report: tuple[dict[str, Any], str]) -> None:
    proxy = {case: found["ways"]["proxy"] for case, found in report[0]["cases"].items()}
    for role in ("envoy", "processor"):
        assert proxy["json_20"][f"{role}_cpu_ms_per_request"]["median"] > 0
        assert all(proxy[case][f"{role}_cpu_us_per_event"]["median"] > 0 for case in BULK)
        moments = ("rest", "half_open", "open", "after")
        assert all(proxy["memory"][f"{role}_{moment}_mib"]["median"] > 1 for moment in moments)


def test_events_that_are_written_one_at_a_time_are_read_one_at_a_time(report: tuple[dict[str, Any], str]) -> None:
    for case, events in (("sse", 1), ("sse_packed", 64)):
        for way in report[0]["cases"][case]["ways"].values():
            assert way["events_per_read"]["median"] == pytest.approx(events, rel=0.2)


def test_events_a_second_count_only_if_client_and_upstream_are_fast_enough(report: tuple[dict[str, Any], str]) -> None:
    for name in BULK:
        case = report[0]["cases"][name]
        assert case["events_per_second_count"] == (case["client_and_upstream_alone"]["median"] >= 2)
    counted = [report[0]["cases"][name]["events_per_second_count"] for name in BULK]
    assert report[1].count("events/second (do not count)") == counted.count(False)


def test_every_goal_says_whether_it_is_reached(report: tuple[dict[str, Any], str]) -> None:
    goals, markdown = report[0]["goals"], report[1]
    assert len(goals) == 20  # all but those at 200 connections and with prompts of 5 MB, which a quick run leaves out
    for goal in goals:
        assert isinstance(goal["reached"], bool)
        assert goal["goal"] in markdown
    assert markdown.count("reached") + markdown.count("MISSED") == len(goals)


def test_what_was_before_is_measured_beside_what_is(report: tuple[dict[str, Any], str]) -> None:
    about, before = report[0]["about"], report[0]["cases"]["json_20"]["ways"]["before"]
    assert about["before"] == about["revision"]  # it is this checkout
    assert before["processor_cpu_ms_per_request"]["median"] > 0


def test_what_is_no_checkout_has_no_before(tmp_path: Path) -> None:
    (tmp_path / "extproc").mkdir()  # without a module, Python would go on to find ours
    done = run("--before", str(tmp_path), "--output", str(tmp_path / "out"))
    assert done.returncode == 1
    assert "is no checkout of this project" in done.stderr


def test_a_wrong_option_is_one_clear_line(tmp_path: Path) -> None:
    for option, complaint in (
        ("--only=jason", "need some of json,prompts,guard,doctor,sse,paced,memory"),
        ("--also=X", "need NAME=VALUE"),
    ):
        done = run(option, "--output", str(tmp_path))
        assert done.returncode == 2
        assert complaint in done.stderr
    assert list(tmp_path.iterdir()) == []
