"""Every answer that was once read wrongly, through the real Envoy and processor: the books say what is right.

However it comes: in its pieces, whole, a byte a packet; and where it ends well with any pause behind its final event,
read to the end or left right there.
"""

import asyncio
import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any, Final

import httpx
import pytest

from tests.harness.answer_cases import (
    CASES,
    COUNTED,
    ENDINGS,
    EVENTS,
    FORMS,
    GOOD_ANSWERS,
    HANGING_UP,
    HIDDEN_ERRORS,
    JSON,
    JSON_ANSWERS,
    LATE_ERRORS,
    USAGES,
    AnswerCase,
    Ending,
    Tokens,
)
from tests.harness.readings import Readings
from tests.harness.stack import PROMPT, Stack, running_stack
from tests.harness.waiting import eventually
from tests.unit.envoy.reference import read_answer

pytestmark = pytest.mark.slow

GROUPS = {
    "clients that hang up": HANGING_UP,
    "errors within streams": LATE_ERRORS,
    "errors at the beginning": HIDDEN_ERRORS,
    "no errors": GOOD_ANSWERS,
    "usage": USAGES,
    "forms": FORMS,
    "endings": ENDINGS,
    "json": JSON_ANSWERS,
}
TRIES = 2
AT_ONCE = 40
RETRIED_AT_ONCE = 3  # so many may always be tried again at the same time
PAUSES = (0, 0.002, 0.02, 0.2)
BEFORE_A_RESET = 1.0  # or a head that waits for its first event would be lost with it
LARGEST_BY_BYTES = 6_000
DIRECTIONS = {"input": "input", "output": "output", "cache_read": "cache_read", "cache_write": "cache_write"}
EVENT_END: Final = re.compile(rb"\r\n\r\n|\n\n|\r\r")


@dataclass(frozen=True, slots=True)
class Sending:
    """One case in one way; the client leaves once it has so many bytes, or never."""

    case: AnswerCase
    way: str
    scenario: dict[str, Any]
    leaves_after: int | None = None

    @property
    def request_id(self) -> str:
        return f"{self.case.name}/{self.way}".replace(" ", "-")


@dataclass(frozen=True, slots=True)
class Received:
    """What a client saw. `status` 0: no answer began."""

    status: int = 0
    body: bytes = b""


def text_of(body: bytes) -> str:
    """Bytes as they stand in a scenario."""
    return body.decode(errors="surrogateescape")


def end_of_the_final_event(case: AnswerCase) -> int:
    """How many bytes have passed when the final event has."""
    ends = [match.end() for match in EVENT_END.finditer(case.body)]
    return next(n for n in (*ends, len(case.body)) if read_answer("events", case.body[:n]).facts.get("final"))


def sendings(case: AnswerCase) -> Iterator[Sending]:
    """The case in every way."""
    leaves = len(case.seen) if case.client_leaves_after else None
    ending = [BEFORE_A_RESET, Ending.RESET.value] if Ending.RESET in case.pieces else []
    scenario = case.scenario()
    if ending:
        scenario["play"] = [*scenario["play"][:-1], *ending]
    yield Sending(case, "in its pieces", scenario, leaves)
    if len(case.body) <= LARGEST_BY_BYTES:
        yield Sending(case, "a byte a piece", {**scenario, "pieces": "byte"}, leaves)
    if case.right.status == 499:
        return  # whoever leaves in mid-stream needs one that goes on
    whole = [text_of(case.body)] if case.body else []
    yield Sending(case, "whole", {**scenario, "play": [*whole, *ending]}, leaves)
    if case.read.get("final") and case.content_type == EVENTS and case.right.error is None:
        end = end_of_the_final_event(case)
        head, tail = text_of(case.body[:end]), text_of(case.body[end:])
        for pause in PAUSES:
            play = [head, pause, *([tail] if tail else []), Ending.END.value]
            yield Sending(case, f"read to the end after {pause} s", {**scenario, "play": play})
            yield Sending(case, f"left at once before {pause} s", {**scenario, "play": play}, end)


