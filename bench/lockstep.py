"""Event streams in bulk, client and upstream in one process: what the client has got is followed by more.

A stream that is written as fast as it goes is not read event by event: what waits in the sockets is read at once, the
more of it the slower the reader. So two proxies would do different work for the same stream. With one write of each
stream on its way at a time each write is a read, in every proxy, and the next comes the moment it can. With more it is
a flood.

Neither end parses anything: both send prebuilt bytes and count marks, a few microseconds a write, most of them the
kernel's.
"""

import gc
import json
import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeVar

from bench import traffic
from bench.failure import BenchError

T = TypeVar("T")

_REQUEST_BODY: Final = traffic.prompt(2000, stream=True)
_NUMBER: Final = re.compile(rb"\r\n%b: (\d+)\r\n" % traffic.STREAM_HEADER.encode(), re.IGNORECASE)
_PATIENCE: Final = 10.0
_LONGEST: Final = 120.0


@dataclass(frozen=True, slots=True)
class Bulk:
    """So many streams of so many events, every second one Chat, the others Messages.

    `in_flight` writes of each are on their way at a time.
    """

    count: int
    events: int
    events_per_write: int = 1
    in_flight: int = 1

    def __post_init__(self) -> None:
        if self.events % self.events_per_write:
            raise ValueError(f"{self.events} events are no whole number of writes of {self.events_per_write}")


@dataclass(frozen=True, slots=True)
class Passed:
    """What came through in which time, and in how many reads of the client."""

    events: int
    reads: int
    seconds: float


def run(upstream_port: int, port: int, wanted: Bulk, look: Callable[[], T]) -> tuple[Passed, T, T]:
    """Serves on `upstream_port`, which has to be free, what it asks for on `port`, and reads it to the end.

    Also what `look` saw at the beginning, with every request at its upstream and no answer begun, and at the end.
    Raises BenchError if a stream breaks off, loses an event or is not done in time.
    """
    arguments = [str(upstream_port), str(port), json.dumps(asdict(wanted))]
    command = [sys.executable, "-m", "bench.lockstep", *arguments]
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )
    with child:
        try:
            assert child.stdin is not None  # noqa: S101 (asked for above)
            assert child.stdout is not None  # noqa: S101
            is_ready = child.stdout.readline() == "ready\n"
            before = look()
            output, errors = child.communicate("go\n" if is_ready else "", timeout=_LONGEST)
            after = look()
        except subprocess.TimeoutExpired:
            raise BenchError("the streams were not done in time") from None
        finally:
            child.kill()
    if child.returncode != 0:
        raise BenchError(f"streams in bulk: {errors.strip()[-500:]}")
    return Passed(**json.loads(output)), before, after


