"""What the demo sends. That it arrives is shown with real processes."""

import asyncio

import httpx

from extproc.demo.traffic import SAMPLES, Sample, Traffic
from extproc.domain.request.programs import program_of

# The demo drains for 10 s: whoever stops it should not see a request cut off.
LONGEST_ANSWER = 9.0


def answer_seconds(sample: Sample) -> float:
    """How long its answer takes, the way the simulator reads a scenario."""
    told = sample.scenario
    events = told.get("events", 0) + told.get("thinking", 0)
    return float(told.get("delay", 0) + told.get("first_event_delay", 0) + events * told.get("pause", 0))


def test_every_answer_is_over_before_a_stop_would_cut_it() -> None:
    assert max(map(answer_seconds, SAMPLES)) <= LONGEST_ANSWER


def test_there_are_streams_and_plain_answers_in_each_dialect() -> None:
    kinds = {(sample.path.partition("?")[0], sample.body.get("stream")) for sample in SAMPLES if sample.body}

    for path in ("/v1/messages", "/v1/chat/completions", "/v1/responses"):
        assert {(path, True), (path, False)} <= kinds


def test_each_sample_is_of_a_program_that_is_known_by_name() -> None:
    assert {program_of(sample.program) for sample in SAMPLES} == {"Claude Code", "OpenAI SDK", "Codex"}


async def test_a_session_is_of_one_program() -> None:
    sent: dict[str, set[str]] = {}
    stopping = asyncio.Event()

    def answer(request: httpx.Request) -> httpx.Response:
        sent.setdefault(request.headers["x-claude-code-session-id"], set()).add(request.headers["user-agent"])
        if len({program for programs in sent.values() for program in programs}) == 3:
            stopping.set()
        return httpx.Response(200, stream=httpx.ByteStream(b"yes"))

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        await asyncio.wait_for(Traffic(client, "http://proxy", 20).run(stopping), 60)

    assert {len(programs) for programs in sent.values()} == {1}


async def test_it_sends_until_it_is_told_to_stop_and_takes_no_failure_amiss() -> None:
    sent: list[str] = []
    stopping = asyncio.Event()

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.url.path)
        if len(sent) == 1:
            raise httpx.ConnectError("nobody there")
        if len(sent) == 3:
            stopping.set()
        return httpx.Response(500, stream=httpx.ByteStream(b"no"))

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        await asyncio.wait_for(Traffic(client, "http://proxy", 20).run(stopping), 30)

    assert len(sent) == 3
