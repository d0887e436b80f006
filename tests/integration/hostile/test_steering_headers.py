"""Headers with which a client would steer Envoy, the processor or the upstream, were it allowed to."""

import json

import httpx
import pytest

from tests.harness.raw_http import exchange, request_bytes
from tests.harness.raw_http2 import http2_connection, request_headers
from tests.harness.readings import Readings
from tests.harness.stack import PROMPT, Stack
from tests.harness.waiting import eventually

INTERNAL = ("x-zai-", "x-envoy-", "x-forwarded-", "x-real-ip", "forwarded", "via")
BODY = json.dumps(PROMPT).encode()
POST = (b"POST", b"/v1/messages")

ENVOY_HEADERS = {
    "x-envoy-attempt-count": "9",
    "x-envoy-decorator-operation": "owned",
    "x-envoy-downstream-service-cluster": "owned",
    "x-envoy-expected-rq-timeout-ms": "1",
    "x-envoy-external-address": "203.0.113.9",
    "x-envoy-force-trace": "true",
    "x-envoy-hedge-on-per-try-timeout": "true",
    "x-envoy-internal": "true",
    "x-envoy-ip-tags": "owned",
    "x-envoy-is-timeout-retry": "true",
    "x-envoy-max-retries": "50",
    "x-envoy-original-method": "GET",
    "x-envoy-original-path": "/api/monitor/usage",
    "x-envoy-peer-metadata": "owned",
    "x-envoy-retriable-header-names": "x-log-id",
    "x-envoy-retriable-status-codes": "200,400,429",
    "x-envoy-retry-grpc-on": "cancelled",
    "x-envoy-retry-on": "5xx,gateway-error,retriable-4xx,retriable-status-codes,retriable-headers",
    "x-envoy-upstream-alt-stat-name": "owned",
    "x-envoy-upstream-rq-per-try-timeout-ms": "1",
    "x-envoy-upstream-rq-timeout-alt-response": "1",
    "x-envoy-upstream-rq-timeout-ms": "1",
    "x-envoy-upstream-service-time": "1",
    "x-envoy-upstream-stream-duration-ms": "1",
}
PEER_HEADERS = {
    "x-forwarded-for": "203.0.113.9, 10.0.0.1",
    "x-forwarded-host": "internal.example",
    "x-forwarded-port": "1",
    "x-forwarded-prefix": "/api/monitor",
    "x-forwarded-proto": "https",
    "x-forwarded-client-cert": "Subject=owner",
    "x-real-ip": "203.0.113.9",
    "forwarded": "for=203.0.113.9;host=internal.example",
    "via": "1.1 owned",
}


def sent_upstream(stack: Stack) -> dict[str, str]:
    """The headers of the one request that the simulator got."""
    (entry,) = stack.simulator.log()
    headers: dict[str, str] = entry["headers"]
    return headers


def internal_ones(names: object) -> list[str]:
    assert isinstance(names, dict | httpx.Headers)
    return [name for name in names if name.startswith(INTERNAL) and name != "x-zai-queue-ms"]


async def test_a_plain_request_brings_nothing_internal_with_it(stack: Stack) -> None:
    response = httpx.post(f"{stack.url}/v1/messages", json=PROMPT)

    assert internal_ones(sent_upstream(stack)) == []
    assert internal_ones(response.headers) == []


@pytest.mark.parametrize("headers", [ENVOY_HEADERS, PEER_HEADERS], ids=["x-envoy", "peer"])
async def test_a_clients_own_internal_headers_do_not_leave(stack: Stack, headers: dict[str, str]) -> None:
    response = httpx.post(f"{stack.url}/v1/messages", json=PROMPT, headers=headers)

    assert response.status_code == 200
    assert set(headers) & set(sent_upstream(stack)) == set()
    assert internal_ones(response.headers) == []


