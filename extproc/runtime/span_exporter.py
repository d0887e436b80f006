"""Sends spans to an OTLP collector, beside the requests: whatever the collector does, no request waits for it."""

import asyncio
import gzip
import random
import ssl
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path
from time import time
from typing import Final
from urllib.parse import urlsplit

import httpx
import structlog

log = structlog.get_logger("extproc.traces")

_WAITS: Final = (1.0, 2.0, 4.0, 8.0)
_LONGEST_WAIT: Final = 30.0
_JITTER: Final = 0.2
_GATHERING: Final = 1.0
_LARGEST_BATCH: Final = 512
_MOST_HELD: Final = 4 * 1024 * 1024
_LARGEST_ANSWER: Final = 64 * 1024
_FASTEST: Final = 1  # of zlib's levels
# As OTLP has them; any other status is the last word on a message.
_WORTH_A_RETRY: Final = frozenset({429, 502, 503, 504})


class SpanResult(StrEnum):
    """What became of a span."""

    SENT = "sent"
    REJECTED = "rejected"
    """The collector took the message and says that it has not kept this span."""
    FAILED = "failed"
    """It was not taken in any of five attempts, or refused."""
    DROPPED = "dropped"
    """Too many were waiting."""


@dataclass(frozen=True, slots=True)
class Collector:
    """Where spans go. `headers` are asked for before each message, and may hold secrets, as the URL may. `timeout` is
    what it gets for one message, in seconds."""

    url: str
    headers: Callable[[], Mapping[str, str]]
    ca_file: Path | None = None
    proxy: str | None = None
    timeout: float = 10.0
    compresses: bool = False

    @property
    def host(self) -> str:
        """What may be told of the URL."""
        return urlsplit(self.url).hostname or ""

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(verify=self._tls(), proxy=self.proxy, timeout=self.timeout, trust_env=False)

    def _tls(self) -> ssl.SSLContext:
        if self.url.startswith("https:"):
            return ssl.create_default_context(cafile=self.ca_file)
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a collector said to one message. `problem` is empty if it took it; then `body` is its answer."""

    problem: str = ""
    is_final: bool = True
    retry_after: float | None = None
    body: bytes = b""


async def post(client: httpx.AsyncClient, collector: Collector, message: bytes) -> Reply:
    """Sends one message. Raises nothing that a collector could cause, and takes no longer than its timeout.

    A redirect is not followed (it would take the headers along), and of an answer 64 KiB are read.
    """
    headers = {
        **collector.headers(),
        "content-type": "application/x-protobuf",
        "accept-encoding": "identity",
        "user-agent": "zai-proxy",
    }
    if collector.compresses:
        # In a thread: it takes milliseconds, and admissions do not wait for that.
        message = await asyncio.to_thread(gzip.compress, message, _FASTEST)
        headers["content-encoding"] = "gzip"
    try:
        async with (
            asyncio.timeout(collector.timeout),
            client.stream("POST", collector.url, content=message, headers=headers) as response,
        ):
            body = await _beginning(response)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:  # TimeoutError is an OSError
        # The type alone: the text of an error can quote what it is about.
        return Reply(type(error).__name__, is_final=False)
    if response.is_success:
        return Reply(body=body)
    is_final = response.status_code not in _WORTH_A_RETRY
    return Reply(f"HTTP {response.status_code}", is_final, _seconds(response.headers.get("retry-after", "")))


async def _beginning(response: httpx.Response) -> bytes:
    body = b""
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > _LARGEST_ANSWER:
            return b""
    return body


def _seconds(told: str) -> float | None:
    if told.isascii() and told.isdecimal():
        return float(told[:9])
    try:
        return max(0.0, parsedate_to_datetime(told).timestamp() - time())
    except (ValueError, OverflowError):
        return None


class SpanExporter:
    """Holds spans, serialised, until they are sent, 4 MiB at most; then the oldest make room.

    `batch` makes a message of some of them, `rejected` reads how many a collector says it has not kept. A message that
    is not taken is sent five times within some twenty seconds. Trouble is logged when it begins and when it is over.
    """

    def __init__(
        self,
        collector: Collector,
        batch: Callable[[Sequence[bytes]], bytes],
        rejected: Callable[[bytes], int],
        *,
        gathering: float = _GATHERING,
        waits: Sequence[float] = _WAITS,
        most_held: int = _MOST_HELD,
    ) -> None:
        self._collector = collector
        self._batch = batch
        self._rejected = rejected
        self._gathering = gathering
        self._waits = waits
        self._most_held = most_held
        self._held: deque[bytes] = deque()
        self._bytes = 0
        self._sending = 0
        self._counts: Counter[SpanResult] = Counter()
        self._is_in_trouble = False
        self._has_some = asyncio.Event()
        self._is_full = asyncio.Event()
        self._is_closing = asyncio.Event()
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    @property
    def host(self) -> str:
        """Where spans go, as far as it may be told."""
        return self._collector.host

    @property
    def counts(self) -> Mapping[str, int]:
        """Spans so far by what became of them; every result is there."""
        return {result.value: self._counts[result] for result in SpanResult}

    @property
    def waiting(self) -> int:
        """Spans that are held, or being sent."""
        return len(self._held) + self._sending

    def put(self, spans: Sequence[bytes]) -> None:
        """Has spans sent, in their order. Returns at once."""
        for span in spans:
            self._held.append(span)
            self._bytes += len(span)
        while self._bytes > self._most_held:
            self._bytes -= len(self._held.popleft())
            self._counts[SpanResult.DROPPED] += 1
        if self._held:
            self._is_empty.clear()
            self._has_some.set()
        if len(self._held) >= _LARGEST_BATCH:
            self._is_full.set()

    async def run(self) -> None:
        """Sends for ever."""
        async with self._collector.client() as client:
            while True:
                await self._has_some.wait()
                await self._pause(self._gathering, self._is_full)
                spans = self._take()
                self._sending = len(spans)
                try:
                    await self._send(client, spans)
                except Exception:
                    self._counts[SpanResult.FAILED] += len(spans)
                    raise
                finally:
                    self._sending = 0
                    if not self._held:
                        self._is_empty.set()

    async def flush(self, seconds: float) -> None:
        """Sends what is held, each message once more at most, and returns when that is done or after these seconds."""
        self._is_closing.set()
        try:
            async with asyncio.timeout(seconds):
                await self._is_empty.wait()
        except TimeoutError:
            log.warning("spans were not sent before the end", spans=self.waiting, host=self._collector.host)

    def _take(self) -> list[bytes]:
        spans = [self._held.popleft() for _ in range(min(len(self._held), _LARGEST_BATCH))]
        self._bytes -= sum(map(len, spans))
        if not self._held:
            self._has_some.clear()
        if len(self._held) < _LARGEST_BATCH:
            self._is_full.clear()
        return spans

    async def _send(self, client: httpx.AsyncClient, spans: list[bytes]) -> None:
        message = self._batch(spans)
        for number, wait in enumerate((*self._waits, None)):
            is_last = self._is_closing.is_set()  # an attempt that was under way then is followed by one more
            reply = await post(client, self._collector, message)
            if not reply.problem:
                self._note_success(len(spans), reply.body)
                return
            if reply.is_final or wait is None or is_last:
                break
            if number:
                self._tell_of(reply.problem)  # one that a second attempt heals is no news
            await self._pause(min(_LONGEST_WAIT, max(wait, reply.retry_after or 0.0)) * (1 + _JITTER * random.random()))  # noqa: S311
        self._counts[SpanResult.FAILED] += len(spans)
        self._tell_of(reply.problem)

    async def _pause(self, seconds: float, *ends: asyncio.Event) -> None:
        """Waits so long, unless one of these happens or the end has come."""
        waiting = [asyncio.ensure_future(each.wait()) for each in (self._is_closing, *ends)]
        try:
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()

    def _note_success(self, spans: int, body: bytes) -> None:
        rejected = min(max(0, self._rejected(body)), spans)
        self._counts[SpanResult.SENT] += spans - rejected
        self._counts[SpanResult.REJECTED] += rejected
        if self._is_in_trouble:
            self._is_in_trouble = False
            log.info("the collector takes spans again", host=self._collector.host, lost=self._lost())

    def _tell_of(self, problem: str) -> None:
        if not self._is_in_trouble:
            self._is_in_trouble = True
            log.warning("the collector does not take spans; requests do not wait for it",
                        host=self._collector.host, why=problem)  # fmt: skip

    def _lost(self) -> int:
        return self._counts[SpanResult.DROPPED] + self._counts[SpanResult.FAILED]
