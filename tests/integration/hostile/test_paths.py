"""The owner's account, and everything else that is refused, by whatever name it is asked for."""

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness.raw_http import exchange, request_bytes
from tests.harness.raw_http2 import http2_connection, request_headers
from tests.harness.stack import Stack
from tests.harness.vitals import UPSTREAM_PATHS, belongs_to_the_owner

OWNERS = (
    "/api/monitor/usage/quota/limit",
    "/api/monitor/usage",
    "/api/monitor",
    "/api/biz/subscription/list",
    "/api/biz",
)
# Paths that do go upstream: from each of them a trick may try to climb out.
DOORS = (
    "/v1/messages",
    "/v1/models",
    "/v1/responses",
    "/api/anthropic",
    "/api/paas/v4",
    "/api/coding",
    "/api/v1",
    "/api/mcp",
)

TRICKS = [
    "/api/monitor/usage/quota/limit",
    "/api/monitor/",
    "/api/monitor/usage/quota/limit?x=1",
    "/API/Monitor/Usage/Quota/Limit",
    "/api/MONITOR",
    "//api//monitor//usage",
    "/./api/./monitor/./usage",
    "/api/paas/../monitor/usage",
    "/api/paas/v4/../../monitor/usage",
    "/api/paas/v4/%2e%2e/%2e%2e/monitor/usage",
    "/api/paas/v4/%2E%2E/.%2e/monitor/usage",
    "/v1/messages/../../api/monitor/usage",
    "/v1/../api/biz/subscription/list",
    "/api\\monitor\\usage",
    "/api/paas\\..\\monitor/usage",
    "/api/paas/..\\monitor/usage",
    "/api%2fmonitor%2fusage",
    "/api/paas/..%2fmonitor/usage",
    "/api/paas/..%5cmonitor/usage",
    "/api/paas%2f..%2fmonitor/usage",
    "/api/%6donitor/usage",
    "/%61%70%69/%6d%6f%6e%69%74%6f%72/usage",
    "/api/monitor%00/usage",
    "/api/monitor%20/usage",
    "/api/monitor;x=1/usage",
    "/api;x=1/monitor/usage",
    "/api/v1/..;/monitor/usage",
    "/api/v1/%2e%2e;/monitor/usage",
    "/api/v1/..;x=1/monitor/usage",
    "/api/v1/%2e%2e;x=%2f/monitor/usage",
    "/api/v1/..%3b/monitor/usage",
    "/api/v1/%252e%252e/monitor/usage",
    "/api/v1/..%252fmonitor/usage",
    "/api/v1/..%255cmonitor/usage",
    "/api/v1%252f..%252fmonitor/usage",
    "/api/v1/%25252e%25252e/monitor/usage",
    "/api/v1/.%00./monitor/usage",
    "/api/v1/models/../../../api/monitor",
    "/api/v1/..//monitor",
    "/api/v1/../../../../../api/monitor",
]
ABSOLUTE_TRICKS = [
    "http://proxy/api/monitor/usage",
    "http://proxy/api/v1/../monitor/usage",
    "http://api.z.ai/api/monitor/usage",
    "https://api.z.ai/api/monitor/usage",
]


@pytest.mark.parametrize("path", TRICKS)
async def test_the_owners_account_is_not_reached_by_another_name(stack: Stack, path: str) -> None:
    answer = exchange(stack, request_bytes(target=path.encode()))
    with http2_connection(stack) as connection:
        over_http2 = connection.answer(connection.request(request_headers(path.encode())))

    assert answer.status in (0, 400, 403, 404)
    assert over_http2.status in (0, 400, 403, 404)
    assert stack.simulator.log() == []


@pytest.mark.parametrize(
    "path", ["/api/paas/v4/models", "/v1/models", "/v1/models/glm-5.3", "/api/paas/v4/files/a.b-c_d~e"]
)
async def test_ordinary_paths_are_not_mistaken_for_tricks(stack: Stack, path: str) -> None:
    assert exchange(stack, request_bytes(target=path.encode())).came_from_upstream


async def test_a_query_may_hold_anything_that_looks_like_a_trick(stack: Stack) -> None:
    answer = exchange(stack, request_bytes(target=b"/v1/models?next=/api/../monitor;%2f%252e\\..//"))

    assert answer.came_from_upstream


