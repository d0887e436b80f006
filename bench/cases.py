"""What is measured: each case is one kind of load, put on every way in turn."""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeAlias

from bench import streams, traffic, usage, wrk
from bench.stacks import Running
from bench.streams import Streams

Measures: TypeAlias = dict[str, float]

_JSON_PROMPT: Final = 2_000
_MIB: Final = 1024


class Section(StrEnum):
    """A part of the benchmark that can be run alone."""

    JSON = "json"
    PROMPTS = "prompts"
    SSE = "sse"
    PACED = "paced"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything. Times are in seconds; `settle` is how long to wait for the access log of a load."""

    rounds: int
    connections: tuple[int, ...]
    seconds: float
    prompts: tuple[tuple[str, int, int], ...]  # name, bytes, connections
    settle: float
    flat: Streams
    packed: Streams
    paced: Streams
    memory_rounds: int
    open: Streams
    memory_settle: float


FULL: Final = Plan(
    rounds=5,
    connections=(1, 20, 200),
    seconds=2.0,
    prompts=(("200 KB", 200_000, 20), ("5 MB", 5_000_000, 4)),
    settle=0.5,
    flat=Streams(count=20, events=10_000),
    packed=Streams(count=20, events=20_000, events_per_write=64),
    paced=Streams(count=20, events=300, interval=0.01),
    memory_rounds=2,
    open=Streams(count=500, events=600, interval=1.0),
    memory_settle=2.0,
)
QUICK: Final = Plan(
    rounds=1,
    connections=(1, 20),
    seconds=0.3,
    prompts=(("200 KB", 200_000, 4),),
    settle=0.05,
    flat=Streams(count=20, events=1_000),
    packed=Streams(count=20, events=1_000, events_per_write=64),
    paced=Streams(count=20, events=20, interval=0.01),
    memory_rounds=1,
    open=Streams(count=20, events=600, interval=0.2),
    memory_settle=0.1,
)


@dataclass(frozen=True, slots=True)
class Case:
    """A load and what it measures. A `fresh` case wants ways that have just been started."""

    section: Section
    name: str
    title: str
    measure: Callable[[Running], Measures]
    fresh: bool = False


def cases(plan: Plan, directory: Path) -> Iterator[Case]:
    """All cases of a plan, in the order of the report. Request bodies are kept in the directory."""
    body = _body(directory, _JSON_PROMPT)
    for number in plan.connections:
        title = f"JSON, {_JSON_PROMPT // 1000} KB prompt, {number} connection{'s' if number > 1 else ''}"
        yield Case(Section.JSON, f"json_{number}", title, _json_load(number, plan, body))
    for name, size, number in plan.prompts:
        title = f"prompts of {name}, {number} connections"
        key = f"prompts_{name.replace(' ', '_').lower()}"
        yield Case(Section.PROMPTS, key, title, _json_load(number, plan, _body(directory, size)))
    title = f"SSE, {plan.flat.count} streams flat out"
    yield Case(Section.SSE, "sse", f"{title}, each event a write", _flat_out(plan.flat, plan))
    each = f"{plan.packed.events_per_write} events a write"
    yield Case(Section.SSE, "sse_packed", f"{title}, {each}", _flat_out(plan.packed, plan))
    title = f"SSE, {plan.paced.count} streams of {1 / plan.paced.interval:g} events/s each"
    yield Case(Section.PACED, "paced", title, _paced(plan))
    yield Case(Section.MEMORY, "memory", f"memory, {plan.open.count} open streams", _memory(plan, body), fresh=True)


def warm_up(running: Running, plan: Plan, directory: Path) -> None:
    """Some traffic, so that the first round does not measure first times."""
    wrk.run(running.port, 20, plan.seconds / 2, _body(directory, _JSON_PROMPT))


def _body(directory: Path, size: int) -> Path:
    path = directory / f"prompt-{size}.json"
    if not path.exists():
        path.write_bytes(traffic.prompt(size))
    return path


def _json_load(connections: int, plan: Plan, body: Path) -> Callable[[Running], Measures]:
    def measure(running: Running) -> Measures:
        before = _cpu(running)
        load = wrk.run(running.port, connections, plan.seconds, body)
        time.sleep(plan.settle)  # the access log comes after the answers, and its cost belongs to them
        rate = load.requests / load.seconds
        return {
            "requests_per_second": rate,
            "megabytes_per_second": rate * body.stat().st_size / 1e6,
            "p50_ms": load.p50_ms,
            "p99_ms": load.p99_ms,
            **_cpu_since(before, running, "1000_requests", load.requests / 1e3),
        }

    return measure


def _flat_out(wanted: Streams, plan: Plan) -> Callable[[Running], Measures]:
    def measure(running: Running) -> Measures:
        before = _cpu(running)
        received = streams.receive(running.port, wanted, within=60)
        time.sleep(plan.settle)
        return {
            "events_per_second": received.events / received.seconds,
            **_cpu_since(before, running, "million_events", received.events / 1e6),
        }

    return measure


def _paced(plan: Plan) -> Callable[[Running], Measures]:
    def measure(running: Running) -> Measures:
        before = _cpu(running)
        received = streams.receive(running.port, plan.paced, within=60)
        percentiles = statistics.quantiles(received.latencies_ms, n=100)
        return {
            "p50_ms": percentiles[49],
            "p99_ms": percentiles[98],
            **_cpu_since(before, running, "million_events", received.events / 1e6),
        }

    return measure


def _memory(plan: Plan, body: Path) -> Callable[[Running], Measures]:
    def resident(running: Running) -> dict[str, int]:
        return {role: usage.resident_kib(pid) for role, pid in running.pids.items()}

    def measure(running: Running) -> Measures:
        wrk.run(running.port, 20, plan.seconds / 10, body)
        time.sleep(plan.memory_settle)
        rest = resident(running)
        opened = streams.look_while_open(
            running.port, plan.open, plan.memory_settle, lambda: resident(running), within=60
        )
        time.sleep(plan.memory_settle)
        after = resident(running)
        grown = sum(opened.values()) - sum(rest.values())
        moments = (("rest", rest), ("open", opened), ("after", after))
        sizes = {f"{role}_{name}_mib": seen[role] / _MIB for role in running.pids for name, seen in moments}
        return {**sizes, "kib_per_stream": grown / plan.open.count}

    return measure


def _cpu(running: Running) -> dict[str, float]:
    return {role: usage.cpu_seconds(pid) for role, pid in running.pids.items()}


def _cpu_since(before: dict[str, float], running: Running, unit: str, amount: float) -> Measures:
    now = _cpu(running)
    return {f"{role}_cpu_seconds_per_{unit}": (now[role] - before[role]) / amount for role in running.pids}
