"""Tells a URL of the operator's when a used-up window refuses new work, and when work goes on."""

import asyncio
import ssl
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
import structlog

from extproc.domain.quota.gate import EventKind, GateEvent
from extproc.domain.quota.windows import duration, spoken

log = structlog.get_logger("extproc.quota_webhook")

_TIMEOUT: Final = 10.0
_WAITS: Final = (1.0, 5.0, 25.0)
_MOST_WAITING: Final = 16
_WORTH_A_RETRY: Final = frozenset({408, 425, 429})


class WebhookResult(StrEnum):
    """What became of an event."""

    SENT = "sent"
    FAILED = "failed"  # refused, or not taken in any of four attempts
    DROPPED = "dropped"  # too many were waiting


class QuotaWebhook:
    """Posts each event as JSON, in order, up to four times within a minute and a half. Raises nothing.

    The URL may hold a secret of its own: only its host is ever logged.
    """

    def __init__(
        self,
        url: str,
        *,
        variant: str = "",
        ca_file: Path | None = None,
        proxy: str | None = None,
        waits: tuple[float, ...] = _WAITS,
    ) -> None:
        self._url = url
        self._host = urlsplit(url).hostname or ""
        self._variant = variant
        self._ca_file = ca_file
        self._proxy = proxy
        self._waits = waits
        self._events: asyncio.Queue[GateEvent] = asyncio.Queue(_MOST_WAITING)
        self._counts: Counter[WebhookResult] = Counter()

    @property
    def counts(self) -> Mapping[str, int]:
        """Events so far by what became of them; every result is there."""
        return {result.value: self._counts[result] for result in WebhookResult}

    def tell(self, event: GateEvent) -> None:
        """Has an event sent. Returns at once; the oldest that waits makes room when there are too many."""
        if self._events.full():
            self._events.get_nowait()
            self._counts[WebhookResult.DROPPED] += 1
        self._events.put_nowait(event)

    async def run(self) -> None:
        """Sends for ever."""
        tls = self._tls()
        async with httpx.AsyncClient(verify=tls, proxy=self._proxy, timeout=_TIMEOUT, trust_env=False) as client:
            while True:
                event = await self._events.get()
                problem = await self._send(client, payload(event, self._variant))
                self._counts[WebhookResult.FAILED if problem else WebhookResult.SENT] += 1
                if problem:
                    log.warning("the quota webhook was not told", host=self._host, event_kind=event.kind, why=problem)

    async def _send(self, client: httpx.AsyncClient, content: dict[str, object]) -> str:
        """Empty once the event was taken, else why it was not."""
        problem = ""
        for wait in (0.0, *self._waits):
            await asyncio.sleep(wait)
            problem, final = await self._post(client, content)
            if final:
                break
        return problem

    async def _post(self, client: httpx.AsyncClient, content: dict[str, object]) -> tuple[str, bool]:
        """What went wrong, and whether that is the last word."""
        try:
            async with asyncio.timeout(_TIMEOUT), client.stream("POST", self._url, json=content) as response:
                status = response.status_code
        except (httpx.HTTPError, OSError) as error:  # TimeoutError is an OSError
            return type(error).__name__, False
        if response.is_success:
            return "", True
        return f"HTTP {status}", status < 500 and status not in _WORTH_A_RETRY

    def _tls(self) -> ssl.SSLContext:
        if self._url.startswith("https:"):
            return ssl.create_default_context(cafile=self._ca_file)
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def payload(event: GateEvent, variant: str) -> dict[str, object]:
    """The JSON that is posted; `text` is for people, and where chat services look. Times are ISO 8601 in UTC."""
    return {
        "event": f"quota_{event.kind.value}",
        "window": event.window,
        "at": _iso(event.at),
        "resets_at": None if event.resets_at is None else _iso(event.resets_at),
        "variant": variant,
        "text": _text(event),
    }


def _text(event: GateEvent) -> str:
    name = spoken(event.window)
    if event.kind is EventKind.OPEN_AGAIN:
        return f"zai-proxy: the {name} quota of the Z.AI plan is there again, requests go on."
    if event.resets_at is None:
        return f"zai-proxy: the {name} quota of the Z.AI plan is used up; when it resets is not known yet."
    left = duration(event.resets_at - event.at)
    return f"zai-proxy: the {name} quota of the Z.AI plan is used up until {_iso(event.resets_at)}, in {left}."


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