async def test_what_is_routed_is_normalised_before_it_leaves(stack: Stack) -> None:
    for path in ("//v1//models", "/v1/./models", "/v1/x/../models", "/v1/x/%2e%2e/models"):
        response = exchange(stack, request_bytes(target=path.encode()))
        assert response.status == 200

    assert {entry["path"] for entry in stack.simulator.log()} == {"/api/coding/paas/v4/models"}


async def test_no_other_host_or_scheme_is_reached(stack: Stack) -> None:
    for target in (b"http://internal.example/v1/models", b"ftp://internal.example/v1/models"):
        answer = exchange(stack, request_bytes(target=target, host=b"internal.example"))
        assert answer.status in (0, 200) or 400 <= answer.status < 500

    hosts = {entry["headers"]["host"] for entry in stack.simulator.log()}
    assert hosts <= {f"127.0.0.1:{stack.simulator.port}"}


def escaped(character: str, times: int) -> str:
    text = f"%{ord(character):02x}"
    for _ in range(times - 1):
        text = text.replace("%", "%25")
    return text


@st.composite
def disguised_paths(draw: st.DrawFn) -> str:
    """A path of the owner's account, perhaps behind a door and `..`, with some of its characters disguised."""
    target = draw(st.sampled_from(OWNERS))
    if draw(st.booleans()):
        door = draw(st.sampled_from(DOORS))
        up = draw(
            st.sampled_from(["..", "..;", "..;x", "%2e%2e", ".%2e", "%2e%2e;", "%252e%252e", "..%00", "...", ". ."])
        )
        target = door + f"/{up}" * door.count("/") + target
    pieces = []
    for character in target:
        how = draw(st.integers(0, 30))
        if how == 0:
            pieces.append(escaped(character, draw(st.integers(1, 3))))
        elif how == 1:
            pieces.append(character.upper())
        elif how == 2 and character == "/":
            pieces.append(
                draw(st.sampled_from(["//", "/./", "\\", "%5c", "%2F", "/;/", "/.;/", ";/", "/x/../", "%20/", "/%09"]))
            )
        else:
            pieces.append(character)
    return "".join(pieces) + draw(
        st.sampled_from(["", "", "/", "//", "?", ";", "%00", "%20", "/.", "?x=/", "%3f", "%23"])
    )


@settings(max_examples=300)
@given(path=disguised_paths())
def test_no_disguise_gets_the_owners_account_past_the_proxy(shared_stack: Stack, path: str) -> None:
    answer = exchange(shared_stack, request_bytes(target=path.encode("ascii")))

    assert not answer.silent
    if answer.came_from_upstream:
        assert not belongs_to_the_owner(shared_stack.simulator.log()[-1]["path"])


@settings(max_examples=100)
@given(path=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="?#"), max_size=40))
def test_only_routed_paths_leave(shared_stack: Stack, path: str) -> None:
    answer = exchange(shared_stack, request_bytes(target=b"/" + path.encode()))

    assert not answer.silent
    if answer.came_from_upstream:
        assert shared_stack.simulator.log()[-1]["path"].startswith(UPSTREAM_PATHS)
    else:
        assert answer.status in (0, 200) or 400 <= answer.status < 500


@pytest.mark.parametrize(
    "path",
    [
        "/status",
        "/readyz",
        "/healthz",
        "/requests",
        "/requests/1/cancel",
        "/health/../requests",
        "/metrics/../requests",
        "/metrics/%2e%2e/requests",
        "/metrics/..%2frequests",
        "/metrics/..;/requests",
        "/metrics;/../requests",
        "/metrics/requests",
        "/health\\..\\requests",
        "http://127.0.0.1/requests",
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"POST"])
async def test_the_processors_own_pages_are_not_reached_from_the_client_port(
    stack: Stack, path: str, method: bytes
) -> None:
    """To the processor every request from Envoy is one from this machine: the owner's, were it let through."""
    answer = exchange(stack, request_bytes(method, path.encode(), b"content-length: 0\r\nhost: 127.0.0.1\r\n"))

    assert answer.status == 0 or 400 <= answer.status < 500
    assert answer.headers.get("server") != "uvicorn"


async def test_refused_paths_are_refused_under_every_method(stack: Stack) -> None:
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"):
        assert httpx.request(method, f"{stack.url}/api/monitor/usage").status_code == 403
        expected = 204 if method == "OPTIONS" else 404  # what is allowed can be asked for any path
        assert httpx.request(method, f"{stack.url}/api/nothing").status_code == expected

    assert stack.simulator.log() == []
