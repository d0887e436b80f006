"""Which API a path belongs to: its metric label, its error dialect, its form of credential.

Envoy routes; this table only says what a routed path means. `tests/integration/test_routes.py` holds the two together.
"""

from dataclasses import dataclass, replace
from enum import StrEnum


class Dialect(StrEnum):
    """Whose error bodies the caller understands."""

    ANTHROPIC = "anthropic"
    OPENAI = "openai"


class CredentialForm(StrEnum):
    """The header that carries the key on a surface."""

    X_API_KEY = "x-api-key"
    BEARER = "authorization"


class LlmProtocol(StrEnum):
    """The wire protocol of a surface whose answers carry token usage."""

    ANTHROPIC_MESSAGES = "anthropic_messages"
    OPENAI_CHAT_COMPLETIONS = "openai_chat_completions"
    OPENAI_RESPONSES = "openai_responses"
    OPENAI_EMBEDDINGS = "openai_embeddings"


@dataclass(frozen=True, slots=True)
class Route:
    """What a request path means.

    `label` is bounded: a known path with its identifiers collapsed, or `other`. `leaves` is true for paths that Envoy
    sends upstream once they are admitted. `llm_protocol` is None where an answer has no token usage. `waits` is false
    where a request takes nothing of the plan's limits, and so stands in no queue for them. `is_mcp` is true for the
    tools of /api/mcp: the gate before them is another, whatever the code of a refusal says.
    """

    label: str
    dialect: Dialect
    credential: CredentialForm
    leaves: bool
    llm_protocol: LlmProtocol | None = None
    waits: bool = True
    is_mcp: bool = False


OTHER = "other"
IDENTIFIER = "{id}"

_PAAS_PATHS = (
    "/chat/completions",
    "/models",
    "/models/{id}",
    "/async/chat/completions",
    "/async-result/{id}",
    "/embeddings",
    "/images/generations",
    "/async/images/generations",
    "/videos/generations",
    "/audio/speech",
    "/audio/transcriptions",
    "/audio/customization",
    "/voice/clone",
    "/voice/delete",
    "/voice/list",
    "/files",
    "/files/{id}",
    "/files/{id}/content",
    "/files/parser/create",
    "/files/parser/sync",
    "/files/parser/result/{id}/{id}",
    "/files/ocr",
    "/layout_parsing",
    "/batches",
    "/batches/{id}",
    "/batches/{id}/cancel",
    "/web_search",
    "/reader",
    "/tools",
    "/moderations",
    "/assistant",
    "/assistant/list",
    "/assistant/conversation/list",
    "/tokenizer",
    "/realtime",
)

_MCP_TOOLS = ("web_search_prime", "web_reader", "zread")
_MCP_ENDS = ("mcp", "sse")

# Counting tokens and listing models.
_FREE_ENDS = ("/count_tokens", "/models", "/models/{id}")

_PROTOCOLS = {
    "/v1/messages": LlmProtocol.ANTHROPIC_MESSAGES,
    "/chat/completions": LlmProtocol.OPENAI_CHAT_COMPLETIONS,
    "/v1/responses": LlmProtocol.OPENAI_RESPONSES,
    "/api/v1/responses": LlmProtocol.OPENAI_RESPONSES,
    "/embeddings": LlmProtocol.OPENAI_EMBEDDINGS,
}


def _protocol(label: str) -> LlmProtocol | None:
    if "/async/" in label:
        return None
    return next((protocol for suffix, protocol in _PROTOCOLS.items() if label.endswith(suffix)), None)


def _anthropic(label: str) -> Route:
    return _upstream(label, Dialect.ANTHROPIC, CredentialForm.X_API_KEY)


def _openai(label: str) -> Route:
    return _upstream(label, Dialect.OPENAI, CredentialForm.BEARER)


def _upstream(label: str, dialect: Dialect, credential: CredentialForm) -> Route:
    waits = not label.endswith(_FREE_ENDS)
    return Route(label, dialect, credential, leaves=True, llm_protocol=_protocol(label), waits=waits)


def _mcp(label: str) -> Route:
    return Route(label, Dialect.OPENAI, CredentialForm.BEARER, leaves=True, waits=False, is_mcp=True)