async def send(client: httpx.AsyncClient, stack: Stack, sending: Sending) -> Received:
    case = sending.case
    body = {**PROMPT, "input": "hello", "stream": case.content_type == EVENTS}
    headers = {"x-sim": json.dumps(sending.scenario), "x-request-id": sending.request_id}
    received = Received()
    try:
        async with client.stream("POST", f"{stack.url}{case.path}", json=body, headers=headers) as response:
            received = Received(response.status_code)
            async for piece in response.aiter_raw():
                received = replace(received, body=received.body + piece)
                if sending.leaves_after is not None and len(received.body) >= sending.leaves_after:
                    break
    except httpx.RemoteProtocolError:
        pass  # it broke off, which is what is played
    return received


async def send_all(stack: Stack, sent: Sequence[Sending]) -> list[Received]:
    """Sends them a few at a time, those that are tried again very few."""
    many, few = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(RETRIED_AT_ONCE)
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(timeout=60, limits=limits) as client:

        async def in_turn(sending: Sending) -> Received:
            async with few if sending.case.right.attempts is None else many:
                return await send(client, stack, sending)

        return await asyncio.gather(*map(in_turn, sent))


def log_lines(stack: Stack) -> dict[str, dict[str, Any]]:
    """The lines of the request log by request id."""
    lines = map(json.loads, stack.processor.output.splitlines())
    return {line["request_id"]: line for line in lines if "request_id" in line}


def tokens_in(line: dict[str, Any]) -> Tokens:
    names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    return Tokens(*(line.get(name) or 0 for name in names))


def faults_of(sending: Sending, received: Received, line: dict[str, Any] | None, attempts: int) -> Iterator[str]:
    """What the books of one request have wrong."""
    case, right = sending.case, sending.case.right
    if line is None:
        yield "it is not in the log"
        return
    if line["status"] != right.status:
        yield f"status {line['status']}, not {right.status}"
    is_error = "error" in line if right.error == COUNTED else line.get("error") == right.error
    if not is_error:
        yield f"error {line.get('error')}, not {right.error}"
    if right.tokens is not None and tokens_in(line) != right.tokens:
        yield f"{tokens_in(line)}, not {right.tokens}"
    is_estimated = line.get("tokens_are") == "estimated"
    if right.estimated is not None and is_estimated != right.estimated:
        yield f"tokens are {line.get('tokens_are')}"
    if attempts != tries_of(case):
        yield f"{attempts} attempts, not {tries_of(case)}"
    if right.status in (200, 499):
        if sending.leaves_after is None and received.body != case.body:
            yield f"{received.body!r} reached the client, not {case.body!r}"
        if not case.body.startswith(received.body):
            yield f"{received.body!r} reached the client, which is no part of {case.body!r}"
        if sending.leaves_after is None and line["response_bytes"] != len(case.body):
            yield f"{line['response_bytes']} bytes counted, not {len(case.body)}"
        return
    if received.status != right.status:
        yield f"the client saw {received.status}"
    if case.status < 400 and b'"error": {' not in received.body:
        yield f"the client was told {received.body!r}"


def tries_of(case: AnswerCase) -> int:
    return case.right.attempts or TRIES


def assert_the_metrics_agree(difference: Readings, sent: Sequence[Sending], lines: dict[str, dict[str, Any]]) -> None:
    """The sums are those of all that is right; what is only told by the log is that of the log."""
    cases = [sending.case for sending in sent]
    logged = [lines[sending.request_id] for sending in sent]

    def counted(name: str, *labels: str) -> Counter[tuple[str, ...]]:
        counts: Counter[tuple[str, ...]] = Counter()
        for (series, has), value in difference.samples.items():
            if series == name and value:
                counts[tuple(dict(has)[label] for label in labels)] += int(value)
        return counts

    assert counted("zai_proxy_requests_total", "status_code") == Counter((str(case.right.status),) for case in cases)
    assert counted("zai_proxy_upstream_errors_total", "error_type") == Counter(
        (line["error"],) for line in logged if "error" in line
    )
    errors = [case for case in cases for _ in range(tries_of(case)) if case.right.code is not None]
    expected = Counter((case.right.error_class, case.right.code) for case in errors)
    assert counted("zai_proxy_zai_errors_total", "class", "code") == expected
    tokens = [tokens_in(line) for line in logged]
    for direction in DIRECTIONS:
        total = sum(getattr(each, direction) for each in tokens)
        assert difference.value("zai_proxy_tokens_total", direction=direction) == total, direction
    estimated = [tokens_in(line) for line in logged if line.get("tokens_are") == "estimated"]
    total = sum(each.input + each.output for each in estimated)
    assert difference.value("zai_proxy_estimated_tokens_total") == total
    retries = sum(tries_of(case) - 1 for case in cases)
    assert difference.value("zai_proxy_retry_attempts_total") == retries
    assert difference.value("zai_proxy_response_size_bytes_sum") == sum(line["response_bytes"] for line in logged)


