"""Asks Prometheus. Every wait, answer and number of attempts is bounded."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from canary.domain.counts import Reading

PAUSES: Final = (1.0, 2.0)
"""Seconds before the second and the third attempt."""
MOST_BYTES: Final = 32 * 2**20


class QueryRefusedError(Exception):
    """Prometheus understood the question and calls it wrong: asking again won't help."""


class PrometheusError(Exception):
    """No usable answer; the next time there may be one. The message is for people and holds no password."""


@dataclass(frozen=True)
class Series:
    """A labelled series with a reading at each edge of the range."""

    labels: Mapping[str, str]
    readings: Sequence[Reading]


@dataclass(frozen=True)
class Range:
    """Edges `start`, `start + step`, …, `end` in Unix seconds; `end - start` is a multiple of `step`."""

    start: int
    end: int
    step: int

    @property
    def edges(self) -> int:
        return (self.end - self.start) // self.step + 1


class Prometheus:
    """One Prometheus behind `url`. All queries together take at most `patience` seconds."""

    def __init__(
        self,
        url: str,
        patience: float,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = httpx.Client(base_url=url.rstrip("/"), timeout=min(10.0, patience), follow_redirects=False)
        address = urlsplit(url)
        self._name = f"Prometheus at {address.hostname}:{address.port or address.scheme}"
        self._sleep, self._clock = sleep, clock
        self._deadline = clock() + patience

    def close(self) -> None:
        self._client.close()

    def query_range(self, query: str, over: Range) -> list[Series]:
        """The series of a query. Raises QueryRefusedError and PrometheusError."""
        parameters = {"query": query, "start": str(over.start), "end": str(over.end), "step": str(over.step)}
        for pause in (*PAUSES, None):
            try:
                return self._ask(parameters, over)
            except (httpx.HTTPError, PrometheusError) as error:
                problem = str(error) or type(error).__name__
                if pause is None or self._clock() + pause > self._deadline:
                    break
                self._sleep(pause)
        raise PrometheusError(f"{self._name} gives no usable answer: {problem}")

    def _ask(self, parameters: Mapping[str, str], over: Range) -> list[Series]:
        with self._client.stream("POST", "/api/v1/query_range", data=parameters) as response:
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > MOST_BYTES:
                    raise PrometheusError(f"more than {MOST_BYTES >> 20} MiB")
                if self._clock() > self._deadline:
                    raise PrometheusError("too slow")
        if response.status_code in (400, 422):
            raise QueryRefusedError(f"{self._name} refuses the query: {_said(bytes(body))}")
        if response.status_code != 200:
            raise PrometheusError(f"HTTP status {response.status_code}")
        return _parsed(bytes(body), over)


def _said(body: bytes) -> str:
    """The error message of an answer, on one line."""
    try:
        message = httpx.Response(200, content=body).json()["error"]
    except (ValueError, KeyError, TypeError):
        message = "no reason given"
    return " ".join(str(message).split())[:300]


def _parsed(body: bytes, over: Range) -> list[Series]:
    try:
        data: Any = httpx.Response(200, content=body).json()
        if data["status"] != "success" or data["data"]["resultType"] != "matrix":
            raise PrometheusError("the answer is no success with a matrix")
        return [_series(each, over) for each in data["data"]["result"]]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise PrometheusError("the answer is not what Prometheus's API promises") from error


def _series(found: Any, over: Range) -> Series:
    readings: list[Reading] = [None] * over.edges
    for at, text in found["values"]:
        value = float(text)
        edge, rest = divmod(round(float(at)) - over.start, over.step)
        if rest or not 0 <= edge < over.edges or not math.isfinite(value):
            raise ValueError(f"{at} {text}")
        readings[edge] = value
    return Series({str(name): str(value) for name, value in found["metric"].items()}, readings)
