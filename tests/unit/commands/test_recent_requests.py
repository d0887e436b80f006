"""What is read of a running proxy's feed: how the requests of the last minutes have ended."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from pydantic import SecretStr

from extproc.commands.recent_requests import recent_requests
from extproc.domain.diagnosis import RecentRequest
from extproc.domain.usage.log_entry import Ending, EntryKind, LogEntry
from tests.harness.proxy_in_process import ProxyInProcess
from tests.unit.runtime.listener import http, listening


@asynccontextmanager
async def serving(proxy: ProxyInProcess) -> AsyncIterator[str]:
    """Its metrics port, on a free port of this machine."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(proxy.app, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
    task = asyncio.create_task(server.serve([listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


def end(proxy: ProxyInProcess, status: int, ago: float = 0.0, path: str = "/v1/messages", **fields: Any) -> None:
    """A request has ended so many seconds ago."""
    entry = LogEntry(EntryKind.REQUEST, "POST", path, "r", time.time() - ago, status=status, path_label=path, **fields)
    proxy.service.recorder.record(entry)


async def test_requests_of_the_last_minutes_are_told_as_they_ended() -> None:
    proxy = ProxyInProcess()
    end(proxy, 503, ending=Ending.NO_UPSTREAM_REQUEST)
    end(proxy, 503, refused="capacity")

    async with serving(proxy) as url:
        told = await recent_requests(url, None)

    assert told == [RecentRequest(503, "request_creation"), RecentRequest(503, refused="capacity")]


async def test_what_ended_long_ago_and_what_machines_ask_for_is_left_out() -> None:
    proxy = ProxyInProcess()
    end(proxy, 503, ago=601, refused="capacity")
    end(proxy, 200, path="/health")
    end(proxy, 503, ago=900, duration=400.0, refused="draining")

    async with serving(proxy) as url:
        told = await recent_requests(url, None)

    assert told == [RecentRequest(503, refused="draining")]


async def test_a_proxy_with_a_token_tells_only_who_has_it() -> None:
    proxy = ProxyInProcess(admin_token="a" * 32)
    end(proxy, 503, refused="capacity")

    async with serving(proxy) as url:
        told = [await recent_requests(url, token) for token in (None, SecretStr("a" * 32))]

    assert told == [None, [RecentRequest(503, refused="capacity")]]


async def test_what_is_no_feed_tells_of_no_request() -> None:
    gap, odd = 'event: gap\ndata: {"lost": 2}\n\n', 'data: [1]\n\ndata: "x"\n\ndata: {\n\n'
    async with listening(http(gap + odd + json.dumps({}))) as proxy:
        assert await recent_requests(proxy.url, None) == []
    assert await recent_requests("http://127.0.0.1:9", None) is None
