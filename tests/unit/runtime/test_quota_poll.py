"""The poller against a server that answers oddly, late or not at all; the good answers are in the integration tests."""

import gzip
import json
import time
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from extproc.domain.quota.windows import QuotaSample
from extproc.runtime.quota_poll import QuotaPoller, poll_delay
from tests.harness.processes import make_key
from tests.harness.waiting import eventually
from tests.unit.runtime.listener import Listener, http, listening, running

KEY = make_key()
SOON = 5.0


def body(percentage: float = 37, resets_at: float = 0.0) -> str:
    limit = {
        "type": "TOKENS_LIMIT",
        "unit": 3,
        "number": 5,
        "percentage": percentage,
        "nextResetTime": resets_at * 1000,
    }
    return json.dumps({"code": 200, "msg": "ok", "success": True, "data": {"level": "pro", "limits": [limit]}})


REFUSED = http('{"code":401,"msg":"token expired or incorrect","success":false}')


class Heard:
    """What a poller has reported."""

    def __init__(self) -> None:
        self.samples: list[QuotaSample] = []

    def take(self, sample: QuotaSample, _now: float) -> None:
        self.samples.append(sample)


def poller(
    listener: Listener,
    heard: Heard,
    key: Callable[[], str | None] = lambda: KEY,
    interval: float = 60.0,
    timeout: float = 2.0,
) -> QuotaPoller:
    return QuotaPoller(listener.url, key, on_sample=heard.take, interval=interval, timeout=timeout)


async def poll_once(
    *answers: bytes | None, timeout: float = 2.0, key: str = KEY
) -> tuple[QuotaPoller, Listener, Heard]:
    """Polls until one has ended, against a server that gives these answers."""
    heard = Heard()
    async with listening(*answers) as listener:
        asking = poller(listener, heard, lambda: key, timeout=timeout)
        async with running(asking.run):
            await eventually(lambda: sum(asking.counts.values()), lambda polls: polls == 1, within=SOON)
    return asking, listener, heard