@pytest.fixture(scope="module")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = {"MAX_RETRIES": str(TRIES - 1), "MAX_WORKERS": "60"}
    with running_stack(tmp_path_factory.mktemp("cases"), **settings) as stack:
        yield stack


@pytest.mark.parametrize("group", GROUPS)
async def test_the_books_are_right_however_an_answer_comes_and_ends(stack: Stack, before: Readings, group: str) -> None:
    sent = [sending for case in GROUPS[group] for sending in sendings(case)]

    received = await send_all(stack, sent)

    difference, lines = stack.metrics_at_rest() - before, log_lines(stack)
    attempts = Counter(entry["request_id"] for entry in stack.simulator.log())
    faults = [
        f"{sending.request_id}: {fault}"
        for sending, seen in zip(sent, received, strict=True)
        for fault in faults_of(sending, seen, lines.get(sending.request_id), attempts[sending.request_id])
    ]
    assert not faults, "\n".join(faults)
    assert_the_metrics_agree(difference, sent, lines)
    assert stack.metric("zai_proxy_access_log_failures_total") == 0
    assert stack.metric("zai_proxy_concurrent_requests") == 0


async def test_an_error_that_no_retry_has_a_place_for_is_z_ais_all_the_same(stack: Stack, before: Readings) -> None:
    case = next(case for case in HIDDEN_ERRORS if case.name == "an_error_is_the_first_event")
    sent = [Sending(case, f"number {number}", case.scenario()) for number in range(5 * RETRIED_AT_ONCE)]

    async with httpx.AsyncClient(timeout=60) as client:
        with stack.simulator.frozen():  # so that all of them fail at the same moment
            running = [asyncio.create_task(send(client, stack, sending)) for sending in sent]
            await eventually(lambda: stack.envoy_stat("cluster.zai.upstream_rq_active"), lambda n: n == len(sent))
        received = await asyncio.gather(*running)

    assert {each.status for each in received} == {529}
    difference = stack.metrics_at_rest() - before
    attempts = len(stack.simulator.log())
    assert len(sent) < attempts < TRIES * len(sent)
    assert difference.value("zai_proxy_upstream_errors_total", error_type="529") == len(sent)
    assert difference.value("zai_proxy_zai_errors_total", code="1305") == attempts