def _own(label: str) -> Route:
    return Route(label, Dialect.OPENAI, CredentialForm.BEARER, leaves=False)


def _all_routes() -> list[Route]:
    anthropic = ["/messages", "/messages/count_tokens", "/messages/batches", "/messages/batches/{id}"]
    responses = ["/responses", "/responses/{id}", "/responses/{id}/cancel", "/responses/{id}/input_items"]
    return [
        *(_anthropic(f"/v1{path}") for path in anthropic),
        *(_anthropic(f"/api/anthropic/v1{path}") for path in [*anthropic, "/models", "/models/{id}"]),
        *(_openai(path) for path in ("/v1/chat/completions", "/chat/completions", "/v1/embeddings")),
        *(_openai(path) for path in ("/v1/models", "/v1/models/{id}")),
        *(_openai(f"{base}{path}") for base in ("/v1", "/api/v1") for path in responses),
        *(_openai(f"/api/v1{path}") for path in ("/models", "/models/{id}", "/mcp/usage")),
        *(_openai(f"{base}{path}") for base in ("/api/paas/v4", "/api/coding/paas/v4") for path in _PAAS_PATHS),
        _openai("/api/paas/v4/v1/agents"),
        *(_mcp(f"/api/mcp/{tool}/{end}") for tool in _MCP_TOOLS for end in _MCP_ENDS),
        *(_own(path) for path in ("/", "/api/hello", "/health", "/metrics")),
    ]


_ROUTES = {route.label: route for route in _all_routes()}
_PATTERNS = tuple((tuple(route.label.split("/")), route) for route in _ROUTES.values() if IDENTIFIER in route.label)

_ANTHROPIC_MODELS = {
    label: replace(_ROUTES[label], dialect=Dialect.ANTHROPIC, credential=CredentialForm.X_API_KEY)
    for label in ("/v1/models", "/v1/models/{id}")
}
_OTHER_ANTHROPIC = _anthropic(OTHER)
_OTHER_OPENAI = _openai(OTHER)
_OTHER_MCP = _mcp(OTHER)
_UNROUTED = _own(OTHER)
_UNROUTED_ANTHROPIC = replace(_UNROUTED, dialect=Dialect.ANTHROPIC)

_OPENAI_PREFIXES = ("/v1/models", "/v1/responses", "/api/paas", "/api/coding", "/api/v1")
_MCP_PREFIXES = ("/api/mcp",)
_ANTHROPIC_PREFIXES = ("/v1/messages", "/api/anthropic")


def classify(path: str, speaks_anthropic: bool) -> Route:
    """Says what a normalised request path (with or without its query) means.

    `speaks_anthropic`: the caller sent an `anthropic-version` header; it decides where one path serves two APIs.
    """
    path = path.partition("?")[0]
    route = _ROUTES.get(path) or _match(path.rstrip("/") or "/")
    if speaks_anthropic and route.label in _ANTHROPIC_MODELS:
        return _ANTHROPIC_MODELS[route.label]
    if speaks_anthropic and route is _UNROUTED:
        return _UNROUTED_ANTHROPIC
    return route


def labels() -> frozenset[str]:
    """Every value that `Route.label` can have."""
    return frozenset(_ROUTES) | {OTHER}


def _match(path: str) -> Route:
    known = _ROUTES.get(path)
    if known is not None:
        return known
    segments = path.split("/")
    for pattern, route in _PATTERNS:
        if len(pattern) == len(segments) and all(p in (IDENTIFIER, s) for p, s in zip(pattern, segments, strict=True)):
            return route
    if _has_prefix(path, _ANTHROPIC_PREFIXES):
        return _OTHER_ANTHROPIC
    if _has_prefix(path, _MCP_PREFIXES):
        return _OTHER_MCP
    return _OTHER_OPENAI if _has_prefix(path, _OPENAI_PREFIXES) else _UNROUTED


def _has_prefix(path: str, prefixes: tuple[str, ...]) -> bool:
    return any(path == prefix or path.startswith(f"{prefix}/") for prefix in prefixes)
