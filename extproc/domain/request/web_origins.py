"""Which web pages may use the proxy: a browser names the page's origin, and it may come from anywhere.

A page can have a browser send a POST that looks like a form's without being asked first (no preflight), and spend the
key with it, although it never sees the answer. A page whose name was made to point at this machine is of the proxy's
own origin for the browser, and need never ask. So the proxy looks at the origin itself.
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from extproc.domain.request.head import RequestHead

# What has a meaning in a regular expression and may stand in an origin, and what stands for it there.
_SPECIAL: Final = re.compile(r"[*.+\[\]]")
_INSTEAD: Final = {"*": ".*", "[": "[[]", "]": "[]]"}
# What Fetch lets any page send without being asked first.
_LIKE_A_FORM: Final = frozenset(("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"))
_CHANGES_NOTHING: Final = frozenset(("GET", "HEAD"))
_NOBODY: Final = "null"
_OF_THE_WEB: Final = re.compile(r"https?:", re.IGNORECASE)


def pattern(origins: Iterable[str]) -> str:
    """A regular expression for these origins, in each of which an asterisk stands for any text. It contains no
    backslash, so it can stand in YAML as it is."""
    return "|".join(_SPECIAL.sub(lambda match: _INSTEAD.get(match[0], f"[{match[0]}]"), each) for each in origins)


class WebOrigins:
    """The origins that may come: those allowed by name, and all that no page of the web can have."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed = re.compile(pattern(allowed) or "(?!)")

    def may_come(self, head: RequestHead) -> bool:
        """Whether a request comes from no web page, or from one that may use the proxy.

        Pages of this machine (localhost) may, and those of the proxy's own host, unless its name could be a stranger's.
        Any page can take the origin `null`, so such requests may come only if a browser would have asked before it sent
        them (a preflight). Other schemes (`tauri:`, `vscode-webview:`) are programs', not web pages'.
        """
        origin = head.origin
        if not origin or self._allowed.fullmatch(origin):
            return True
        if origin == _NOBODY:
            return head.method in _CHANGES_NOTHING or _essence(head.content_type) not in _LIKE_A_FORM
        return not _OF_THE_WEB.match(origin) or _is_ours(origin, head.host)


def _essence(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _is_ours(origin: str, authority: str) -> bool:
    page = _host(origin)
    if _is_loopback(page):
        return True
    if not page or page != _host(f"//{authority}"):
        return False
    # A name with a dot may be a stranger's that points here; under HTTPS a certificate says that it is not.
    return origin.lower().startswith("https:") or "." not in page or _address(page) is not None


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return host == "localhost" or host.endswith(".localhost") or (address is not None and address.is_loopback)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
