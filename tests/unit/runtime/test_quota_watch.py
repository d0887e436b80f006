"""The quota's gate as requests meet it, and what it learns from how they end."""

import asyncio
import contextlib
import time
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from extproc.domain.quota.gate import EventKind
from extproc.domain.quota.windows import QuotaReport, QuotaSample
from extproc.domain.request.business_codes import TABLE
from extproc.domain.request.exchange import Exchange
from extproc.domain.request.priority import Lane
from extproc.domain.request.refusals import RefusalReason
from extproc.domain.request.routes import Route, classify
from extproc.domain.usage.failure import Failure
from extproc.domain.usage.log_entry import NOTHING_READ, EntryKind
from extproc.domain.usage.outcome import Outcome, interpret
from extproc.domain.usage.price_file import packaged_prices, parse_price_table
from extproc.domain.usage.token_estimates import TokenEstimator
from extproc.runtime import quota_watch
from extproc.runtime.quota_watch import QuotaWatch
from extproc.settings import Settings
from tests.harness.processes import make_key
from tests.harness.waiting import eventually
from tests.unit.domain.quota.windows import credit_window
from tests.unit.domain.usage.test_outcome import FINISHED

SOON = 10.0
MESSAGES = classify("/v1/messages", speaks_anthropic=False)
TOOL = classify("/api/mcp/zread/mcp", speaks_anthropic=False)
CHAT = classify("/v1/chat/completions", speaks_anthropic=False)
PRICES = parse_price_table(packaged_prices())


def watch(**settings: Any) -> QuotaWatch:
    return QuotaWatch(Settings(zai_api_key=make_key(), **settings), lambda: "a-key")


def exchange(number: int = 1, lane: Lane = Lane.MAIN) -> Exchange:
    return Exchange(f"x-{number}", f"r-{number}", "POST", "/v1/messages", "source-07", time.time(), lane=lane)


def refused(code: str = "1308", number: int = 1, route: Route = MESSAGES) -> Failure:
    entry = replace(
        FINISHED, kind=EntryKind.FAILED_ATTEMPT, exchange_id=f"x-{number}", started=time.time(), status=429,
        business_code=code, answer=NOTHING_READ, first_byte=0.0,
    )  # fmt: skip
    return Failure(entry, route, entry.exchange_id, TABLE[code], is_answer=True)


def ended(number: int = 1, **fields: Any) -> Outcome:
    return interpret(replace(FINISHED, exchange_id=f"x-{number}", **fields), TokenEstimator(), PRICES)


def enters(quota: QuotaWatch, number: int = 1, route: Route = MESSAGES, lane: Lane = Lane.MAIN) -> bool:
    with quota.enter(exchange(number, lane), route) as refusal:
        return refusal is None


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> "Clock":
    return Clock(monkeypatch)


