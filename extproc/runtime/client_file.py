"""The file of client tokens: read, watched, changed by `zai-proxy token`."""

import asyncio
from pathlib import Path

import structlog

from common.settings import SettingsError
from extproc.domain.clients.clients import ClientRegistry, read_clients
from extproc.runtime.file_watch import file_stamp
from extproc.runtime.state_file import StateError, StateFile

log = structlog.get_logger("extproc.clients")


class ClientFile:
    """`registry` holds the clients in force: those that the file listed when it was last usable."""

    def __init__(self, path: Path) -> None:
        self._file = StateFile(path)
        self._stamp = file_stamp(path)
        self.registry = self._read()

    async def watch(self, interval: float = 1.0) -> None:
        """Looks at the file every `interval` seconds, for ever."""
        while True:
            await asyncio.sleep(interval)
            self.refresh()

    def refresh(self) -> None:
        """Takes the file's clients if it has changed."""
        stamp = file_stamp(self._file.path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self.registry = self._read()
        except SettingsError as error:
            log.warning("the client tokens are unusable; the last good ones stay in force", why=str(error))
            return
        log.info("the client tokens have changed", clients=len(self.registry.clients))

    def _read(self) -> ClientRegistry:
        path = self._file.path
        need = f"CLIENT_TOKENS_FILE={path}: need a file that `zai-proxy token add NAME` has made"
        try:
            data = self._file.read()
            if data is None:
                raise SettingsError([f"{need} (there is no such file)"])
            return read_clients(data)
        except (StateError, ValueError) as error:
            if isinstance(error, SettingsError):
                raise
            raise SettingsError([f"{need} ({error})"]) from None
