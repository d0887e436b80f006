"""What a request brings along."""

import asyncio
from typing import Final

from starlette.requests import ClientDisconnect, Request

from dashboard.problems import ApiError

_MOST_SECONDS: Final = 10.0


async def read_body(request: Request, most: int) -> bytes:
    """Raises ApiError for more than so many bytes (413), for one that does not come within ten seconds (408), and for
    one that breaks off (400)."""
    body = b""
    try:
        async with asyncio.timeout(_MOST_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise ApiError(413, "this is too large")
    except TimeoutError:
        raise ApiError(408, f"this has not come to its end within {_MOST_SECONDS:.0f} s") from None
    except ClientDisconnect:
        raise ApiError(400, "this has broken off") from None
    return body
