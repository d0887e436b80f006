"""Who may see the dashboard, and the headers that keep a browser safe."""

import asyncio
import time
from typing import Final
from urllib.parse import quote

from pydantic import SecretStr
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.ports import names_this_machine
from common.wrong_tokens import WrongTokens
from dashboard.access.sessions import SESSION_SECONDS, Sessions
from dashboard.problems import problem

_OPEN: Final = frozenset({"/login", "/healthz", "/plain.css"})
_SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")
_RETRY_AFTER: Final = "5"
_MOST_WAITING: Final = 50
_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not "no-referrer": a browser then hides the origin of the sign-in form from its own service.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


class Guard:
    """Knows the token, if there is one. `on_loopback`: only this machine can reach the dashboard."""

    def __init__(self, token: SecretStr | None, on_loopback: bool, port: int) -> None:
        self._sessions = None if token is None else Sessions(token.get_secret_value())
        self._on_loopback = on_loopback
        self._wrong = WrongTokens(_MOST_WAITING)
        # Cookies know no ports: two dashboards on a machine would take each other's away.
        self.cookie = f"zai_dashboard_{port}"

    @property
    def has_token(self) -> bool:
        return self._sessions is not None

    @property
    def may_change(self) -> bool:
        """Whether who sees the dashboard may change what it shows: not if that is everybody, on any machine."""
        return self.has_token or self._on_loopback

    async def refuse(self, request: Request) -> Response | None:
        """The answer to somebody who may not see this; None for who may."""
        headers = request.headers
        if not self._is_same_origin(request):
            return problem(403, "this came from another site's page")
        if self._sessions is None:
            if self._on_loopback and not _is_meant_here(request):
                # A page of another site whose name was made to point here.
                return problem(403, f"the dashboard answers to localhost, not to {headers.get('host', '')[:100]!r}")
            return None
        if request.url.path in _OPEN:
            return None
        if self._sessions.is_valid(request.cookies.get(self.cookie, ""), time.time()):
            self._wrong.right(_address_of(request))
            return None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            refused = await self.refuse_token(request, given.strip())
            if refused != 200:
                return _denied(request, refused)
            return None
        return _denied(request, 401)

    async def refuse_token(self, request: Request, given: str) -> int:
        """200 for the right token. A wrong one gets 401 after a pause, and 429 if many of them wait already."""
        address, now = _address_of(request), time.monotonic()
        if not self._wrong.may_try(address, now):
            return 429
        if self._sessions is None or self._sessions.is_token(given):
            self._wrong.right(address)
            return 200
        with self._wrong.wrong(address, now) as pause:
            if pause is None:
                return 429
            await asyncio.sleep(pause)
        return 401

    def sign_in(self, request: Request, response: Response) -> None:
        """Sets the cookie of a new session."""
        if self._sessions is not None:
            is_https = request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https"
            response.set_cookie(
                self.cookie,
                self._sessions.begin(time.time()),
                max_age=SESSION_SECONDS,
                httponly=True,
                samesite="strict",
                secure=is_https,
            )

    def sign_out(self, response: Response) -> None:
        response.delete_cookie(self.cookie, httponly=True, samesite="strict")

    def _is_same_origin(self, request: Request) -> bool:
        """Whether what changes something comes from the dashboard's own page, or from no page at all."""
        if request.method in _SAFE_METHODS:
            return True
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return False
        origin = request.headers.get("origin")
        return origin is None or origin.partition("://")[2] == request.headers.get("host")


class GuardMiddleware:
    """Lets through who may pass, and adds the headers to every answer."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refused = await self._guard.refuse(Request(scope, receive))
        await (refused or self._app)(scope, receive, _with_headers(send))


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return send_with_headers


def _denied(request: Request, status: int) -> Response:
    if status == 429:
        return problem(429, "too many wrong tokens", {"retry-after": _RETRY_AFTER})
    wants_page = request.method == "GET" and not request.url.path.startswith("/api/")
    if wants_page and "authorization" not in request.headers:
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?next={quote(wanted)}", 303)
    message = "need the header Authorization: Bearer DASHBOARD_TOKEN, or sign in at /login"
    return JSONResponse({"error": message, "login": "/login"}, 401, headers={"www-authenticate": "Bearer"})


def _address_of(request: Request) -> str:
    return request.client.host if request.client else ""


def is_safe_path(path: str) -> bool:
    """Whether a redirect to this stays on the dashboard: `//elsewhere` and `/\\elsewhere` do not."""
    return path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and len(path) < 500


def _is_meant_here(request: Request) -> bool:
    """Whether the request calls the dashboard as only this machine does. (Starlette has a name of its own for a host
    that it can't read.)"""
    host = request.headers.get("host")
    return host is None or names_this_machine(host)
