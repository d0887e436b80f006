"""How many files Envoy may have open: each connection is one, and without a free one it would let clients hang."""

import resource
import sys
from typing import Final

import structlog

from common.settings import SettingsError
from extproc.settings import Settings

log = structlog.get_logger("zai-proxy")

# Listeners, the log, the processor, name servers: some for each of Envoy's threads.
_OTHERS: Final = 256
_FEWEST_CONNECTIONS: Final = 10
# OPEN_MAX of macOS' <sys/syslimits.h>: it calls the hard limit unlimited, and refuses a soft one beyond this.
_MOST_ON_MACOS: Final = 10240
_IS_MACOS: Final = sys.platform == "darwin"


def fit(settings: Settings) -> Settings:
    """Raises this process's limit, and with it its children's, to what the settings need.

    Where that is not allowed it says so, and the settings that it returns have fewer connections. Raises SettingsError
    if there is no room even for a few.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _most(soft, hard)
    needed = settings.max_connections + _beside_clients(settings)
    if _is_less(most, needed):
        settings = settings.model_copy(update={"max_connections": _fewer(settings, most)})
        needed = most
    if _is_less(soft, needed):
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    return settings


def _most(soft: int, hard: int) -> int:
    """The highest soft limit that can be had."""
    if not _IS_MACOS or _is_less(hard, _MOST_ON_MACOS):
        return hard
    return _MOST_ON_MACOS if _is_less(soft, _MOST_ON_MACOS) else soft


def _beside_clients(settings: Settings) -> int:
    """Upstream a connection for each worker, and another that is kept for the next request."""
    return 2 * settings.max_workers + _OTHERS


def _fewer(settings: Settings, hard: int) -> int:
    left = hard - _beside_clients(settings)
    needed = settings.max_connections + _beside_clients(settings)
    if left < _FEWEST_CONNECTIONS:
        raise SettingsError([f"ulimit -Hn is {hard}: need {needed} open files for MAX_CONNECTIONS and MAX_WORKERS"])
    log.warning(
        f"MAX_CONNECTIONS={settings.max_connections} would need {needed} open files and the hard limit is {hard} "
        f"(ulimit -Hn): {left} connections are let in, further ones are refused"
    )
    return left


def _is_less(limit: int, number: int) -> bool:
    return limit != resource.RLIM_INFINITY and limit < number
