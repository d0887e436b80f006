"""The poller, the gate and the books against the simulated Z.AI, over HTTP and over TLS."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from extproc.domain.quota.gate import EventKind
from extproc.domain.quota.quota import Quota, QuotaRules, QuotaSnapshot
from extproc.domain.request.priority import Lane
from extproc.domain.usage.prices import pricing_tier
from extproc.runtime.quota_poll import QuotaPoller
from tests.harness.certificates import Authority
from tests.harness.processes import make_key
from tests.harness.stack import PROMPT, Simulator
from tests.harness.waiting import eventually

pytestmark = pytest.mark.slow

KEY = make_key()
LIMIT_PATH = "/api/monitor/usage/quota/limit"
EVERY_FORM = ["credit", "legacy", "legacy_counts", "five_hour_only", "future"]


@pytest.fixture(scope="module")
def shared_simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    simulator = Simulator(tmp_path_factory.mktemp("quota"), KEY)
    yield simulator
    simulator.process.kill()


@pytest.fixture
def simulator(shared_simulator: Simulator) -> Simulator:
    shared_simulator.reset()
    shared_simulator.limit(
        five_hour_credits=2000, weekly_credits=10_000, monthly_calls=1000,
        five_hour_seconds=18_000, weekly_seconds=604_800,
        five_hour_used=740, weekly_used=5207, monthly_used=12,
    )  # fmt: skip
    return shared_simulator


class Polled:
    """A quota that is kept up to date by polls of a simulator."""

    def __init__(self, url: str, key: str = KEY, ca_file: Path | None = None, interval: float = 0.1) -> None:
        self.quota = Quota(QuotaRules())
        self.poller = QuotaPoller(
            url, lambda: key, on_sample=self.quota.take_sample, interval=interval, timeout=5, ca_file=ca_file
        )

    def snapshot(self) -> QuotaSnapshot:
        return self.quota.snapshot(time.time())

    async def until(self, holds: Callable[[QuotaSnapshot], bool]) -> QuotaSnapshot:
        return await eventually(self.snapshot, holds)

    async def after(self, polls: int = 2) -> QuotaSnapshot:
        """What is known once so many more polls have succeeded."""
        wanted = self.poller.counts["success"] + polls
        await eventually(lambda: self.poller.counts["success"], lambda count: count >= wanted)
        return self.snapshot()


@asynccontextmanager
async def polled(url: str, **settings: Any) -> AsyncIterator[Polled]:
    polled = Polled(url, **settings)
    polling = asyncio.create_task(polled.poller.run())
    try:
        yield polled
        assert not polling.done(), polling.exception()
    finally:
        polling.cancel()
        await asyncio.gather(polling, return_exceptions=True)


def ask(simulator: Simulator, **scenario: Any) -> httpx.Response:
    """A request as an Anthropic client sends it, past the proxy."""
    headers = {"x-api-key": KEY}
    if scenario:
        simulator.use(**scenario)
    return httpx.post(f"{simulator.url}/api/anthropic/v1/messages", json=PROMPT, headers=headers, timeout=10)


def used(snapshot: QuotaSnapshot) -> dict[str, float | None]:
    return {forecast.window.name: forecast.used for forecast in snapshot.forecasts}


@pytest.mark.parametrize("form", EVERY_FORM)
async def test_every_form_of_the_answer_is_understood(simulator: Simulator, form: str) -> None:
    simulator.use(quota_form=form)

    async with polled(simulator.url) as polling:
        seen = await polling.after(1)

    assert seen.sample is not None
    assert seen.sample.report.plan == "max"
    found = used(seen)
    assert found["five_hour"] == pytest.approx(0.37, abs=0.005)
    if form == "five_hour_only":
        assert found.keys() == {"five_hour"}
        return
    assert found["weekly"] == pytest.approx(0.52, abs=0.005)
    assert found["monthly"] == pytest.approx(0.012, abs=0.005)
    assert found.get("unit9-3") == (0.04 if form == "future" else None)
    resets = {f.window.name: f.resets_at for f in seen.forecasts}
    assert resets["five_hour"] == pytest.approx(time.time() + 18_000, abs=60)


async def test_windows_that_are_not_open_have_no_reset(simulator: Simulator) -> None:
    simulator.reset()

    async with polled(simulator.url) as polling:
        seen = await polling.after(1)

    assert [(f.used, f.resets_at) for f in seen.forecasts] == [(0.0, None)] * 3


async def test_polls_carry_the_key_and_cost_nothing(simulator: Simulator) -> None:
    async with polled(simulator.url) as polling:
        seen = await polling.after(3)

    entries = [entry for entry in simulator.log() if entry["path"].startswith(LIMIT_PATH)]
    assert len(entries) >= 3
    assert all(entry["credentials"]["authorization"] == "right key" for entry in entries)
    assert used(seen)["five_hour"] == pytest.approx(0.37, abs=0.001)


@pytest.mark.parametrize("refusals", [1, 2, 3])
async def test_a_key_that_one_form_refuses_is_tried_in_the_others(simulator: Simulator, refusals: int) -> None:
    rule = {"match": {"path": "/api/monitor/*", "nth": f"1-{refusals}"}, "answer": {"code": "401"}}
    simulator.use(rules=[rule])

    async with polled(simulator.url) as polling:
        await polling.after(2)

    asked = [entry["path"] for entry in simulator.log() if entry["path"].startswith("/api/monitor")]
    assert polling.poller.counts["error"] == 0
    assert asked[: refusals + 1] == ([LIMIT_PATH] * 2 + ["/api/monitor/usage"] * 2)[: refusals + 1]
    assert set(asked[refusals:]) == {asked[refusals]}


async def test_a_wrong_key_is_an_error_and_nothing_is_known(simulator: Simulator) -> None:
    async with polled(simulator.url, key=make_key()) as polling:
        await eventually(lambda: polling.poller.counts["error"], lambda errors: errors == 1)

    assert polling.snapshot().sample is None
    assert polling.quota.decide("x", Lane.MAIN, time.time()) is None


@pytest.mark.parametrize(
    ("scenario", "result"),
    [
        ({"code": "500", "status": 502, "envelope": "html"}, "error"),
        ({"code": "1305", "status": 200}, "error"),
        ({"envelope": "html", "status": 200}, "malformed"),
        ({"fault": "reset"}, "error"),
        ({"fault": "truncate"}, "error"),
        ({"fault": "malformed"}, "malformed"),
        ({"fault": "empty"}, "malformed"),
    ],
)
async def test_after_trouble_the_last_report_stays_and_new_ones_follow(
    simulator: Simulator, scenario: dict[str, Any], result: str
) -> None:
    async with polled(simulator.url) as polling:
        good = await polling.after(1)
        simulator.use(rules=[{"match": {"path": "/api/monitor/*"}, "answer": scenario}])
        await eventually(lambda: polling.poller.counts[result], lambda count: count >= 1)
        assert used(polling.snapshot()) == used(good)

        simulator.use()
        await polling.after(1)


async def test_a_used_up_window_closes_the_gate_and_its_reset_opens_it(simulator: Simulator) -> None:
    simulator.limit(five_hour_seconds=3)
    simulator.reset()
    simulator.limit(five_hour_credits=100, five_hour_seconds=3, five_hour_used=100)

    async with polled(simulator.url) as polling:
        seen = await polling.until(lambda snapshot: bool(snapshot.closures))
        reset = seen.closures[0].resets_at
        assert reset is not None
        refusal = polling.quota.decide("x-1", Lane.MAIN, time.time())
        assert refusal is not None
        assert refusal.retry_after is not None

        await eventually(lambda: polling.quota.decide("x-2", Lane.MAIN, time.time()), lambda found: found is None)
        assert time.time() >= reset - 0.1
        kinds = [event.kind for event in polling.quota.take_events(time.time())]
        assert kinds == [EventKind.CLOSED, EventKind.OPEN_AGAIN]


async def test_a_1308_has_the_monitor_asked_at_once_and_the_reset_is_known(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("extproc.runtime.quota_poll._TRIGGER_SPACING", 0.1)
    async with polled(simulator.url, interval=30) as polling:
        quota = polling.quota
        await polling.after(1)
        await asyncio.to_thread(simulator.limit, five_hour_used=2000)
        response = await asyncio.to_thread(ask, simulator)
        code = response.json()["error"]["code"]
        assert (response.status_code, code) == (429, "1308")

        assert quota.take_refusal(code, "x-1", time.time(), time.time())
        polling.poller.trigger()
        seen = await polling.after(1)

    [closure] = seen.closures
    assert closure.code == "1308"
    assert closure.resets_at == pytest.approx(time.time() + 18_000, abs=60)


async def test_what_the_plan_charges_is_what_the_published_formula_says(simulator: Simulator) -> None:
    async with polled(simulator.url) as polling:
        await polling.after(1)
        for _ in range(3):
            await asyncio.to_thread(ask, simulator, input_tokens=100_000, cached_tokens=50_000, output_tokens=20_000)
        full = 3 * (10 * 6.9 + 5 * 1.7 + 2 * 24)
        counted = full if pricing_tier(time.time()).value == "peak" else full / 2
        polling.quota.take_usage(Lane.MAIN, credits=counted, cost=None)
        seen = await polling.after(2)

    five_hour, weekly = seen.comparisons
    assert five_hour.charged == pytest.approx(counted, abs=1)
    assert abs(five_hour.uncounted) <= 1
    assert abs(weekly.uncounted) <= 1


async def test_over_tls_only_a_trusted_server_is_asked(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    certificate, key = ours.issue("127.0.0.1")
    simulator = Simulator(tmp_path, KEY, "--tls-cert", str(certificate), "--tls-key", str(key))
    try:
        async with polled(simulator.url, ca_file=ours.certificate_file) as trusting:
            await trusting.after(1)
        async with polled(simulator.url, ca_file=theirs.certificate_file) as doubting:
            await eventually(lambda: doubting.poller.counts["error"], lambda errors: errors >= 1)
        assert doubting.poller.counts["success"] == 0
        assert len(simulator.log()) == trusting.poller.counts["success"]
    finally:
        simulator.process.kill()
