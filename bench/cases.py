"""What is measured: each case is one kind of load, put on every way in turn."""

import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeAlias

from bench import lockstep, streams, traffic, usage, wrk
from bench.lockstep import Bulk
from bench.stacks import Running, Way
from bench.streams import Streams
from bench.traffic import Conversation, Order

Measures: TypeAlias = dict[str, float]

_MOST_WAYS: Final = frozenset(Way) - {Way.UNPACED, Way.UNGUARDED, Way.DOCTORED}
_SMALL_STREAM: Final = 20
_JSON_PROMPT: Final = 2_000
_DOCTORED_PROMPT: Final = 200_000
_MIB: Final = 1024


class Section(StrEnum):
    """A part of the benchmark that can be run alone."""

    JSON = "json"
    PROMPTS = "prompts"
    GUARD = "guard"
    DOCTOR = "doctor"
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
    guard: tuple[int, ...]  # connections
    doctor: tuple[int, ...]  # connections
    sse: tuple[tuple[str, Bulk], ...]  # the case's name, its load
    paced: Streams
    sse_paced: Streams
    memory_rounds: int
    open: Streams
    memory_settle: float


FULL: Final = Plan(
    rounds=5,
    connections=(1, 20, 200),
    seconds=2.0,
    prompts=(("200 KB", 200_000, 20), ("5 MB", 5_000_000, 4)),
    settle=0.5,
    guard=(1, 20),
    doctor=(1, 20),
    sse=(
        ("sse", Bulk(count=20, events=8_000)),
        ("sse_packed", Bulk(count=20, events=128_000, events_per_write=64)),
        ("sse_flood", Bulk(count=20, events=24_000, in_flight=64)),
        ("sse_packed_flood", Bulk(count=20, events=128_000, events_per_write=64, in_flight=8)),
    ),
    paced=Streams(count=20, events=300, interval=0.01),
    sse_paced=Streams(count=16, events=1_500, interval=0.002),
    memory_rounds=2,
    open=Streams(count=500, events=600, interval=5.0),  # opened in as many seconds, or it shows what opening takes
    memory_settle=2.0,
)
QUICK: Final = Plan(
    rounds=1,
    connections=(1, 20),
    seconds=0.3,
    prompts=(("200 KB", 200_000, 4),),
    settle=0.05,
    guard=(1, 20),
    doctor=(1, 4),
    sse=(
        ("sse", Bulk(count=20, events=500)),
        ("sse_packed", Bulk(count=20, events=6_400, events_per_write=64)),
        ("sse_flood", Bulk(count=20, events=2_000, in_flight=64)),
        ("sse_packed_flood", Bulk(count=20, events=6_400, events_per_write=64, in_flight=8)),
    ),
    paced=Streams(count=20, events=20, interval=0.01),
    sse_paced=Streams(count=16, events=100, interval=0.002),
    memory_rounds=1,
    open=Streams(count=20, events=600, interval=0.2),
    memory_settle=0.1,
)


@dataclass(frozen=True, slots=True)
class Case:
    """A load and what it measures, of some ways. A `fresh` case wants ways that have just been started.

    One that `serves` brings its own upstream, on the port of the other.
    """

    section: Section
    name: str
    title: str
    measure: Callable[[Running], Measures]
    ways: frozenset[Way] = _MOST_WAYS
    fresh: bool = False
    serves: bool = False


def cases(plan: Plan, directory: Path) -> Iterator[Case]:
    """All cases of a plan, in the order of the report. Request bodies are kept in the directory."""
    body = _body(directory, _JSON_PROMPT)
    for number in plan.connections:
        title = f"JSON, {_JSON_PROMPT // 1000} KB prompt, {_on(number)}"
        measure = _json_load(number, plan, body)
        yield Case(Section.JSON, f"json_{number}", title, measure, ways=_MOST_WAYS | {Way.UNPACED})
    for (name, size, number), order in itertools.product(plan.prompts, Order):
        title = f"prompts of {name}, {order.value}, {number} connections"
        key = f"prompts_{name.replace(' ', '_').lower()}_{order.name.lower()}"
        yield Case(Section.PROMPTS, key, title, _json_load(number, plan, _body(directory, size, order)))
    for number in plan.guard:
        title = f"the guard: streams of {_SMALL_STREAM} events at once, {_on(number)}"
        measure = _small_streams(number, plan, _body(directory, _JSON_PROMPT, stream=True))
        yield Case(Section.GUARD, f"guard_{number}", title, measure, ways=_MOST_WAYS | {Way.UNGUARDED})
    for conversation, number in itertools.product(Conversation, plan.doctor):
        title = f"the cache doctor: prompts of {_DOCTORED_PROMPT // 1000} KB, {conversation.value}, {_on(number)}"
        measure = _json_load(number, plan, _body(directory, _DOCTORED_PROMPT), conversation.headers)
        key = conversation.case(number)
        yield Case(Section.DOCTOR, key, title, measure, ways=frozenset({Way.PROXY, Way.DOCTORED}))
    for section, key, paced in ((Section.PACED, "paced", plan.paced), (Section.SSE, "sse_paced", plan.sse_paced)):
        title = f"SSE, {paced.count} streams of {1 / paced.interval:g} events/s each"
        yield Case(section, key, title, _paced(paced))
    for name, bulk in plan.sse:
        yield Case(Section.SSE, name, _bulk_title(bulk), _in_bulk(bulk, plan), serves=True)
    title = f"memory, {plan.open.count} open streams"
    ways = (_MOST_WAYS | {Way.UNGUARDED}) - {Way.DIRECT}
    yield Case(Section.MEMORY, "memory", title, _memory(plan, body), ways=ways, fresh=True)


