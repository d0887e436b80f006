"""The routes."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from dashboard.access.guard import GuardMiddleware, is_safe_path
from dashboard.api import openapi, pages
from dashboard.api.answers import answer
from dashboard.api.body import read_body
from dashboard.api.charts import series
from dashboard.api.events import events
from dashboard.api.names import names
from dashboard.api.tables import breakdown, one_request, requests, targets
from dashboard.cancel import Ending, cancel
from dashboard.parts import Parts
from dashboard.problems import ApiError, on_api_error, on_defect, on_http_error, on_store_error
from dashboard.records.requests import Cancelled
from dashboard.store.store import StoreError

Endpoint: TypeAlias = Callable[[Parts, Request], Awaitable[Response]]

STATIC: Final = Path(__file__).parent.parent / "static"
_LARGEST_FORM: Final = 4096
_FOR_GOOD: Final = "public, max-age=31536000, immutable"


def create_app(parts: Parts, static: Path = STATIC) -> ASGIApp:
    """The application. `static` holds the built page; without it a plain one is shown."""

    def bound(endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        async def call(request: Request) -> Response:
            return await endpoint(parts, request)

        return call

    async def page(_parts: Parts, request: Request) -> Response:
        return _file(static, request.path_params.get("path", "")) or HTMLResponse(pages.plain_page(parts.now()))

    routes = [
        Route("/api/now", bound(_now)),
        Route("/api/series", bound(series)),
        Route("/api/requests", bound(requests)),
        Route("/api/requests/{id}", bound(one_request)),
        Route("/api/requests/{id}/cancel", bound(_cancel), methods=["POST"]),
        Route("/api/breakdown", bound(breakdown)),
        Route("/api/targets", bound(targets)),
        Route("/api/names", bound(names), methods=["GET", "PUT"]),
        Route("/api/events", bound(events)),
        Route("/api/docs", bound(_docs)),
        Route("/api/openapi.json", bound(_openapi)),
        Route("/api/{rest:path}", bound(_nothing)),
        Route("/healthz", bound(_healthz)),
        Route("/login", bound(_login), methods=["GET", "POST"]),
        Route("/logout", bound(_logout), methods=["POST"]),
        Route("/plain.css", bound(_style)),
        Route("/", bound(page)),
        Route("/{path:path}", bound(page)),
    ]
    app = Starlette(
        routes=routes,
        exception_handlers={
            ApiError: on_api_error,
            StoreError: on_store_error,
            HTTPException: on_http_error,
            Exception: on_defect,
        },
    )
    return GuardMiddleware(app, parts.guard)


async def _now(parts: Parts, _request: Request) -> Response:
    return answer(parts.now())


async def _cancel(parts: Parts, request: Request) -> Response:
    if not parts.guard.has_token:
        raise ApiError(403, "set DASHBOARD_TOKEN to end requests from here")
    request_id = request.path_params["id"]
    ending, why = await cancel(parts, request_id)
    if ending is Ending.ENDED:
        return answer(Cancelled(cancelled=request_id), 202)
    if ending is Ending.UNKNOWN:
        raise ApiError(404, "this request runs no longer")
    if ending is Ending.DENIED:
        raise ApiError(403, "the proxy does not let the dashboard end requests: set the same ADMIN_TOKEN for both")
    raise ApiError(502, f"the proxy did not end it: {why}")


async def _docs(parts: Parts, _request: Request) -> Response:
    return HTMLResponse(openapi.page(parts.version))


async def _openapi(parts: Parts, _request: Request) -> Response:
    return JSONResponse(openapi.document(parts.version))


async def _nothing(_parts: Parts, _request: Request) -> Response:
    raise HTTPException(404)


async def _healthz(_parts: Parts, _request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _style(_parts: Parts, _request: Request) -> Response:
    return Response(pages.STYLE, media_type="text/css", headers={"cache-control": "max-age=3600"})


async def _login(parts: Parts, request: Request) -> Response:
    wanted = request.query_params.get("next", "/")
    if request.method != "POST":
        if not parts.guard.has_token:
            return RedirectResponse("/", 303)
        return HTMLResponse(pages.sign_in_page(wanted if is_safe_path(wanted) else "/"))
    form = _form(await read_body(request, _LARGEST_FORM))
    wanted = form.get("next", wanted)
    wanted = wanted if is_safe_path(wanted) else "/"
    status = await parts.guard.refuse_token(request, form.get("token", "").strip())
    if status != 200:
        message = "This is not the token." if status == 401 else "Too many wrong tokens: try again in a few seconds."
        return HTMLResponse(pages.sign_in_page(wanted, message), status)
    response = RedirectResponse(wanted, 303)
    parts.guard.sign_in(request, response)
    return response


async def _logout(parts: Parts, _request: Request) -> Response:
    response = RedirectResponse("/login", 303)
    parts.guard.sign_out(response)
    return response


def _form(body: bytes) -> dict[str, str]:
    """A small urlencoded form."""
    try:
        return dict(parse_qsl(body.decode(), max_num_fields=10))
    except ValueError:
        raise ApiError(400, "this is no form") from None


def _file(static: Path, path: str) -> Response | None:
    """A file of the built page, or for any path without an ending the page itself; None if no page was built."""
    index = static / "index.html"
    if not path.isprintable():
        raise HTTPException(404)
    found = (static / path).resolve()
    if path and found.is_relative_to(static.resolve()) and found.is_file():
        # The names of assets carry a hash of what is in them.
        is_asset = path.startswith("assets/")
        return FileResponse(found, headers={"cache-control": _FOR_GOOD if is_asset else "no-cache"})
    if "." in path.rpartition("/")[2]:
        raise HTTPException(404)
    return FileResponse(index, headers={"cache-control": "no-cache"}) if index.is_file() else None
