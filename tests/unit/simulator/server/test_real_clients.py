"""The packages that people use, straight against the simulator: answers, streams, tools, errors, retries."""

from typing import Any

import anthropic
import openai
import pytest
import zai
import zai.core

from simulator.server.threaded import SimulatorThread
from tests.harness.waiting import wait_for
from tests.unit.simulator.talk import ASK, sim

# Z.AI's secrets are shorter than PyJWT would have them.
pytestmark = pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")

# The packages type their arguments and answers far more narrowly than these tests need.
Client = Any

TOOL = {"name": "bash", "description": "Runs a command", "input_schema": {"type": "object", "properties": {}}}
# Z.AI's secrets are shorter than PyJWT would have them.
pytestmark = pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")

CHAT_TOOL = {"type": "function", "function": {"name": "bash", "parameters": {"type": "object", "properties": {}}}}
CALL = {"name": "bash", "input": {"command": "ls -l"}}


@pytest.fixture
def claude(simulator: SimulatorThread, key: str) -> Client:
    return anthropic.Anthropic(base_url=f"{simulator.url}/api/anthropic", api_key=key, max_retries=2)


@pytest.fixture
def gpt(simulator: SimulatorThread, key: str) -> Client:
    return openai.OpenAI(base_url=f"{simulator.url}/api/coding/paas/v4", api_key=key, max_retries=2)


@pytest.fixture
def codex(simulator: SimulatorThread, key: str) -> Client:
    return openai.OpenAI(base_url=f"{simulator.url}/api/v1", api_key=key, max_retries=0)


@pytest.fixture
def glm(simulator: SimulatorThread, key: str) -> Client:
    return zai.ZaiClient(base_url=f"{simulator.url}/api/paas/v4/", api_key=key, max_retries=2)


def test_anthropic_reads_a_message(claude: Client) -> None:
    message = claude.messages.create(
        model="glm-5.3", max_tokens=100, messages=ASK, extra_headers=sim(text="fine", output_tokens=7, cached_tokens=3)
    )

    assert message.content[0].text == "fine"
    assert message.usage.output_tokens == 7
    assert message.usage.cache_read_input_tokens == 3


def test_anthropic_follows_a_stream_with_thinking_and_a_tool(claude: Client) -> None:
    scenario = sim(thinking=3, events=4, tool_call=CALL, input_tokens=50, output_tokens=9)
    with claude.messages.stream(
        model="glm-5.3", max_tokens=100, messages=ASK, tools=[TOOL], extra_headers=scenario
    ) as stream:
        message = stream.get_final_message()

    assert [block.type for block in message.content] == ["thinking", "text", "tool_use"]
    assert message.content[2].input == CALL["input"]
    assert message.stop_reason == "tool_use"
    assert message.usage.output_tokens == 9


def test_anthropic_finishes_a_turn_with_a_tool(claude: Client) -> None:
    script = sim(script=[CALL])
    first = claude.messages.create(model="glm-5.3", max_tokens=100, messages=ASK, tools=[TOOL], extra_headers=script)
    call = first.content[-1]
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "done"}]}
    messages: list[Any] = [*ASK, {"role": "assistant", "content": first.content}, result]

    second = claude.messages.create(
        model="glm-5.3", max_tokens=100, messages=messages, tools=[TOOL], extra_headers=script
    )

    assert call.input == CALL["input"]
    assert second.stop_reason == "end_turn"


def test_anthropic_counts_tokens_and_lists_models(claude: Client) -> None:
    counted = claude.messages.count_tokens(model="glm-4.6", messages=ASK, extra_headers=sim(input_tokens=12))

    assert counted.input_tokens == 12
    assert "glm-5.3" in [model.id for model in claude.models.list()]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("1302", anthropic.RateLimitError),
        ("1214", anthropic.BadRequestError),
        ("401", anthropic.AuthenticationError),
        ("1200", anthropic.InternalServerError),
        ("1305", anthropic.InternalServerError),
    ],
)
def test_anthropic_knows_the_errors(claude: Client, code: str, error: type[Exception]) -> None:
    client = claude.with_options(max_retries=0)

    with pytest.raises(error):
        client.messages.create(model="glm-5.3", max_tokens=9, messages=ASK, extra_headers=sim(code=code))