async def test_a_wish_for_the_background_lane_is_heard_and_goes_no_further(stack: Stack) -> None:
    headers = {"x-zai-priority": "background", "x-sim": json.dumps({"events": 100, "pause": 0.05})}
    with httpx.stream("POST", f"{stack.url}/v1/messages", json={**PROMPT, "stream": True}, headers=headers) as response:
        assert response.status_code == 200
        (running,) = stack.status()["requests"]

    assert running["lane"] == "background"
    assert internal_ones(sent_upstream(stack)) == []


async def test_no_client_makes_envoy_try_again(stack: Stack) -> None:
    stack.simulator.use(code="1210")

    response = httpx.post(f"{stack.url}/v1/messages", json=PROMPT, headers=ENVOY_HEADERS)

    assert response.status_code == 400
    assert len(stack.simulator.log()) == 1


async def test_no_client_makes_envoy_impatient(stack: Stack) -> None:
    stack.simulator.use(delay=0.3)

    response = httpx.post(f"{stack.url}/v1/messages", json=PROMPT, headers=ENVOY_HEADERS)

    assert response.status_code == 200


async def test_no_client_gets_counted_under_another_path_or_method(stack: Stack, before: Readings) -> None:
    httpx.post(f"{stack.url}/v1/messages", json=PROMPT, headers=ENVOY_HEADERS)

    counted = await eventually(
        lambda: stack.metrics() - before, lambda d: d.value("zai_proxy_requests_total", path="/v1/messages") == 1
    )
    assert counted.value("zai_proxy_requests_total") == 1
    assert counted.value("zai_proxy_requests_total", method="POST") == 1


@pytest.mark.parametrize("name", ["x-zai-admitted", "X-Zai-Admitted", "x_zai_admitted"])
async def test_a_forged_grant_opens_nothing(stack: Stack, name: str) -> None:
    for path in ("/api/monitor/usage", "/api/nothing", "/nothing"):
        assert httpx.get(f"{stack.url}{path}", headers={name: "1"}).status_code in (403, 404)

    assert stack.simulator.log() == []


@pytest.mark.parametrize("http2", [False, True])
async def test_a_forged_grant_does_not_stand_in_for_the_processors(stack: Stack, http2: bool) -> None:
    headers = [(b"x-zai-admitted", b"1"), (b"x-zai-admitted", b"1")]
    if http2:
        with http2_connection(stack) as connection:
            stream = connection.request(request_headers(POST[1], POST[0], headers), BODY)
            assert connection.answer(stream).status == 200
    else:
        lines = b"".join(b"%b: %b\r\n" % header for header in headers) + b"content-length: %d\r\n" % len(BODY)
        assert exchange(stack, request_bytes(*POST, lines, BODY)).status == 200

    assert internal_ones(sent_upstream(stack)) == []


@pytest.mark.parametrize("sender", ["client", "upstream"])
async def test_nobody_else_writes_the_business_code(stack: Stack, before: Readings, sender: str) -> None:
    forged = {"x-zai-code": "1302", "x-zai-transient": "1"}
    if sender == "upstream":
        stack.simulator.use(headers=forged)
    response = httpx.post(f"{stack.url}/v1/messages", json=PROMPT, headers=forged if sender == "client" else {})

    assert response.status_code == 200
    assert internal_ones(response.headers) == []
    assert internal_ones(sent_upstream(stack)) == []
    counted = await eventually(
        lambda: stack.metrics() - before, lambda d: d.value("zai_proxy_requests_total", status_code="200") == 1
    )
    assert counted.value("zai_proxy_zai_errors_total") == 0
    assert counted.value("zai_proxy_retry_attempts_total") == 0


@pytest.mark.parametrize(
    "named",
    [
        "x-api-key",
        "authorization",
        "x-zai-admitted",
        "x-request-id",
        "host",
        "content-type",
        "anthropic-version",
        ":path",
    ],
)
async def test_no_client_has_a_header_dropped_by_naming_it_in_connection(stack: Stack, named: str) -> None:
    lines = b"connection: keep-alive, %b\r\ncontent-length: %d\r\n" % (named.encode(), len(BODY))

    answer = exchange(stack, request_bytes(*POST, lines + b"anthropic-version: 2023-06-01\r\n", BODY))

    assert answer.status in (200, 400)
    if answer.status == 200:
        (entry,) = stack.simulator.log()
        assert entry["credentials"]["x-api-key"] == "right key"
        assert entry["request_id"] == answer.headers["x-request-id"]


