"""Both ends of the books: the tokens that the simulator reported, and those that the proxy counted, wherever it tells.

The proxy tells them in /metrics, in the feed of finished requests, and in `zai-proxy usage`.
"""

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from extproc.domain.usage.outcome import CLIENT_LEFT
from tests.harness.readings import Readings
from tests.harness.stack import ZAI_PROXY, Stack
from tests.harness.waiting import wait_until

_DIRECTIONS = {"input": "input", "cached": "cache_read", "cache_creation": "cache_write", "output": "output"}

Tokens = Mapping[tuple[str, str], int]
"""By model and direction; what is 0 is left out."""


def reported(entries: Iterable[Mapping[str, Any]]) -> Tokens:
    """What the simulator's answers said."""
    tokens: Counter[tuple[str, str]] = Counter()
    for entry in entries:
        for kind, direction in _DIRECTIONS.items():
            tokens[entry["model"], direction] += (entry["usage_sent"] or {}).get(kind, 0)
    return +tokens


def counted(difference: Readings) -> Tokens:
    """What the proxy counted, without what it had to estimate."""
    tokens = _of_series(difference, "zai_proxy_tokens_total")
    tokens.subtract(_of_series(difference, "zai_proxy_estimated_tokens_total"))
    return +tokens


def usage_in_status(stack: Stack) -> list[dict[str, Any]]:
    """What `zai-proxy usage` reads; a tenth of the time."""
    rows: list[dict[str, Any]] = stack.status()["usage"]
    return rows


def usage_by_command(stack: Stack) -> list[dict[str, Any]]:
    """What `zai-proxy usage` prints."""
    command = [str(ZAI_PROXY), "usage", "--json"]
    shown = subprocess.run(command, env=stack.environment, capture_output=True, check=True, timeout=60)
    rows: list[dict[str, Any]] = json.loads(shown.stdout)
    return rows


@contextmanager
def balanced(stack: Stack, usage: Callable[[Stack], list[dict[str, Any]]] = usage_by_command) -> Iterator[None]:
    """What the block does has to be in all the books, to the token; the simulator's log holds nothing else by then.

    Only what broke off may be estimated. A 499 is what the simulator saw leaving before the final event, or never saw:
    an agent that has ended its turn leaves what it had in the background, which may still be waiting.
    """
    before, used_before = stack.metrics_at_rest(), _used(usage_in_status(stack))
    yield
    now = stack.metrics_at_rest()
    wait_until(lambda: all(entry["ended_wall"] for entry in stack.simulator.log()), "upstream all has ended")
    difference, upstream = now - before, stack.simulator.log()
    in_metrics = _of_series(difference, "zai_proxy_tokens_total")
    assert counted(difference) == reported(upstream)
    told = _told(stack, before, now)
    assert _in_feed(told) == in_metrics
    assert _used(usage(stack)) - used_before == _in_and_out(in_metrics)
    left = {entry["request_id"] for entry in upstream if entry["aborted"] and not entry["left_after_final"]}
    told_left = [record["request_id"] for record in told if record["status"] == CLIENT_LEFT]
    assert difference.value("zai_proxy_requests_total", status_code=str(CLIENT_LEFT)) == len(told_left)
    assert left == {entry["request_id"] for entry in upstream}.intersection(told_left)
    if not left and not any(entry["fault"] for entry in upstream):
        assert difference.value("zai_proxy_estimated_tokens_total") == 0


def _of_series(difference: Readings, name: str) -> Counter[tuple[str, str]]:
    tokens: Counter[tuple[str, str]] = Counter()
    for (series, labels), value in difference.samples.items():
        if series == name:
            label = dict(labels)
            tokens[label["model"], label["direction"]] += int(value)
    return +tokens


def _told(stack: Stack, before: Readings, now: Readings) -> list[dict[str, Any]]:
    """What the feed tells of the requests between two moments."""
    first, end = (int(readings.value("zai_proxy_requests_total")) for readings in (before, now))
    return _feed(stack, end)[first:]


def _in_feed(records: Iterable[Mapping[str, Any]]) -> Counter[tuple[str, str]]:
    tokens: Counter[tuple[str, str]] = Counter()
    for record in records:
        for direction in _DIRECTIONS.values():
            tokens[record.get("model", ""), direction] += (record.get("tokens") or {}).get(direction, 0)
    return +tokens


def _feed(stack: Stack, wanted: int) -> list[dict[str, Any]]:
    """The first records of the feed, which ends only with the processor."""
    records: list[dict[str, Any]] = []
    if not wanted:
        return records
    with httpx.stream("GET", f"{stack.metrics_url}/requests", timeout=20) as response:
        for line in response.raise_for_status().iter_lines():
            if line.startswith("data: "):
                records.append(json.loads(line.removeprefix("data: ")))
                if len(records) == wanted:
                    return records
    raise AssertionError(f"the feed ended after {len(records)} of {wanted} records")


def _used(rows: Iterable[Mapping[str, Any]]) -> Counter[tuple[str, str]]:
    """The tokens of usage rows: a prompt's are one number there, cached ones included."""
    tokens: Counter[tuple[str, str]] = Counter()
    for row in rows:
        tokens[row["model"], "input"] += row["input_tokens"]
        tokens[row["model"], "output"] += row["output_tokens"]
    return +tokens


def _in_and_out(tokens: Tokens) -> Counter[tuple[str, str]]:
    totals: Counter[tuple[str, str]] = Counter()
    for (model, direction), value in tokens.items():
        totals[model, "output" if direction == "output" else "input"] += value
    return totals
