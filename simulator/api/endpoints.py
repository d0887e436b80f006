"""The paths of api.z.ai: which surface each belongs to and what it does. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from simulator.plan.keys import Surface


class Action(StrEnum):
    MESSAGES = "messages"
    COUNT_TOKENS = "count_tokens"
    ANTHROPIC_MODELS = "anthropic_models"
    CHAT = "chat"
    RESPONSES = "responses"
    MODELS = "models"
    MODEL = "model"
    EMBEDDINGS = "embeddings"
    FILE_UPLOAD = "file_upload"
    FILE_LIST = "file_list"
    FILE = "file"
    FILE_CONTENT = "file_content"
    FILE_DELETE = "file_delete"
    SPEECH = "speech"
    TRANSCRIPTION = "transcription"
    IMAGES = "images"
    ASYNC_CHAT = "async_chat"
    ASYNC_IMAGES = "async_images"
    ASYNC_VIDEO = "async_video"
    ASYNC_RESULT = "async_result"
    TOKENIZER = "tokenizer"
    WEB_SEARCH = "web_search"
    READER = "reader"
    MODERATION = "moderation"
    RERANK = "rerank"
    MCP = "mcp"
    MCP_LISTEN = "mcp_listen"
    MCP_END = "mcp_end"
    QUOTA = "quota"
    MODEL_USAGE = "model_usage"
    TOOL_USAGE = "tool_usage"
    CREDIT_USAGE = "credit_usage"
    ACTIVITY = "activity"
    MCP_USAGE = "mcp_usage"
    SUBSCRIPTIONS = "subscriptions"


# Those that a model answers, and that so count against concurrency, rate and credits.
METERED = frozenset(
    {Action.MESSAGES, Action.CHAT, Action.RESPONSES, Action.ASYNC_CHAT, Action.EMBEDDINGS, Action.IMAGES}
    | {Action.SPEECH, Action.TRANSCRIPTION, Action.ASYNC_IMAGES, Action.ASYNC_VIDEO}
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a request addresses; `parts` are the variable pieces of its path."""

    surface: Surface
    action: Action
    parts: Mapping[str, str] = field(default_factory=dict)


_PAAS = {
    ("POST", "/chat/completions"): Action.CHAT,
    ("POST", "/embeddings"): Action.EMBEDDINGS,
    ("POST", "/files"): Action.FILE_UPLOAD,
    ("GET", "/files"): Action.FILE_LIST,
    ("POST", "/audio/speech"): Action.SPEECH,
    ("POST", "/audio/transcriptions"): Action.TRANSCRIPTION,
    ("POST", "/images/generations"): Action.IMAGES,
    ("POST", "/async/chat/completions"): Action.ASYNC_CHAT,
    ("POST", "/async/images/generations"): Action.ASYNC_IMAGES,
    ("POST", "/videos/generations"): Action.ASYNC_VIDEO,
    ("POST", "/tokenizer"): Action.TOKENIZER,
    ("POST", "/web_search"): Action.WEB_SEARCH,
    ("POST", "/reader"): Action.READER,
    ("POST", "/moderations"): Action.MODERATION,
    ("POST", "/rerank"): Action.RERANK,
    ("GET", "/models"): Action.MODELS,
}

_PAAS_VARIABLE = (
    ("GET", re.compile(r"/async-result/(?P<id>[^/]+)"), Action.ASYNC_RESULT),
    ("GET", re.compile(r"/files/(?P<id>[^/]+)/content"), Action.FILE_CONTENT),
    ("GET", re.compile(r"/files/(?P<id>[^/]+)"), Action.FILE),
    ("DELETE", re.compile(r"/files/(?P<id>[^/]+)"), Action.FILE_DELETE),
    ("GET", re.compile(r"/models/(?P<id>[^/]+)"), Action.MODEL),
)

_OTHER = {
    ("POST", "/api/anthropic/v1/messages"): Endpoint(Surface.ANTHROPIC, Action.MESSAGES),
    ("POST", "/api/anthropic/v1/messages/count_tokens"): Endpoint(Surface.ANTHROPIC, Action.COUNT_TOKENS),
    ("GET", "/api/anthropic/v1/models"): Endpoint(Surface.ANTHROPIC, Action.ANTHROPIC_MODELS),
    ("POST", "/api/v1/responses"): Endpoint(Surface.RESPONSES, Action.RESPONSES),
    ("GET", "/api/v1/models"): Endpoint(Surface.RESPONSES, Action.MODELS),
    ("GET", "/api/monitor/usage/quota/limit"): Endpoint(Surface.MONITOR, Action.QUOTA),
    ("GET", "/api/monitor/usage"): Endpoint(Surface.MONITOR, Action.QUOTA),
    ("GET", "/api/monitor/usage/model-usage"): Endpoint(Surface.MONITOR, Action.MODEL_USAGE),
    ("GET", "/api/monitor/usage/tool-usage"): Endpoint(Surface.MONITOR, Action.TOOL_USAGE),
    ("GET", "/api/monitor/usage/credit-usage/usage-detail"): Endpoint(Surface.MONITOR, Action.CREDIT_USAGE),
    ("GET", "/api/monitor/usage/credit-usage/activity"): Endpoint(Surface.MONITOR, Action.ACTIVITY),
    ("GET", "/api/v1/mcp/usage"): Endpoint(Surface.MONITOR, Action.MCP_USAGE),
    ("GET", "/api/biz/subscription/list"): Endpoint(Surface.MONITOR, Action.SUBSCRIPTIONS),
}

_PREFIXES = (("/api/coding/paas/v4", Surface.CODING), ("/api/paas/v4", Surface.PAAS))
_MCP = re.compile(r"/api/mcp/(?P<server>web_search_prime|web_reader|zread)/(?P<form>mcp|sse)")
_MCP_ACTIONS = {"POST": Action.MCP, "GET": Action.MCP_LISTEN, "DELETE": Action.MCP_END}


def find(method: str, path: str) -> Endpoint | None:
    """The endpoint behind a path without its query, or None: nginx answers 404. HEAD asks as GET does."""
    asked = "GET" if method == "HEAD" else method
    endpoint = _OTHER.get((asked, path))
    if endpoint is not None:
        return endpoint
    for prefix, surface in _PREFIXES:
        if path.startswith(prefix):
            return _find_paas(asked, path[len(prefix) :], surface)
    mcp = _MCP.fullmatch(path)
    if mcp is not None and asked in _MCP_ACTIONS:
        return Endpoint(Surface.MCP, _MCP_ACTIONS[asked], mcp.groupdict())
    return None


def is_wrong_coding_path(path: str) -> bool:
    """Whether a path without an endpoint is one below /api/coding, where not nginx but the API answers: with a 500."""
    return path.startswith("/api/coding/")


def _find_paas(method: str, path: str, surface: Surface) -> Endpoint | None:
    action = _PAAS.get((method, path))
    if action is not None:
        return Endpoint(surface, action)
    for wanted, pattern, action in _PAAS_VARIABLE:
        found = pattern.fullmatch(path)
        if method == wanted and found is not None:
            return Endpoint(surface, action, found.groupdict())
    return None
