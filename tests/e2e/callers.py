"""The same question by each SDK, for tests that hold for all of them."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import anthropic
from zai.core import StreamResponse
from zai.types.chat.chat_completion import Completion

from tests.harness.sdk_clients import MODEL, anthropic_client, openai_client, zai_client
from tests.harness.stack import Stack

HELLO: Any = [{"role": "user", "content": "hello"}]


@dataclass(frozen=True, slots=True)
class Caller:
    """An SDK at work. `path` is the label under which its requests are counted.

    `ask` returns the text of an answer that does not stream; its second argument is how often the SDK may try again.
    `stream` yields the text piece by piece; `post` sends an empty object to a path that starts at the proxy's origin.
    """

    name: str
    path: str
    ask: Callable[[Stack, int], str]
    stream: Callable[[Stack], Generator[str]]
    post: Callable[[Stack, str], object]


def _ask_anthropic(stack: Stack, retries: int) -> str:
    client = anthropic_client(stack, retries)
    block = client.messages.create(model=MODEL, max_tokens=100, messages=HELLO).content[-1]
    assert isinstance(block, anthropic.types.TextBlock)
    return block.text


def _stream_anthropic(stack: Stack) -> Generator[str]:
    with anthropic_client(stack).messages.stream(model=MODEL, max_tokens=100_000, messages=HELLO) as events:
        yield from events.text_stream


def _ask_openai(stack: Stack, retries: int) -> str:
    client = openai_client(stack, retries=retries)
    return client.chat.completions.create(model=MODEL, messages=HELLO).choices[0].message.content or ""


def _stream_openai(stack: Stack) -> Generator[str]:
    with openai_client(stack).chat.completions.create(model=MODEL, messages=HELLO, stream=True) as chunks:
        for chunk in chunks:
            yield chunk.choices[0].delta.content or ""


def _ask_responses(stack: Stack, retries: int) -> str:
    client = openai_client(stack, retries=retries)
    return client.responses.create(model=MODEL, input="hello").output_text


def _stream_responses(stack: Stack) -> Generator[str]:
    with openai_client(stack).responses.create(model=MODEL, input="hello", stream=True) as events:
        for event in events:
            yield event.delta if event.type == "response.output_text.delta" else ""


def _ask_zai(stack: Stack, retries: int) -> str:
    answer: Any = zai_client(stack, retries=retries).chat.completions.create(model=MODEL, messages=HELLO)
    return str(answer.choices[0].message.content)


def _stream_zai(stack: Stack) -> Generator[str]:
    chunks = zai_client(stack).chat.completions.create(model=MODEL, messages=HELLO, stream=True)
    assert isinstance(chunks, StreamResponse)
    try:
        for chunk in chunks:
            yield chunk.choices[0].delta.content or ""
    finally:
        chunks.response.close()


def _post_anthropic(stack: Stack, path: str) -> object:
    return anthropic_client(stack).post(path, cast_to=object, body={})


def _post_openai(stack: Stack, path: str) -> object:
    return openai_client(stack, base="").post(path, cast_to=object, body={})


def _post_zai(stack: Stack, path: str) -> object:
    return zai_client(stack, base="").post(path, cast_type=Completion, body={})


ANTHROPIC = Caller("anthropic", "/v1/messages", _ask_anthropic, _stream_anthropic, _post_anthropic)
OPENAI = Caller("openai", "/v1/chat/completions", _ask_openai, _stream_openai, _post_openai)
RESPONSES = Caller("openai-responses", "/v1/responses", _ask_responses, _stream_responses, _post_openai)
ZAI = Caller("zai-sdk", "/api/paas/v4/chat/completions", _ask_zai, _stream_zai, _post_zai)
