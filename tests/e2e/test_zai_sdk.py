"""Z.AI's own package, with the paths of the real API behind the proxy's origin."""

import json
from typing import Any

import pytest
from zai.core import StreamResponse
from zai.types.chat.chat_completion import Completion
from zai.types.chat.chat_completion_chunk import ChatCompletionChunk

from tests.harness.sdk_clients import (
    CALLS_THE_TOOL,
    CODING,
    GENERAL,
    MODEL,
    OPENAI_TOOL,
    TOOL_INPUT,
    TOOL_NAME,
    zai_client,
)
from tests.harness.stack import Stack

HELLO: list[dict[str, Any]] = [{"role": "user", "content": "hello"}]
BASES = pytest.mark.parametrize("base", [GENERAL, CODING])


def ask(stack: Stack, base: str = GENERAL, messages: list[dict[str, Any]] = HELLO, **options: Any) -> Completion:
    answer = zai_client(stack, base).chat.completions.create(model=MODEL, messages=messages, **options)
    assert isinstance(answer, Completion)
    return answer


def stream(stack: Stack, base: str = GENERAL, **options: Any) -> list[ChatCompletionChunk]:
    answer = zai_client(stack, base).chat.completions.create(model=MODEL, messages=HELLO, stream=True, **options)
    assert isinstance(answer, StreamResponse)
    return list(answer)


@BASES
async def test_a_chat_is_answered(stack: Stack, base: str) -> None:
    stack.simulator.use(text="Grüezi 🙂", output_tokens=7)

    answer = ask(stack, base)

    assert answer.choices[0].message.content == "Grüezi 🙂"
    assert answer.usage.completion_tokens == 7
    (entry,) = stack.simulator.log()
    assert entry["path"] == f"{base}/chat/completions"
    assert entry["credentials"]["authorization"] == "right key"


@BASES
async def test_a_stream_tells_its_reasoning_its_text_and_its_usage(stack: Stack, base: str) -> None:
    stack.simulator.use(text="four words it is", thinking=4, output_tokens=8)

    chunks = stream(stack, base, thinking={"type": "enabled"})

    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert "".join(delta.content or "" for delta in deltas) == "four words it is"
    assert sum(bool(delta.reasoning_content) for delta in deltas) == 4
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 8


async def test_a_tool_is_called_and_its_result_answered(stack: Stack) -> None:
    stack.simulator.use(script=CALLS_THE_TOOL)

    first = ask(stack, tools=[OPENAI_TOOL]).choices[0]
    assert first.finish_reason == "tool_calls"
    assert first.message.tool_calls
    call = first.message.tool_calls[0]
    assert call.function.name == TOOL_NAME
    assert json.loads(call.function.arguments) == TOOL_INPUT

    called = {"role": "assistant", "content": "", "tool_calls": [call.model_dump()]}
    result = {"role": "tool", "tool_call_id": call.id, "content": "18 °C"}
    second = ask(stack, messages=[*HELLO, called, result], tools=[OPENAI_TOOL])
    assert second.choices[0].finish_reason == "stop"


async def test_a_streamed_tool_call_arrives_whole(stack: Stack) -> None:
    stack.simulator.use(script=CALLS_THE_TOOL)

    chunks = stream(stack, tools=[OPENAI_TOOL], tool_stream=True)

    calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
    pieces = [call.function for call in calls if call.function]
    assert pieces[0].name == TOOL_NAME
    assert json.loads("".join(piece.arguments or "" for piece in pieces)) == TOOL_INPUT


async def test_texts_become_embeddings(stack: Stack) -> None:
    answer = zai_client(stack).embeddings.create(model="embedding-3", input=["one", "two"], dimensions=64)

    assert [len(each.embedding) for each in answer.data] == [64, 64]


async def test_a_chat_can_be_asked_for_later(stack: Stack) -> None:
    client = zai_client(stack)

    # The package's own annotation of `messages` is too narrow; chat messages are what the API takes.
    messages: Any = HELLO
    task = client.chat.asyncCompletions.create(model=MODEL, messages=messages)
    assert task.id
    result = client.chat.asyncCompletions.retrieve_completion_result(task.id)

    assert result.task_status == "SUCCESS"
    assert stack.simulator.log()[-1]["path"] == f"{GENERAL}/async-result/{task.id}"


async def test_a_web_search_finds_something(stack: Stack) -> None:
    found = zai_client(stack).web_search.web_search(search_engine="search-prime", search_query="Envoy")

    assert found.search_result
