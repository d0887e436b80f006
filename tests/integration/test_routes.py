"""Where each path goes, with which credential, and under which label it is counted."""

import httpx
import pytest

from extproc.domain.request.labels import OTHER
from extproc.domain.request.routes import labels
from tests.harness.raw_http import error_of, exchange
from tests.harness.readings import Readings
from tests.harness.stack import PROMPT, Stack
from tests.harness.waiting import eventually

pytestmark = pytest.mark.slow

UPSTREAM_PATHS = {
    "/v1/messages": "/api/anthropic/v1/messages",
    "/v1/messages?beta=true": "/api/anthropic/v1/messages?beta=true",
    "/v1/messages/count_tokens": "/api/anthropic/v1/messages/count_tokens",
    "/v1/chat/completions": "/api/coding/paas/v4/chat/completions",
    "/chat/completions": "/api/coding/paas/v4/chat/completions",
    "/v1/embeddings": "/api/coding/paas/v4/embeddings",
    "/embeddings": "/api/coding/paas/v4/embeddings",
    "/v1/responses": "/api/v1/responses",
    "/responses": "/api/v1/responses",
    "/api/anthropic/v1/messages": "/api/anthropic/v1/messages",
    "/api/paas/v4/chat/completions": "/api/paas/v4/chat/completions",
    "/api/coding/paas/v4/chat/completions": "/api/coding/paas/v4/chat/completions",
    "/api/v1/responses": "/api/v1/responses",
    "/api/mcp/web_search_prime/mcp": "/api/mcp/web_search_prime/mcp",
}
ANSWERED_HERE = {"/", "/health", "/metrics", "/api/hello", OTHER}
"""Labels of what never goes to Z.AI."""

BODY = {**PROMPT, "input": "hello", "jsonrpc": "2.0", "id": 1, "method": "ping"}


@pytest.mark.parametrize("path", UPSTREAM_PATHS)
async def test_a_path_goes_where_the_table_says(stack: Stack, before: Readings, path: str) -> None:
    response = httpx.post(f"{stack.url}{path}", json=BODY, headers={"authorization": "Bearer client"})

    assert response.status_code == 200, response.text
    entry = stack.simulator.log()[-1]
    assert entry["path"] == UPSTREAM_PATHS[path]
    label = path.partition("?")[0]
    await eventually(lambda: stack.metrics() - before, lambda d: d.value("zai_proxy_requests_total", path=label) == 1)


async def test_each_path_of_the_table_is_one_that_envoy_routes(stack: Stack, before: Readings) -> None:
    for label in sorted(labels() - ANSWERED_HERE):
        already = len(stack.simulator.log())
        httpx.get(f"{stack.url}{label.replace('{id}', 'some-id')}")
        assert len(stack.simulator.log()) == already + 1, f"{label} does not reach Z.AI"

    await eventually(
        lambda: (stack.metrics() - before).labels("zai_proxy_requests_total", "path"),
        lambda seen: seen == labels() - ANSWERED_HERE,
    )


@pytest.mark.parametrize("path", UPSTREAM_PATHS)
async def test_a_slash_at_the_end_means_the_same(stack: Stack, before: Readings, path: str) -> None:
    plain, mark, query = path.partition("?")
    response = httpx.post(f"{stack.url}{plain}/{mark}{query}", json=BODY)

    assert response.status_code == 200, response.text
    assert stack.simulator.log()[-1]["path"] == UPSTREAM_PATHS[path]
    await eventually(lambda: stack.metrics() - before, lambda d: d.value("zai_proxy_requests_total", path=plain) == 1)


@pytest.mark.parametrize("path", ["/v1/models", "/models", "/v1/models/"])
async def test_models_of_an_anthropic_caller_come_from_the_anthropic_list(stack: Stack, path: str) -> None:
    for version in ("2023-06-01", "2026-10-21", ""):
        response = httpx.get(f"{stack.url}{path}", headers={"anthropic-version": version})
        assert response.status_code == 200
        assert stack.simulator.log()[-1]["path"] == "/api/anthropic/v1/models"


@pytest.mark.parametrize("path", ["/v1/models", "/models", "/v1/models/"])
async def test_models_of_another_caller_come_from_the_openai_list(stack: Stack, path: str) -> None:
    response = httpx.get(f"{stack.url}{path}")

    assert response.json()["object"] == "list"
    assert stack.simulator.log()[-1]["path"] == "/api/coding/paas/v4/models"


ADDRESS = "the base URL of this client is {url} ("
WITH_V1 = "the base URL of this client is {url}/v1"


