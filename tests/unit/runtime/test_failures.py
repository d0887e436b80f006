"""What failures teach the plan's limits and the quota's gate, and what they do not."""

import time
from contextlib import ExitStack

import pytest

from extproc.domain.pacing.config import PacingConfig
from extproc.domain.pacing.limits import MCP
from extproc.domain.pacing.records import PacedRequest, Queued
from extproc.domain.request.business_codes import TABLE
from extproc.domain.request.exchange import Exchange
from extproc.domain.request.identity import as_identity
from extproc.domain.request.model_names import ModelNames
from extproc.domain.request.routes import classify
from extproc.domain.usage.failure import Failure
from extproc.domain.usage.log_entry import EntryKind, LogEntry
from extproc.runtime.pacer import Pacer
from extproc.runtime.quota_watch import QuotaWatch
from extproc.settings import Settings
from tests.harness.processes import make_key

MESSAGES = "/api/anthropic/v1/messages"
TOOLS = "/api/mcp/zread/mcp"


def failure(
    code: str, path: str = MESSAGES, *, is_identity: bool = False, retry_after: float | None = None, number: int = 1
) -> Failure:
    entry = LogEntry(
        EntryKind.FAILED_ATTEMPT, "POST", path, "r-1", started=time.time(), status=429, first_byte=0.0,
        exchange_id=f"x-{number}", business_code=code, retry_after=retry_after,
    )  # fmt: skip
    row = as_identity(TABLE[code]) if is_identity else TABLE[code]
    return Failure(entry, classify(path, speaks_anthropic=False), entry.exchange_id, row, is_answer=True)


async def busy_pacer(stack: ExitStack, path: str = MESSAGES) -> Pacer:
    """Three requests are under way, as many as may."""
    pacer = Pacer(PacingConfig(max_workers=20, concurrency_initial=3), ModelNames(), dict, None)
    for number in (1, 2, 3):
        exchange = Exchange(f"x-{number}", f"r-{number}", "POST", path, "source-00", time.time(), principal="anna")
        stack.enter_context(pacer.enter(exchange, classify(path, speaks_anthropic=False), 1000))
    return pacer


async def test_a_refusal_of_the_plan_teaches_its_limit() -> None:
    with ExitStack() as stack:
        pacer = await busy_pacer(stack)

        pacer.take_failure(failure("1302"))

        assert pacer.pacing.limits[0] < 3


async def test_the_gate_of_the_tools_says_nothing_of_the_plan() -> None:
    with ExitStack() as stack:
        pacer = await busy_pacer(stack)
        call = Exchange("x-4", "r-4", "POST", TOOLS, "source-00", time.time(), principal="anna")
        stack.enter_context(pacer.enter(call, classify(TOOLS, speaks_anthropic=False), 1000))

        pacer.take_failure(failure("1302", TOOLS, number=4))

        assert pacer.pacing.limits[0] == 3
        assert pacer.pacing.limit_of(MCP) < 3


@pytest.mark.parametrize("is_identity", [False, True])
async def test_an_overload_slows_all_and_a_refused_identity_nobody(is_identity: bool) -> None:
    with ExitStack() as stack:
        pacer = await busy_pacer(stack)

        pacer.take_failure(failure("1305", is_identity=is_identity))

        assert (pacer.status().share_in_use == 1.0) is is_identity


async def test_a_refusal_that_names_a_time_lets_nobody_go_before_it() -> None:
    with ExitStack() as stack:
        pacer = await busy_pacer(stack)
        pacer.take_failure(failure("1302", retry_after=30.0))

    assert isinstance(pacer.pacing.arrive(PacedRequest("x-9", "anna"), time.time() + 20), Queued)


@pytest.fixture
def quota() -> QuotaWatch:
    return QuotaWatch(Settings(zai_api_key=make_key()), lambda: "")


def test_a_used_up_window_closes_the_gate_until_the_time_that_the_refusal_named(quota: QuotaWatch) -> None:
    quota.take_failure(failure("1308", retry_after=1800.0))

    (closure,) = quota.snapshot().closures
    assert closure.window == "five_hour"
    assert closure.resets_at == pytest.approx(time.time() + 1800, abs=60)


@pytest.mark.parametrize("path", ["/api/mcp/zread/mcp", "/api/paas/v4/chat/completions"])
def test_what_is_not_paid_from_the_windows_closes_no_gate(quota: QuotaWatch, path: str) -> None:
    quota.take_failure(failure("1308", path))

    assert quota.snapshot().closures == ()
