"""The benchmark works. How fast anything is, is not tested: the machine is shared."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.harness.processes import ROOT, bare_environment

pytestmark = [pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed"), pytest.mark.slow]

WAYS = {"no_proxy", "bare_envoy", "floor", "unpaced", "proxy"}


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", *options]
    return subprocess.run(command, cwd=ROOT, env=bare_environment(), capture_output=True, text=True, timeout=280)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """The two files of a quick run."""
    directory = tmp_path_factory.mktemp("bench")
    done = run("--quick", "--output", str(directory))
    assert done.returncode == 0, done.stderr
    markdown = (directory / "bench.md").read_text()
    assert markdown in done.stdout
    return json.loads((directory / "bench.json").read_text()), markdown


def test_every_case_is_measured_on_every_way(report: tuple[dict[str, Any], str]) -> None:
    cases = report[0]["cases"]
    assert set(cases) == {"json_1", "json_20", "prompts_200_kb", "sse", "sse_packed", "paced", "memory"}
    for name, case in cases.items():
        assert set(case["ways"]) == (WAYS - {"no_proxy"} if name == "memory" else WAYS)
    rates = [cases["json_20"]["ways"][way]["requests_per_second"]["median"] for way in WAYS]
    assert all(rate > 0 for rate in rates)


def test_cpu_and_memory_are_told_by_process(report: tuple[dict[str, Any], str]) -> None:
    proxy = {case: found["ways"]["proxy"] for case, found in report[0]["cases"].items()}
    for role in ("envoy", "processor"):
        assert f"{role}_cpu_seconds_per_1000_requests" in proxy["json_20"]
        assert all(proxy["memory"][f"{role}_{moment}_mib"]["median"] > 1 for moment in ("rest", "open", "after"))


def test_every_goal_says_whether_it_is_reached(report: tuple[dict[str, Any], str]) -> None:
    goals, markdown = report[0]["goals"], report[1]
    assert len(goals) == 8  # all but the one at 200 connections, which a quick run leaves out
    for goal in goals:
        assert isinstance(goal["reached"], bool)
        assert goal["goal"] in markdown
    assert markdown.count("reached") + markdown.count("MISSED") == len(goals)


def test_a_wrong_option_is_one_clear_line(tmp_path: Path) -> None:
    done = run("--only", "jason", "--output", str(tmp_path))
    assert done.returncode == 2
    assert "need some of json,prompts,sse,paced,memory" in done.stderr
    assert list(tmp_path.iterdir()) == []
