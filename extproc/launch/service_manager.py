"""What a service manager is told, if one asks to be (systemd with Type=notify): ready, stopping, and that we live."""

import asyncio
import os
import socket
from collections.abc import Mapping
from typing import Final

import structlog

log = structlog.get_logger("zai-proxy")

READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1"
_ALIVE: Final = "WATCHDOG=1"
_MICROSECONDS: Final = 1_000_000


class ServiceManager:
    """The one that `environment` tells of; without one nothing is told."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        told = environment.get("WATCHDOG_USEC", "")
        is_for_us = environment.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
        self._patience = int(told) / _MICROSECONDS if told.isdecimal() and is_for_us else None

    def tell(self, what: str) -> None:
        """Sends a word. A manager that can't be reached is told of in the log, and nothing else."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
                sending.setblocking(False)
                sending.sendto(what.encode(), self._address)
        except OSError as error:
            log.warning("the service manager can't be told", what=what, why=error.strerror)

    async def reassure(self) -> None:
        """Tells it again and again that we live, if it wants to know, three times within its patience."""
        while self._patience:
            self.tell(_ALIVE)
            await asyncio.sleep(self._patience / 3)
