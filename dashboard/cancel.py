"""Ending a running request, through the proxy that runs it."""

import asyncio
from enum import StrEnum
from typing import Final
from urllib.parse import quote

import httpx

from dashboard.addresses import beside
from dashboard.fetch import reason
from dashboard.parts import Parts
from dashboard.targets import Target

_LONGEST_ID: Final = 200


class Ending(StrEnum):
    """What became of the wish to end a request."""

    ENDED = "ended"
    UNKNOWN = "unknown"  # it runs no longer
    DENIED = "denied"  # the proxy wants another ADMIN_TOKEN
    UNANSWERED = "unanswered"


async def cancel(parts: Parts, request_id: str) -> tuple[Ending, str]:
    """What became of it, and why in words."""
    if not request_id.isprintable() or len(request_id) > _LONGEST_ID:
        return Ending.UNKNOWN, ""
    target = _runs_at(parts, request_id)
    if target is None:
        await parts.scraper.poll_status()
        target = _runs_at(parts, request_id)
    if target is None:
        return Ending.UNKNOWN, ""
    url = beside(target.address.url, f"requests/{quote(request_id, safe='')}/cancel")
    headers = parts.feeds.authorization()
    if target.address.host is not None:
        headers["host"] = target.address.host
    within = parts.settings.scrape_timeout
    try:
        async with asyncio.timeout(within):
            response = await parts.client.post(url, headers=headers, timeout=within)
    except (TimeoutError, httpx.HTTPError) as error:
        return Ending.UNANSWERED, reason(error)
    if response.is_success:
        return Ending.ENDED, ""
    if response.status_code == 404:
        return Ending.UNKNOWN, ""
    if response.status_code in (401, 403):
        return Ending.DENIED, ""
    return Ending.UNANSWERED, f"it answers {response.status_code}"


def _runs_at(parts: Parts, request_id: str) -> Target | None:
    for target in parts.scraper.targets:
        status = target.status
        if status is not None and any(each.id == request_id for each in (*status.running, *status.waiting)):
            return target
    return None
