"""What Envoy says of itself, read from its admin interface: it shows where our own counts are wrong."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import httpx
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

_INTERVAL_SECONDS: Final = 5.0
_TIMEOUT_SECONDS: Final = 2.0
_LARGEST_ANSWER: Final = 64 * 1024
_ACTIVE: Final = "cluster.zai.upstream_rq_active"
_WRITTEN: Final = "access_logs.grpc_access_log.logs_written"
_DROPPED: Final = "access_logs.grpc_access_log.logs_dropped"
_FILTER: Final = f"^({_ACTIVE}|{_WRITTEN}|{_DROPPED})$"


@dataclass(frozen=True, slots=True)
class EnvoyReading:
    """Requests that Envoy has upstream at this moment; log entries it has written and dropped since it started."""

    upstream_requests: int
    written_entries: int
    dropped_entries: int


class EnvoyStats(Collector):
    """Asks Envoy every few seconds; `latest` is None while it does not answer."""

    def __init__(self, admin_port: int) -> None:
        self._url = f"http://127.0.0.1:{admin_port}/stats"
        self.latest: EnvoyReading | None = None

    async def run(self) -> None:
        """Asks for ever."""
        async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS, trust_env=False) as client:
            while True:
                self.latest = await self._ask(client)
                await asyncio.sleep(_INTERVAL_SECONDS)

    async def answers(self) -> bool:
        """Whether there is an Envoy at this moment."""
        async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS, trust_env=False) as client:
            return await self._ask(client) is not None

    def collect(self) -> Iterator[Metric]:
        answers = GaugeMetricFamily("zai_proxy_envoy_up", "1 if Envoy's admin interface answers, else 0.")
        active = GaugeMetricFamily("zai_proxy_envoy_upstream_requests", "Requests that Envoy has upstream.")
        written = CounterMetricFamily(
            "zai_proxy_envoy_log_entries_written", "Access-log entries that Envoy took up for delivery."
        )
        dropped = CounterMetricFamily(
            "zai_proxy_envoy_log_entries_dropped", "Access-log entries that Envoy could not deliver."
        )
        latest = self.latest
        answers.add_metric((), float(latest is not None))
        if latest is not None:
            active.add_metric((), latest.upstream_requests)
            written.add_metric((), latest.written_entries)
            dropped.add_metric((), latest.dropped_entries)
        yield from (answers, active, written, dropped)

    async def _ask(self, client: httpx.AsyncClient) -> EnvoyReading | None:
        try:
            answer = await client.get(self._url, params={"filter": _FILTER})
        except httpx.HTTPError:  # it starts, or it is gone: envoy_up says so
            return None
        return read_stats(answer.text[:_LARGEST_ANSWER]) if answer.is_success else None


def read_stats(text: str) -> EnvoyReading:
    """Reads lines of the form `name: number`; a statistic that is not there has not been touched yet, so is 0."""
    found = dict(_pairs(text))
    return EnvoyReading(found.get(_ACTIVE, 0), found.get(_WRITTEN, 0), found.get(_DROPPED, 0))


def _pairs(text: str) -> Iterator[tuple[str, int]]:
    for line in text.splitlines():
        name, _, value = line.rpartition(": ")
        if value.isdigit():
            yield name, int(value)
