"""Questions to the stack's own ports: cheap enough to be asked again and again, patient enough for a busy machine."""

import ssl
from typing import Final

import httpx

PATIENCE: Final = 30.0

# httpx loads the system's certificates for each client, which takes longer than all that is asked here.
NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def get(url: str, **params: str) -> httpx.Response:
    """The answer, on a connection of its own."""
    return httpx.get(url, params=params or None, verify=NO_TLS, timeout=PATIENCE)
