"""The way to the upstream: straight, or through a company's proxy by CONNECT. No text for people has credentials."""

import base64
import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final
from urllib.parse import unquote, urlsplit

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_UNUSED_PROXIES: Final = ("HTTP_PROXY", "ALL_PROXY")
_UNUSED_CERTIFICATES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "SSL_CERT_DIR")


@dataclass(frozen=True, slots=True)
class ForwardProxy:
    """A proxy that opens tunnels. `scheme` (http or https) is how it is spoken to; `authorization` is a whole header
    value, empty without credentials; `url` is for an HTTP client and holds the credentials."""

    scheme: str
    host: str
    port: int
    authorization: str = field(repr=False)
    url: str = field(repr=False)

    @classmethod
    def parse(cls, url: str) -> "ForwardProxy":
        """Raises ValueError, without the URL, if it is none of an http or https proxy."""
        parts = urlsplit(url)
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.port == 0 or not url.isascii():
            raise ValueError("no URL of a proxy")
        if parts.path not in ("", "/") or parts.query or parts.fragment or not url.isprintable() or " " in url:
            raise ValueError("no URL of a proxy")
        return cls(parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS[parts.scheme], _basic(url), url)

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Leg(Enum):
    """A part of the way through a proxy, in the order in which they are gone."""

    NAME = "name"
    CONNECTION = "connection"
    PROXY_TLS = "proxy_tls"
    TUNNEL = "tunnel"
    TLS = "tls"


@dataclass(frozen=True, slots=True)
class BrokenWay:
    """Where the way through a proxy ends. `proxy` and `upstream` are hosts and ports, `why` is what was met there, in a
    few words: an error of the system, or of a TLS library, or the status that a CONNECT was answered with."""

    leg: Leg
    proxy: str
    upstream: str
    why: str

    def __str__(self) -> str:
        return {
            Leg.NAME: f"the name of {self.proxy} is not found",
            Leg.CONNECTION: f"{self.proxy} can't be reached ({self.why})",
            Leg.PROXY_TLS: f"TLS with {self.proxy} fails ({self.why})",
            Leg.TUNNEL: f"{self.proxy} opens no tunnel to {self.upstream} ({self.why})",
            Leg.TLS: f"{self.proxy} opens tunnels, but TLS with {self.upstream} behind it fails ({self.why})",
        }[self.leg]

    @property
    def advice(self) -> str:
        """What to do about it."""
        if self.leg is Leg.TUNNEL and self.why.startswith("407"):
            return "Look at the name and the password in HTTPS_PROXY, and ask who runs that proxy."
        if self.leg is Leg.TUNNEL and self.why.startswith("5"):
            return "That proxy does not reach it either: is ZAI_TARGET_URL right? Ask who runs that proxy."
        return {
            Leg.NAME: "Look at the host in HTTPS_PROXY; NO_PROXY leads past it.",
            Leg.CONNECTION: "Look at the host and the port in HTTPS_PROXY; NO_PROXY leads past it.",
            Leg.PROXY_TLS: "Most proxies are spoken to by http://, also for https; else look at ZAI_CA_FILE.",
            Leg.TUNNEL: "Ask who runs that proxy to let this machine through; NO_PROXY leads past it.",
            Leg.TLS: "If the proxy reads the traffic: set ZAI_CA_FILE to your company's certificates.",
        }[self.leg]


def way_to(url: str, https_proxy: str | None, no_proxy: str | None) -> ForwardProxy | None:
    """The proxy that a request for a URL goes through; None if it goes straight."""
    parts = urlsplit(url)
    if https_proxy is None or parts.scheme != "https" or is_excepted(parts.hostname or "", parts.port or 443, no_proxy):
        return None
    return ForwardProxy.parse(https_proxy)


def is_excepted(host: str, port: int, no_proxy: str | None) -> bool:
    """Whether NO_PROXY names a host: itself, a domain above it, an address range that holds it, with or without a port,
    or everything by an asterisk."""
    return any(_names(entry, host.lower(), port) for entry in (no_proxy or "").lower().replace(",", " ").split())


def what_is_not_used(
    environ: Mapping[str, str], url: str, https_proxy: str | None, no_proxy: str | None, ca_file: str
) -> Iterator[str]:
    """A line for each variable about the network that is set and changes nothing for requests to `url`."""
    if https_proxy is not None and way_to(url, https_proxy, no_proxy) is None:
        why = "NO_PROXY names its host" if url.startswith("https:") else "it is no https URL"
        yield f"HTTPS_PROXY is set and not used for {url}: {why}"
    given = {name.upper(): value for name, value in environ.items() if value}
    for name in _UNUSED_PROXIES:
        if name in given:
            right = (
                "for a proxy on the way to Z.AI set HTTPS_PROXY"
                if https_proxy is None
                else "HTTPS_PROXY alone leads to Z.AI"
            )
            yield f"{name} is set and not used: {right}"
    if no_proxy and https_proxy is None:
        yield "NO_PROXY is set and not used: without HTTPS_PROXY every request goes straight"
    for name in _UNUSED_CERTIFICATES:
        if name in given and given[name].rstrip("/") not in (ca_file, ca_file.rpartition("/")[0]):
            yield f"{name} is set and not used: for certificates of your own set ZAI_CA_FILE"


def _basic(url: str) -> str:
    parts = urlsplit(url)
    if parts.username is None:
        return ""
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def _names(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    name, separator, number = entry.rpartition(":")
    if separator and number.isdigit() and (":" not in name or name.endswith("]")):
        return number == str(port) and _names(name, host, port)
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        domain = entry.removeprefix("*").lstrip(".")
        return host == domain or (bool(domain) and host.endswith(f".{domain}"))
