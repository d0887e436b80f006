"""The webhook: told in order, tried again, and never in anybody's way."""

import json
import ssl
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from extproc.domain.quota.gate import EventKind, GateEvent
from extproc.runtime.quota_webhook import QuotaWebhook, payload
from tests.harness.certificates import Authority
from tests.harness.waiting import eventually
from tests.unit.domain.quota.windows import HOUR, NOON
from tests.unit.runtime.listener import http, listening, running

CLOSED = GateEvent(EventKind.CLOSED, "five_hour", NOON, NOON + 2.2 * HOUR)
OPEN_AGAIN = GateEvent(EventKind.OPEN_AGAIN, "five_hour", NOON + 2.2 * HOUR, None)
AT_ONCE = (0.0, 0.0, 0.0)


def sent(request: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(request.partition("\r\n\r\n")[2])
    return content


def test_what_is_posted_speaks_to_programs_and_people() -> None:
    assert payload(CLOSED, "canary") == {
        "event": "quota_closed",
        "window": "five_hour",
        "at": "2026-09-01T12:00:00Z",
        "resets_at": "2026-09-01T14:12:00Z",
        "variant": "canary",
        "text": "zai-proxy: the five-hour quota of the Z.AI plan is used up until 2026-09-01T14:12:00Z, in 2 h 12 min.",
    }
    assert payload(OPEN_AGAIN, "")["event"] == "quota_open_again"
    assert "requests go on" in str(payload(OPEN_AGAIN, "")["text"])


def test_a_reset_that_is_not_known_is_said_to_be_so() -> None:
    unknown = payload(GateEvent(EventKind.CLOSED, "weekly", NOON, None), "")

    assert unknown["resets_at"] is None
    assert "not known yet" in str(unknown["text"])


async def test_events_are_posted_in_order() -> None:
    async with listening(http("", 204)) as listener:
        webhook = QuotaWebhook(f"{listener.url}/hook", variant="canary")
        async with running(webhook.run):
            webhook.tell(CLOSED)
            webhook.tell(OPEN_AGAIN)
            await eventually(lambda: webhook.counts["sent"], lambda count: count == 2)

    assert [sent(request)["event"] for request in listener.requests] == ["quota_closed", "quota_open_again"]
    assert listener.requests[0].startswith("POST /hook HTTP/1.1\r\n")
    assert "authorization" not in listener.requests[0].lower()


@pytest.mark.parametrize("failing", [http("", 500), http("", 429), http("", 408), b""])
async def test_what_may_pass_is_tried_again(failing: bytes) -> None:
    async with listening(failing, failing, http("")) as listener:
        webhook = QuotaWebhook(listener.url, waits=AT_ONCE)
        async with running(webhook.run):
            webhook.tell(CLOSED)
            await eventually(lambda: webhook.counts["sent"], lambda count: count == 1)

    assert len(listener.requests) == 3


@pytest.mark.parametrize(("answer", "attempts"), [(http("", 500), 4), (http("", 404), 1), (http("", 302), 1)])
async def test_after_the_last_try_it_is_given_up_and_the_next_event_has_its_turn(answer: bytes, attempts: int) -> None:
    with capture_logs() as lines:
        async with listening(*[answer] * attempts, http("")) as listener:
            webhook = QuotaWebhook(f"{listener.url}/secret-token", waits=AT_ONCE)
            async with running(webhook.run):
                webhook.tell(CLOSED)
                webhook.tell(OPEN_AGAIN)
                await eventually(lambda: webhook.counts["sent"], lambda count: count == 1)

    assert webhook.counts == {"sent": 1, "failed": 1, "dropped": 0}
    assert sent(listener.requests[-1])["event"] == "quota_open_again"
    assert lines[0]["host"] == "127.0.0.1"
    assert "secret-token" not in str(lines)


async def test_over_tls_only_a_trusted_server_is_told(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*ours.issue("127.0.0.1"))
    async with listening(http(""), tls=tls) as listener:
        trusting = QuotaWebhook(listener.url, ca_file=ours.certificate_file)
        doubting = QuotaWebhook(listener.url, ca_file=theirs.certificate_file, waits=())
        async with running(trusting.run), running(doubting.run):
            doubting.tell(CLOSED)
            await eventually(lambda: doubting.counts["failed"], lambda count: count == 1)
            trusting.tell(CLOSED)
            await eventually(lambda: trusting.counts["sent"], lambda count: count == 1)

    assert len(listener.requests) == 1


async def test_a_url_that_takes_nothing_holds_nobody_up() -> None:
    webhook = QuotaWebhook("http://127.0.0.1:9/")

    for _ in range(1000):
        webhook.tell(CLOSED)

    assert webhook.counts["dropped"] == 1000 - 16
