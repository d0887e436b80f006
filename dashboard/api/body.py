"""What a request brings along."""

from starlette.requests import Request

from dashboard.problems import ApiError


async def read_body(request: Request, most: int) -> bytes:
    """Raises ApiError (413) for more than so many bytes."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise ApiError(413, "this is too large")
    return body
