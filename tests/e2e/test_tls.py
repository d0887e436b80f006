"""The client port with a certificate: TLS, and HTTP/2 by ALPN."""

import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.callers import HELLO
from tests.harness.certificates import Authority
from tests.harness.curl import curl
from tests.harness.sdk_clients import MODEL, anthropic_client, openai_client
from tests.harness.stack import PROMPT, Stack, running_stack


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def shared_stack(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Stack]:
    """A stack whose client port speaks TLS."""
    certificate, key = authority.issue("127.0.0.1")
    settings = {"TLS_CERT_FILE": str(certificate), "TLS_KEY_FILE": str(key)}
    with running_stack(tmp_path_factory.mktemp("tls"), **settings) as stack:
        yield stack


@pytest.mark.parametrize(("option", "version"), [("--http2", "2"), ("--http1.1", "1.1")])
async def test_curl_gets_the_http_version_that_it_asks_for(
    stack: Stack, authority: Authority, option: str, version: str
) -> None:
    trust = ["--cacert", str(authority.certificate_file)]

    answer = curl(f"{stack.url}/v1/messages", *trust, option, "--data-binary", "@-", data=json.dumps(PROMPT).encode())

    assert (answer.status, answer.version) == (200, version)
    assert json.loads(answer.body)["type"] == "message"


async def test_the_sdks_are_answered_whole_and_streamed(stack: Stack, authority: Authority) -> None:
    anthropic = anthropic_client(stack, trust=authority.trusted())
    openai = openai_client(stack, trust=authority.trusted())

    message = anthropic.messages.create(model=MODEL, max_tokens=100, messages=HELLO)
    chunks = list(openai.chat.completions.create(model=MODEL, messages=HELLO, stream=True))

    assert message.content
    assert chunks[-1].usage is not None


async def test_a_client_that_does_not_know_the_authority_does_not_connect(stack: Stack) -> None:
    answer = curl(f"{stack.url}/health", "--cacert", ssl.get_default_verify_paths().cafile or "/etc/ssl/cert.pem")

    # curl: the peer's certificate cannot be authenticated, or with some versions of OpenSSL the handshake failed.
    assert answer.exit_code in (60, 35)
    assert answer.status == 0


@pytest.mark.parametrize(("offered", "agreed"), [(["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1"), ([], None)])
async def test_alpn_prefers_http2(stack: Stack, authority: Authority, offered: list[str], agreed: str | None) -> None:
    context = authority.trusted()
    if offered:
        context.set_alpn_protocols(offered)

    with (
        socket.create_connection(("127.0.0.1", stack.proxy_port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as encrypted,
    ):
        assert encrypted.selected_alpn_protocol() == agreed


async def test_tls_older_than_1_2_is_refused(stack: Stack) -> None:
    answer = curl(f"{stack.url}/health", "--insecure", "--tlsv1.1", "--tls-max", "1.1", "--ciphers", "ALL:@SECLEVEL=0")

    assert answer.exit_code == 35  # curl: the TLS handshake failed


async def test_clear_text_on_a_tls_port_is_not_answered(stack: Stack) -> None:
    answer = curl(stack.url.replace("https:", "http:") + "/health")

    assert answer.status == 0


async def test_the_key_file_is_not_shown_by_the_admin_interface(stack: Stack) -> None:
    key = Path(stack.environment["TLS_KEY_FILE"]).read_text().splitlines()[1]

    assert key not in curl(f"{stack.admin_url}/config_dump").text
    assert key not in curl(f"{stack.admin_url}/certs").text
