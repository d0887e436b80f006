"""An upstream behind TLS: its certificate is always checked, against the right authority and for the right name."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.harness.certificates import Authority
from tests.harness.stack import PROMPT, Stack, running_stack
from tests.harness.waiting import eventually

pytestmark = pytest.mark.slow

ADDRESS = "127.0.0.1"


@contextmanager
def stack_with_upstream(
    directory: Path, trusts: Authority, presents: tuple[Path, Path], pacing: str = "off"
) -> Iterator[Stack]:
    """A stack whose upstream presents this certificate, and whose Envoy believes this authority."""
    certificate, key = (str(path) for path in presents)
    settings = {"ZAI_CA_FILE": str(trusts.certificate_file), "MAX_RETRIES": "1", "PACING": pacing}
    with running_stack(directory, "--tls-cert", certificate, "--tls-key", key, **settings) as stack:
        yield stack


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def shared_stack(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Stack]:
    directory = tmp_path_factory.mktemp("https")
    with stack_with_upstream(directory, trusts=authority, presents=authority.issue(ADDRESS)) as stack:
        yield stack


@pytest.fixture(scope="module", params=["another authority", "another name", "another name, paced"])
def mistrusted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[Stack]:
    """A stack whose upstream presents a certificate of an unknown authority, or one for another name."""
    directory = tmp_path_factory.mktemp("mistrusted")
    if request.param == "another authority":
        presents = Authority(directory, "unknown-ca").issue(ADDRESS)
    else:
        presents = authority.issue("api.z.ai")
    pacing = "on" if "paced" in request.param else "off"
    with stack_with_upstream(directory, trusts=authority, presents=presents, pacing=pacing) as stack:
        yield stack


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_trusted_upstream_answers(stack: Stack, streamed: bool) -> None:
    response = httpx.post(f"{stack.url}/v1/messages", json={**PROMPT, "stream": streamed})

    assert response.status_code == 200
    assert stack.simulator.log()[-1]["credentials"]["x-api-key"] == "right key"


async def test_the_connection_to_the_upstream_is_reused(stack: Stack) -> None:
    before = stack.envoy_stat("cluster.zai.ssl.handshake")
    with httpx.Client() as client:
        for _ in range(5):
            assert client.post(f"{stack.url}/v1/messages", json=PROMPT).status_code == 200

    assert stack.envoy_stat("cluster.zai.ssl.handshake") - before <= 1


async def test_an_upstream_that_cannot_prove_who_it_is_gets_nothing(mistrusted: Stack) -> None:
    before = mistrusted.metrics()

    anthropic = httpx.post(f"{mistrusted.url}/v1/messages", json=PROMPT)
    openai = httpx.post(f"{mistrusted.url}/v1/chat/completions", json=PROMPT)

    assert (anthropic.status_code, openai.status_code) == (503, 503)
    assert anthropic.json()["type"] == "error"
    assert anthropic.json()["error"]["type"] == "overloaded_error"
    assert openai.json()["error"]["type"] == "server_error"
    for response in (anthropic, openai):
        assert "can't be reached: TLS with what answers there fails" in response.json()["error"]["message"]
        assert response.headers["content-type"] == "application/json"
        assert response.json()["request_id"] == response.headers["x-request-id"]
        assert response.headers["retry-after"]
    assert mistrusted.simulator.log() == []
    counted = await eventually(
        lambda: mistrusted.metrics() - before,
        lambda d: d.value("zai_proxy_upstream_errors_total", error_type="upstream_connection") == 2,
    )
    assert counted.value("zai_proxy_upstream_errors_total") == 2
    assert counted.value("zai_proxy_requests_total", status_code="503") == 2
    assert mistrusted.metric("zai_proxy_concurrent_requests") == 0


async def test_the_caller_is_not_told_the_details_of_the_certificate(mistrusted: Stack) -> None:
    body = json.dumps(httpx.post(f"{mistrusted.url}/v1/messages", json=PROMPT).json())

    assert "api.z.ai" not in body
    assert str(mistrusted.simulator.port) not in body