def test_anthropic_hears_of_an_error_in_mid_stream(claude: Client) -> None:
    scenario = sim(fault="error_event", after_events=2, code="1305")

    with (
        pytest.raises(anthropic.APIStatusError, match="1305"),
        claude.messages.stream(model="glm-5.3", max_tokens=9, messages=ASK, extra_headers=scenario) as stream,
    ):
        stream.get_final_message()


def test_anthropic_retries_as_it_is_told(claude: Client, simulator: SimulatorThread) -> None:
    scenario = sim(fail_first={"code": "1305", "times": 2, "retry_after": 0.01, "key": "anthropic"})

    claude.messages.create(model="glm-5.3", max_tokens=9, messages=ASK, extra_headers=scenario)

    assert [entry["status"] for entry in simulator.log()] == [529, 529, 200]


def test_openai_reads_a_completion_with_a_tool(gpt: Client) -> None:
    completion = gpt.chat.completions.create(
        model="glm-5.2", messages=ASK, tools=[CHAT_TOOL], extra_headers=sim(script=[CALL], output_tokens=6)
    )

    call = completion.choices[0].message.tool_calls[0]
    assert call.function.name == "bash"
    assert completion.choices[0].finish_reason == "tool_calls"
    assert completion.usage.completion_tokens == 6


def test_openai_hangs_up_before_the_last_chunk_and_has_got_all(gpt: Client, simulator: SimulatorThread) -> None:
    scenario = sim(end_pause=5, output_tokens=9)
    with gpt.chat.completions.create(model="glm-5.2", messages=ASK, stream=True, extra_headers=scenario) as stream:
        assert len(list(stream)) > 1

    entry = wait_for(lambda: simulator.log()[-1], lambda entry: entry["aborted"])
    assert entry["left_after_final"]
    assert entry["usage_sent"]["output"] == entry["generated"]["output"] == 9


@pytest.mark.parametrize("usage", ["final_only", "separate"])
def test_openai_follows_a_stream(gpt: Client, usage: str) -> None:
    scenario = sim(text="one two three", output_tokens=6, usage=usage)
    stream = gpt.chat.completions.create(model="glm-4.6", messages=ASK, stream=True, extra_headers=scenario)

    chunks = list(stream)

    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == "one two three"
    assert chunks[-1].usage.completion_tokens == 6


def test_openai_knows_the_errors(gpt: Client) -> None:
    client = gpt.with_options(max_retries=0)

    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="glm-4.6", messages=ASK, extra_headers=sim(code="1302"))
    assert caught.value.code == "1302"
    with pytest.raises(openai.APIError):
        list(
            client.chat.completions.create(
                model="glm-4.6", messages=ASK, stream=True, extra_headers=sim(fault="error_event", after_events=1)
            )
        )


def test_openai_retries_after_a_reset(gpt: Client, simulator: SimulatorThread) -> None:
    scenario = sim(fail_first={"fault": "reset", "times": 1, "key": "openai"})

    gpt.chat.completions.create(model="glm-4.6", messages=ASK, extra_headers=scenario)

    assert [entry["status"] for entry in simulator.log()] == [None, 200]


