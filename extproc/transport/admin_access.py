"""Who may read the feed and end requests: whoever has the admin token, or without one whoever is on this machine."""

import hmac
import ipaddress

from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import JSONResponse, Response


class Owner:
    """Tells the owner's requests from others'."""

    def __init__(self, token: SecretStr | None) -> None:
        self._token = token

    def refuse(self, request: Request) -> Response | None:
        """The answer to somebody else; None for the owner."""
        if self._token is not None:
            return None if self._has_token(request, self._token) else _unauthorised()
        return None if _is_local(request) else _forbidden()

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


def _unauthorised() -> Response:
    return JSONResponse(
        {"error": "need the header Authorization: Bearer ADMIN_TOKEN"},
        status_code=401,
        headers={"www-authenticate": "Bearer"},
    )


def _forbidden() -> Response:
    return JSONResponse({"error": "only on this machine, or from elsewhere with ADMIN_TOKEN set"}, status_code=403)
