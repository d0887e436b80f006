"""The HTTP side of the processor: metrics, probes, status; for its owner also the feed and the end of a request."""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from common.http_server import is_from_here
from extproc.domain.request.admission import Admission
from extproc.domain.request.credentials import token_in
from extproc.domain.request.model_names import ModelNames
from extproc.domain.request.refusals import Refusal
from extproc.runtime.pacer import Pacer
from extproc.transport.admin_access import Owner, address_of, too_many, unauthorised
from extproc.transport.exposition import Exposition, SparedPage
from extproc.transport.request_feed import RequestFeed, TooManyReadersError
from extproc.transport.status import (
    describe,
    describe_limits,
    describe_model_limits,
    describe_models,
    describe_pacing,
    describe_waiting,
    is_paced,
)

CLIENT_PORT_HEADER: Final = "x-zai-client-address"
"""What Envoy adds to a request that it passes on from the client port."""

_LONGEST_ID: Final = 64


def create_app(
    exposition: Exposition,
    refuse_look: Callable[[str, str], Awaitable[Refusal | None]],
    admission: Admission,
    pacer: Pacer,
    about: Callable[[], Mapping[str, Any]],
    feed: RequestFeed,
    cancel: Callable[[str], Awaitable[bool]],
    owner: Owner,
    models: ModelNames,
    readiness: Callable[[], Mapping[str, Any]],
) -> Starlette:
    """The application. `about` returns versions and settings, secrets already hidden; `cancel` ends a request by id.

    `refuse_look` returns why the holder of a token, at an address, may not see the metrics on the client port, if so;
    `readiness` returns what /readyz says beside yes or no.
    """

    async def metrics(request: Request) -> Response:
        for_clients = CLIENT_PORT_HEADER in request.headers
        if for_clients:
            refusal = await refuse_look(token_in(request.headers.get), _client_address(request))
            if refusal is not None:
                is_crowded = refusal.retry_after is not None
                return too_many() if is_crowded else unauthorised("TOKEN, with a token of this proxy's clients")
        page = await exposition.page(request.headers.get("accept", ""), for_clients=for_clients)
        return Response(page.body, headers={"content-type": page.content_type})

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        if admission.snapshot().draining:
            return JSONResponse({"status": "draining", **readiness()}, status_code=503)
        return JSONResponse({"status": "ready", **readiness()})

    def render_status() -> bytes:
        now, pace, at = admission.snapshot(), pacer.status(), time.time()
        held = admission.in_flight()
        page = {
            "workers": {
                "in_flight": now.in_flight,
                "limit": min(now.max_workers, int(pace.concurrency.limit)) if is_paced(pace) else now.max_workers,
                "max": now.max_workers,
                "draining": now.draining,
            },
            "requests": [describe(each, at, models) for each in held if not each.waits],
            "waiting": [describe_waiting(each, at, models) for each in held if each.waits],
            "pacing": describe_pacing(pace),
            "limits": describe_limits(pace),
            "model_limits": describe_model_limits(pace),
            "models": describe_models(models),
            **about(),
        }
        return bytes(JSONResponse(page).body)

    status_page = SparedPage(render_status)

    async def status(_request: Request) -> Response:
        return Response(await status_page.get(), media_type="application/json")

    async def requests(request: Request) -> Response:
        if (refused := await owner.refuse(request)) is not None:
            return refused
        last_id = request.headers.get("last-event-id") or request.query_params.get("since", "")
        try:
            events = feed.events(last_id[:_LONGEST_ID])
        except TooManyReadersError:
            return JSONResponse({"error": "too many readers of the feed"}, status_code=503)
        return StreamingResponse(events, media_type="text/event-stream", headers={"cache-control": "no-store"})

    async def cancel_request(request: Request) -> Response:
        if (refused := await owner.refuse(request)) is not None:
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
        ],
        middleware=[Middleware(_WithoutSlash)],
    )


class _WithoutSlash:
    """A slash at the end of a path means the same as none."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["path"] = scope["path"].rstrip("/") or "/"
        await self._app(scope, receive, send)


def _client_address(request: Request) -> str:
    """Whom Envoy names as the client, which runs on this machine; of what comes from elsewhere the peer itself."""
    is_envoy = is_from_here(request.client, request.scope.get("server"))
    return request.headers[CLIENT_PORT_HEADER] if is_envoy else address_of(request)
