"""Z.AI speaks HTTP/2, which ends streams in ways of its own: the answers and the books are those of HTTP/1.1."""

import json
from collections.abc import Iterator, Sequence
from typing import Final

import httpx
import pytest

from tests.harness.certificates import make_certificates
from tests.harness.http2_upstream import HEADER, Http2Upstream, Step, http2_upstream
from tests.harness.readings import Readings
from tests.harness.stack import PROMPT, Stack, running_stack

pytestmark = pytest.mark.slow

ERROR: Final = {"type": "error", "error": {"type": "overloaded_error", "code": "1305", "message": "busy"}}
START: Final = {"type": "message_start", "message": {"model": "glm-5.3", "usage": {"input_tokens": 9}}}
TEXT: Final = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello"}}
USAGE: Final = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}}


def event(data: object) -> str:
    return f"data: {json.dumps(data)}\n\n"


FIRST: Final = event(START) + event(TEXT)
LAST: Final = event(USAGE) + event({"type": "message_stop"})
BETWEEN: Final = 0.3  # what is sent with a reset may be lost with it


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Http2Upstream]:
    with http2_upstream(make_certificates(tmp_path_factory.mktemp("authority"))) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def shared_stack(tmp_path_factory: pytest.TempPathFactory, upstream: Http2Upstream) -> Iterator[Stack]:
    settings = {
        "ZAI_TARGET_URL": upstream.url,
        "ZAI_CA_FILE": str(upstream.certificates.authority),
        "MAX_RETRIES": "1",
    }
    with running_stack(tmp_path_factory.mktemp("http2"), **settings) as stack:
        yield stack


def ask(stack: Stack, *play: str | float) -> tuple[int, str, bool]:
    """The status, the text as far as it came, and whether that was all."""
    with httpx.Client() as client:
        return ask_by(client, stack, *play)


def ask_by(client: httpx.Client, stack: Stack, *play: str | float) -> tuple[int, str, bool]:
    """The same on a client's connection: so each time in the same one of Envoy's threads."""
    body, headers = {**PROMPT, "stream": True}, {HEADER: json.dumps(play)}
    text = ""
    with client.stream("POST", f"{stack.url}/v1/messages", json=body, headers=headers, timeout=40) as answer:
        try:
            for piece in answer.iter_text():
                text += piece
        except httpx.RemoteProtocolError:
            return answer.status_code, text, False
    return answer.status_code, text, True


def tokens(difference: Readings) -> tuple[float, float]:
    """Input and output."""
    value = difference.value
    return value("zai_proxy_tokens_total", direction="input"), value("zai_proxy_tokens_total", direction="output")


async def test_the_upstream_is_spoken_to_in_http2(stack: Stack) -> None:
    assert ask(stack, FIRST + LAST, Step.END)[0] == 200

    assert stack.envoy_stat("cluster.zai.upstream_cx_http2_total") > 0
    assert stack.envoy_stat("cluster.zai.upstream_cx_http1_total") == 0


@pytest.mark.parametrize(
    "play",
    [
        (FIRST + LAST, Step.END),
        (FIRST, LAST, Step.TRAILERS),
        (FIRST[:50], FIRST[50:] + LAST, BETWEEN, Step.END),
        (FIRST, Step.GOAWAY, BETWEEN, LAST, Step.END),
    ],
    ids=["at once", "with trailers", "in pieces", "with a GOAWAY in the middle"],
)
async def test_a_good_stream_is_whole_and_counted(stack: Stack, before: Readings, play: Sequence[str | float]) -> None:
    assert ask(stack, *play) == (200, FIRST + LAST, True)

    difference = stack.metrics_at_rest() - before
    assert tokens(difference) == (9, 7)
    assert difference.value("zai_proxy_requests_total", status_code="200") == 1
    assert difference.value("zai_proxy_upstream_errors_total") == 0


async def test_after_a_goaway_the_next_request_has_a_connection_of_its_own(
    stack: Stack, upstream: Http2Upstream
) -> None:
    with httpx.Client() as client:
        ask_by(client, stack, FIRST, Step.GOAWAY, LAST, Step.END)
        connections = upstream.connections

        assert ask_by(client, stack, FIRST + LAST, Step.END) == (200, FIRST + LAST, True)

    assert upstream.connections == connections + 1


async def test_a_reset_behind_the_final_event_takes_nothing_from_the_books(stack: Stack, before: Readings) -> None:
    status, text, is_whole = ask(stack, FIRST, LAST, BETWEEN, Step.RESET)

    assert (status, text, is_whole) == (200, FIRST + LAST, False)
    difference = stack.metrics_at_rest() - before
    assert tokens(difference) == (9, 7)
    assert difference.value("zai_proxy_requests_total", status_code="200") == 1
    assert difference.value("zai_proxy_upstream_errors_total") == 0
    assert difference.value("zai_proxy_estimated_tokens_total") == 0


async def test_a_reset_before_the_final_event_broke_it_off(stack: Stack, before: Readings) -> None:
    assert ask(stack, FIRST, BETWEEN, Step.RESET) == (200, FIRST, False)

    difference = stack.metrics_at_rest() - before
    assert difference.value("zai_proxy_upstream_errors_total", error_type="read_error") == 1


@pytest.mark.parametrize("behind", [(Step.END,), (Step.TRAILERS,), (), (BETWEEN, Step.RESET)], ids=str)
async def test_an_error_as_the_first_event_is_tried_again_and_told_as_json(
    stack: Stack, before: Readings, behind: Sequence[str | float]
) -> None:
    status, text, is_whole = ask(stack, event(ERROR), *behind)

    assert (status, json.loads(text), is_whole) == (529, ERROR, True)
    difference = stack.metrics_at_rest() - before
    assert difference.value("zai_proxy_retry_attempts_total") == 1
    assert difference.value("zai_proxy_zai_errors_total", code="1305") == 2
