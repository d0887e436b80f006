"""The preStop hook of an Envoy that runs alone: tells clients to go elsewhere, then waits until no request runs.

Envoy ends at once on SIGTERM, so the hook has to return last. DRAIN_TIMEOUT bounds the wait (seconds, 3600 if unset).
"""

import os
import sys
import time
import urllib.error
import urllib.request
from typing import Final

_ADMIN: Final = f"http://127.0.0.1:{os.environ.get('ENVOY_ADMIN_PORT') or 9901}"
_ACTIVE: Final = "http.clients.downstream_rq_active"
_POLL_SECONDS: Final = 0.5
# Until every node has heard that the pod is gone from the Service, requests still come.
_NEWS_TRAVELS_SECONDS: Final = 5.0
# Twice the time that Envoy collects access-log entries before it sends them.
_LAST_ENTRIES_SECONDS: Final = 0.5


def ask(method: str, path: str) -> str | None:
    """What Envoy's admin interface answers, or None if it does not."""
    request = urllib.request.Request(_ADMIN + path, method=method)  # noqa: S310 - http on loopback
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=2) as response:
            return str(response.read().decode())
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return None


def active_requests() -> int | None:
    """Requests that run, or None if Envoy does not answer."""
    told = ask("GET", f"/stats?filter=^{_ACTIVE}$")
    number = (told or "").rpartition(":")[2].strip()
    return int(number) if number.isdigit() else None


def main() -> int:
    """Exit code 0 when idle, 1 when requests still ran at the deadline or Envoy was gone."""
    begin = time.monotonic()
    deadline = begin + float(os.environ.get("DRAIN_TIMEOUT") or 3600)
    ask("POST", "/drain_listeners?graceful&inboundonly&skip_exit")
    time.sleep(min(_NEWS_TRAVELS_SECONDS, max(0.0, deadline - begin)))
    while (running := active_requests()) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    time.sleep(_LAST_ENTRIES_SECONDS)
    return 0 if running == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
