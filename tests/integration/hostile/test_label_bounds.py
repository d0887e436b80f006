"""Label values stay few, whatever hundreds of callers make up: each new value would be a series for ever."""

import json
import random
import string

import httpx
import pytest

from extproc.domain.request.routes import labels
from tests.harness.raw_http import exchange, request_bytes
from tests.harness.raw_http2 import http2_connection, request_headers
from tests.harness.readings import Readings
from tests.harness.stack import PROMPT, Stack
from tests.harness.waiting import eventually

pytestmark = pytest.mark.slow

MARK = "zz9"
METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "OTHER"}
MANY = 150
MOST_MODELS = 50
SOURCES = 64


def made_up(generator: random.Random) -> str:
    """A word that nobody would write, with a mark by which it is found again."""
    return MARK + "".join(generator.choices(string.ascii_lowercase + string.digits, k=12))


async def send_what_is_made_up(stack: Stack, generator: random.Random) -> None:
    """Hundreds of paths, methods, models, codes, statuses, sessions, agents and ids, each sent once."""
    async with httpx.AsyncClient(base_url=stack.url, timeout=30) as client:
        for _ in range(MANY):
            word = made_up(generator)
            await client.get(f"/{word}")
            await client.get(f"/api/paas/v4/{word}/{word}")
            await client.get(f"/v1/models/{word}", headers={"user-agent": word, "x-request-id": word})
            scenario: dict[str, object] = {"model": word, "usage": generator.choice(["final_only", "none"])}
            await client.post("/v1/messages", json=PROMPT, headers=simulating(scenario, word))
            code: dict[str, object] = {
                "code": str(generator.randrange(4000, 999999)),
                "status": generator.randrange(400, 600),
            }
            await client.post("/v1/chat/completions", json=PROMPT, headers=simulating(code, word))
    with http2_connection(stack) as connection:
        for _ in range(MANY):
            connection.answer(connection.request(request_headers(b"/v1/models", made_up(generator).upper().encode())))
    for _ in range(MANY):
        exchange(stack, request_bytes(made_up(generator).upper().encode()))


def simulating(scenario: dict[str, object], word: str) -> dict[str, str]:
    return {"x-sim": json.dumps(scenario), "x-claude-code-session-id": word, "x-forwarded-for": word}


async def test_made_up_words_make_no_series_of_their_own(stack: Stack) -> None:
    finished = stack.metric("zai_proxy_requests_total")

    await send_what_is_made_up(stack, random.Random(1))

    await eventually(lambda: stack.metric("zai_proxy_requests_total") - finished, lambda number: number >= 7 * MANY)
    readings = stack.metrics()
    assert readings.labels("zai_proxy_requests_total", "path") <= labels()
    assert readings.labels("zai_proxy_requests_total", "method") <= METHODS
    models = readings.labels("zai_proxy_tokens_total", "model")
    assert len(models) <= MOST_MODELS + 2
    assert "other" in models
    assert len(readings.labels("zai_proxy_rate_limit_wait_seconds_count", "client")) <= SOURCES
    assert readings.labels("zai_proxy_zai_errors_total", "code") == {"other", "1211"}  # 1211: no such model
    assert {code for code in readings.labels("zai_proxy_requests_total", "status_code") if not code.isdecimal()} <= {
        "other"
    }
    assert_told_only_as_models(readings)


def assert_told_only_as_models(readings: Readings) -> None:
    """A model's name is what the upstream reported. No other label has anything in it from outside."""
    for name, labels_of_series in readings.samples:
        told = {label for label, value in labels_of_series if MARK in value.lower()}
        assert told <= {"model"}, (name, labels_of_series)
