"""The `anthropic` package, with the proxy's origin as its base URL."""

import anthropic
import pytest
from anthropic.types import Message, MessageParam, TextBlock, ThinkingBlock, ToolUseBlock

from tests.harness.readings import Readings
from tests.harness.sdk_clients import (
    ANTHROPIC_TOOL,
    CALLS_THE_TOOL,
    CLIENT_KEY,
    MODEL,
    TOOL_INPUT,
    TOOL_NAME,
    anthropic_client,
    async_anthropic_client,
)
from tests.harness.stack import Stack
from tests.harness.waiting import eventually

HELLO: list[MessageParam] = [{"role": "user", "content": "hello"}]


def ask(stack: Stack, stream: bool, messages: list[MessageParam] = HELLO, thinks: bool = False) -> Message:
    """One turn with a tool on offer, whole or streamed."""
    client = anthropic_client(stack)
    thinking: anthropic.types.ThinkingConfigParam = {"type": "disabled"}
    if thinks:
        thinking = {"type": "enabled", "budget_tokens": 1024}
    model = MODEL if thinks else "glm-4.6"
    if not stream:
        return client.messages.create(
            model=model, max_tokens=2000, messages=messages, tools=[ANTHROPIC_TOOL], thinking=thinking
        )
    with client.messages.stream(
        model=model, max_tokens=2000, messages=messages, tools=[ANTHROPIC_TOOL], thinking=thinking
    ) as events:
        return events.get_final_message()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_message_is_answered_and_counted(stack: Stack, before: Readings, stream: bool) -> None:
    stack.simulator.use(text="Grüezi 🙂", input_tokens=31, output_tokens=7, cached_tokens=5)

    message = ask(stack, stream)

    assert isinstance(message.content[0], TextBlock)
    assert message.content[0].text == "Grüezi 🙂"
    assert message.stop_reason == "end_turn"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (31, 7)
    assert message.usage.cache_read_input_tokens == 5
    counted = await eventually(
        lambda: stack.metrics() - before, lambda d: d.value("zai_proxy_requests_total", path="/v1/messages") == 1
    )
    tokens = {
        name: counted.value("zai_proxy_tokens_total", direction=name) for name in ("input", "output", "cache_read")
    }
    assert tokens == {"input": 31, "output": 7, "cache_read": 5}


async def test_the_upstream_gets_the_key_and_not_what_the_user_typed(stack: Stack) -> None:
    with_api_key = anthropic_client(stack)
    with_auth_token = anthropic.Anthropic(base_url=stack.url, api_key=None, auth_token=CLIENT_KEY, max_retries=0)

    for client in (with_api_key, with_auth_token):
        client.messages.create(model=MODEL, max_tokens=100, messages=HELLO)
        credentials = stack.simulator.log()[-1]["credentials"]
        assert credentials["x-api-key"] == "right key"
        assert credentials["authorization"] == "absent"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_is_called_and_its_result_answered(stack: Stack, stream: bool) -> None:
    stack.simulator.use(script=CALLS_THE_TOOL)

    first = ask(stack, stream)
    call = first.content[-1]
    assert first.stop_reason == "tool_use"
    assert isinstance(call, ToolUseBlock)
    assert (call.name, call.input) == (TOOL_NAME, TOOL_INPUT)

    called: MessageParam = {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": call.id, "name": call.name, "input": call.input}],
    }
    result: MessageParam = {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "18 °C"}],
    }
    second = ask(stack, stream, [*HELLO, called, result])
    assert second.stop_reason == "end_turn"
    assert isinstance(second.content[0], TextBlock)


@pytest.mark.parametrize("stream", [False, True])
async def test_thinking_comes_before_the_answer(stack: Stack, stream: bool) -> None:
    stack.simulator.use(thinking=6, text="42")

    thought, answer = ask(stack, stream, thinks=True).content

    assert isinstance(thought, ThinkingBlock)
    assert thought.thinking
    assert isinstance(answer, TextBlock)
    assert answer.text == "42"


async def test_the_events_of_a_stream_arrive_in_order(stack: Stack) -> None:
    stack.simulator.use(events=3)

    with anthropic_client(stack).messages.create(model=MODEL, max_tokens=100, messages=HELLO, stream=True) as events:
        kinds = [event.type for event in events]

    assert kinds == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * 3,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


async def test_tokens_are_counted_before_a_prompt_is_sent(stack: Stack) -> None:
    stack.simulator.use(input_tokens=1234)

    count = anthropic_client(stack).messages.count_tokens(model=MODEL, messages=HELLO)

    assert count.input_tokens == 1234
    assert stack.simulator.log()[-1]["path"] == "/api/anthropic/v1/messages/count_tokens"


async def test_the_models_are_listed_in_anthropics_form(stack: Stack) -> None:
    models = anthropic_client(stack).models.list()

    assert MODEL in [model.id for model in models]
    assert models.data[0].type == "model"
    assert models.data[0].display_name


async def test_an_async_client_gets_the_same_answers(stack: Stack) -> None:
    stack.simulator.use(text="two words")

    async with async_anthropic_client(stack) as client:
        whole = await client.messages.create(model=MODEL, max_tokens=100, messages=HELLO)
        async with client.messages.stream(model=MODEL, max_tokens=100, messages=HELLO) as events:
            pieces = [text async for text in events.text_stream]

    assert isinstance(whole.content[0], TextBlock)
    assert whole.content[0].text == "two words"
    assert "".join(pieces) == "two words"
    assert len(pieces) > 1