async def test_a_report_is_passed_on_with_when_it_was_asked_for() -> None:
    before = time.time()
    asking, listener, heard = await poll_once(http(body()))

    [sample] = heard.samples

    assert before <= sample.asked_at <= time.time()
    assert sample.age(sample.asked_at + 90) == pytest.approx(90)
    assert sample.report.model_windows["five_hour"].used_ratio == 0.37
    assert asking.counts == {"success": 1, "error": 0, "malformed": 0, "stale": 0}
    assert listener.requests[0].startswith("GET /api/monitor/usage/quota/limit HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (http("<html>blocked</html>"), "malformed"),
        (http(b" " * 70_000 + body().encode()), "malformed"),
        (http(gzip.compress(body().encode()), 200, "content-encoding: gzip"), "malformed"),
        (http("", 502), "error"),
        (http("", 302, "location: http://127.0.0.1:9/"), "error"),
        (b"no HTTP at all\r\n\r\n", "error"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{", "error"),
        (b"", "error"),
    ],
)
async def test_an_answer_that_is_no_report_is_counted_and_nothing_is_passed_on(answer: bytes, result: str) -> None:
    asking, _, heard = await poll_once(answer)

    assert asking.counts[result] == 1
    assert heard.samples == []


async def test_a_server_that_stays_silent_is_given_up() -> None:
    asking, _, _ = await poll_once(None, timeout=0.2)

    assert asking.counts["error"] == 1


async def test_a_refused_form_of_the_key_makes_way_for_the_next_one() -> None:
    _, listener, heard = await poll_once(REFUSED, REFUSED, REFUSED, http(body()))

    asked = [(request.split()[1], "authorization: Bearer " in request) for request in listener.requests]
    assert asked == [
        ("/api/monitor/usage/quota/limit", False),
        ("/api/monitor/usage/quota/limit", True),
        ("/api/monitor/usage", False),
        ("/api/monitor/usage", True),
    ]
    assert len(heard.samples) == 1


async def test_the_form_that_was_taken_is_asked_in_again() -> None:
    heard = Heard()
    async with listening(REFUSED, http(body())) as listener:
        asking = poller(listener, heard, interval=0.05)
        async with running(asking.run):
            await eventually(lambda: asking.counts["success"], lambda polls: polls >= 2, within=SOON)

    assert all("authorization: Bearer " in request for request in listener.requests[1:])


async def test_a_server_that_fails_is_not_asked_in_every_form() -> None:
    _, listener, _ = await poll_once(http("", 503))

    assert len(listener.requests) == 1


async def test_without_a_key_nobody_is_asked() -> None:
    keys: list[str | None] = [None]
    heard = Heard()
    async with listening(http(body())) as listener:
        asking = poller(listener, heard, key=lambda: keys.pop(0) if keys else KEY)
        async with running(asking.run):
            asking.trigger()
            await eventually(lambda: len(keys), lambda left: left == 0, within=SOON)
            assert listener.requests == []
            await eventually(lambda: len(heard.samples), lambda samples: samples == 1, within=SOON)


async def test_a_trigger_asks_at_once_and_many_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extproc.runtime.quota_poll._TRIGGER_SPACING", 0.3)
    heard = Heard()
    async with listening(http(body())) as listener:
        asking = poller(listener, heard)
        async with running(asking.run):
            await eventually(lambda: len(heard.samples), lambda samples: samples == 1, within=SOON)
            for _ in range(50):
                asking.trigger()
            await eventually(lambda: len(heard.samples), lambda samples: samples == 2, within=SOON)

    assert len(listener.requests) == 2
    assert heard.samples[1].asked_at - heard.samples[0].asked_at >= 0.25


async def test_a_report_of_a_period_that_is_over_is_stale_unless_it_insists() -> None:
    now = time.time()
    new, old = http(body(1, resets_at=now + 18_000)), http(body(90, resets_at=now + 600))
    heard = Heard()
    async with listening(new, old, old, new, old) as listener:
        asking = poller(listener, heard, interval=0.05)
        async with running(asking.run):
            await eventually(lambda: len(heard.samples), lambda samples: samples == 3, within=SOON)

    assert [round((s.report.model_windows["five_hour"].used_ratio or 0) * 100) for s in heard.samples] == [1, 1, 90]
    assert asking.counts["stale"] == 4


async def test_failures_pass_nothing_on_so_that_the_last_good_report_stands() -> None:
    heard = Heard()
    async with listening(http(body()), http("", 500)) as listener:
        asking = poller(listener, heard, interval=0.05)
        async with running(asking.run):
            await eventually(lambda: asking.counts["error"], lambda errors: errors >= 2, within=SOON)

    assert len(heard.samples) == 1


def test_polls_that_fail_come_ever_more_seldom_but_at_least_every_quarter_of_an_hour() -> None:
    assert [poll_delay(60, failures, 0) for failures in (0, 1, 2, 3, 4, 10_000)] == [60, 120, 240, 480, 900, 900]
    assert poll_delay(3600, 3, 0) == 3600


def test_polls_are_spread_by_a_tenth() -> None:
    assert [poll_delay(60, 0, spread) for spread in (-1, 0, 1)] == pytest.approx([54, 60, 66])


@pytest.mark.parametrize(
    "answer",
    [
        http(json.dumps({"code": 401, "msg": f"key {KEY} is unknown", "success": False})),
        http("", 500),
        b"?\r\n\r\n",
        b"",
    ],
)
async def test_the_key_is_in_no_log_line(answer: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    with capture_logs() as lines:
        await poll_once(answer)

    assert lines[0]["event"] == "the quota is unknown for now: the monitor API gives no report"
    printed = capsys.readouterr()
    assert KEY not in f"{lines}{printed.out}{printed.err}"


@pytest.mark.parametrize("short", ["1", "3", "limits", "li"])
async def test_a_short_key_spoils_no_report_and_no_message(short: str) -> None:
    _, _, heard = await poll_once(http(body()), key=short)
    with capture_logs() as lines:
        told = json.dumps({"code": 401, "msg": f"13 windows, key {short} is unlimited", "success": False})
        await poll_once(http(told), key=short)

    assert heard.samples[0].report.model_windows["five_hour"].used_ratio == 0.37
    assert lines[0]["why"] == "401: 13 windows, key *** is unlimited"


async def test_a_key_that_no_header_can_hold_is_an_error_and_is_not_shown() -> None:
    heard = Heard()
    with capture_logs() as lines:
        async with listening(http(body())) as listener:
            asking = poller(listener, heard, key=lambda: f"{KEY}\n")
            async with running(asking.run):
                await eventually(lambda: asking.counts["error"], lambda errors: errors == 1, within=SOON)

    assert KEY not in str(lines)


async def test_failure_and_recovery_are_logged_once_each() -> None:
    failing = http("", 500)
    with capture_logs() as lines:
        async with listening(failing, failing, failing, http(body())) as listener:
            asking = poller(listener, Heard(), interval=0.02)
            async with running(asking.run):
                await eventually(lambda: asking.counts["success"], lambda polls: polls >= 2, within=SOON)

    assert [line["log_level"] for line in lines] == ["warning", "info"]
    assert lines[1]["failed_polls"] == 3
