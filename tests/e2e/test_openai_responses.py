"""The Responses API with the `openai` package: what Codex speaks."""

import pytest
from openai.types.responses import FunctionToolParam, Response, ResponseInputParam
from openai.types.responses.response_function_tool_call import ResponseFunctionToolCall

from tests.harness.readings import Readings
from tests.harness.sdk_clients import CALLS_THE_TOOL, MODEL, OPENAI_TOOL, TOOL_NAME, openai_client
from tests.harness.stack import Stack
from tests.harness.waiting import eventually

TOOL: FunctionToolParam = {
    "type": "function",
    "name": TOOL_NAME,
    "parameters": OPENAI_TOOL["function"]["parameters"],
    "strict": False,
}


@pytest.mark.parametrize("base", ["/v1", "/api/v1"])
async def test_a_response_is_answered(stack: Stack, base: str) -> None:
    stack.simulator.use(text="Grüezi 🙂", input_tokens=31, output_tokens=7, cached_tokens=5)

    response = openai_client(stack, base).responses.create(model=MODEL, input="hello")

    assert response.output_text == "Grüezi 🙂"
    assert response.status == "completed"
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (36, 7)
    assert stack.simulator.log()[-1]["path"] == "/api/v1/responses"


async def test_a_stream_ends_with_the_whole_response_and_its_usage(stack: Stack, before: Readings) -> None:
    stack.simulator.use(text="two words", thinking=3, input_tokens=9, output_tokens=8)

    with openai_client(stack).responses.stream(model=MODEL, input="hello") as events:
        seen = list(events)
        response = events.get_final_response()

    kinds = [event.type for event in seen]
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert kinds.count("response.reasoning_text.delta") == 3
    assert "".join(event.delta for event in seen if event.type == "response.output_text.delta") == "two words"
    assert response.output_text == "two words"
    await eventually(
        lambda: stack.metrics() - before, lambda d: d.value("zai_proxy_tokens_total", direction="output") == 8
    )


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_is_called_and_its_result_answered(stack: Stack, stream: bool) -> None:
    stack.simulator.use(script=CALLS_THE_TOOL)
    client = openai_client(stack)

    first: Response
    if stream:
        with client.responses.stream(model=MODEL, input="hello", tools=[TOOL]) as events:
            first = events.until_done().get_final_response()
    else:
        first = client.responses.create(model=MODEL, input="hello", tools=[TOOL])
    call = first.output[-1]
    assert isinstance(call, ResponseFunctionToolCall)
    assert call.name == TOOL_NAME

    items: ResponseInputParam = [
        {"role": "user", "content": "hello"},
        {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments},
        {"type": "function_call_output", "call_id": call.call_id, "output": "18 °C"},
    ]
    second = client.responses.create(model=MODEL, input=items, tools=[TOOL])
    assert second.output_text
