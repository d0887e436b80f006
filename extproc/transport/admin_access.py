"""Who may read the feed and end requests: whoever has the admin token, or without one whoever is on this machine."""

import asyncio
import hmac
import ipaddress
import time
from typing import Final

from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from common.ports import names_this_machine
from common.wrong_tokens import WrongTokens

_MOST_WAITING: Final = 50


class Owner:
    """Tells the owner's requests from others'. Whoever tries tokens is slowed down like one who tries a client's."""

    def __init__(self, token: SecretStr | None) -> None:
        self._token = token
        self._wrong = WrongTokens(_MOST_WAITING)

    async def refuse(self, request: Request) -> Response | None:
        """The answer to somebody else; None for the owner."""
        if self._token is None:
            return None if _is_local(request) else _forbidden()
        peer, now = address_of(request), time.monotonic()
        if not self._wrong.may_try(peer, now):
            return too_many()
        if self._has_token(request, self._token):
            self._wrong.right(peer)
            return None
        with self._wrong.wrong(peer, now) as pause:
            if pause is None:
                return too_many()
            await asyncio.sleep(pause)
        return unauthorised("ADMIN_TOKEN")

    def _has_token(self, request: Request, token: SecretStr) -> bool:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.encode(), token.get_secret_value().encode())


def _is_local(request: Request) -> bool:
    """Whether a program on this machine asks, and not a web page in its browser.

    A page of another site shows by its Origin, or by a Host name that was made to point here.
    """
    host = request.headers.get("host")
    is_meant_here = host is None or names_this_machine(host)
    return _is_loopback(address_of(request)) and is_meant_here and "origin" not in request.headers


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def address_of(request: Request) -> str:
    """Where a request comes from: its peer, whatever its headers say."""
    return request.client.host if request.client else ""


def unauthorised(what: str) -> Response:
    """The answer to somebody without a token; `what` says which."""
    return JSONResponse(
        {"error": f"need the header Authorization: Bearer {what}"},
        status_code=401,
        headers={"www-authenticate": "Bearer"},
    )


def too_many() -> Response:
    """The answer to a token while too many wrong ones wait for theirs."""
    return JSONResponse(
        {"error": "too many wrong tokens at this moment"}, status_code=429, headers={"retry-after": "5"}
    )


def _forbidden() -> Response:
    return JSONResponse({"error": "only on this machine, or from elsewhere with ADMIN_TOKEN set"}, status_code=403)