class _Stream:
    """One stream, both ends of it."""

    def __init__(self, number: int, wanted: Bulk) -> None:
        self.dialect = (traffic.MESSAGES, traffic.CHAT)[number % 2]
        self._writes = traffic.writes(self.dialect, wanted.events_per_write)
        self._per_write = wanted.events_per_write
        self._writes_left = wanted.events // wanted.events_per_write
        self._events = wanted.events
        self._unanswered = 0
        self._last = b""
        self.received = 0

    def connect(self, number: int, port: int) -> None:
        """Sends the request."""
        headers = {
            "host": "127.0.0.1",
            **traffic.REQUEST_HEADERS,
            traffic.STREAM_HEADER: str(number),
            "content-length": str(len(_REQUEST_BODY)),
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.client = _connected(socket.create_connection(("127.0.0.1", port), _PATIENCE))
        self.client.sendall(f"POST {self.dialect.path} HTTP/1.1\r\n{lines}\r\n".encode() + _REQUEST_BODY)

    def begin(self, upstream: socket.socket, in_flight: int) -> None:
        """The head, and the first writes."""
        self._upstream = upstream
        upstream.sendall(traffic.stream_head(is_last=True) + self.dialect.start)
        for _ in range(min(in_flight, self._writes_left)):
            self._write()

    def take(self, events: int) -> None:
        """So many events have come: as many go on their way."""
        self.received += events
        self._unanswered += events
        while self._unanswered >= self._per_write and self._writes_left:
            self._unanswered -= self._per_write
            self._write()

    def is_at_end(self, buffer: bytearray, length: int) -> bool:
        """Whether what was read, the first `length` bytes of the buffer, brought the end."""
        if self.received < self._events:
            return False
        self._last = (self._last + buffer[max(0, length - len(traffic.END)) : length])[-len(traffic.END) :]
        return self._last == traffic.END

    def check(self) -> None:
        if self.received != self._events:
            raise BenchError(f"{self.received} of {self._events} events arrived")

    def _write(self) -> None:
        self._writes_left -= 1
        self._upstream.sendall(self._writes[self._writes_left % len(self._writes)])
        if not self._writes_left:
            self._upstream.sendall(self.dialect.end(self._events))
            self._upstream.shutdown(socket.SHUT_WR)


def _serve(upstream_port: int, port: int, wanted: Bulk) -> Passed:
    with socket.create_server(("127.0.0.1", upstream_port), backlog=1024) as listener:
        listener.settimeout(_PATIENCE)
        streams = [_Stream(number, wanted) for number in range(wanted.count)]
        for number, stream in enumerate(streams):
            stream.connect(number, port)
        upstreams = dict(_accept(listener) for _ in streams)
    for stream in streams:
        stream.client.settimeout(None)  # with one, each call would ask the kernel twice
    print("ready", flush=True)
    if sys.stdin.readline() != "go\n":
        raise BenchError("nobody wants the streams any more")
    gc.freeze()
    began = time.perf_counter()
    for number, stream in enumerate(streams):
        stream.begin(upstreams[number], wanted.in_flight)
    reads = _read_all({stream.client.fileno(): stream for stream in streams})
    seconds = time.perf_counter() - began
    for stream in streams:
        stream.check()
    return Passed(sum(stream.received for stream in streams), reads, seconds)


def _read_all(streams: dict[int, _Stream]) -> int:
    """Reads all streams to their ends; returns in how many reads."""
    buffer = bytearray(1 << 20)
    poll = select.epoll()
    for descriptor in streams:
        poll.register(descriptor, select.EPOLLIN)
    left, reads = len(streams), 0
    while left:
        ready = poll.poll(_PATIENCE)
        if not ready:
            raise BenchError(f"nothing came for {_PATIENCE:g} s")
        for descriptor, _ in ready:
            stream = streams[descriptor]
            length = stream.client.recv_into(buffer)
            reads += 1
            if not length:
                raise BenchError("a stream broke off before its end")
            stream.take(buffer.count(traffic.MARK, 0, length))
            if stream.is_at_end(buffer, length):
                poll.unregister(descriptor)
                left -= 1
    return reads


def _accept(listener: socket.socket) -> tuple[int, socket.socket]:
    """A request read to its end: the number of its stream, and its connection."""
    upstream = _connected(listener.accept()[0])
    upstream.settimeout(_PATIENCE)
    request = b""
    while not (request.endswith(_REQUEST_BODY[-16:]) and len(request) > len(_REQUEST_BODY)):
        piece = upstream.recv(65536)
        if not piece:
            raise BenchError("a request broke off before its end")
        request += piece
    number = _NUMBER.search(request)
    if number is None:
        raise BenchError("a request without the number of its stream came")
    upstream.settimeout(None)
    return int(number[1]), upstream


def _connected(connection: socket.socket) -> socket.socket:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _main(upstream_port: str, port: str, wanted: str) -> None:
    values: dict[str, Any] = json.loads(wanted)
    try:
        passed = _serve(int(upstream_port), int(port), Bulk(**values))
    except (BenchError, OSError) as error:
        sys.exit(str(error))
    print(json.dumps(asdict(passed)))


if __name__ == "__main__":
    _main(*sys.argv[1:])
