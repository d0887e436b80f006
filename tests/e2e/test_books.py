"""What each SDK uses is in all of the proxy's books to the token, though some hang up right behind the final event."""

import pytest

from tests.agents.tokens import balanced
from tests.e2e.callers import ANTHROPIC, OPENAI, RESPONSES, ZAI, Caller
from tests.harness.readings import Readings
from tests.harness.stack import Stack
from tests.harness.waiting import wait_until

CALLERS = (ANTHROPIC, OPENAI, RESPONSES, ZAI)
PROMPT = {"input_tokens": 310, "cached_tokens": 64}
CALLS = 3


@pytest.mark.parametrize("end_pause", [0, 0.02, 0.2])
@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.name)
def test_what_an_sdk_uses_is_in_all_books(stack: Stack, before: Readings, caller: Caller, end_pause: float) -> None:
    stack.simulator.use(**PROMPT, output_tokens=70, thinking=2, end_pause=end_pause)

    with balanced(stack):
        for _ in range(CALLS):
            assert caller.ask(stack, 0)
            assert "".join(caller.stream(stack))

    difference = stack.metrics_at_rest() - before
    assert difference.value("zai_proxy_requests_total", path=caller.path, status_code="200") == 2 * CALLS
    assert difference.value("zai_proxy_usage_records_total", status="complete") == 2 * CALLS
    assert difference.value("zai_proxy_tokens_total", direction="input") == 2 * CALLS * PROMPT["input_tokens"]
    assert difference.value("zai_proxy_tokens_total", direction="cache_read") == 2 * CALLS * PROMPT["cached_tokens"]


@pytest.mark.parametrize("caller", [OPENAI, RESPONSES], ids=lambda caller: caller.name)
def test_openais_sdk_hangs_up_behind_the_final_event_and_has_not_left(stack: Stack, caller: Caller) -> None:
    stack.simulator.use(end_pause=5)
    left = stack.metric("zai_proxy_requests_total", path=caller.path, status_code="499")

    assert "".join(caller.stream(stack))

    wait_until(lambda: bool(stack.simulator.log()[0]["left_after_final"]), "the client has hung up")
    assert stack.metrics_at_rest().value("zai_proxy_requests_total", path=caller.path, status_code="499") == left
