"""Spans on their way to a collector, whatever the collector does with them."""

import asyncio
import gzip
import logging
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from extproc.runtime.span_exporter import Collector, SpanExporter, post
from tests.harness.certificates import Authority
from tests.harness.waiting import eventually
from tests.unit.runtime.listener import Listener, http, listening, running

AT_ONCE = (0.0, 0.0, 0.0, 0.0)
SECRET = {"authorization": "Bearer collector-secret"}


def exporter(url: str, rejected: int = 0, **options: Any) -> SpanExporter:
    """One that makes a message of spans by putting spaces between them."""

    def batch(spans: Sequence[bytes]) -> bytes:
        return b" ".join(spans)

    collector = Collector(f"{url}/v1/traces?token=url-secret", lambda: SECRET)
    return SpanExporter(collector, batch, lambda _: rejected, **{"gathering": 0.0, "waits": AT_ONCE} | options)


def bodies(listener: Listener) -> list[str]:
    return [request.partition("\r\n\r\n")[2] for request in listener.requests]


async def all_decided(spans: SpanExporter, number: int) -> None:
    await eventually(lambda: sum(spans.counts.values()), lambda count: count == number)


async def test_spans_are_posted_with_the_headers_that_the_collector_wants() -> None:
    async with listening(http()) as listener:
        spans = exporter(listener.url)
        async with running(spans.run):
            spans.put([b"a", b"b"])
            await all_decided(spans, 2)

    head = listener.requests[0].lower()
    assert head.startswith("post /v1/traces?token=url-secret http/1.1\r\n")
    assert "authorization: bearer collector-secret\r\n" in head
    assert "content-type: application/x-protobuf\r\n" in head
    assert bodies(listener) == ["a b"]
    assert spans.counts == {"sent": 2, "rejected": 0, "failed": 0, "dropped": 0}
    assert spans.waiting == 0


async def test_what_is_compressed_says_so() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, stream=httpx.ByteStream(b""))

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        await post(client, Collector("http://collector/v1/traces", dict, compresses=True), b"spans" * 1000)

    assert seen[0].headers["content-encoding"] == "gzip"
    assert len(seen[0].content) < 1000
    assert gzip.decompress(seen[0].content) == b"spans" * 1000


async def test_a_message_takes_as_long_as_the_collector_gets() -> None:
    async with listening(None) as listener:
        collector = Collector(listener.url, dict, timeout=0.05)
        async with collector.client() as client:
            reply = await post(client, collector, b"spans")

    assert "Timeout" in reply.problem
    assert not reply.is_final


async def test_what_comes_together_goes_together_512_at_a_time() -> None:
    async with listening(http()) as listener:
        spans = exporter(listener.url, gathering=60.0)
        async with running(spans.run):
            spans.put([b"x"] * 1100)
            await eventually(lambda: spans.counts["sent"], lambda sent: sent == 1024)
            await spans.flush(30.0)

    assert [len(body.split()) for body in bodies(listener)] == [512, 512, 76]


@pytest.mark.parametrize("passing", [http("", 503), http("", 429), http("", 502), http("", 504), b""])
async def test_what_may_pass_is_tried_again(passing: bytes) -> None:
    async with listening(passing, passing, passing, passing, http()) as listener:
        spans = exporter(listener.url)
        async with running(spans.run):
            spans.put([b"a"])
            await all_decided(spans, 1)

    assert bodies(listener) == ["a"] * 5
    assert spans.counts["sent"] == 1


@pytest.mark.parametrize(
    "final", [http("", 400), http("", 401), http("", 404), http("", 500), http("", 302, "location: /")]
)
async def test_a_refusal_is_the_last_word(final: bytes) -> None:
    async with listening(final) as listener:
        spans = exporter(listener.url)
        async with running(spans.run):
            spans.put([b"a"])
            await all_decided(spans, 1)

    assert len(listener.requests) == 1
    assert spans.counts["failed"] == 1


async def test_after_five_attempts_a_message_is_given_up_and_the_next_one_goes() -> None:
    async with listening(*[http("", 503)] * 5, http()) as listener:
        spans = exporter(listener.url)
        async with running(spans.run):
            spans.put([b"a"])
            await all_decided(spans, 1)
            spans.put([b"b"])
            await all_decided(spans, 2)

    assert bodies(listener) == ["a"] * 5 + ["b"]
    assert (spans.counts["failed"], spans.counts["sent"]) == (1, 1)