class Clock:
    """The time of day, as far as the watch sees it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = time.time()
        monkeypatch.setattr(quota_watch.time, "time", lambda: self.now)


def test_a_used_up_window_refuses_what_is_paid_from_it() -> None:
    quota = watch()
    assert enters(quota)
    quota.take_failure(refused())

    with quota.enter(exchange(2), MESSAGES) as refusal:
        assert refusal is not None
        assert (refusal.reason, refusal.status) == (RefusalReason.QUOTA, 429)
    assert enters(quota, 3, TOOL)


def test_without_the_gate_nothing_is_refused() -> None:
    quota = watch(quota_gate=False)
    quota.take_failure(refused())

    assert enters(quota, 2)


@pytest.mark.parametrize(("base", "is_let_in"), [("/api/coding/paas/v4", False), ("/api/paas/v4", True)])
def test_where_openai_clients_go_says_what_pays_for_them(base: str, is_let_in: bool) -> None:
    quota = watch(zai_openai_base_path=base)
    quota.take_failure(refused())

    assert enters(quota, 2, CHAT) is is_let_in


def test_who_has_waited_meets_a_gate_that_has_closed_meanwhile() -> None:
    quota = watch()
    waiting = exchange()
    with quota.enter(waiting, MESSAGES) as refusal:
        assert refusal is None
        assert quota.look_again(waiting, MESSAGES) is None

        quota.take_failure(refused(number=2))

        again = quota.look_again(waiting, MESSAGES)
        assert again is not None
        assert again.reason is RefusalReason.QUOTA
        assert quota.look_again(waiting, TOOL) is None


def test_a_probe_that_fails_within_makes_room_for_the_next(clock: Clock) -> None:
    quota = watch()
    quota.take_failure(refused())
    clock.now += 31
    with contextlib.suppress(RuntimeError), quota.enter(exchange(2), MESSAGES) as refusal:
        assert refusal is None
        assert not enters(quota, 3)  # one at a time
        raise RuntimeError

    clock.now += 31
    assert enters(quota, 4)


def test_a_long_answer_opens_the_gate_before_it_has_ended(clock: Clock) -> None:
    quota = watch()
    quota.take_failure(refused())
    clock.now += 31

    with quota.enter(exchange(2), MESSAGES):
        quota.take_progress(replace(FINISHED, kind=EntryKind.PROGRESS, exchange_id="x-2"))

        assert enters(quota, 3)


def test_an_answer_to_somebody_else_opens_nothing(clock: Clock) -> None:
    quota = watch()
    quota.take_failure(refused())
    clock.now += 1

    quota.take_outcome(ended(2))

    assert not enters(quota, 3)


def test_the_probes_answer_opens_the_gate(clock: Clock) -> None:
    quota = watch()
    quota.take_failure(refused())
    clock.now += 31
    assert enters(quota, 2)

    quota.take_outcome(ended(2))

    assert enters(quota, 3)


@pytest.mark.parametrize(
    "failure",
    [refused(route=TOOL), refused("1302"), replace(refused(), is_answer=False)],
    ids=["of a tool", "too many at once", "no answer"],
)
def test_what_says_nothing_of_the_windows_closes_nothing(failure: Failure) -> None:
    quota = watch()
    quota.take_failure(failure)

    assert quota.snapshot().closures == ()


def test_a_report_is_wanted_when_the_gate_closes_and_not_again_while_it_is_closed() -> None:
    quota = watch()
    quota.take_failure(refused())
    assert quota._poller._wanted.is_set()

    quota._poller._wanted.clear()
    quota.take_failure(refused(number=2))

    assert not quota._poller._wanted.is_set()


def reported(used: float) -> QuotaSample:
    """A report of now; the credits that were used are in the five hours."""
    window = replace(credit_window(used), resets_at=time.time() + 3600)
    return QuotaSample(QuotaReport("max", (window,)), time.time())


def test_what_requests_cost_is_compared_with_what_the_plan_charges(clock: Clock) -> None:
    quota = watch()
    quota.quota.take_sample(reported(100), clock.now)
    outcome = ended(1, started=clock.now)
    assert outcome.usage is not None
    assert outcome.usage.credits is not None

    quota.take_outcome(outcome)
    quota.take_outcome(replace(outcome, route=TOOL))
    quota.take_outcome(replace(outcome, entry=replace(outcome.entry, refused="capacity")))
    quota.quota.take_sample(reported(110), clock.now)

    (comparison,) = quota.snapshot().comparisons
    assert (comparison.charged, comparison.counted) == (10, pytest.approx(outcome.usage.credits))


def test_the_reserve_is_kept_for_main_conversations() -> None:
    quota = watch(quota_reserve=10)
    quota.quota.take_sample(reported(1900), time.time())

    assert enters(quota, 1, lane=Lane.MAIN)
    assert not enters(quota, 2, lane=Lane.BACKGROUND)


def test_every_lane_may_use_all_while_no_pilot_steers() -> None:
    assert watch().lane_shares() == dict.fromkeys(Lane, 1.0)


async def told(quota: QuotaWatch, monkeypatch: pytest.MonkeyPatch) -> list[EventKind]:
    """What the webhook is told, once the log has the event."""
    heard: list[EventKind] = []
    assert quota._webhook is not None
    monkeypatch.setattr(quota._webhook, "tell", lambda event: heard.append(event.kind))
    monkeypatch.setattr(quota_watch, "_EVENTS_SECONDS", 0.001)
    with capture_logs() as logged:
        running = asyncio.create_task(quota.run())
        await eventually(lambda: len(logged), lambda lines: lines > 0, within=SOON)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    assert [line["event_kind"] for line in logged] == ["closed"]
    return heard


async def test_one_of_those_that_share_a_plan_tells_the_webhook_and_all_log(monkeypatch: pytest.MonkeyPatch) -> None:
    for tells in (True, False):
        quota = watch(quota_webhook_url="http://127.0.0.1:9/", quota_poll_interval=0)
        quota.tells = lambda tells=tells: tells  # type: ignore[misc]
        quota.take_failure(refused())

        assert await told(quota, monkeypatch) == ([EventKind.CLOSED] if tells else [])