def test_openai_uses_the_rest_of_the_api(gpt: Client) -> None:
    vector = gpt.embeddings.create(model="embedding-3", input="hello", dimensions=16).data[0].embedding
    sound = gpt.audio.speech.create(model="glm-tts", input="hello", voice="tongtong").content
    file = gpt.files.create(file=("a.txt", b"hello"), purpose="batch")
    heard = gpt.audio.transcriptions.create(model="glm-asr", file=("a.wav", b"sound"))

    assert len(vector) == 16
    assert len(sound) == 4096
    assert file.bytes == 5
    assert gpt.files.content(file.id).content == b"hello"
    assert heard.text.startswith("The answer")
    assert "glm-4.6" in [model.id for model in gpt.models.list()]


def test_openai_reads_a_response(codex: Client) -> None:
    response = codex.responses.create(
        model="glm-5.3", input="hello", extra_headers=sim(text="fine", cached_tokens=4, output_tokens=7)
    )

    assert response.output_text == "fine"
    assert response.usage.output_tokens == 7
    assert response.usage.input_tokens_details.cached_tokens == 4


def test_openai_follows_a_response_with_reasoning_and_a_call(codex: Client) -> None:
    tool: Any = {"type": "function", "name": "bash", "parameters": {"type": "object", "properties": {}}}
    scenario = sim(thinking=2, text="one two", script=[CALL], output_tokens=5)
    with codex.responses.stream(model="glm-5.3", input="hello", tools=[tool], extra_headers=scenario) as stream:
        response = stream.get_final_response()

    assert [item.type for item in response.output] == ["reasoning", "message", "function_call"]
    assert response.output_text == "one two"
    assert response.usage.output_tokens == 5


def test_zai_reads_a_completion(glm: Client) -> None:
    completion = glm.chat.completions.create(
        model="glm-4.6", messages=ASK, extra_headers=sim(text="fine", thinking=1, output_tokens=4)
    )

    assert completion.choices[0].message.content == "fine"
    assert completion.choices[0].message.reasoning_content == "Let "
    assert completion.usage.completion_tokens == 4


def test_zai_follows_a_stream_past_comments(glm: Client) -> None:
    stream = glm.chat.completions.create(
        model="glm-4.6", messages=ASK, stream=True, extra_headers=sim(text="one two", thinking=0, comments=1)
    )

    chunks = list(stream)

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "one two"
    assert chunks[-1].usage.completion_tokens == 2


def test_zai_knows_the_errors(glm: Client) -> None:
    with pytest.raises(zai.core.APIRequestFailedError, match="1214"):
        glm.chat.completions.create(model="glm-4.6", messages=ASK, extra_headers=sim(code="1214"))
    with pytest.raises(zai.core.APIResponseError):
        list(
            glm.chat.completions.create(
                model="glm-4.6", messages=ASK, stream=True, extra_headers=sim(fault="error_event", after_events=1)
            )
        )


def test_zai_signs_its_own_tokens(simulator: SimulatorThread, key: str) -> None:
    signing: Client = zai.ZaiClient(base_url=f"{simulator.url}/api/paas/v4/", api_key=key, disable_token_cache=False)

    signing.chat.completions.create(model="glm-4.6", messages=ASK)

    assert simulator.log()[-1]["authorization_form"] == "jwt"
    assert simulator.log()[-1]["credentials"]["authorization"] == "right key"


def test_zai_uses_the_rest_of_the_api(glm: Client) -> None:
    file = glm.files.create(file=("a.txt", b"hello"), purpose="batch")
    found = glm.web_search.web_search(search_engine="search-prime", search_query="cats")
    task = glm.chat.asyncCompletions.create(model="glm-4.6", messages=ASK)

    assert file.bytes == 5
    assert glm.files.delete(file.id).deleted
    assert len(glm.embeddings.create(model="embedding-3", input="a", dimensions=8).data[0].embedding) == 8
    assert len(glm.audio.speech(model="glm-tts", input="hello", voice="tongtong").content) == 4096
    assert found.search_result[0].title == "About cats"
    assert glm.chat.asyncCompletions.retrieve_completion_result(task.id).task_status == "SUCCESS"
    assert glm.images.generations(model="cogview-4", prompt="a cat").data[0].url
