"""Who may call what: the key in the form that each surface wants, and what credentials a request carried. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

KEY_FORM = re.compile(r"\b[0-9a-f]{32}\.[A-Za-z0-9]{16}\b")
HIDDEN = "***"
# A key in the right form that is nobody's: with it `zai-proxy verify` sees what a wrong key is told.
NOBODYS_KEY = f"{'0' * 32}.{'0' * 16}"

_TWICE = "given twice"
_JWT_FORM = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+")
_CREDENTIAL_HEADERS = ("authorization", "x-api-key", "api-key", "cookie", "proxy-authorization")
_CREDENTIAL_PARAMETERS = frozenset(
    {"authorization", "key", "api_key", "api-key", "apikey", "x-api-key", "access_token", "token", "auth_token"}
)


class Surface(StrEnum):
    """The parts of api.z.ai, by what key form they take."""

    ANTHROPIC = "anthropic"
    CODING = "coding"
    PAAS = "paas"
    RESPONSES = "responses"
    MCP = "mcp"
    MONITOR = "monitor"


class Holds(StrEnum):
    """What a place for credentials held."""

    RIGHT = "right key"
    OTHER = "other"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request carried, without the secrets. `form` is that of the authorization header, `account` a name that
    the requests of one key have in common."""

    authorization: Holds
    x_api_key: Holds
    api_key: Holds
    cookie: Holds
    query: Holds
    form: str
    key_seen_in: tuple[str, ...]
    account: str

    def as_json(self) -> dict[str, str]:
        return {
            "authorization": self.authorization.value,
            "x-api-key": self.x_api_key.value,
            "api-key": self.api_key.value,
            "cookie": self.cookie.value,
            "query": self.query.value,
        }


class KeyRing:
    """Knows the right key, or takes every well-formed one but NOBODYS_KEY when it was given none."""

    def __init__(self, key: str | None) -> None:
        self._key = key
        self._salt = secrets.token_bytes(16)

    def is_right(self, candidate: str) -> bool:
        if self._key is None:
            return KEY_FORM.fullmatch(candidate) is not None and candidate != NOBODYS_KEY
        return hmac.compare_digest(candidate.encode(), self._key.encode())

    def is_right_token(self, token: str, now: float) -> bool:
        """A JWT that the right key signed and that has not expired (`now` is Unix time)."""
        if not _JWT_FORM.fullmatch(token):
            return False
        head, payload, signature = token.split(".")
        claims = _claims(payload)
        try:
            signed = _base64url(signature)
        except (ValueError, binascii.Error):
            return False
        expires = claims.get("exp")
        if not isinstance(expires, int) or expires <= now * 1000:
            return False
        if self._key is None:
            return isinstance(claims.get("api_key"), str)
        name, _, secret = self._key.partition(".")
        expected = hmac.new(secret.encode(), f"{head}.{payload}".encode(), hashlib.sha256).digest()
        return claims.get("api_key") == name and hmac.compare_digest(signed, expected)

    def account_of(self, shown: str) -> str:
        """Whose key, or token made of one, this is: no secret, and another text in the next simulator."""
        first, _, rest = shown.partition(".")
        owner = _claims(rest.partition(".")[0]).get("api_key") if _JWT_FORM.fullmatch(shown) else first
        return hashlib.blake2b(str(owner).encode(), key=self._salt, digest_size=8).hexdigest()

    def find_in(self, text: str) -> bool:
        """Whether the right key, or one that is as good, stands anywhere in `text`."""
        if self._key is None:
            return any(found != NOBODYS_KEY for found in KEY_FORM.findall(text))
        return self._key in text

    def find_in_bytes(self, data: bytes) -> bool:
        """The same for a body; without a key of its own it does not look."""
        return self._key is not None and self._key.encode() in data

    def redact(self, text: str) -> str:
        """`text` without the right key and without anything in a key's form."""
        if self._key is not None:
            text = text.replace(self._key, HIDDEN)
        return KEY_FORM.sub(HIDDEN, text)


def _base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _claims(payload: str) -> dict[str, object]:
    """The claims of a JWT, or none where it is no JWT."""
    try:
        claims = json.loads(_base64url(payload))
    except (ValueError, binascii.Error):
        return {}
    return claims if isinstance(claims, dict) else {}


def _form(authorization: str | None) -> tuple[str, str]:
    """The form of an authorization header, and the token in it."""
    if authorization is None:
        return "absent", ""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() == "bearer":
        token = token.strip()
        return ("jwt" if token.count(".") == 2 else "bearer"), token
    return ("raw", authorization) if not token else (scheme.lower()[:16], token)


def report(ring: KeyRing, headers: Iterable[tuple[str, str]], query: list[tuple[str, str]], now: float) -> Credentials:
    """What credentials a request carried and in which of its headers the right key stood. Names are lower case."""
    values: dict[str, str] = {}
    seen: list[str] = []
    for name, value in headers:
        if name in _CREDENTIAL_HEADERS:
            # A second value makes the header neither: whoever adds to the right key has let something through.
            values[name] = value if name not in values else _TWICE
        if ring.find_in(value):
            seen.append(name)
    form, token = _form(values.get("authorization"))
    right = ring.is_right_token(token, now) if form == "jwt" else ring.is_right(token)
    authorization = Holds.RIGHT if right else Holds.ABSENT if form == "absent" else Holds.OTHER
    in_query = Holds.ABSENT
    for name, value in query:
        if ring.find_in(value):
            in_query = Holds.RIGHT
            seen.append("query")
        elif name.lower() in _CREDENTIAL_PARAMETERS and in_query is Holds.ABSENT:
            in_query = Holds.OTHER
    return Credentials(
        authorization=authorization,
        x_api_key=_holds(values.get("x-api-key"), ring),
        api_key=_holds(values.get("api-key"), ring),
        cookie=_holds(values.get("cookie"), ring),
        query=in_query,
        form=form,
        key_seen_in=tuple(seen),
        account=ring.account_of(values.get("x-api-key") or token),
    )


def _holds(value: str | None, ring: KeyRing) -> Holds:
    if value is None:
        return Holds.ABSENT
    return Holds.RIGHT if ring.find_in(value) else Holds.OTHER


def accepted(surface: Surface, credentials: Credentials) -> str | None:
    """None when the surface takes the request's credentials, else the business code that refuses it."""
    bearer = credentials.authorization is Holds.RIGHT and credentials.form in ("bearer", "jwt")
    match surface:
        case Surface.ANTHROPIC:
            right = credentials.x_api_key is Holds.RIGHT or bearer
        case Surface.MONITOR:
            right = credentials.authorization is Holds.RIGHT and credentials.form in ("bearer", "raw")
        case Surface.MCP:
            right = bearer or credentials.query is Holds.RIGHT
        case _:
            right = bearer
    if right:
        return None
    presented = credentials.authorization is not Holds.ABSENT or (
        surface is Surface.ANTHROPIC and credentials.x_api_key is not Holds.ABSENT
    )
    return "401" if presented else "1001"


def hides_parameter(name: str) -> bool:
    """Whether a query parameter of this name may hold a credential."""
    return name.lower() in _CREDENTIAL_PARAMETERS


def is_credential_header(name: str) -> bool:
    """Whether a header of this name, in lower case, may hold a credential."""
    return name in _CREDENTIAL_HEADERS