async def test_an_answer_that_is_lost_while_its_head_waits_is_not_asked_for_again_and_its_tokens_count(
    stack: Stack, before: Readings
) -> None:
    """A reset right behind the final event takes along what waits for the processor."""
    case = next(case for case in GOOD_ANSWERS if case.name == "a_text_shows_a_stream_with_an_error")
    scenario = {**case.scenario(), "play": [text_of(case.body), Ending.RESET.value]}
    sent = [Sending(case, f"reset {number}", scenario) for number in range(3)]

    async def under_way(count: int) -> None:
        await eventually(lambda: stack.envoy_stat("cluster.zai.upstream_rq_active"), lambda n: n == count)

    async with httpx.AsyncClient(timeout=60) as client, AsyncExitStack() as frozen:
        with stack.simulator.frozen():
            running = [asyncio.create_task(send(client, stack, sending)) for sending in sent]
            await under_way(len(sent))
            frozen.enter_context(stack.processor.frozen())
        await under_way(0)
        await frozen.aclose()
        received = await asyncio.gather(*running)

    assert [each.status for each in received] == [502] * len(sent)
    difference, lines = stack.metrics_at_rest() - before, log_lines(stack)
    for line in (lines[sending.request_id] for sending in sent):
        assert (line["status"], line["error"], tokens_in(line)) == (502, "read_error", case.right.tokens)
    assert difference.value("zai_proxy_estimated_tokens_total") == 0
    assert len(stack.simulator.log()) == len(sent)


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize(("code", "stays"), [("1302", False), ("1308", True)], ids=["passes", "used up"])
def test_what_stops_a_client_for_good_stays_only_where_the_plan_is_used_up(
    stack: Stack, code: str, stays: bool, framing: str
) -> None:
    told = {"anthropic-ratelimit-unified-status": "rejected", "retry-after": "18000"}
    error = json.dumps({"error": {"code": code, "message": "no"}})
    scenario = {"play": [error], "status": 429, "content_type": JSON, "framing": framing, "headers": told}

    answer = httpx.post(f"{stack.url}/v1/messages", json=PROMPT, headers={"x-sim": json.dumps(scenario)}, timeout=60)

    assert (answer.status_code, answer.text) == (429, error)
    # What passes says by itself when to come back.
    expected = told if stays else {"retry-after": "2"}
    assert {name: answer.headers[name] for name in told if name in answer.headers} == expected
    assert len(stack.simulator.log()) == (1 if stays else TRIES)


def test_who_is_refused_for_what_it_is_is_counted_as_that_and_told(stack: Stack, before: Readings) -> None:
    stack.simulator.limit(refused_identities=["unloved-sdk"])

    for agent, status in (("unloved-sdk/1.2", 529), ("other/1", 200), ("other/1", 200), ("unloved-sdk/1.2", 529)):
        headers = {"user-agent": agent}
        assert httpx.post(f"{stack.url}/v1/messages", json=PROMPT, headers=headers, timeout=60).status_code == status

    difference = stack.metrics_at_rest() - before
    assert difference.value("zai_proxy_zai_errors_total", **{"class": "identity"}, code="1305") > 0
    (refused,) = stack.status()["refused_identities"]
    assert (refused["user_agent"], refused["code"]) == ("unloved-sdk", "1305")
    assert "Z.AI refuses this client" in stack.processor.output


def test_every_case_is_in_a_group() -> None:
    assert [case for group in GROUPS.values() for case in group] == list(CASES)


@pytest.fixture(scope="module")
def gated_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = {"MAX_RETRIES": "0", "MAX_WORKERS": "60", "QUOTA_GATE": "on"}
    with running_stack(tmp_path_factory.mktemp("gated"), **settings) as stack:
        yield stack


def in_pieces(case: AnswerCase) -> Sending:
    return next(sendings(case))


def closed_windows(stack: Stack) -> set[str]:
    return stack.metrics().labels("zai_proxy_quota_gate_open", "window")


async def test_what_tells_of_no_used_up_plan_leaves_the_gate_open(gated_stack: Stack) -> None:
    cases = [case for case in CASES if not case.right.gate_closes]

    await send_all(gated_stack, [in_pieces(case) for case in cases])

    gated_stack.metrics_at_rest()
    assert log_lines(gated_stack).keys() >= {in_pieces(case).request_id for case in cases}
    assert closed_windows(gated_stack) == set()


@pytest.mark.parametrize("case", [case for case in CASES if case.right.gate_closes], ids=lambda case: case.name)
async def test_a_used_up_plan_closes_the_gate_however_it_is_told(gated_stack: Stack, case: AnswerCase) -> None:
    gated_stack.processor.kill()
    gated_stack.restart_processor()

    await send_all(gated_stack, [in_pieces(case)])

    await eventually(lambda: closed_windows(gated_stack), lambda windows: windows == {"five_hour"})
    await eventually(lambda: [each["window"] for each in gated_stack.status()["quota"]["gate"]], bool)
    assert httpx.post(f"{gated_stack.url}{case.path}", json=PROMPT).status_code == 429


