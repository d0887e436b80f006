"""The HTTP side of the processor: metrics, probes and status. Nothing here is secret, nothing here changes anything."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from extproc.domain.admission import Admission
from extproc.domain.exchange import Exchange


def create_app(registry: CollectorRegistry, admission: Admission, about: Callable[[], Mapping[str, Any]]) -> Starlette:
    """The application. `about` returns versions and settings, secrets already hidden."""

    async def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"content-type": content_type})

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        if admission.snapshot().draining:
            return JSONResponse({"status": "draining"}, status_code=503)
        return JSONResponse({"status": "ready"})

    async def status(_request: Request) -> Response:
        now = admission.snapshot()
        return JSONResponse(
            {
                "workers": {"in_flight": now.in_flight, "max": now.max_workers, "draining": now.draining},
                "requests": [_describe(exchange, time.time()) for exchange in admission.in_flight()],
                **about(),
            }
        )

    return Starlette(
        routes=[
            Route("/metrics", metrics),
            Route("/healthz", healthz),
            Route("/health", healthz),  # under this name on the client port
            Route("/readyz", readyz),
            Route("/status", status),
        ]
    )


def _describe(exchange: Exchange, now: float) -> dict[str, object]:
    return {
        "id": exchange.id,
        "request_id": exchange.request_id,
        "method": exchange.method,
        "path": exchange.path,
        "client": exchange.source,
        "model": exchange.model or None,
        "age_seconds": round(now - exchange.started, 3),
        "request_bytes": exchange.request_bytes,
        "response_bytes": exchange.response_bytes,
    }