@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("/v1/v1/messages", ADDRESS),
        ("/v1/v1/messages/count_tokens?beta=true", ADDRESS),
        ("/v1/messages/v1/messages", ADDRESS),
        ("/anthropic/v1/messages", ADDRESS),
        ("/api/v1/messages", ADDRESS),
        ("/api/v1/v1/messages", ADDRESS),
        ("/api/anthropic/v1/v1/messages", ADDRESS),
        ("/api/coding/paas/v4/v1/messages", ADDRESS),
        ("/messages", WITH_V1),
        ("/api/anthropic/messages", WITH_V1),
        ("/anthropic/messages", WITH_V1),
        ("/v1/messages/messages", WITH_V1),
        ("/api/coding/paas/v4/messages", WITH_V1),
        ("/api/anthropic/v1/v1/models", ADDRESS),
        ("/api/anthropic/v1/responses", WITH_V1),
        ("/api/anthropic/api/anthropic/v1/messages", ADDRESS),
        ("/api/anthropic/anthropic/v1/models", ADDRESS),
        ("/api/anthropic/v1/models/v1/models", ADDRESS),
        ("/v1/messages/count_tokens/v1/messages", ADDRESS),
        ("/api/coding/v1/messages/count_tokens?beta=true", ADDRESS),
    ],
)
async def test_an_anthropic_client_hears_which_base_url_is_right(stack: Stack, path: str, right: str) -> None:
    response = httpx.post(f"{stack.url}{path}", json=BODY)

    assert response.status_code == 404
    assert response.json()["type"] == "error"
    assert response.json()["error"]["type"] == "not_found_error"
    assert right.format(url=stack.url) in response.json()["error"]["message"]
    assert stack.simulator.log() == []


@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("/v1/v1/chat/completions", ADDRESS),
        ("/v1/v1/models", ADDRESS),
        ("/api/coding/paas/v4/v1/chat/completions", ADDRESS),
        ("/api/paas/v4/v1/chat/completions/", ADDRESS),
        ("/v1/chat/completions/chat/completions", WITH_V1),
        ("/v1/responses/responses", WITH_V1),
        ("/openai/v1/chat/completions", WITH_V1),
        ("/coding/paas/v4/chat/completions", WITH_V1),
        ("/paas/v4/embeddings", WITH_V1),
        ("/api/anthropic/v1/chat/completions", WITH_V1),
        ("/openai/responses?stream=true", WITH_V1),
        ("/api/chat/completions", WITH_V1),
        ("/api/coding/paas/v4/responses", WITH_V1),
        ("/api/coding/paas/v4/v4/chat/completions", WITH_V1),
        ("/api/v1/chat/completions", WITH_V1),
        ("/api/v1/embeddings", WITH_V1),
        ("/v1/responses/v1/responses", ADDRESS),
        ("/api/paas/v4/api/paas/v4/chat/completions", WITH_V1),
        ("/api/paas/v4/chat/completions/v1/chat/completions", ADDRESS),
        ("/api/coding/paas/v4/api/coding/paas/v4/chat/completions?a=/v1/models", WITH_V1),
        ("/api/coding/v1/chat/completions", WITH_V1),
        ("/api/coding/v4/chat/completions/", WITH_V1),
        ("/api/coding/paas/chat/completions", WITH_V1),
        ("/v1/models/v1/models", ADDRESS),
        ("/v1/models/models", WITH_V1),
        ("/api/paas/v4/v4/files", WITH_V1),
        ("/api/paas/v4/api/paas/v4/images/generations", WITH_V1),
    ],
)
async def test_an_openai_client_hears_which_base_url_is_right(
    stack: Stack, before: Readings, path: str, right: str
) -> None:
    response = httpx.post(f"{stack.url}{path}", json=BODY)

    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"
    assert right.format(url=stack.url) in response.json()["error"]["message"]
    assert response.headers["x-should-retry"] == "false"
    assert stack.simulator.log() == []
    difference = await eventually(lambda: stack.metrics() - before, lambda d: d.value("zai_proxy_requests_total") == 1)
    assert difference.value("zai_proxy_upstream_errors_total") == 0


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/v1/messages", "x-api-key"),
        ("/api/anthropic/v1/messages", "x-api-key"),
        ("/v1/chat/completions", "authorization"),
        ("/v1/responses", "authorization"),
        ("/api/paas/v4/chat/completions", "authorization"),
        ("/api/mcp/zread/mcp", "authorization"),
    ],
)
async def test_each_surface_gets_the_key_in_its_own_form_and_nothing_of_the_clients(
    stack: Stack, path: str, form: str
) -> None:
    mine = {
        "authorization": "Bearer mine",
        "x-api-key": "mine",
        "api-key": "mine",
        "cookie": "session=mine",
        "proxy-authorization": "Basic bWluZQ==",
    }

    response = httpx.post(f"{stack.url}{path}?api_key=mine&beta=true&Authorization=mine", json=BODY, headers=mine)

    assert response.status_code == 200, response.text
    entry = stack.simulator.log()[-1]
    assert entry["key_seen_in"] == [form]
    assert {place for place, what in entry["credentials"].items() if what not in ("absent", None)} == {form}
    assert entry["path"].endswith("?beta=true")


