"""What a running proxy tells of the requests that have ended in the last minutes: what its feed replays."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Final

import httpx
from pydantic import SecretStr

from extproc.domain.diagnosis import RECENT_MINUTES, RecentRequest
from extproc.domain.request.routes import classify

# A busy proxy is never silent.
_LONGEST: Final = 3.0
# The replay comes at once; behind it the feed says nothing until a request ends.
_SILENCE: Final = 1.0
_DATA: Final = "data: "


async def recent_requests(metrics_url: str, admin_token: SecretStr | None) -> list[RecentRequest] | None:
    """Those of the last RECENT_MINUTES, of the last 2,000; None if the proxy does not tell them. Probes are none."""
    headers = {} if admin_token is None else {"authorization": f"Bearer {admin_token.get_secret_value()}"}
    timeout = httpx.Timeout(_SILENCE)
    lines: list[str] | None = None
    now = time.time()
    try:
        async with (
            asyncio.timeout(_LONGEST),
            httpx.AsyncClient(timeout=timeout, trust_env=False) as client,
            client.stream("GET", f"{metrics_url}/requests", headers=headers) as answer,
        ):
            answer.raise_for_status()
            lines = []
            async for line in answer.aiter_lines():
                lines.append(line)
    except (httpx.ReadTimeout, TimeoutError):
        pass  # so a feed ends for whoever wants no more than its replay
    except httpx.HTTPError:
        return None
    return None if lines is None else list(_read(lines, now - RECENT_MINUTES * 60))


def _read(lines: list[str], since: float) -> Iterator[RecentRequest]:
    for line in lines:
        if not line.startswith(_DATA):
            continue
        try:
            told = json.loads(line.removeprefix(_DATA))
            is_recent = float(told["started"]) + float(told["duration"]) >= since
            is_probe = classify(str(told["path"]), speaks_anthropic=False).is_probe
            request = RecentRequest(int(told["status"]), str(told["error"] or ""), str(told["refused"] or ""))
        except (ValueError, KeyError, TypeError):
            continue  # a gap, or of a proxy of another version
        if is_recent and not is_probe:
            yield request