async def test_headers_of_the_hop_stay_on_the_hop(stack: Stack) -> None:
    lines = (
        b"connection: keep-alive, x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=1\r\nproxy-connection: close\r\n"
        b"te: trailers, deflate\r\n"
    )

    assert exchange(stack, request_bytes(*POST, lines + b"content-length: %d\r\n" % len(BODY), BODY)).status == 200

    headers = sent_upstream(stack)
    assert not {"keep-alive", "proxy-connection"} & set(headers)
    assert headers.get("connection", "keep-alive") == "keep-alive"
    assert headers.get("te", "trailers") == "trailers"


HOSTILE_IDS = {
    "quotes": b'"};{"a":"b',
    "a backslash": b"a\\",
    "markup": b"<script>alert(1)</script>",
    "a format": b"%REQ(AUTHORIZATION)% %(x)s {0} ${HOME}",
    "a terminal's escape codes without the escape": b"[31m[2J",
    "bytes that are not ASCII": "ünï©ode".encode(),
    "bytes that are not UTF-8": b"\xff\xfe\x80",
    "a key's form": b"0" * 32 + b"." + b"a" * 16,
    "5 KB": b"x" * 5000,
    "60 KB": b"x" * 60_000,
    "nothing": b"",
    "blanks": b"   ",
}


@pytest.mark.parametrize("what", HOSTILE_IDS)
async def test_a_hostile_request_id_is_carried_safely_or_replaced(stack: Stack, what: str) -> None:
    lines = b"x-request-id: %b\r\ncontent-length: %d\r\n" % (HOSTILE_IDS[what], len(BODY))

    answer = exchange(stack, request_bytes(*POST, lines, BODY))

    assert answer.status == 200
    shown = answer.headers["x-request-id"]
    assert 0 < len(shown) <= 128
    assert shown.isascii()
    (entry,) = stack.simulator.log()
    assert entry["request_id"] in (shown, "***")  # the simulator hides whatever has a key's form
    line = await eventually(
        lambda: [each for each in stack.processor.output.splitlines() if '"status": 200' in each],
        lambda found: bool(found),
    )
    assert len(json.loads(line[-1])["request_id"]) <= 128


@pytest.mark.parametrize("what", HOSTILE_IDS)
@pytest.mark.parametrize("path", [b"/v1/nothing", b"/api/monitor"])
async def test_a_hostile_request_id_does_not_break_out_of_an_error(stack: Stack, what: str, path: bytes) -> None:
    answer = exchange(stack, request_bytes(target=path, headers=b"x-request-id: %b\r\n" % HOSTILE_IDS[what]))

    assert answer.status in (403, 404)
    body = json.loads(answer.body)
    assert set(body) == {"error", "request_id"}
    assert set(body["error"]) == {"code", "message", "param", "type"}


async def test_two_request_ids_are_one(stack: Stack) -> None:
    lines = b"x-request-id: first\r\nx-request-id: second\r\ncontent-length: %d\r\n" % len(BODY)

    answer = exchange(stack, request_bytes(*POST, lines, BODY))

    assert answer.status == 200
    (entry,) = stack.simulator.log()
    assert entry["request_id"] == answer.headers["x-request-id"]


async def test_a_line_break_in_a_request_id_is_no_second_line_of_the_log(stack: Stack) -> None:
    for break_ in (b"\r\n", b"\n", b"\r"):
        lines = b'x-request-id: a%b{"status": 200, "forged": true}\r\n' % break_
        exchange(stack, request_bytes(headers=lines), patience=1)

    assert "forged" not in [key for line in stack.processor.output.splitlines() for key in json.loads(line)]