@pytest.mark.parametrize(
    "path", ["/api/monitor/usage/quota/limit", "/api/biz/subscription/list", "/API/Monitor", "/api/biz"]
)
@pytest.mark.parametrize("dialect", ["anthropic", "openai"])
async def test_the_owners_account_is_forbidden(stack: Stack, path: str, dialect: str) -> None:
    headers = {"anthropic-version": "2023-06-01"} if dialect == "anthropic" else {}

    response = httpx.get(f"{stack.url}{path}", headers=headers)

    assert response.status_code == 403
    expected = "permission_error" if dialect == "anthropic" else "invalid_request_error"
    assert response.json()["error"]["type"] == expected
    assert stack.simulator.log() == []


@pytest.mark.parametrize(
    ("path", "meant", "base"),
    [
        ("/v1/message", "/v1/messages", ""),
        ("/message?beta=true", "/v1/messages", ""),
        ("/v1/mesages/count_tokens", "/v1/messages", ""),
        ("/V1/MESSAGES", "/v1/messages", ""),
        ("/v1/messagesX", "/v1/messages", ""),
        ("/v1/complete", "/v1/messages", ""),
        ("/v1/chat", "/v1/chat/completions", "/v1"),
        ("/chat", "/v1/chat/completions", "/v1"),
        ("/api/chat", "/v1/chat/completions", "/v1"),
        ("/v1/chat/completion", "/v1/chat/completions", "/v1"),
        ("/v1/completions", "/v1/chat/completions", "/v1"),
        ("/v1/completion/", "/v1/chat/completions", "/v1"),
        ("/api/coding/paas/v4/chat/completion", "/v1/chat/completions", "/v1"),
        ("/api/paas/v4/chat/completoins?a=b", "/v1/chat/completions", "/v1"),
        ("/api/anthropic/v1/message", "/v1/messages", ""),
        ("/api/anthropic/v1/mesages/count_tokens", "/v1/messages", ""),
        ("/api/v1/response", "/v1/responses", "/v1"),
        ("/api/paas/v4/embedding", "/v1/embeddings", "/v1"),
        ("/api/coding/paas/v4/modles/glm-5.3", "/v1/models", "/v1"),
        ("/v1/engines/glm/completions", "/v1/chat/completions", "/v1"),
        ("/v1/response", "/v1/responses", "/v1"),
        ("/v1/reponses/resp_1", "/v1/responses", "/v1"),
        ("/v1/embedding", "/v1/embeddings", "/v1"),
        ("/v1/model", "/v1/models", "/v1"),
        ("/v1/images/generations", "/api/coding/paas/v4", ""),
        ("/v1/files", "/api/coding/paas/v4", ""),
    ],
)
async def test_a_path_that_is_nearly_one_is_told_which_is_right(stack: Stack, path: str, meant: str, base: str) -> None:
    response = httpx.post(f"{stack.url}{path}", json=BODY)

    assert response.status_code == 404
    body = response.json()
    told = body["error"]["message"]
    assert told.startswith("No such path on this proxy: ")
    assert f"{stack.url}{meant}" in told
    assert f"{stack.url}{base}" in told
    assert ("type" in body) == (meant == "/v1/messages")
    assert response.headers["x-should-retry"] == "false"
    assert stack.simulator.log() == []


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/", "openai"),
        ("/v1/", "openai"),
        ("/api", "openai"),
        ("/openai/v1", "openai"),
        ("/api/paas/v4", "openai"),
        ("/api/coding/paas/v4/", "openai"),
        ("/api/v1", "openai"),
        ("/anthropic", "anthropic"),
        ("/anthropic/v1?beta=true", "anthropic"),
        ("/api/anthropic", "anthropic"),
        ("/api/anthropic/v1/", "anthropic"),
    ],
)
async def test_a_base_url_that_is_taken_for_a_path_is_told_from_one_and_never_goes_up(
    stack: Stack, path: str, dialect: str
) -> None:
    response = httpx.post(f"{stack.url}{path}", json=BODY)

    assert response.status_code == 404
    body = response.json()
    assert ("type" in body) == (dialect == "anthropic")
    assert f"Anthropic clients is {stack.url} (they add /v1/messages themselves)" in body["error"]["message"]
    assert f"OpenAI clients is {stack.url}/v1 (" in body["error"]["message"]
    assert httpx.head(f"{stack.url}{path}").status_code == 200
    assert stack.simulator.log() == []


