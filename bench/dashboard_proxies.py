"""Proxies in a process of their own, as busy as proxies get: `python -m bench.dashboard_proxies RATE PORT...`.

Each answer of /metrics differs in a third of its lines; the feed of each tells of RATE requests a second.
"""

import asyncio
import json
import random
import sys
import time
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest

from extproc.metrics.requests import Metrics, VariantRegistry

_PATHS: Final = ("/v1/messages", "/v1/chat/completions", "/v1/models", "/v1/responses")
_STATUSES: Final = ("200", "400", "429", "499", "503")
_MODELS: Final = ("glm-5.3", "glm-4.6", "glm-4.5-air")
_DIRECTIONS: Final = ("input", "output", "cache_read", "cache_write")
_RUNNING: Final = 15


class _Busy:
    """Metrics with every combination that occurs, and requests that never stop."""

    def __init__(self) -> None:
        self._metrics = Metrics()
        self._metrics.build_info("0.0.0", "bench", "now")
        self._exported = CollectorRegistry()
        self._exported.register(VariantRegistry(self._metrics.registry, "bench"))
        for path in _PATHS:
            for status in _STATUSES:
                self._count(path, status, 1.0)
        for model in _MODELS:
            self._spend(model, 1.0)

    def page(self) -> str:
        """The metrics, after some requests more."""
        for _ in range(20):
            self._count(random.choice(_PATHS), random.choices(_STATUSES, (90, 1, 4, 4, 1))[0], random.expovariate(0.2))
            self._spend(random.choice(_MODELS), random.random())
        gauges = "".join(
            f"# TYPE zai_proxy_bench_{n} gauge\nzai_proxy_bench_{n} {random.random()}\n" for n in range(16)
        )
        return generate_latest(self._exported).decode() + gauges

    def _count(self, path: str, status: str, seconds: float) -> None:
        metrics = self._metrics
        metrics.requests.labels("POST", path, status).inc()
        metrics.request_duration.labels("POST", path, status).observe(seconds)
        metrics.response_size.labels("POST", path, status).observe(1000 * seconds)
        metrics.request_size.labels("POST", path).observe(5000)
        metrics.time_to_first_byte.labels("POST", path).observe(seconds / 5)
        metrics.rate_limit_wait.labels(f"source-{random.randrange(12):02d}").observe(seconds / 10)

    def _spend(self, model: str, amount: float) -> None:
        for direction in _DIRECTIONS:
            for tier in ("peak", "off_peak"):
                self._metrics.tokens.labels(direction, model, tier).inc(int(1000 * amount))
                self._metrics.estimated_cost.labels(direction, model, tier).inc(amount / 100)
        self._metrics.plan_credits.labels(model, "peak").inc(amount)
        self._metrics.token_rate.labels("output", model).observe(60 * amount)


def busy_page() -> str:
    """One page of such a proxy."""
    return _Busy().page()


async def _answer(
    busy: _Busy, run: str, rate: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """HTTP/1.1, kept alive: just enough of it for a client that keeps to the rules."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            path = head.split(b" ", 2)[1]
            if path == b"/requests":
                await _feed(run, rate, writer)
                return
            body = busy.page().encode() if path == b"/metrics" else _status(run)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        return
    finally:
        writer.close()


async def _feed(run: str, rate: float, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    serial = 0
    while True:
        await asyncio.sleep(1 / rate)
        serial += 1
        record = {
            "id": f"{run}-{serial}", "request_id": f"{run}-{serial}", "started": time.time(), "duration": 0.0,
            "client": "bench", "model": "glm-5.3", "status": 200, "tokens": {"input": 9, "output": 5}, "cost_usd": 0.01,
        }  # fmt: skip
        event = f"id: {run}-{serial}\nevent: request\ndata: {json.dumps(record)}\n\n".encode()
        writer.write(b"%x\r\n%b\r\n" % (len(event), event))
        await writer.drain()


def _status(run: str) -> bytes:
    running = [
        {"id": f"{run}-r{n}", "request_id": f"{n}", "method": "POST", "path": "/v1/messages", "client": "source-01",
         "lane": "main", "model": "glm-5.3", "age_seconds": 10.0 + n, "request_bytes": 80_000, "response_bytes": 9000}
        for n in range(_RUNNING)
    ]  # fmt: skip
    return json.dumps({"workers": {"in_flight": _RUNNING, "max": 20, "draining": False}, "requests": running}).encode()


async def _serve(rate: float, ports: list[int]) -> None:
    servers = []
    for port in ports:
        answer = partial(_answer, _Busy(), f"run{time.time_ns():x}{port}", rate)
        servers.append(await asyncio.start_server(answer, "127.0.0.1", port))
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1]), [int(port) for port in sys.argv[2:]]))
