"""Conversations whose prompts miss the cache are told of, wherever somebody looks."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.harness.stack import PROMPT, ZAI_PROXY, Stack, running_stack
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.slow

CODEX = {"user-agent": "codex_exec/0.169.0 (Debian)", "session-id": "a-session", "thread-id": "a-thread"}
CLAUDE = {"user-agent": "claude-cli/2.1.330 (external, cli)", "x-claude-code-session-id": "c-session"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("cache"), CACHE_DOCTOR="on") as stack:
        yield stack


def converse(stack: Stack, path: str, headers: dict[str, str], cached: float) -> None:
    """Eight requests that grow by a thousand tokens each, of which the cache has this share of the one before."""
    for number in range(8):
        tokens = 20_000 + 1000 * number
        hit = int((tokens - 1000) * cached) if number else 0
        beside = 0 if path.endswith("completions") else hit
        scenario = json.dumps({"input_tokens": tokens - beside, "cached_tokens": hit})
        answer = httpx.post(stack.url + path, json=PROMPT, headers={**headers, "x-sim": scenario}, timeout=30)
        assert answer.status_code == 200, answer.text


def test_a_cold_conversation_is_told_of_and_a_warm_one_is_not(stack: Stack) -> None:
    converse(stack, "/v1/messages", CLAUDE, cached=1.0)
    converse(stack, "/v1/chat/completions", CODEX, cached=0.0)
    stack.metrics_at_rest()
    wait_until(lambda: [row["requests"] for row in stack.status()["cache"]["conversations"]] == [7], "one is cold")

    metrics, cache = stack.metrics(), stack.status()["cache"]
    [cold] = cache["conversations"]
    assert (cold["program"], cold["session"], cold["requests"]) == ("Codex", "a-thread", 7)
    assert (cold["cached_tokens"], cold["cacheable_tokens"]) == (0, 7 * 23_000)
    assert {row["program"]: row["cold"] for row in cache["programs"]} == {"Codex": 1, "Claude Code": 0}
    assert metrics.value("zai_proxy_cold_conversations", agent="codex") == 1
    assert metrics.value("zai_proxy_cold_conversations", agent="claude_code") == 0
    assert metrics.value("zai_proxy_cached_input_ratio", agent="claude_code") > 0.8
    assert metrics.value("zai_proxy_cacheable_input_ratio", agent="codex") > 0.8
    assert metrics.value("zai_proxy_cache_lost_usd_total", agent="codex") > 0
    [forgotten] = cache["findings"]
    assert (forgotten["session"], forgotten["cause"]) == ("a-thread", "forgotten")
    for command in ("usage", "doctor"):
        done = subprocess.run(
            [ZAI_PROXY, command], env=stack.environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert f"{cache['programs'][0]['text']}" in done.stdout, done
        assert f"cold now: {cold['text']}" in done.stdout, done
    shown = subprocess.check_output([ZAI_PROXY, "usage", "--cache", "--json"], env=stack.environment, timeout=60)
    assert json.loads(shown)["programs"] == cache["programs"]


SECRET = "the-text-of-a-prompt"


def prompt(number: int, line: int) -> dict[str, Any]:
    """The body of Claude Code's request with this number. Its first line has a number of its own."""
    texts = [f"x-anthropic-billing-header: cc_version=2.1.330.{line}; cc_entrypoint=cli;", f"{SECRET} " * 500]
    said = [{"role": "user", "content": f"{SECRET} {n}"} for n in range(2 * number)]
    mark = {"cache_control": {"type": "ephemeral"}}
    asks = {"role": "user", "content": [{"type": "text", "text": f"{SECRET} {2 * number}", **mark}]}
    return {**PROMPT, "system": [{"type": "text", "text": text} for text in texts], "messages": [*said, asks]}


def work(stack: Stack, session: str, *, line_changes: bool) -> None:
    for number in range(8):
        tokens = 20_000 + 1000 * number
        hit = 0 if line_changes or not number else tokens - 1000
        scenario = json.dumps({"input_tokens": tokens - hit, "cached_tokens": hit})
        headers = {**CLAUDE, "x-claude-code-session-id": session, "x-sim": scenario}
        body = prompt(number, number if line_changes else 0)
        assert httpx.post(f"{stack.url}/v1/messages", json=body, headers=headers, timeout=30).status_code == 200
        if number == 0:
            stack.metrics_at_rest()  # from what it got is known whether the next prompt is worth a look


def found_in(stack: Stack, session: str) -> list[dict[str, Any]]:
    return [row for row in stack.status()["cache"]["findings"] if row["session"] == session]


def test_what_changes_in_front_of_each_prompt_is_named_and_nothing_of_its_text_is_told(stack: Stack) -> None:
    work(stack, "honest", line_changes=False)
    work(stack, "changing", line_changes=True)
    wait_until(lambda: [row["requests"] for row in found_in(stack, "changing")] == [4], "a cause is found")
    wait_until(lambda: "changing" in {row["session"] for row in stack.status()["cache"]["conversations"]}, "it is cold")

    page = stack.status()
    [finding] = found_in(stack, "changing")
    assert found_in(stack, "honest") == []
    assert (finding["session"], finding["cause"], finding["part"]) == ("changing", "attribution", "system block 1")
    assert "honest" not in {row["session"] for row in page["cache"]["conversations"]}
    upstream = str(stack.simulator.log())
    assert SECRET not in json.dumps(page) + stack.processor.output + stack.envoy.output + upstream
    assert "zai.prompt" not in upstream
    for command in ("usage", "doctor"):
        done = subprocess.run(
            [ZAI_PROXY, command], env=stack.environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert f"Claude Code: {finding['text']}" in done.stdout, done
