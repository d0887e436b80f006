"""The `openai` package, with the proxy's /v1 as its base URL."""

import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.harness.readings import Readings
from tests.harness.sdk_clients import (
    CALLS_THE_TOOL,
    CODING,
    GENERAL,
    MODEL,
    OPENAI_TOOL,
    TOOL_INPUT,
    TOOL_NAME,
    async_openai_client,
    openai_client,
)
from tests.harness.stack import Stack
from tests.harness.waiting import eventually

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]


@pytest.mark.parametrize("base", ["/v1", "", CODING, GENERAL])
async def test_a_chat_is_answered_under_every_base_url(stack: Stack, base: str) -> None:
    stack.simulator.use(text="Grüezi 🙂", input_tokens=31, output_tokens=7, reasoning_tokens=3, cached_tokens=5)

    answer = openai_client(stack, base).chat.completions.create(model=MODEL, messages=HELLO)

    assert answer.choices[0].message.content == "Grüezi 🙂"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (36, 7)
    upstream_base = GENERAL if base == GENERAL else CODING
    assert stack.simulator.log()[-1]["path"] == f"{upstream_base}/chat/completions"


async def test_the_upstream_gets_the_key_and_not_what_the_user_typed(stack: Stack) -> None:
    openai_client(stack).chat.completions.create(model=MODEL, messages=HELLO)

    entry = stack.simulator.log()[-1]
    assert entry["credentials"]["authorization"] == "right key"
    assert entry["key_seen_in"] == ["authorization"]


async def test_a_stream_tells_its_reasoning_its_text_and_its_usage(stack: Stack, before: Readings) -> None:
    usage = {"input_tokens": 9, "cached_tokens": 5, "output_tokens": 8, "reasoning_tokens": 3}
    stack.simulator.use(text="four words it is", thinking=4, **usage)

    chunks = list(openai_client(stack).chat.completions.create(model=MODEL, messages=HELLO, stream=True))

    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert "".join(delta.content or "" for delta in deltas) == "four words it is"
    assert sum("reasoning_content" in (delta.model_extra or {}) for delta in deltas) == 4
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 8
    counted = await eventually(
        lambda: stack.metrics() - before,
        lambda d: d.value("zai_proxy_requests_total", path="/v1/chat/completions") == 1,
    )
    tokens = {
        name: counted.value("zai_proxy_tokens_total", direction=name) for name in ("input", "output", "cache_read")
    }
    assert tokens == {"input": 9, "output": 8, "cache_read": 5}
    assert counted.value("zai_proxy_reasoning_tokens_total") == 3


async def test_reasoning_comes_beside_the_answer(stack: Stack) -> None:
    stack.simulator.use(thinking=6)

    message = openai_client(stack).chat.completions.create(model=MODEL, messages=HELLO).choices[0].message

    assert message.content
    assert message.model_extra is not None
    assert message.model_extra["reasoning_content"]


async def test_a_tool_is_called_and_its_result_answered(stack: Stack) -> None:
    stack.simulator.use(script=CALLS_THE_TOOL)
    client = openai_client(stack)

    first = client.chat.completions.create(model=MODEL, messages=HELLO, tools=[OPENAI_TOOL]).choices[0]
    assert first.finish_reason == "tool_calls"
    assert first.message.tool_calls is not None
    call = first.message.tool_calls[0]
    assert call.type == "function"
    assert call.function.name == TOOL_NAME

    called: ChatCompletionMessageParam = {
        "role": "assistant",
        "tool_calls": [
            {"id": call.id, "type": "function", "function": {"name": TOOL_NAME, "arguments": call.function.arguments}}
        ],
    }
    result: ChatCompletionMessageParam = {"role": "tool", "tool_call_id": call.id, "content": "18 °C"}
    second = client.chat.completions.create(model=MODEL, messages=[*HELLO, called, result], tools=[OPENAI_TOOL])
    assert second.choices[0].finish_reason == "stop"
    assert second.choices[0].message.content


async def test_a_streamed_tool_call_arrives_whole(stack: Stack) -> None:
    stack.simulator.use(script=CALLS_THE_TOOL)

    chunks = openai_client(stack).chat.completions.create(
        model=MODEL, messages=HELLO, tools=[OPENAI_TOOL], stream=True, extra_body={"tool_stream": True}
    )

    pieces = [call.function for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
    assert [piece.name for piece in pieces if piece and piece.name] == [TOOL_NAME]
    arguments = "".join(piece.arguments or "" for piece in pieces if piece)
    assert len(pieces) > 2
    assert all(str(value) in arguments for value in TOOL_INPUT.values())


async def test_the_models_are_listed_in_openais_form(stack: Stack) -> None:
    models = openai_client(stack).models.list()

    assert MODEL in [model.id for model in models]
    assert models.data[0].object == "model"


async def test_a_single_model_is_described(stack: Stack) -> None:
    assert openai_client(stack).models.retrieve(MODEL).id == MODEL


@pytest.mark.parametrize("base", ["/v1", GENERAL])
async def test_texts_become_embeddings(stack: Stack, base: str) -> None:
    stack.simulator.use(input_tokens=11)

    answer = openai_client(stack, base).embeddings.create(model="embedding-3", input=["one", "two"], dimensions=64)

    assert [len(each.embedding) for each in answer.data] == [64, 64]
    assert answer.usage.prompt_tokens == 11


async def test_an_async_client_gets_the_same_answers(stack: Stack) -> None:
    stack.simulator.use(text="two words")

    async with async_openai_client(stack) as client:
        whole = await client.chat.completions.create(model=MODEL, messages=HELLO)
        stream = await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]

    assert whole.choices[0].message.content == "two words"
    assert "".join(pieces) == "two words"