def compressed(text: bytes, **scenario: object) -> dict[str, Any]:
    """Bytes that are sent compressed although nobody asked for that."""
    headers = {"content-encoding": "gzip", "retry-after": "18000", "anthropic-ratelimit-unified-status": "rejected"}
    return {"play": [text_of(gzip.compress(text))], "framing": "length", "headers": headers, **scenario}


async def test_an_error_that_came_compressed_passes_as_it_is(stack: Stack, before: Readings) -> None:
    """Nobody knows whether it is one that passes: what Z.AI says of that stays."""
    error = {"error": {"code": "1302", "message": "wait"}}
    scenario = compressed(json.dumps(error).encode(), status=429, content_type=JSON)

    answer = httpx.post(f"{stack.url}/v1/messages", json=PROMPT, headers={"x-sim": json.dumps(scenario)}, timeout=30)

    assert (answer.status_code, answer.json()) == (429, error)
    assert (answer.headers["retry-after"], answer.headers["anthropic-ratelimit-unified-status"]) == (
        "18000",
        "rejected",
    )
    assert len(stack.simulator.log()) == 1


@pytest.mark.parametrize("framing", ["chunked", "length"])
async def test_json_reaches_its_client_while_it_is_written(stack: Stack, before: Readings, framing: str) -> None:
    begun = '{"model": "glm-5.2", "choices": [{"index": 0, "message": {"content": "' + "x" * 3000
    scenario = {"play": [begun, 3600, '"}}]}'], "framing": framing, "content_type": JSON}
    headers = {"x-sim": json.dumps(scenario)}
    came = b""

    async with (
        httpx.AsyncClient(timeout=60) as client,
        client.stream("POST", f"{stack.url}/v1/chat/completions", json=PROMPT, headers=headers) as answer,
    ):
        async for piece in answer.aiter_raw():
            came += piece
            if len(came) == len(begun):
                break

    assert came == begun.encode()


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_of_a_long_error_the_front_tells_whether_it_is_tried_again(
    stack: Stack, before: Readings, framing: str
) -> None:
    error = {"error": {"code": "1302", "message": "wait" * 50_000}}
    stack.simulator.use(play=[json.dumps(error)], framing=framing, status=429, content_type=JSON)

    answer = httpx.post(f"{stack.url}/v1/messages", json=PROMPT, timeout=60)

    assert (answer.status_code, answer.json()) == (429, error)
    assert len(stack.simulator.log()) == TRIES
    difference = await eventually(lambda: stack.metrics() - before, lambda d: d.value("zai_proxy_requests_total") == 1)
    assert difference.value("zai_proxy_zai_errors_total") == TRIES
    assert difference.value("zai_proxy_zai_errors_total", **{"class": "concurrency"}, code="1302") == TRIES
    assert difference.value("zai_proxy_upstream_errors_total", error_type="429") == 1


@pytest.mark.parametrize(("content_type", "error"), [("text/html", "read_error"), (JSON, None)], ids=["a page", "json"])
async def test_of_what_came_compressed_tokens_are_guessed_unless_it_is_a_page(
    stack: Stack, before: Readings, content_type: str, error: str | None
) -> None:
    scenario = compressed(b"<html>blocked</html>" * 100, content_type=content_type)
    headers = {"x-sim": json.dumps(scenario), "x-request-id": f"compressed {content_type}"}

    answer = httpx.post(f"{stack.url}/v1/messages", json=PROMPT, headers=headers, timeout=30)

    assert answer.status_code == 200
    logged = await eventually(lambda: log_lines(stack).get(headers["x-request-id"]), lambda line: line is not None)
    assert logged.get("unread") == ("encoding" if error is None else None)
    difference = await eventually(lambda: stack.metrics() - before, lambda d: d.value("zai_proxy_requests_total") == 1)
    assert (difference.value("zai_proxy_estimated_tokens_total") > 0) == (error is None)
    assert difference.value("zai_proxy_upstream_errors_total", error_type="read_error") == (error is not None)
