"""Where a running proxy has its socket and Envoy's configuration: a directory that only we can enter.

It has to last as long as the proxy, and not everything under its parents does: what belongs to a login goes with the
last logout, and what lies in /tmp is swept away when it is old. So it is chosen with care, held by a lock that the
sweeper of systemd respects, and made again before each start of a process that needs it.
"""

import fcntl
import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

# A Unix socket's path has room for 108 bytes, on macOS for 104.
LONGEST_SOCKET_PATH: Final = 100
_PREFIX: Final = "zai-proxy-"
_LOGINS: Final = Path("/run/user")
_LINGER: Final = Path("/var/lib/systemd/linger")


class RuntimeDirectory:
    """The directory at `path`, which exists by now."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = _locked(path)

    @property
    def socket(self) -> Path:
        """The Unix socket between Envoy and the processor."""
        return _socket_in(self.path)

    @property
    def envoy_config(self) -> Path:
        return self.path / "envoy.yaml"

    def make(self) -> None:
        """Makes it again if it has been swept away. Raises OSError, also if somebody else has it now."""
        with suppress(FileExistsError):
            self.path.mkdir(mode=0o700, parents=True)
            os.close(self._lock)
            self._lock = _locked(self.path)
        status = self.path.lstat()
        if status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode) or status.st_mode & 0o077:
            raise PermissionError(0, f"{self.path} is no longer a private directory of ours")

    def remove(self) -> None:
        os.close(self._lock)
        shutil.rmtree(self.path, ignore_errors=True)


@contextmanager
def runtime_directory(environment: Mapping[str, str]) -> Iterator[RuntimeDirectory]:
    """A new one in the first place that fits, removed at the end."""
    parent = next(place for place in _places(environment) if _is_fit(place))
    directory = RuntimeDirectory(Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent)))
    try:
        yield directory
    finally:
        directory.remove()


def _places(environment: Mapping[str, str]) -> Iterator[str]:
    """Where it could be: what a service manager made for us, what belongs to a user for good, and what is there for
    everybody."""
    yield environment.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    of_login = environment.get("XDG_RUNTIME_DIR", "")
    if of_login and _stays(of_login):
        yield of_login
    yield tempfile.gettempdir()
    yield "/tmp"  # noqa: S108 - mkdtemp makes a directory of ours there


def _stays(of_login: str) -> bool:
    """Whether XDG_RUNTIME_DIR outlives the login: the one that logind made does so only for users who linger."""
    return Path(of_login) != _LOGINS / str(os.getuid()) or (_LINGER / _user_name()).exists()


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's number without a name
        return str(os.getuid())


def _is_fit(parent: str) -> bool:
    longest = _socket_in(Path(parent) / f"{_PREFIX}12345678")
    fits = len(bytes(longest)) <= LONGEST_SOCKET_PATH
    return bool(parent) and fits and os.path.isdir(parent) and os.access(parent, os.W_OK | os.X_OK)


def _socket_in(directory: Path) -> Path:
    return directory / "extproc.sock"


def _locked(directory: Path) -> int:
    """The descriptor of a directory with a lock on it: systemd-tmpfiles leaves what is locked alone."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    with suppress(OSError):  # a file system without locks: then nobody respects any
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return descriptor