def _on(connections: int) -> str:
    return f"{connections} connection{'s' if connections > 1 else ''}"


def _bulk_title(bulk: Bulk) -> str:
    each = "an event a write" if bulk.events_per_write == 1 else f"{bulk.events_per_write} events a write"
    at_once = "one write at a time" if bulk.in_flight == 1 else f"a flood ({bulk.in_flight} writes on their way)"
    return f"SSE, {bulk.count} streams, {each}, {at_once}"


def warm_up(running: Running, plan: Plan, directory: Path) -> None:
    """Some traffic, so that the first round does not measure first times."""
    wrk.run(running.port, 20, plan.seconds / 2, _body(directory, _JSON_PROMPT))


def _body(directory: Path, size: int, order: Order = Order.MODEL_FIRST, stream: bool = False) -> Path:
    path = directory / f"prompt-{size}-{order.name.lower()}{'-stream' if stream else ''}.json"
    if not path.exists():
        path.write_bytes(traffic.prompt(size, order, stream))
    return path


def _json_load(
    connections: int, plan: Plan, body: Path, headers: Mapping[str, str] = traffic.REQUEST_HEADERS
) -> Callable[[Running], Measures]:
    def measure(running: Running) -> Measures:
        before = _cpu(running)
        load = wrk.run(running.port, connections, plan.seconds, body, headers)
        time.sleep(plan.settle)  # the access log comes after the answers, and its cost belongs to them
        rate = load.requests / load.seconds
        return {
            "requests_per_second": rate,
            "megabytes_per_second": rate * body.stat().st_size / 1e6,
            "p50_ms": load.p50_ms,
            "p99_ms": load.p99_ms,
            **_cpu_since(before, running, "ms_per_request", load.requests / 1e3),
        }

    return measure


def _small_streams(connections: int, plan: Plan, body: Path) -> Callable[[Running], Measures]:
    headers = {**traffic.REQUEST_HEADERS, traffic.STREAM_HEADER: f"{_SMALL_STREAM} 0"}

    def measure(running: Running) -> Measures:
        before = _cpu(running)
        load = wrk.run(running.port, connections, plan.seconds, body, headers)
        time.sleep(plan.settle)
        return {
            "requests_per_second": load.requests / load.seconds,
            "p50_ms": load.p50_ms,
            "p99_ms": load.p99_ms,
            **_cpu_since(before, running, "ms_per_stream", load.requests / 1e3),
        }

    return measure


def _in_bulk(bulk: Bulk, plan: Plan) -> Callable[[Running], Measures]:
    def measure(running: Running) -> Measures:
        passed, before, after = lockstep.run(running.upstream_port, running.port, bulk, lambda: _cpu(running))
        time.sleep(plan.settle)  # the access log comes after the answers, and is none of the next way's business
        return {
            "events_per_second": passed.events / passed.seconds,
            "events_per_read": passed.events / passed.reads,
            **_cpu_between(before, after, "us_per_event", passed.events / 1e6),
        }

    return measure


def _paced(wanted: Streams) -> Callable[[Running], Measures]:
    def measure(running: Running) -> Measures:
        before = _cpu(running)
        received = streams.receive(running.port, wanted, within=60)
        percentiles = statistics.quantiles(received.latencies_ms, n=100)
        return {
            "p50_ms": percentiles[49],
            "p99_ms": percentiles[98],
            "events_per_read": received.events / received.reads,
            **_cpu_since(before, running, "us_per_event", received.events / 1e6),
        }

    return measure


def _memory(plan: Plan, body: Path) -> Callable[[Running], Measures]:
    def resident(running: Running) -> dict[str, int]:
        return {role: usage.resident_kib(pid) for role, pid in running.pids.items()}

    half = replace(plan.open, count=plan.open.count // 2)

    def resident_while_open(running: Running, wanted: Streams) -> dict[str, int]:
        settle = plan.memory_settle
        seen = streams.look_while_open(running.port, wanted, settle, lambda: resident(running), within=60)
        time.sleep(settle)
        return seen

    def measure(running: Running) -> Measures:
        wrk.run(running.port, 20, plan.seconds / 10, body)
        time.sleep(plan.memory_settle)
        rest = resident(running)
        half_open = resident_while_open(running, half)
        opened = resident_while_open(running, plan.open)
        after = resident(running)
        moments = (("rest", rest), ("half_open", half_open), ("open", opened), ("after", after))
        sizes = {f"{role}_{name}_mib": seen[role] / _MIB for role in running.pids for name, seen in moments}
        return {
            **sizes,
            # From rest the first streams seem cheap: they get what earlier requests have left.
            "kib_per_stream": _grown(half_open, opened) / (plan.open.count - half.count),
            "kib_per_stream_from_rest": _grown(rest, opened) / plan.open.count,
        }

    return measure


def _grown(before: dict[str, int], after: dict[str, int]) -> int:
    return sum(after.values()) - sum(before.values())


def _cpu(running: Running) -> dict[str, float]:
    return {role: usage.cpu_seconds(pid) for role, pid in running.pids.items()}


def _cpu_since(before: dict[str, float], running: Running, unit: str, amount: float) -> Measures:
    return _cpu_between(before, _cpu(running), unit, amount)


def _cpu_between(before: dict[str, float], after: dict[str, float], unit: str, amount: float) -> Measures:
    return {f"{role}_cpu_{unit}": (after[role] - before[role]) / amount for role in before}
