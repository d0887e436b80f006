"""Series of a canary and of production as Prometheus would have scraped them, made of the trials' counts.

Each scenario lives in a namespace of its own, in one Prometheus.
"""

import math
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from canary.domain.counts import Histogram, VariantCounts
from canary.domain.verdict import Verdict
from tests.unit.canary.trials import SAME, Canary, Scenario, World, windows

SCRAPE = 15
MINUTES = 30
AHEAD_MINUTES = 3
"""The series go on for a while, so that a test may take its time."""


BUSY = World(canary_rate=200.0, production_rate=800.0)


@dataclass(frozen=True)
class Rollout:
    """What one namespace holds. `restarts_at` is the minute at which production's process begins anew."""

    namespace: str
    canary: Canary = SAME
    world: World = BUSY
    with_canary: bool = True
    with_tokens: bool = True
    restarts_at: int = MINUTES


Counter = tuple[str, Mapping[str, str], list[float]]
"""Name, labels, and the growth of each minute."""


def write_blocks(rollouts: Sequence[Rollout], now: int, directory: Path) -> None:
    """Makes a Prometheus's data directory of them; the last minutes lie after `now` (Unix seconds)."""
    text = directory / "series.txt"
    with text.open("w") as file:
        for rollout in rollouts:
            for line in _lines(rollout, now + AHEAD_MINUTES * 60 - MINUTES * 60):
                file.write(line)
        file.write("# EOF\n")
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(directory / "data")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def _lines(rollout: Rollout, start: int) -> Iterator[str]:
    scenario = Scenario(rollout.namespace, rollout.canary, rollout.world, Verdict.ROLL_BACK)
    halves = windows(scenario, np.random.default_rng(len(rollout.namespace)))
    first, second = next(halves), next(halves)
    for variant, one, other in zip(("canary", "production"), first, second, strict=True):
        if variant == "canary" and not rollout.with_canary:
            continue
        labels = {"variant": variant, "namespace": rollout.namespace, "pod": f"{variant}-0"}
        restart = rollout.restarts_at if variant == "production" else MINUTES
        for sample in range(MINUTES * 60 // SCRAPE):
            yield _sample("zai_proxy_max_workers", labels, 20, start + sample * SCRAPE)
        for name, more, growth in (*_counters(one, other, rollout.with_tokens),):
            for sample, value in enumerate(_cumulative(growth, restart)):
                yield _sample(name, {**labels, **more}, value, start + sample * SCRAPE)


def _counters(one: VariantCounts, other: VariantCounts, with_tokens: bool) -> Iterator[Counter]:
    requests = [*one.requests, *other.requests]
    failures = [*one.failures, *other.failures]
    route = {"method": "POST", "path": "/v1/messages"}
    served = [total - failed for total, failed in zip(requests, failures, strict=True)]
    yield "zai_proxy_requests_total", {**route, "status_code": "200"}, served
    yield "zai_proxy_requests_total", {**route, "status_code": "500"}, failures
    yield "zai_proxy_requests_total", {"method": "GET", "path": "/health", "status_code": "503"}, [30.0] * MINUTES
    yield "zai_proxy_requests_total", {**route, "status_code": "429"}, [2.0] * MINUTES
    yield from _buckets("time_to_first_byte_seconds", route, one.first_byte, other.first_byte)
    of_duration = {**route, "status_code": "200"}
    yield from _buckets("request_duration_seconds", of_duration, one.duration, other.duration)
    if with_tokens:
        model = {"direction": "output", "model": "glm-5"}
        yield from _buckets("token_rate", model, one.token_rate, other.token_rate)
        priced = {**model, "pricing_tier": "peak"}
        yield "zai_proxy_tokens_total", priced, [*one.tokens, *other.tokens]
        yield "zai_proxy_estimated_cost_usd_total", priced, [*one.cost, *other.cost]


def _buckets(name: str, labels: Mapping[str, str], one: Histogram, other: Histogram) -> Iterator[Counter]:
    blocks = [*one.blocks, *other.blocks]
    for index, bound in enumerate((*one.bounds, math.inf)):
        le = "+Inf" if bound == math.inf else str(bound)
        yield f"zai_proxy_{name}_bucket", {**labels, "le": le}, [sum(block[: index + 1]) for block in blocks]


def _cumulative(growth: Sequence[float], restart: int) -> Iterator[float]:
    """The counter at each scrape."""
    value = 5000.0
    steps = 60 // SCRAPE
    for minute, grown in enumerate(growth):
        if minute == restart:
            value = 0.0
        for _ in range(steps):
            yield value
            value += grown / steps


def _sample(name: str, labels: Mapping[str, str], value: float, at: int) -> str:
    inside = ",".join(f'{key}="{text}"' for key, text in labels.items())
    return f"{name}{{{inside}}} {value} {at}\n"
