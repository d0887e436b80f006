"""Runs a command in a network with one door: it reaches the proxy, nothing else, and what else it tried is counted.

The command gets a network namespace of its own (`unshare` of util-linux), in which there is only loopback. The socket
that listens there is handed out to the test, which connects whoever calls on it with the proxy outside:

    command ──▶ 127.0.0.1:PORT in the namespace ──▶ threads of the test ──▶ 127.0.0.1:PORT outside

Run as a program this file is the inside: `sealed_network.py DOOR_FD PORT COMMAND...`.
"""

import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryFile
from threading import Thread
from typing import IO

_SIOCSIFFLAGS, _IFF_UP = 0x8914, 0x1  # linux/sockios.h, linux/if.h
_CHUNK = 65536
_START_SECONDS = 20.0
# Calls to an address that has no route, and name look-ups at a resolver on loopback that is not there.
_OUTWARD = ("IpOutNoRoutes", "UdpNoPorts", "Ip6OutNoRoutes", "Udp6NoPorts")


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that has ended. `outward_calls` is how often it called anyone but the proxy."""

    exit_code: int
    output: str
    errors: str
    seconds: float
    outward_calls: int


@lru_cache(maxsize=1)
def can_seal() -> bool:
    """Whether this user may make a network namespace: root may, others where the kernel lets them."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*_unshare(), "true"], capture_output=True, check=False, timeout=20).returncode == 0


def run_sealed(
    command: Sequence[str], port: int, environment: Mapping[str, str], directory: Path, deadline: float
) -> Finished:
    """Runs the command in `directory` with 127.0.0.1:`port` as its only way out. Its process group ends with it.

    Without namespaces that holds only for what honours the usual variables for a web proxy.
    Raises TimeoutError, with what it wrote, when it has not ended after `deadline` seconds.
    """
    if not can_seal():
        return _run_without_web(command, environment, directory, deadline)
    ours, theirs = socket.socketpair()
    inside = [*_unshare(), sys.executable, __file__, str(theirs.fileno()), str(port), *command]
    with ours, theirs, _running(inside, environment, directory, theirs.fileno()) as child:
        theirs.close()
        ours.settimeout(_START_SECONDS)
        _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
        if not descriptors:
            raise RuntimeError(f"the network could not be sealed: {child.finish(deadline).errors}")
        with _open_door(socket.socket(fileno=descriptors[0]), port):
            finished = child.finish(deadline)
        return replace(finished, outward_calls=int(ours.recv(16)))


def _run_without_web(
    command: Sequence[str], environment: Mapping[str, str], directory: Path, deadline: float
) -> Finished:
    """Gives the command a web proxy that turns every call away, and counts them."""
    calls: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as web:
        Thread(target=_turn_away, args=(web, calls), daemon=True).start()
        url = f"http://127.0.0.1:{web.getsockname()[1]}"
        closed = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), url)
        opened = dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1")
        with _running(command, {**environment, **closed, **opened}, directory) as child:
            finished = child.finish(deadline)
        web.shutdown(socket.SHUT_RDWR)
    return replace(finished, outward_calls=len(calls))


def _turn_away(web: socket.socket, calls: list[object]) -> None:
    with suppress(OSError):  # raised by the shutdown at the end
        while True:
            caller, address = web.accept()
            calls.append(address)
            caller.close()


def _unshare() -> list[str]:
    # Whoever is not root becomes root of a user namespace, which owns the network namespace.
    return ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]


@dataclass(frozen=True, slots=True)
class _Child:
    process: subprocess.Popen[bytes]
    began: float
    output: IO[bytes]
    errors: IO[bytes]

    def finish(self, deadline: float) -> Finished:
        """Waits for its end. Raises TimeoutError when `deadline` seconds have passed since its start."""
        try:
            code = self.process.wait(max(0.0, self.began + deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            told = f"{_text(self.output)[-4000:]}\n{_text(self.errors)[-4000:]}"
            raise TimeoutError(f"not ended after {deadline} s; it wrote:\n{told}") from None
        seconds = time.monotonic() - self.began
        return Finished(code, _text(self.output), _text(self.errors), seconds, outward_calls=0)


@contextmanager
def _running(
    command: Sequence[str], environment: Mapping[str, str], directory: Path, descriptor: int | None = None
) -> Iterator[_Child]:
    """The command in a process group of its own, which ends with the block, and with this open descriptor."""
    with TemporaryFile() as output, TemporaryFile() as errors:
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            env=dict(environment),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            pass_fds=() if descriptor is None else (descriptor,),
            start_new_session=True,
        )
        try:
            yield _Child(process, began, output, errors)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


@contextmanager
def _open_door(listener: socket.socket, port: int) -> Iterator[None]:
    """Connects whoever calls on the namespace's listener with `port` out here, until the block ends."""
    with listener:
        Thread(target=_let_in, args=(listener, port), daemon=True).start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # wakes accept(), which close() would not


def _let_in(listener: socket.socket, port: int) -> None:
    with suppress(OSError):  # raised by the shutdown at the end
        while True:
            caller, _ = listener.accept()
            Thread(target=_connect, args=(caller, port), daemon=True).start()


def _connect(caller: socket.socket, port: int) -> None:
    with caller, socket.create_connection(("127.0.0.1", port)) as proxy:
        back = Thread(target=_pump, args=(proxy, caller), daemon=True)
        back.start()
        _pump(caller, proxy)
        back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Carries bytes one way until either side has gone; the other then hears the end of the stream."""
    with suppress(OSError):
        while data := source.recv(_CHUNK):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def _inside(door: socket.socket, port: int, command: Sequence[str]) -> int:
    """What runs in the namespace: opens the door, runs the command, tells the test how often it called elsewhere."""
    with socket.socket() as control:
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))
    with socket.create_server(("127.0.0.1", port)) as listener:
        socket.send_fds(door, [b"+"], [listener.fileno()])
    code = subprocess.run(command, check=False).returncode
    door.sendall(str(_outward_calls()).encode())
    return code


def _outward_calls() -> int:
    """What the kernel counted in this namespace: /proc/net/snmp has lines of names and lines of values, snmp6 pairs."""
    counts: dict[str, int] = {}
    lines = [line.split() for line in Path("/proc/self/net/snmp").read_text().splitlines()]
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        protocol = names[0].rstrip(":")
        counts |= {protocol + name: int(value) for name, value in zip(names[1:], values[1:], strict=True)}
    version6 = Path("/proc/self/net/snmp6")
    if version6.exists():
        counts |= {name: int(value) for name, value in (line.split() for line in version6.read_text().splitlines())}
    return sum(counts.get(name, 0) for name in _OUTWARD)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as _door:
        sys.exit(_inside(_door, int(sys.argv[2]), sys.argv[3:]))
