"""What a client believes to be its key stays here: it reaches neither the upstream nor any log."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from tests.harness.leaks import leaks, pages, restart_envoy_talkative, written_files
from tests.harness.raw_http import exchange, request_bytes
from tests.harness.recording_upstream import RecordingUpstream, recording_upstream
from tests.harness.stack import PROMPT, Stack, running_stack

SECRET = "clients-own-secret"
SURFACES = (
    "/v1/messages",
    "/v1/chat/completions",
    "/v1/responses",
    "/api/paas/v4/files",
    "/api/mcp/zread/mcp",
    "/v1/models",
)

HEADERS = {
    "authorization": [f"Bearer {SECRET}", f"Basic {SECRET}", SECRET, f"bearer  {SECRET}", f"ApiKey {SECRET}"],
    "proxy-authorization": [f"Bearer {SECRET}", f"Basic {SECRET}"],
    "x-api-key": [SECRET],
    "api-key": [SECRET],
    "x-goog-api-key": [SECRET],
    "cookie": [f"session={SECRET}", f"a=b; acw_tc={SECRET}"],
}
PARAMETERS = (
    "key", "Key", "KEY",
    "api_key", "api-key", "apikey", "apiKey", "API_KEY", "Api-Key", "x-api-key", "x_api_key", "X-API-KEY",
    "token", "access_token", "access-token", "accessToken", "auth_token", "authToken",
    "auth", "authorization", "Authorization",
    "secret", "client_secret", "clientSecret", "password", "credential",
    "%6bey", "api%5Fkey", "api%2Dkey", "%61%70%69_key", "+key", "key+", "%20api_key",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Observed:
    """A stack in front of an upstream that keeps every byte."""

    stack: Stack
    upstream: RecordingUpstream
    directory: Path

    def assert_kept_to_itself(self) -> None:
        """The upstream got requests with the proxy's key, and nothing of the client's."""
        received = {"upstream": self.upstream.received}
        assert leaks(received, [self.stack.key]) == ["upstream"]
        assert leaks(received, [SECRET]) == []


@pytest.fixture
def observed(observed_stack: Observed) -> Observed:
    observed_stack.upstream.forget()
    return observed_stack


@pytest.fixture(scope="module")
def observed_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    directory = tmp_path_factory.mktemp("observed")
    with (
        recording_upstream() as upstream,
        running_stack(directory, ZAI_TARGET_URL=upstream.url, LOG_LEVEL="debug") as stack,
    ):
        restart_envoy_talkative(stack)
        yield Observed(stack, upstream, directory)


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
@pytest.mark.parametrize("name", HEADERS)
def test_a_credential_header_stays_here(observed: Observed, name: str, http2: bool) -> None:
    with httpx.Client(base_url=observed.stack.url, http1=not http2, http2=http2, timeout=20) as client:
        for path in SURFACES:
            for value in HEADERS[name]:
                assert client.post(path, json=PROMPT, headers={name: value}).status_code == 200

    observed.assert_kept_to_itself()


@pytest.mark.parametrize("name", HEADERS)
def test_a_credential_header_that_comes_twice_stays_here(observed: Observed, name: str) -> None:
    for written in (name.title(), name.upper()):
        lines = b"".join(
            b"%b: %b\r\n" % (each.encode(), value.encode()) for each in (name, written) for value in HEADERS[name]
        )
        assert (
            exchange(observed.stack, request_bytes(b"POST", b"/v1/messages", lines + b"content-length: 0\r\n")).status
            == 200
        )

    observed.assert_kept_to_itself()


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_key_in_the_query_stays_here(observed: Observed, name: str) -> None:
    secret = quote(f"Bearer {SECRET}")
    for query in (
        f"{name}={secret}",
        f"beta=true&{name}={secret}&x=1",
        f"{name}=a&{name}={secret}",
        f"&&{name}={secret}&",
    ):
        for path in SURFACES[:2]:
            assert httpx.post(f"{observed.stack.url}{path}?{query}", json=PROMPT).status_code == 200

    observed.assert_kept_to_itself()


def test_other_parameters_go_upstream_as_they_came(observed: Observed) -> None:
    query = "beta=true&keys=1&max_tokens=5&a=%2f+%20b&a=&=x&monkey=1&tokenizer=a"

    assert httpx.post(f"{observed.stack.url}/v1/messages?{query}&api_key={SECRET}", json=PROMPT).status_code == 200

    assert observed.upstream.received.startswith(f"POST /api/anthropic/v1/messages?{query} HTTP/1.1\r\n")


def test_a_credential_in_trailers_stays_here(observed: Observed) -> None:
    body = b"5\r\nhello\r\n0\r\nx-api-key: %b\r\nauthorization: Bearer %b\r\n\r\n" % (SECRET.encode(), SECRET.encode())
    lines = b"transfer-encoding: chunked\r\ntrailer: x-api-key, authorization\r\n"

    assert exchange(observed.stack, request_bytes(b"POST", b"/v1/messages", lines, body)).status == 200

    observed.assert_kept_to_itself()


def test_what_was_refused_stays_here_too(observed: Observed) -> None:
    headers = {name: values[0] for name, values in HEADERS.items()}
    for path in (f"/nothing?key={SECRET}", f"/api/monitor/usage?token={SECRET}", f"/v1/models/%00?key={SECRET}"):
        response = httpx.post(f"{observed.stack.url}{path}", json=PROMPT, headers=headers)
        assert 400 <= response.status_code < 500
        assert SECRET not in str(response.headers) + response.text

    assert observed.upstream.received == ""


def test_the_credentials_of_clients_are_in_no_log_and_on_no_page(observed: Observed) -> None:
    headers = {name: values[0] for name, values in HEADERS.items()}
    for path in (*SURFACES, "/nothing", "/api/monitor"):
        httpx.post(f"{observed.stack.url}{path}?api_key={SECRET}", json=PROMPT, headers=headers)
    observed.stack.metrics_at_rest()

    assert "/v1/messages" in observed.stack.processor.output
    assert leaks(written_files(observed.directory), [SECRET]) == []
    assert leaks(pages(observed.stack), [SECRET]) == []
