"""Records for tests: only what matters in a test has to be named."""

from collections.abc import Mapping
from typing import Any, Final

from dashboard.domain.finished import Finished, read_finished
from dashboard.domain.rates import Reading
from dashboard.domain.samples import Kind, SeriesKey
from dashboard.records.snapshot import PerMinute, Rates, Running, Waiting
from dashboard.store.samples import TargetSample

NO_FIGURES: Final = PerMinute(
    requests=None,
    failed=None,
    tokens=Rates(input=None, output=None, cache_read=None, cache_write=None),
    cost_usd=None,
    credits=None,
    seconds=60,
)
_OF_NOBODY: Final = dict.fromkeys(
    ("request_id", "method", "path", "client", "program", "session", "agent", "lane", "model", "model_asked")
)


def running(silent: float | None) -> Running:
    sizes = dict.fromkeys(("request_bytes", "response_bytes", "tokens_estimated"))
    return Running.model_validate({**_OF_NOBODY, **sizes, "id": "r", "target": 1, "age": 400.0, "silent": silent})


def waiting(waited: float) -> Waiting:
    return Waiting.model_validate({**_OF_NOBODY, "id": "w", "target": 1, "waited": waited})


def counter(name: str, **labels: str) -> SeriesKey:
    return SeriesKey(Kind.COUNTER, name, tuple(sorted(labels.items())))


def gauge(name: str, **labels: str) -> SeriesKey:
    return SeriesKey(Kind.GAUGE, name, tuple(sorted(labels.items())))


def reading(
    at: float,
    counters: Mapping[SeriesKey, float] | None = None,
    started: float | None = 0.0,
    steady: float | None = None,
) -> Reading:
    return Reading(at, steady, started, counters or {})


def sample(
    target: int = 1,
    at: float = 1000.0,
    increase: Mapping[SeriesKey, float] | None = None,
    gauges: Mapping[SeriesKey, float] | None = None,
    span: float | None = 5.0,
    totals: Mapping[SeriesKey, float] | None = None,
) -> TargetSample:
    grown = increase or {}
    return TargetSample(target, span, grown, gauges or {}, reading(at, totals if totals is not None else grown), "1.0")


def finished(feed_id: str = "run-1", started: float = 1000.0, **fields: Any) -> Finished:
    return read_finished(feed_id, {"started": started, "status": 200, **fields})
