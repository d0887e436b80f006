"""The image's health check: 0 if the page named by PORT_VARIABLE, DEFAULT_PORT and PATH answers with success."""

import os
import sys
import urllib.error
import urllib.request
from typing import Final

_EVERYWHERE: Final = ("", "0.0.0.0", "::")  # noqa: S104 - compared with, never bound to


def url(arguments: list[str]) -> str:
    """Where to ask: on loopback unless BIND_ADDRESS is a single address."""
    variable, default, path = arguments
    address = os.environ.get("BIND_ADDRESS", "")
    host = "127.0.0.1" if address in _EVERYWHERE else address
    return f"http://{f'[{host}]' if ':' in host else host}:{os.environ.get(variable) or default}{path}"


def main() -> int:
    """Exit code 0 or 1; the reason goes to standard output, where `docker inspect` shows it."""
    address = url(sys.argv[1:])
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=3):
            return 0
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        sys.stdout.write(f"{address}: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
