"""curl at the client port: HTTP/1.1 and HTTP/2 in clear text, probes, large bodies."""

import json

import pytest

from tests.harness.curl import CurlAnswer, curl
from tests.harness.stack import PROMPT, Stack

VERSIONS = {"1.1": "--http1.1", "2": "--http2-prior-knowledge"}
versions = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: f"http{version}")


def post(stack: Stack, path: str, body: object, *options: str) -> CurlAnswer:
    """Sends JSON as the examples in everybody's documentation do."""
    data = json.dumps(body).encode()
    return curl(
        f"{stack.url}{path}", "-H", "content-type: application/json", "--data-binary", "@-", *options, data=data
    )


@versions
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions", "/api/paas/v4/chat/completions"])
async def test_a_prompt_is_answered(stack: Stack, version: str, path: str) -> None:
    answer = post(stack, path, PROMPT, VERSIONS[version], "-H", "authorization: Bearer whatever")

    assert (answer.exit_code, answer.status, answer.version) == (0, 200, version)
    assert json.loads(answer.body)["model"] == PROMPT["model"]


@versions
async def test_a_stream_is_answered(stack: Stack, version: str) -> None:
    answer = post(stack, "/v1/messages", {**PROMPT, "stream": True}, VERSIONS[version], "--no-buffer")

    assert (answer.exit_code, answer.status, answer.version) == (0, 200, version)
    assert answer.text.startswith("event: message_start\n")
    assert answer.text.rstrip().endswith('data: {"type": "message_stop"}')


@versions
async def test_an_error_is_json_in_the_callers_dialect(stack: Stack, version: str) -> None:
    anthropic = ["-H", "anthropic-version: 2023-06-01"]

    owner = curl(f"{stack.url}/api/monitor/usage/quota/limit", VERSIONS[version], *anthropic)
    unknown = curl(f"{stack.url}/no/such/path", VERSIONS[version])

    assert owner.status == 403
    assert json.loads(owner.body)["error"]["type"] == "permission_error"
    assert unknown.status == 404
    assert json.loads(unknown.body)["error"]["message"] == "No such path on this proxy."


async def test_an_offer_to_upgrade_to_http2_is_ignored_and_the_request_answered(stack: Stack) -> None:
    answer = post(stack, "/v1/messages", PROMPT, "--http2")

    assert "upgrade: h2c" in answer.trace.lower()
    assert (answer.status, answer.version) == (200, "1.1")


async def test_a_large_body_is_sent_after_100_continue(stack: Stack) -> None:
    prompt = {**PROMPT, "messages": [{"role": "user", "content": "x" * 3_000_000}]}

    answer = post(stack, "/v1/messages", prompt, "--http1.1", "-H", "expect: 100-continue")

    assert "HTTP/1.1 100 Continue" in answer.trace
    assert answer.status == 200
    assert stack.simulator.log()[-1]["request_bytes"] > 3_000_000


async def test_a_large_body_that_goes_nowhere_is_refused_and_never_leaves(stack: Stack) -> None:
    large = {"prompt": "x" * 3_000_000}

    answer = post(stack, "/api/monitor/usage", large, "--http1.1", "-H", "expect: 100-continue")

    assert answer.status == 403
    assert stack.simulator.log() == []


@versions
async def test_probes_answer_on_the_client_port(stack: Stack, version: str) -> None:
    head = curl(f"{stack.url}/", "--head", VERSIONS[version])
    health = curl(f"{stack.url}/health", VERSIONS[version])
    metrics = curl(f"{stack.url}/metrics", VERSIONS[version])

    assert (head.status, head.version) == (200, version)
    assert json.loads(health.body) == {"status": "ok"}
    assert metrics.status == 200
    assert "zai_proxy_max_workers" in metrics.text
    assert stack.simulator.log() == []


async def test_many_requests_share_one_connection(stack: Stack) -> None:
    requests = ["-o", "/dev/null", f"{stack.url}/v1/models"] * 5

    answer = curl(*requests, "--http1.1")

    assert answer.exit_code == 0
    assert answer.trace.count("* Connected to ") == 1
    assert len(stack.simulator.log()) == 5
