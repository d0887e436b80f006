"""Who may read the feed and end requests: whoever has the admin token, or without one whoever is on this machine."""

import asyncio
import hmac
import ipaddress
import time
from typing import Final

from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from extproc.domain.clients.token_throttle import WrongTokens

_MOST_PAUSED: Final = 50


class Owner:
    """Tells the owner's requests from others'. Whoever tries tokens is slowed down like one who tries a client's."""

    def __init__(self, token: SecretStr | None) -> None:
        self._token = token
        self._wrong = WrongTokens()
        self._paused = 0

    async def refuse(self, request: Request) -> Response | None:
        """The answer to somebody else; None for the owner."""
        if self._token is None:
            return None if _is_local(request) else _forbidden()
        if self._paused >= _MOST_PAUSED:
            return _too_many()  # the right token too: else guesses could be tried without waiting
        if self._has_token(request, self._token):
            return None
        await self._pause(request.client.host if request.client else "")
        return unauthorised("ADMIN_TOKEN")

    async def _pause(self, peer: str) -> None:
        self._paused += 1
        try:
            await asyncio.sleep(self._wrong.pause(peer, time.monotonic()))
        finally:
            self._paused -= 1

    def _has_token(self, request: Request, token: SecretStr) -> bool:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.encode(), token.get_secret_value().encode())


def _is_local(request: Request) -> bool:
    """Whether a program on this machine asks, and not a web page in its browser.

    A page of another site shows by its Origin, or by a Host name that was made to point here.
    """
    peer = request.client.host if request.client else ""
    return _is_loopback(peer) and _is_loopback(request.url.hostname or "") and "origin" not in request.headers


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def unauthorised(what: str) -> Response:
    """The answer to somebody without a token; `what` says which."""
    return JSONResponse(
        {"error": f"need the header Authorization: Bearer {what}"},
        status_code=401,
        headers={"www-authenticate": "Bearer"},
    )


def _too_many() -> Response:
    return JSONResponse(
        {"error": "too many wrong tokens at this moment"}, status_code=429, headers={"retry-after": "5"}
    )


def _forbidden() -> Response:
    return JSONResponse({"error": "only on this machine, or from elsewhere with ADMIN_TOKEN set"}, status_code=403)