@pytest.mark.parametrize("path", ["/v1/nothing", "/no/such/path"])
async def test_anything_else_is_not_found(stack: Stack, path: str) -> None:
    response = httpx.post(f"{stack.url}{path}", json=BODY)

    assert response.status_code == 404
    body = response.json()
    assert body["error"]["message"] == "No such path on this proxy."
    assert body["request_id"] == response.headers["x-request-id"]
    assert response.headers["x-should-retry"] == "false"
    assert "retry-after" not in response.headers
    assert stack.simulator.log() == []


@pytest.mark.parametrize("headers", ["", "anthropic-version: 2023-06-01\r\n"], ids=["plain", "of Anthropic"])
async def test_what_is_no_path_is_refused_in_words(stack: Stack, headers: str) -> None:
    answer = exchange(stack, f"OPTIONS * HTTP/1.1\r\nhost: proxy\r\n{headers}\r\n".encode())

    assert (answer.status, error_of(answer)["message"]) == (404, "No such path on this proxy.")


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/"])
async def test_whoever_looks_what_is_here_is_told_the_base_urls_and_where_the_dashboard_is(
    stack: Stack, path: str
) -> None:
    response = httpx.get(f"{stack.url}{path}")

    assert response.status_code == 404
    told = response.json()["error"]["message"]
    assert told.startswith("This is zai-proxy")
    assert "DASHBOARD_PORT" in told
    assert f"Anthropic clients is {stack.url}," in told
    assert told.endswith(f"OpenAI clients is {stack.url}/v1.")
    assert stack.simulator.log() == []


@pytest.mark.parametrize("path", ["/", "/api/hello", "/api/hello/"])
async def test_claude_codes_first_question_is_answered(stack: Stack, path: str) -> None:
    assert httpx.head(f"{stack.url}{path}").status_code == 200
    assert stack.simulator.log() == []


@pytest.mark.parametrize("end", ["", "/"])
async def test_health_and_metrics_answer_on_the_client_port(stack: Stack, before: Readings, end: str) -> None:
    assert httpx.get(f"{stack.url}/health{end}").json() == {"status": "ok"}
    assert "zai_proxy_max_workers" in httpx.get(f"{stack.url}/metrics{end}").text
    difference = await eventually(lambda: stack.metrics() - before, lambda d: d.value("zai_proxy_requests_total") == 2)
    assert difference.labels("zai_proxy_requests_total", "path") == {"/health", "/metrics"}


@pytest.mark.parametrize("path", ["/health", "/health/", "/metrics", "/metrics/?a=b"])
async def test_health_and_metrics_are_to_be_read_alone(stack: Stack, path: str) -> None:
    assert httpx.head(f"{stack.url}{path}").status_code == 200

    for method in ("POST", "DELETE"):
        answer = httpx.request(method, f"{stack.url}{path}", content=b"{}")
        assert answer.status_code == 405
        assert answer.json()["error"]["message"] == "This path is to be read: it takes GET and HEAD."
        assert answer.headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages"])
async def test_a_websocket_is_refused_plainly_so_that_the_client_falls_back_to_http(
    stack: Stack, before: Readings, path: str
) -> None:
    headers = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    }

    response = httpx.get(f"{stack.url}{path}", headers=headers)

    assert response.status_code == 426
    assert response.json()["error"]["message"].startswith("This proxy speaks HTTP here")
    assert stack.simulator.log() == []
    difference = await eventually(lambda: stack.metrics() - before, lambda d: d.value("zai_proxy_requests_total") == 1)
    assert difference.value("zai_proxy_upstream_errors_total") == 0


@pytest.mark.parametrize("path", ["/v1/messages%2Fx", "/v1%5Cmessages"])
async def test_an_ambiguous_path_is_a_clear_400(stack: Stack, path: str) -> None:
    response = httpx.get(f"{stack.url}{path}")

    assert response.status_code == 400
    assert response.json()["error"]["message"] == "The request is malformed."


async def test_path_labels_stay_bounded_whatever_is_asked_for(stack: Stack, before: Readings) -> None:
    for number in range(30):
        httpx.get(f"{stack.url}/api/paas/v4/files/file-{number}")
        httpx.get(f"{stack.url}/api/paas/v4/something/{number}")
        httpx.get(f"{stack.url}/random/{number}")

    difference = await eventually(lambda: stack.metrics() - before, lambda d: d.value("zai_proxy_requests_total") == 90)
    seen = difference.labels("zai_proxy_requests_total", "path")
    assert seen == {"/api/paas/v4/files/{id}", "other"}
    assert seen <= labels()
