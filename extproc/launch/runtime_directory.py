"""Where a running proxy has its socket and Envoy's configuration: a directory that only we can enter.

It has to last as long as the proxy, and not everything under its parents does: what belongs to a login goes with the
last logout, and what lies in /tmp is swept away when it is old. So it is chosen with care, held by a lock that the
sweeper of systemd respects, and made again before each start of a process that needs it.

Whoever is killed leaves it behind. The next one that starts sweeps such directories away: the lock tells that nobody
has them any more.
"""

import fcntl
import os
import pwd
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

# A Unix socket's path has room for 108 bytes, on macOS for 104.
LONGEST_SOCKET_PATH: Final = 100
_PREFIX: Final = "zai-proxy-"
_LOGINS: Final = Path("/run/user")
_LINGER: Final = Path("/var/lib/systemd/linger")
_SOCKET: Final = "extproc.sock"
_ENVOY_CONFIG: Final = "envoy.yaml"
_DEMO_PREFIX: Final = f"{_PREFIX}demo-"
# The directory of a demo has this file. Versions that held no lock wrote none.
_MARK: Final = ".locked"
# Bounds of what is looked at and swept away in each place: a start must not take long, however much lies there.
_MOST_NAMES: Final = 20_000
_MOST_SWEPT: Final = 1000
_TRIES: Final = 10


@dataclass(frozen=True, slots=True)
class _Kind:
    """Directories of one kind: how mkdtemp names them, and whether these files are what one of them holds."""

    name: re.Pattern[str]
    holds: Callable[[Collection[str]], bool]


_RUNS: Final = _Kind(
    # `zai-proxy extproc` has one that is named by the user's number, and does not lock it.
    re.compile(f"(?!{_PREFIX}{os.getuid()}$){_PREFIX}[a-z0-9_]{{8}}"),
    {_SOCKET, _ENVOY_CONFIG}.issuperset,
)
_DEMOS: Final = _Kind(
    re.compile(f"{_DEMO_PREFIX}[a-z0-9_]{{8}}"),
    lambda files: _MARK in files and all(each == _MARK or each.startswith("dashboard.db") for each in files),
)


class RuntimeDirectory:
    """The directory at `path`, which exists by now. Raises FileNotFoundError if somebody is just sweeping it away."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = _locked(path)

    @property
    def socket(self) -> Path:
        """The Unix socket between Envoy and the processor."""
        return _socket_in(self.path)

    @property
    def envoy_config(self) -> Path:
        return self.path / _ENVOY_CONFIG

    def make(self) -> None:
        """Makes it again if it has been swept away. Raises OSError, also if somebody else has it now."""
        with suppress(FileExistsError):
            self.path.mkdir(mode=0o700, parents=True)
            lock = _locked(self.path)
            os.close(self._lock)
            self._lock = lock
        status = self.path.lstat()
        if status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode) or status.st_mode & 0o077:
            raise PermissionError(0, f"{self.path} is no longer a private directory of ours")

    def remove(self) -> None:
        os.close(self._lock)
        shutil.rmtree(self.path, ignore_errors=True)


@contextmanager
def runtime_directory(environment: Mapping[str, str]) -> Iterator[RuntimeDirectory]:
    """A new one in the first place that fits, removed at the end. Those that nobody has any more are swept away."""
    places = list(dict.fromkeys(filter(_is_fit, _places(environment))))
    for place in places:
        _sweep(place, _RUNS)
    directory = _new(places[0], _PREFIX)
    try:
        yield directory
    finally:
        directory.remove()


@contextmanager
def demo_directory() -> Iterator[Path]:
    """Where a demo keeps what goes with it, removed at the end. Those of demos that were killed are swept away."""
    parent = tempfile.gettempdir()
    _sweep(parent, _DEMOS)
    directory = _new(parent, _DEMO_PREFIX)
    try:
        (directory.path / _MARK).touch()
        yield directory.path
    finally:
        directory.remove()


def _new(parent: str, prefix: str) -> RuntimeDirectory:
    """Raises OSError."""
    for _ in range(_TRIES):
        with suppress(FileNotFoundError):  # somebody else sweeps here, and took it before it was locked
            return RuntimeDirectory(Path(tempfile.mkdtemp(prefix=prefix, dir=parent)))
    raise FileNotFoundError(0, f"whatever is made in {parent} is swept away at once")


def _sweep(parent: str, kind: _Kind) -> None:
    """Removes what runs of ours that were killed have left there. What is not surely that stays."""
    with suppress(OSError):  # it is only tidying up
        within = os.open(parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with os.scandir(within) as entries:
                names = [entry.name for entry in islice(entries, _MOST_NAMES) if kind.name.fullmatch(entry.name)]
            for name in names[:_MOST_SWEPT]:
                with suppress(OSError):
                    _remove_if_nobody_has_it(name, within, kind)
        finally:
            os.close(within)


def _remove_if_nobody_has_it(name: str, within: int, kind: _Kind) -> None:
    """Raises OSError if it is none of ours (a link, for example), or locked, or can't be removed."""
    directory = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=within)
    try:
        status = os.fstat(directory)
        if status.st_uid != os.getuid() or status.st_mode & 0o077:
            return
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        files = os.listdir(directory)
        if not kind.holds(files):
            return
        for each in files:
            os.unlink(each, dir_fd=directory)
        os.rmdir(name, dir_fd=within)
    finally:
        os.close(directory)


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
    return directory / _SOCKET


def _locked(directory: Path) -> int:
    """The descriptor of a directory with a lock on it: systemd-tmpfiles leaves what is locked alone, and so do we.

    Raises FileNotFoundError if somebody is just sweeping it away.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(descriptor, directory)
    except FileNotFoundError:
        os.close(descriptor)
        raise
    return descriptor


def _lock(descriptor: int, directory: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FileNotFoundError(0, f"{directory} is being swept away") from None
    except OSError:  # a file system without locks: then nobody respects any
        return
    if not os.path.samestat(os.fstat(descriptor), directory.lstat()):
        raise FileNotFoundError(0, f"{directory} was swept away")
