"""The SDKs' clients, pointed at a stack as a user would point them, and a tool that both dialects can offer."""

import ssl
from collections.abc import Sequence
from typing import Any, Final

import anthropic
import openai
import zai
from anthropic.types import ToolParam
from openai.types.chat import ChatCompletionToolParam

from tests.harness.stack import Stack

CLIENT_KEY: Final = "whatever-the-user-typed"
"""What the clients send as their key; the proxy has to replace it."""

MODEL: Final = "glm-5.3"
GENERAL: Final = "/api/paas/v4"
CODING: Final = "/api/coding/paas/v4"

# Variables that would point a client elsewhere, or give it another key, whatever the test says.
CLIENT_VARIABLES: Final = (
    *(f"{brand}_{what}" for brand in ("ANTHROPIC", "OPENAI", "ZAI") for what in ("API_KEY", "BASE_URL", "AUTH_TOKEN")),
    *(f"{scheme}_proxy" for scheme in ("http", "https", "all")),
    *(f"{scheme}_PROXY" for scheme in ("HTTP", "HTTPS", "ALL")),
)

TOOL_NAME: Final = "get_weather"
TOOL_INPUT: Final = {"city": "Zürich", "days": 3}
_TOOL_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}
ANTHROPIC_TOOL: Final[ToolParam] = {"name": TOOL_NAME, "description": "Weather.", "input_schema": _TOOL_SCHEMA}
OPENAI_TOOL: Final[ChatCompletionToolParam] = {
    "type": "function",
    "function": {"name": TOOL_NAME, "description": "Weather.", "parameters": _TOOL_SCHEMA},
}
CALLS_THE_TOOL: Final[Sequence[dict[str, Any]]] = ({"name": TOOL_NAME, "input": TOOL_INPUT},)
"""A simulator's `script`: the tool is called when it is offered, and its result is answered with text."""


# Without a context of the test's own each client would load the system's certificates: 20 ms for each of hundreds.
_NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def anthropic_client(stack: Stack, retries: int = 0, trust: ssl.SSLContext = _NO_TLS) -> anthropic.Anthropic:
    """An Anthropic client: the base URL is the proxy's origin."""
    http = anthropic.DefaultHttpxClient(verify=trust)
    return anthropic.Anthropic(base_url=stack.url, api_key=CLIENT_KEY, max_retries=retries, http_client=http)


def async_anthropic_client(stack: Stack) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=stack.url, api_key=CLIENT_KEY, max_retries=0)


def openai_client(stack: Stack, base: str = "/v1", retries: int = 0, trust: ssl.SSLContext = _NO_TLS) -> openai.OpenAI:
    """An OpenAI client: the base URL is the proxy's /v1, or one of Z.AI's own bases."""
    http = openai.DefaultHttpxClient(verify=trust)
    return openai.OpenAI(base_url=stack.url + base, api_key=CLIENT_KEY, max_retries=retries, http_client=http)


def async_openai_client(stack: Stack) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=stack.url + "/v1", api_key=CLIENT_KEY, max_retries=0)


def zai_client(stack: Stack, base: str = GENERAL, retries: int = 0) -> zai.ZaiClient:
    """Z.AI's own client: the base URL has the path that the real one has."""
    return zai.ZaiClient(base_url=stack.url + base, api_key=CLIENT_KEY, max_retries=retries)
