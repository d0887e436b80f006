"""The preStop hook of an Envoy that runs alone: tells clients to go elsewhere, then waits until no request runs.

Envoy ends at once on SIGTERM, so the hook has to return last. DRAIN_TIMEOUT bounds the wait (seconds, 3600 if unset).
Probes are no requests: whoever asks for health or metrics comes again and again.
"""

import os
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from typing import Final
from urllib.parse import urlencode

_ADMIN: Final = f"http://127.0.0.1:{os.environ.get('ENVOY_ADMIN_PORT') or 9901}"
_ACTIVE: Final = "http.clients.downstream_rq_active"
_PROBES: Final = "cluster.processor_(health|http).upstream_rq_(pending_)?active"
_POLL_SECONDS: Final = 0.5
# Until every node has heard that the pod is gone from the Service, requests still come.
_NEWS_TRAVELS_SECONDS: Final = 5.0
# Twice the time that Envoy collects access-log entries before it sends them.
_LAST_ENTRIES_SECONDS: Final = 0.5


def ask(method: str, path: str) -> str:
    """What Envoy's admin interface answers. Raises OSError if it does not, ConnectionRefusedError if it is gone."""
    request = urllib.request.Request(_ADMIN + path, method=method)  # noqa: S310 - http on loopback
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=2) as response:
            return str(response.read().decode())
    except urllib.error.URLError as error:
        raise error.reason if isinstance(error.reason, OSError) else error from None


def active_requests() -> int:
    """Requests that run, without probes. Raises as `ask` does, and ValueError for an answer that is none."""
    told = ask("GET", f"/stats?{urlencode({'filter': f'^({_ACTIVE}|{_PROBES})$'})}")
    counted = {name: int(number) for name, _, number in (line.rpartition(": ") for line in told.splitlines())}
    requests = counted.pop(_ACTIVE, 0)
    return max(0, requests - sum(counted.values()))


def drain(deadline: float) -> bool:
    """Whether all requests have ended before `deadline` (monotonic seconds). False as well if Envoy is gone."""
    while True:
        try:
            if active_requests() == 0:
                return True
        except ConnectionRefusedError:
            return False
        except (OSError, ValueError):
            pass  # it has no time for an answer: what it carries is not lost
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_SECONDS)


def main() -> int:
    """Exit code 0 when idle, 1 when requests still ran at the deadline or Envoy was gone."""
    begin = time.monotonic()
    deadline = begin + float(os.environ.get("DRAIN_TIMEOUT") or 3600)
    with suppress(OSError):
        ask("POST", "/drain_listeners?graceful&inboundonly&skip_exit")
    time.sleep(min(_NEWS_TRAVELS_SECONDS, max(0.0, deadline - begin)))
    idle = drain(deadline)
    time.sleep(_LAST_ENTRIES_SECONDS)
    return 0 if idle else 1


if __name__ == "__main__":
    sys.exit(main())
