"""An OpenTelemetry collector for a test: oteltap, a real receiver of OTLP over HTTP, in a process of its own."""

import json
import platform
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.harness.ports import free_port
from tests.harness.processes import Process, bare_environment
from tests.harness.waiting import wait_until

needs_collector = pytest.mark.skipif(platform.machine() != "x86_64", reason="oteltap has its receiver for x86-64 alone")


@dataclass(frozen=True)
class ReceivedSpan:
    """A span as the collector got it. Ids are hexadecimal, times nanoseconds since 1970."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: int
    began: int
    ended: int
    attributes: dict[str, Any]
    events: dict[str, int]
    failed: bool
    state: str

    @classmethod
    def read(cls, line: str) -> "ReceivedSpan":
        """From OTLP's JSON."""
        told = json.loads(line)
        return cls(
            trace_id=told["traceId"],
            span_id=told["spanId"],
            parent_id=told["parentSpanId"],
            name=told["name"],
            kind=told["kind"],
            began=int(told["startTimeUnixNano"]),
            ended=int(told["endTimeUnixNano"]),
            attributes={each["key"]: _value(each["value"]) for each in told["attributes"]},
            events={each["name"]: int(each["timeUnixNano"]) for each in told["events"]},
            failed=(told.get("status") or {}).get("code") == 2,
            state=told["traceState"],
        )


class OtlpCollector:
    """Listens at `url` and keeps what it gets; its process can be stopped and killed."""

    def __init__(self, directory: Path, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-u", "-m", "oteltap", "--port", str(self.port)]
        self.process = Process("collector", command, bare_environment(), directory)
        wait_until(self._listens, "the collector listens")

    @property
    def spans(self) -> list[ReceivedSpan]:
        return [ReceivedSpan.read(line) for line in self.process.output.splitlines() if line.startswith("{")]

    def trace(self, trace_id: str, number: int) -> list[ReceivedSpan]:
        """The spans of a trace, by when they began, once there are so many."""
        wait_until(lambda: len(self._of(trace_id)) >= number, f"{number} spans of {trace_id}")
        return sorted(self._of(trace_id), key=lambda span: span.began)

    def frozen(self) -> AbstractContextManager[None]:
        """Stops the collector while the block runs: it takes connections, but answers nothing."""
        return self.process.frozen()

    def _of(self, trace_id: str) -> list[ReceivedSpan]:
        return [span for span in self.spans if span.trace_id == trace_id]

    def _listens(self) -> bool:
        assert self.process.is_running, self.process.output
        try:
            httpx.get(self.url)
        except httpx.TransportError:
            return False
        return True


@contextmanager
def running_collector(directory: Path, port: int | None = None) -> Iterator[OtlpCollector]:
    """A collector that is there until the block ends."""
    collector = OtlpCollector(directory, port)
    try:
        yield collector
    finally:
        collector.process.kill()


def _value(value: dict[str, Any]) -> Any:
    [(kind, told)] = value.items()
    if kind == "arrayValue":
        return [_value(each) for each in told["values"]]
    return int(told) if kind == "intValue" else told
