"""Asks Z.AI's monitor API how much of the plan is used. Asking is free and starts no window.

The answers take from 11 ms to 22 s and fail now and then, so the last good one is kept, with its age.
"""

import asyncio
import random
import ssl
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

import httpx
import structlog

from extproc.domain.quota.report import Trouble, UnusableReport, read_report
from extproc.domain.quota.windows import QuotaReport, QuotaSample
from extproc.domain.request.key_in_text import LONG, without_key

log = structlog.get_logger("extproc.quota_poll")

_LARGEST_ANSWER: Final = 64 * 1024
_LONGEST_BACKOFF: Final = 900.0
_JITTER: Final = 0.1
_TRIGGER_SPACING: Final = 5.0
_KEYLESS_SECONDS: Final = 1.0
_STALE_IN_A_ROW: Final = 3

_LIMIT_PATH: Final = "/api/monitor/usage/quota/limit"
_USAGE_PATH: Final = "/api/monitor/usage"
_HEADERS: Final = {
    "accept": "application/json",
    "accept-language": "en-US,en",
    "accept-encoding": "identity",
    "user-agent": "zai-proxy",
}


class PollResult(StrEnum):
    """How a poll ended."""

    SUCCESS = "success"
    ERROR = "error"  # no answer, or a refusal
    MALFORMED = "malformed"  # an answer that tells of no quota
    STALE = "stale"  # a report of a period that is over, as a cache that lags gives it


@dataclass(frozen=True, slots=True)
class _Form:
    """One way of asking. Keys differ in which of them they are good for."""

    path: str
    scheme: str

    def authorization(self, key: str) -> str:
        return self.scheme + key


_FORMS: Final = tuple(_Form(path, scheme) for path in (_LIMIT_PATH, _USAGE_PATH) for scheme in ("", "Bearer "))


