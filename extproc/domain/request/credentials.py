"""What of a request is a credential, and so must not go upstream."""

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote_plus

CREDENTIAL_HEADERS: Final = ("authorization", "proxy-authorization", "x-api-key", "api-key", "cookie", "x-goog-api-key")
"""Header names (lower case) that carry whatever a client believes to be its key."""

_CREDENTIAL_PARAMETERS: Final = frozenset(
    {
        "accesstoken",
        "apikey",
        "auth",
        "authorization",
        "authtoken",
        "clientsecret",
        "credential",
        "key",
        "password",
        "secret",
        "token",
        "xapikey",
    }
)


def token_in(header: Callable[[str], str | None]) -> str:
    """The token that a client has sent, in any of the headers in which one may be; empty if there is none.

    `header` reads a header by its name in lower case; None if it is not there.
    """
    for name in ("x-api-key", "api-key"):
        if (token := header(name)) is not None:
            return token
    scheme, _, token = (header("authorization") or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def without_credentials(path: str) -> str:
    """Returns the path with every key-like query parameter dropped; the others keep their bytes and order."""
    before, mark, query = path.partition("?")
    if not mark:
        return path
    kept = [parameter for parameter in query.split("&") if not _is_credential(parameter)]
    return f"{before}?{'&'.join(kept)}" if kept else before


def _is_credential(parameter: str) -> bool:
    name = parameter.partition("=")[0]
    if name.isascii() and name.isalnum():
        return name.lower() in _CREDENTIAL_PARAMETERS
    name = unquote_plus(name, errors="replace")
    return re.sub(r"[\s_-]", "", name).lower() in _CREDENTIAL_PARAMETERS
