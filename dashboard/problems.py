"""Answers to what can't be done: one sentence, as JSON."""

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from dashboard.store.store import StoreError


class ApiError(Exception):
    """Ends a request with this status and sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def problem(status: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": message}, status, headers=headers)


async def on_api_error(_request: Request, error: Exception) -> Response:
    return problem(error.status if isinstance(error, ApiError) else 500, str(error))


async def on_store_error(_request: Request, error: Exception) -> Response:
    message = str(error) if isinstance(error, StoreError) else "the database can't be read"
    return problem(503, message, {"retry-after": "5"})


async def on_http_error(request: Request, error: Exception) -> Response:
    """Also for paths that do not exist, and methods that a path does not know."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = error.headers if isinstance(error, HTTPException) else None
    messages = {404: f"there is nothing at {request.url.path[:100]}", 405: f"{request.method} is not possible here"}
    return problem(status, messages.get(status, "this can't be done"), headers)


async def on_defect(_request: Request, _error: Exception) -> Response:
    return problem(500, "a defect of the dashboard: see its log")
