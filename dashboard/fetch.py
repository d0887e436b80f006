"""Asking a proxy: an answer within a time and a size, or one line that says why there is none."""

import asyncio
import json
from typing import Any, Final

import httpx

LARGEST_ANSWER: Final = 8 * 1024 * 1024
# Less than the 75 s that a proxy keeps an idle connection, longer than most intervals.
_IDLE_SECONDS: Final = 65.0
_LONGEST_REASON: Final = 150
# Uncompressed: a small answer can't become a huge one here.
_HEADERS: Final = {"user-agent": "zai-dashboard", "accept-encoding": "identity"}


class FetchError(Exception):
    """No usable answer. The message is one line; `status` is that of an answer that was refused."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


def make_client() -> httpx.AsyncClient:
    """For all that is asked of proxies: direct, without redirects."""
    limits = httpx.Limits(max_connections=500, max_keepalive_connections=200, keepalive_expiry=_IDLE_SECONDS)
    return httpx.AsyncClient(trust_env=False, follow_redirects=False, limits=limits, headers=_HEADERS)


async def fetch(
    client: httpx.AsyncClient,
    url: str,
    within: float,
    headers: dict[str, str] | None = None,
    most: int = LARGEST_ANSWER,
) -> str:
    """The body of a 200, as text. Raises FetchError after `within` seconds or `most` bytes."""
    body = bytearray()
    try:
        async with asyncio.timeout(within), client.stream("GET", url, headers=headers, timeout=within) as response:
            if response.status_code != 200:
                raise FetchError(f"answers {response.status_code}", response.status_code)
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > most:
                    raise FetchError(f"answers with more than {most} bytes")
    except (TimeoutError, httpx.TimeoutException):
        raise FetchError(f"no whole answer within {within:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise FetchError(reason(error)) from None
    return body.decode("utf-8", "replace")


async def fetch_json(client: httpx.AsyncClient, url: str, within: float, headers: dict[str, str] | None = None) -> Any:
    """The same for JSON."""
    text = await fetch(client, url, within, headers)
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise FetchError("the answer is no JSON") from None


def reason(error: Exception) -> str:
    """Why there is no answer, in a line."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConnectionRefusedError):
            return "nobody listens there"
        cause = cause.__cause__ or cause.__context__
    return (str(error) or type(error).__name__).splitlines()[0][:_LONGEST_REASON]
