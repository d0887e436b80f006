"""The liveness probe of an Envoy that runs alone: 0 if all of its threads live, the main one and those that serve.

Its main thread answers, with how long Envoy has run, and in `server.uptime` with when it last heard of every other
thread: that is written once a second, when all of them have handed in what they counted.
"""

import json
import os
import sys
import urllib.error
import urllib.request
from typing import Final

_ADMIN: Final = f"http://127.0.0.1:{os.environ.get('ENVOY_ADMIN_PORT') or 9901}"
_MOST_SECONDS_BEHIND: Final = 5
_PATIENCE_SECONDS: Final = 2


def ask(path: str) -> str:
    """What Envoy's admin interface answers. Raises OSError if it does not."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(_ADMIN + path, timeout=_PATIENCE_SECONDS) as response:
        return str(response.read().decode())


def seconds_behind() -> int:
    """How many seconds ago all threads were last heard of. Raises OSError, and ValueError or LookupError for an answer
    that is not Envoy's."""
    running = int(json.loads(ask("/server_info"))["uptime_current_epoch"].removesuffix("s"))
    heard_at = ask("/stats?filter=^server.uptime$").rpartition(":")[2].strip() or "0"  # absent in the first second
    return running - int(heard_at)


def main() -> int:
    """Exit code 0 or 1; the reason goes to standard output, where `kubectl describe` shows it."""
    try:
        behind = seconds_behind()
    except (OSError, ValueError, LookupError) as error:
        sys.stdout.write(f"{_ADMIN}: {error}\n")
        return 1
    if behind > _MOST_SECONDS_BEHIND:
        sys.stdout.write(f"a thread of Envoy has been silent for {behind} s\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
