"""The metrics port: probes, metrics and status for all, the feed and the end of a request for the owner."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.unit.domain.usage.test_outcome import FINISHED
from tests.unit.transport.envoy_side import Envoy, envoy

TOKEN = "a-token-of-the-admin"


@asynccontextmanager
async def asking(side: Envoy, peer: str = "127.0.0.1", host: str = "127.0.0.1") -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who asks from this address, for a host of this name."""
    transport = httpx.ASGITransport(side.proxy.app, client=(peer, 50_000))
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}:9090") as client:
        yield client


@pytest.mark.parametrize("path", ["/healthz", "/health"])
async def test_it_lives_while_it_stops_and_is_ready_until_then(path: str) -> None:
    async with envoy() as side, asking(side) as client:
        assert ((await client.get(path)).status_code, (await client.get("/readyz")).status_code) == (200, 200)

        side.proxy.service.stop()

        assert ((await client.get(path)).status_code, (await client.get("/readyz")).status_code) == (200, 503)


@pytest.mark.parametrize("path", ["/healthz/", "/health/", "/readyz/", "/metrics/", "/status/"])
async def test_a_slash_at_the_end_means_the_same(path: str) -> None:
    async with envoy() as side, asking(side) as client:
        assert (await client.get(path)).status_code == 200


async def test_metrics_come_in_the_form_that_is_asked_for_with_the_variant() -> None:
    async with envoy(deployment_variant="canary") as side, asking(side) as client:
        await side.ask()
        plain = await client.get("/metrics")
        open_metrics = await client.get("/metrics", headers={"accept": "application/openmetrics-text"})

    assert 'zai_proxy_concurrent_requests{variant="canary"} 1.0' in plain.text
    assert plain.headers["content-type"].startswith("text/plain")
    assert open_metrics.headers["content-type"].startswith("application/openmetrics-text")
    assert open_metrics.text.endswith("# EOF\n")


async def test_status_tells_what_runs_and_what_waits_to_anybody() -> None:
    async with envoy(concurrency_limit_initial=1) as side, asking(side, peer="203.0.113.9") as client:
        first, _ = await side.ask(), await side.queue()
        page = (await client.get("/status")).json()

    assert [each["id"] for each in page["requests"]] == [first.noted["id"]]
    assert len(page["waiting"]) == page["pacing"]["waiting"]["main"] == 1
    assert (page["workers"]["max"], page["workers"]["draining"]) == (20, False)
    assert page["settings"]["ZAI_API_KEY"] == "***"


@pytest.mark.parametrize(
    ("peer", "host", "headers", "status"),
    [
        ("127.0.0.1", "127.0.0.1", {}, 202),
        ("::1", "localhost", {}, 202),
        ("203.0.113.9", "proxy.example", {}, 403),
        ("127.0.0.1", "rebound.example", {}, 403),
        ("127.0.0.1", "127.0.0.1", {"origin": "https://a.page"}, 403),
        ("127.0.0.1", "127.0.0.1", {"host": "a.page:99999"}, 403),
        ("127.0.0.1", "127.0.0.1", {"host": "[::1"}, 403),
    ],
)
async def test_without_a_token_only_a_program_on_this_machine_may_end_a_request(
    peer: str, host: str, headers: dict[str, str], status: int
) -> None:
    async with envoy() as side, asking(side, peer, host) as client:
        stream = await side.ask()
        answer = await client.post(f"/requests/{stream.noted['id']}/cancel", headers=headers)

        assert answer.status_code == status
        assert (len(stream.answers) == 2) is (status == 202)


@pytest.mark.parametrize(
    ("authorization", "status"),
    [(f"Bearer {TOKEN}", 202), (f"bearer {TOKEN}", 202), ("Bearer another", 401), (TOKEN, 401), ("", 401)],
)
async def test_with_a_token_only_its_holder_may_wherever_it_is(authorization: str, status: int) -> None:
    async with envoy(admin_token=TOKEN) as side, asking(side, "203.0.113.9", "proxy.example") as client:
        stream = await side.ask()
        headers = {"authorization": authorization}
        answer = await client.post(f"/requests/{stream.noted['id']}/cancel", headers=headers)

    assert answer.status_code == status
    assert answer.headers.get("www-authenticate") == ("Bearer" if status == 401 else None)


@pytest.mark.parametrize(("asker", "slowed"), [("127.0.0.1", "203.0.113.7"), ("203.0.113.9", "203.0.113.9")])
async def test_only_envoy_says_who_asks_for_metrics_on_the_client_port(tmp_path: Path, asker: str, slowed: str) -> None:
    file = tmp_path / "tokens.json"
    file.write_text('{"clients": []}')
    async with envoy(client_tokens_file=file) as side, asking(side, peer=asker) as client:
        answer = await client.get("/metrics", headers={"x-zai-client-address": "203.0.113.7"})

        assert answer.status_code == 401
        assert list(side.proxy.service.clients._wrong._tries) == [slowed]


async def test_a_request_that_does_not_run_cannot_be_ended() -> None:
    async with envoy() as side, asking(side) as client:
        assert (await client.post("/requests/never-was/cancel")).status_code == 404
        assert (await client.get("/requests/never-was/cancel")).status_code == 405


def data_of(text: str) -> list[Any]:
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]


async def test_the_feed_is_for_the_owner_and_goes_on_where_it_was_left() -> None:
    async with envoy() as side:
        side.proxy.service.recorder.record(FINISHED)
        side.proxy.service.recorder.record(FINISHED)
        side.proxy.service.feed.close()  # or reading it would never end
        first = f"{side.processor.run_id}-1"
        async with asking(side) as client:
            whole = await client.get("/requests")
            rest = await client.get("/requests", headers={"last-event-id": first})
            by_query = await client.get("/requests", params={"since": first})
        async with asking(side, "203.0.113.9") as stranger:
            refused = await stranger.get("/requests")

    assert [len(data_of(answer.text)) for answer in (whole, rest, by_query)] == [2, 1, 1]
    assert whole.headers["content-type"].startswith("text/event-stream")
    assert whole.headers["cache-control"] == "no-store"
    assert refused.status_code == 403


async def test_there_is_a_503_for_one_reader_too_many() -> None:
    async with envoy() as side, asking(side) as client:
        _readers = [side.proxy.service.feed.events("") for _ in range(32)]

        assert (await client.get("/requests")).status_code == 503
