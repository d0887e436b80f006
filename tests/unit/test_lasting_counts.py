"""Counts that one process hands on to the next."""

import os
import subprocess
import sys
import tempfile

from prometheus_client import CollectorRegistry, generate_latest

from extproc.lasting_counts import LastingCounts, LineLoser, RestartReason
from extproc.metrics.supervision import SupervisionCollector


def shown(counts: LastingCounts) -> str:
    registry = CollectorRegistry()
    registry.register(SupervisionCollector(counts))
    return generate_latest(registry).decode()


def test_what_a_supervisor_counts_its_processor_shows() -> None:
    ours = LastingCounts.new()
    ours.count_restart("extproc", RestartReason.HUNG)
    theirs = LastingCounts(os.dup(ours.descriptor), is_inherited=True)

    ours.count_restart("extproc", RestartReason.HUNG)
    ours.count_restart("envoy", RestartReason.CRASHED)

    text = shown(theirs)
    assert 'zai_proxy_child_restarts_total{child="extproc",reason="hung"} 2.0' in text
    assert 'zai_proxy_child_restarts_total{child="extproc",reason="crashed"} 0.0' in text
    assert 'zai_proxy_child_restarts_total{child="envoy",reason="crashed"} 1.0' in text


def test_they_go_on_in_the_next_process() -> None:
    ours = LastingCounts.new()
    ours.count_lost_lines(LineLoser.SUPERVISOR, 3)
    program = (
        "import os; from extproc.lasting_counts import LastingCounts, LineLoser\n"
        "LastingCounts.handed_on(os.environ).count_lost_lines(LineLoser.PROCESSOR, 4)"
    )

    for _ in range(2):
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, **ours.environment},
            pass_fds=(ours.descriptor,),
            check=True,
        )

    assert ours.lost_lines() == 11


def test_without_a_supervisor_nothing_is_ever_started_again() -> None:
    counts = LastingCounts.handed_on({})
    counts.count_lost_lines(LineLoser.PROCESSOR, 1)

    assert "zai_proxy_child_restarts_total{" not in shown(counts)
    assert "zai_proxy_log_lines_dropped_total 1.0" in shown(counts)


def test_lost_lines_are_told_once_by_whoever_can() -> None:
    ours = LastingCounts.new()
    theirs = LastingCounts(os.dup(ours.descriptor), is_inherited=True)
    theirs.count_lost_lines(LineLoser.PROCESSOR, 5)
    theirs.count_told_lines(LineLoser.PROCESSOR, 3)
    ours.count_lost_lines(LineLoser.SUPERVISOR, 7)

    assert ours.untold_lines(LineLoser.PROCESSOR) == 2
    ours.count_told_lines(LineLoser.PROCESSOR, 2)

    assert ours.untold_lines(LineLoser.PROCESSOR) == theirs.untold_lines(LineLoser.PROCESSOR) == 0
    assert ours.lost_lines() == 12


def test_a_processor_that_counts_more_than_its_supervisor_can_start() -> None:
    with tempfile.TemporaryFile(buffering=0) as before_an_upgrade:
        before_an_upgrade.write((4).to_bytes(8, "little"))

        counts = LastingCounts(before_an_upgrade.fileno(), is_inherited=True)
        counts.count_told_lines(LineLoser.PROCESSOR, 1)

        assert next(counts.restarts())[2] == 4
