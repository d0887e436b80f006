"""What this machine calls the proxy's ports."""

from common.ports import origin
from extproc.settings import Settings


def client_url(settings: Settings) -> str:
    """The client port, as this machine calls it."""
    scheme = "http" if settings.tls_cert_file is None else "https"
    return origin(scheme, settings.bind_address, settings.proxy_port)


def metrics_url(settings: Settings) -> str:
    """The processor's HTTP side, as this machine calls it."""
    return origin("http", settings.bind_address, settings.metrics_port)