class QuotaPoller:
    """Polls every `interval` seconds, more seldom while it fails, and never without a key.

    `key` is asked before each poll. `on_sample` hears of every good report. Times are Unix seconds.
    """

    def __init__(
        self,
        target_url: str,
        key: Callable[[], str | None],
        *,
        on_sample: Callable[[QuotaSample, float], None],
        interval: float = 60.0,
        timeout: float = 10.0,
        ca_file: Path | None = None,
        proxy: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._target_url = target_url.rstrip("/")
        self._key = key
        self._on_sample = on_sample
        self._interval = interval
        self._timeout = timeout
        self._ca_file = ca_file
        self._proxy = proxy
        self._clock = clock
        self._form = _FORMS[0]
        self._sample: QuotaSample | None = None
        self._counts: Counter[PollResult] = Counter()
        self._failures = 0
        self._stale = 0
        self._wanted = asyncio.Event()
        self._began = -_LONGEST_BACKOFF

    @property
    def counts(self) -> Mapping[str, int]:
        """Polls so far by result; every result is there."""
        return {result.value: self._counts[result] for result in PollResult}

    def trigger(self) -> None:
        """Asks for a poll at once; many of these within seconds are one, and fewer are heard while polls fail."""
        self._wanted.set()

    async def run(self) -> None:
        """Polls for ever."""
        async with self._client() as client:
            while True:
                key = self._key()
                self._wanted.clear()
                if key:
                    self._began = asyncio.get_running_loop().time()
                    self._note(*await self._poll(client, key))
                spread = random.uniform(-1.0, 1.0)  # noqa: S311 - spreads load, guards nothing
                await self._pause(poll_delay(self._interval, self._failures, spread) if key else _KEYLESS_SECONDS)

    async def _poll(self, client: httpx.AsyncClient, key: str) -> tuple[PollResult, str]:
        """One poll in every form that it takes; the result, and why it is no success."""
        asked_at = self._clock()
        first = await self._ask_in_every_form(client, key)
        if isinstance(first, QuotaReport):
            return self._accept(QuotaSample(first, asked_at))
        result = PollResult.MALFORMED if first.trouble is Trouble.MALFORMED else PollResult.ERROR
        return result, first.message if first.code is None else f"{first.code}: {first.message}"

    async def ask_once(self) -> QuotaReport | UnusableReport:
        """Asks now, and neither counts the answer nor passes it on."""
        async with self._client() as client:
            return await self._ask_in_every_form(client, self._key() or "")

    async def _ask_in_every_form(self, client: httpx.AsyncClient, key: str) -> QuotaReport | UnusableReport:
        """The first report that it gets; else what the first form of asking got."""
        troubles: list[UnusableReport] = []
        for form in (self._form, *(form for form in _FORMS if form != self._form)):
            answer = await self._ask(client, form, key)
            if isinstance(answer, QuotaReport):
                self._form = form
                return answer
            troubles.append(answer)
            if not answer.other_form_may_help:
                break
        return troubles[0]

    def _accept(self, sample: QuotaSample) -> tuple[PollResult, str]:
        now = self._clock()
        is_older = self._sample is not None and sample.report.is_older_than(self._sample.report, now)
        self._stale = self._stale + 1 if is_older else 0
        # A report that says so again is right: a plan can be changed, or a limit put back.
        if 0 < self._stale < _STALE_IN_A_ROW:
            return PollResult.STALE, "the answer tells of a period that is over"
        self._stale = 0
        self._sample = sample
        self._on_sample(sample, now)
        return PollResult.SUCCESS, ""

    async def _ask(self, client: httpx.AsyncClient, form: _Form, key: str) -> QuotaReport | UnusableReport:
        headers = {**_HEADERS, "authorization": form.authorization(key)}
        try:
            async with (
                asyncio.timeout(self._timeout),
                client.stream("GET", self._target_url + form.path, headers=headers) as response,
            ):
                body = await _bounded(response)
        except (httpx.HTTPError, OSError) as error:  # TimeoutError is an OSError
            # The type alone: an error's text can quote the header that it is about, and so the key.
            return UnusableReport(Trouble.FAILED, type(error).__name__)
        if body is None:
            return UnusableReport(Trouble.MALFORMED, f"the answer is compressed or larger than {_LARGEST_ANSWER} bytes")
        # A short key is a number or a word of JSON too: it is looked for in what is told alone.
        report = read_report(response.status_code, body.replace(key.encode(), b"***") if len(key) >= LONG else body)
        if isinstance(report, UnusableReport):
            return replace(report, message=without_key(report.message, key))
        return replace(report, plan=without_key(report.plan, key))

    def _note(self, result: PollResult, why: str) -> None:
        self._counts[result] += 1
        failed = result in (PollResult.ERROR, PollResult.MALFORMED)
        if failed and not self._failures:
            log.warning("the quota is unknown for now: the monitor API gives no report", why=why)
        elif self._failures and not failed:
            log.info("the monitor API reports the quota again", failed_polls=self._failures)
        self._failures = self._failures + 1 if failed else 0

    async def _pause(self, seconds: float) -> None:
        """Waits so long, or until a poll is wanted and the last one is not too recent."""
        try:
            async with asyncio.timeout(seconds):
                await self._wanted.wait()
        except TimeoutError:
            return
        spacing = min(_TRIGGER_SPACING * 2.0 ** min(self._failures, 20), self._interval)
        await asyncio.sleep(max(0.0, self._began + spacing - asyncio.get_running_loop().time()))

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(verify=self._tls(), proxy=self._proxy, timeout=self._timeout, trust_env=False)

    def _tls(self) -> ssl.SSLContext:
        if self._target_url.startswith("https:"):
            return ssl.create_default_context(cafile=self._ca_file)
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody: no redirect is followed to where it counts


def poll_delay(interval: float, failures: int, spread: float) -> float:
    """Seconds to the next poll: twice as long for each failure in a row, up to a quarter of an hour, and up to a tenth
    more or less, which `spread` from -1.0 to 1.0 chooses."""
    delay = min(interval * 2.0 ** min(failures, 20), max(_LONGEST_BACKOFF, interval))
    return delay * (1 + _JITTER * spread)


async def _bounded(response: httpx.Response) -> bytes | None:
    """The body, or None when it is larger than anybody needs. Compressed, nobody knows how large it is."""
    if response.headers.get("content-encoding", "identity") != "identity":
        return None
    body = bytearray()
    async for part in response.aiter_raw():
        body += part
        if len(body) > _LARGEST_ANSWER:
            return None
    return bytes(body)
