"""The HTTP side of the processor: metrics, probes, status; for its owner also the feed and the end of a request."""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from extproc.domain.admission import Admission
from extproc.domain.exchange import Exchange
from extproc.transport.owner import Owner
from extproc.transport.request_feed import RequestFeed, TooManyReadersError

_LONGEST_ID: Final = 64


def create_app(
    registry: CollectorRegistry,
    admission: Admission,
    about: Callable[[], Mapping[str, Any]],
    feed: RequestFeed,
    cancel: Callable[[str], Awaitable[bool]],
    owner: Owner,
) -> Starlette:
    """The application. `about` returns versions and settings, secrets already hidden; `cancel` ends a request by id."""

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

    async def requests(request: Request) -> Response:
        if (refused := owner.refuse(request)) is not None:
            return refused
        last_id = request.headers.get("last-event-id") or request.query_params.get("since", "")
        try:
            events = feed.events(last_id[:_LONGEST_ID])
        except TooManyReadersError:
            return JSONResponse({"error": "too many readers of the feed"}, status_code=503)
        return StreamingResponse(events, media_type="text/event-stream", headers={"cache-control": "no-store"})

    async def cancel_request(request: Request) -> Response:
        if (refused := owner.refuse(request)) is not None:
            return refused
        if not await cancel(request.path_params["id"]):
            return JSONResponse({"error": "no such request is running"}, status_code=404)
        return JSONResponse({"status": "cancelled"}, status_code=202)

    return Starlette(
        routes=[
            Route("/metrics", metrics),
            Route("/healthz", healthz),
            Route("/health", healthz),  # under this name on the client port
            Route("/readyz", readyz),
            Route("/status", status),
            Route("/requests", requests),
            Route("/requests/{id}/cancel", cancel_request, methods=["POST"]),
        ]
    )


def _describe(exchange: Exchange, now: float) -> dict[str, object]:
    return {
        "id": exchange.id,
        "request_id": exchange.request_id,
        "method": exchange.method,
        "path": exchange.path,
        "client": exchange.source,
        "lane": exchange.lane.value,
        "model": exchange.model or None,
        "age_seconds": round(now - exchange.started, 3),
        "request_bytes": exchange.request_bytes,
        "response_bytes": exchange.response_bytes,
    }
