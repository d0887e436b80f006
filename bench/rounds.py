"""The order of a run: every case on every way in turn, round by round."""

import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path

import click

from bench.cases import Case, Plan, warm_up
from bench.results import Results
from bench.stacks import Launcher, Running, Way


@dataclass(frozen=True, slots=True)
class Run:
    """What to run, in which order. `keep` gets the results after each case: a failure late in a run loses little."""

    plan: Plan
    cases: list[Case]
    launcher: Launcher
    ways: list[Way]
    keep: Callable[[Results], None]

    def measure(self, directory: Path) -> Results:
        """Starts everything, measures, ends everything. Raises BenchError if a case cannot be measured."""
        results = Results()
        self._on_lasting_ways(directory, results)
        for case in self.cases:
            if case.fresh:
                self._on_fresh_ways(case, results)
        return results

    def _on_lasting_ways(self, directory: Path, results: Results) -> None:
        cases = [case for case in self.cases if not case.fresh]
        if not cases:
            return
        with ExitStack() as opened:
            with self.launcher.upstream():
                running = [opened.enter_context(self.launcher.open(way)) for way in self.ways]
                for each in running:
                    warm_up(each, self.plan, directory)
            for case in cases:
                with nullcontext() if case.serves else self.launcher.upstream():
                    self._take_turns(case, running, results)
                self.keep(results)

    def _take_turns(self, case: Case, running: list[Running], results: Results) -> None:
        for number in range(1, self.plan.rounds + 1):
            _say(case, number, self.plan.rounds)
            for each in running:
                if each.way in case.ways:
                    results.add(case.name, each.way, case.measure(each))

    def _on_fresh_ways(self, case: Case, results: Results) -> None:
        rounds = min(self.plan.rounds, self.plan.memory_rounds)
        with self.launcher.upstream():
            for number in range(1, rounds + 1):
                _say(case, number, rounds)
                for way in self.ways:
                    if way in case.ways:
                        with self.launcher.open(way) as running:
                            results.add(case.name, way, case.measure(running))
        self.keep(results)


def _say(case: Case, number: int, rounds: int) -> None:
    click.echo(f"{time.strftime('%H:%M:%S')}  {case.title}: round {number} of {rounds}", err=True)