async def test_a_collector_that_says_when_is_not_asked_before() -> None:
    async with listening(http("", 503, "retry-after: 3600"), http()) as listener:
        spans = exporter(listener.url)
        async with running(spans.run):
            spans.put([b"a"])
            await eventually(lambda: len(listener.requests), lambda asked: asked == 1)
            await spans.flush(30.0)  # what waits is tried once more at the end

    assert spans.counts["sent"] == 1
    assert len(listener.requests) == 2


async def test_what_a_collector_has_not_kept_is_counted_however_much_it_says() -> None:
    async with listening(http()) as listener:
        some, lied = exporter(listener.url, rejected=1), exporter(listener.url, rejected=10**12)
        async with running(some.run), running(lied.run):
            for spans in (some, lied):
                spans.put([b"a", b"b"])
                await all_decided(spans, 2)

    assert (some.counts["sent"], some.counts["rejected"]) == (1, 1)
    assert (lied.counts["sent"], lied.counts["rejected"]) == (0, 2)


async def test_an_answer_without_an_end_is_no_trouble() -> None:
    endless = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\n\r\n" + b"\x00" * 1_000_000

    async with listening(endless) as listener:
        spans = exporter(listener.url, rejected=1)
        async with running(spans.run):
            spans.put([b"a", b"b"])
            await all_decided(spans, 2)


async def test_while_a_collector_hangs_what_is_held_has_a_bound_and_the_oldest_go() -> None:
    async with listening(None) as listener:
        spans = exporter(listener.url, most_held=1000)
        async with running(spans.run):
            spans.put([b"first"])
            await eventually(lambda: len(listener.requests), lambda asked: asked == 1)
            for number in range(500):
                spans.put([f"{number:010}".encode()])

            assert spans.waiting == 1 + 100
            assert spans.counts["dropped"] == 400
            assert bytes(spans._held[0]) == b"0000000400"


async def test_the_end_waits_two_seconds_for_a_collector_that_hangs_and_no_longer() -> None:
    async with listening(None) as listener:
        spans = exporter(listener.url)
        async with running(spans.run):
            spans.put([b"a"])
            await eventually(lambda: len(listener.requests), lambda asked: asked == 1)
            with capture_logs() as logged:
                await asyncio.wait_for(spans.flush(0.05), 30.0)

    assert [line["spans"] for line in logged] == [1]


async def test_at_the_end_nothing_is_tried_twice() -> None:
    async with listening(http("", 503)) as listener:
        spans = exporter(listener.url, waits=(3600.0,))
        async with running(spans.run):
            spans.put([b"a"])
            await spans.flush(30.0)

    assert 1 <= len(listener.requests) <= 2
    assert spans.counts["failed"] == 1


async def test_without_spans_the_end_waits_for_nothing() -> None:
    spans = exporter("http://127.0.0.1:1")

    async with running(spans.run):
        await asyncio.wait_for(spans.flush(3600.0), 30.0)


async def test_trouble_is_told_once_and_its_end_once_and_neither_tells_a_secret(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    async with listening(*[http("", 401)] * 3, http()) as listener:
        spans = exporter(listener.url)
        with capture_logs() as logged:
            async with running(spans.run):
                for number in range(1, 6):
                    spans.put([b"a"])
                    await all_decided(spans, number)

    assert [(line["log_level"], line.get("why")) for line in logged] == [("warning", "HTTP 401"), ("info", None)]
    assert logged[1]["lost"] == 3
    assert "secret" not in f"{logged}{caplog.text}"


async def test_what_a_second_attempt_heals_is_no_news() -> None:
    async with listening(http("", 503), http()) as listener:
        spans = exporter(listener.url)
        with capture_logs() as logged:
            async with running(spans.run):
                spans.put([b"a"])
                await all_decided(spans, 1)

    assert logged == []


async def test_a_collector_that_is_not_there_costs_the_spans_and_nothing_else() -> None:
    spans = exporter("http://127.0.0.1:1")

    async with running(spans.run):
        spans.put([b"a"])
        await all_decided(spans, 1)

    assert spans.counts["failed"] == 1


async def test_a_certificate_is_checked_against_the_given_authority(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ours")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*authority.issue("127.0.0.1"))
    async with listening(http(), tls=server) as listener:
        trusting = SpanExporter(
            Collector(listener.url, dict, ca_file=authority.certificate_file),
            b"".join,
            lambda _: 0,
            gathering=0.0,
            waits=AT_ONCE,
        )
        wary = exporter(listener.url)
        async with running(trusting.run), running(wary.run):
            for spans in (trusting, wary):
                spans.put([b"a"])
                await all_decided(spans, 1)

    assert (trusting.counts["sent"], wary.counts["failed"]) == (1, 1)
