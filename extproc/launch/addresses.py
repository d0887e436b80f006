"""What this machine calls the proxy's ports."""

import ipaddress

from extproc.settings import Settings


def reachable(bind_address: str) -> str:
    """An address at which this machine reaches what listens on `bind_address`."""
    address = ipaddress.ip_address(bind_address)
    if not address.is_unspecified:
        return bind_address
    return "127.0.0.1" if address.version == 4 else "::1"


def origin(scheme: str, bind_address: str, port: int) -> str:
    """The URL, without a path, of what listens there, as this machine calls it."""
    host = reachable(bind_address)
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def client_url(settings: Settings) -> str:
    """The client port, as this machine calls it."""
    scheme = "http" if settings.tls_cert_file is None else "https"
    return origin(scheme, settings.bind_address, settings.proxy_port)


def metrics_url(settings: Settings) -> str:
    """The processor's HTTP side, as this machine calls it."""
    return origin("http", settings.bind_address, settings.metrics_port)
