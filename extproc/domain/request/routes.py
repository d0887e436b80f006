"""What a path means: one table, a row for each path that Envoy routes. Nobody else asks what a path looks like.

Envoy routes; this table only says what a routed path means. `tests/integration/test_routes.py` holds the two together.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final


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


class PaidBy(StrEnum):
    """What a request takes its price from, and so what stops it when that is used up."""

    PLAN = "plan"
    """The plan's windows of tokens or credits."""
    BASE_PATH = "base_path"
    """Envoy sends it to a path below ZAI_OPENAI_BASE_PATH; whatever pays for that path pays for it."""
    TOOLS = "tools"
    """The month's calls of MCP tools, which are a window of their own. Even if it is used up nothing is refused here:
    which requests Z.AI counts as calls stands in bodies that nobody here reads, and to refuse them all would keep an
    agent even from listing its tools."""
    BALANCE = "balance"
    """The account's balance and resource packages."""
    NOTHING = "nothing"
    """It is free: models are listed, tokens counted, or Envoy answers by itself."""
    UNKNOWN = "unknown"
    """Z.AI does not say; so no window of the plan holds it back."""


@dataclass(frozen=True, slots=True)
class Route:
    """What a request path means.

    `label` is bounded: a known path with its identifiers collapsed, or `other`. `leaves` is true for paths that Envoy
    sends upstream once they are admitted. `llm_protocol` is None where an answer has no token usage. `waits` is false
    where a request takes nothing of the plan's limits on requests at once or a second, and so stands in no queue for
    them; nor does a refusal of it say anything about them, whatever its code. `is_probe` is true for what machines ask
    every few seconds.
    """

    label: str
    dialect: Dialect
    credential: CredentialForm
    leaves: bool = True
    llm_protocol: LlmProtocol | None = None
    waits: bool = True
    paid_by: PaidBy = PaidBy.UNKNOWN
    is_probe: bool = False

    def hands_out_what_is_stored(self, method: str) -> bool:
        """Whether an answer can hold what went wrong elsewhere: a batch's file of errors, a job that failed."""
        return method == "GET" and self.paid_by is PaidBy.UNKNOWN


OTHER: Final = "other"
IDENTIFIER: Final = "{id}"


@dataclass(frozen=True, slots=True)
class _Path:
    """A path below a surface's prefix. The surface says who pays for it, unless the path does."""

    path: str
    llm_protocol: LlmProtocol | None = None
    waits: bool = True
    paid_by: PaidBy | None = None


@dataclass(frozen=True, slots=True)
class _Surface:
    """An API: where it stands, how it is spoken to, who pays what its models generate, and its paths."""

    prefix: str
    dialect: Dialect
    credential: CredentialForm
    paid_by: PaidBy
    paths: tuple[_Path, ...]

    def routes(self) -> Iterator[Route]:
        for each in self.paths:
            default = self.paid_by if each.llm_protocol is not None else PaidBy.UNKNOWN
            yield Route(
                self.prefix + each.path,
                self.dialect,
                self.credential,
                llm_protocol=each.llm_protocol,
                waits=each.waits,
                paid_by=each.paid_by or default,
            )


def _anthropic(prefix: str, paths: tuple[_Path, ...]) -> _Surface:
    return _Surface(prefix, Dialect.ANTHROPIC, CredentialForm.X_API_KEY, PaidBy.PLAN, paths)


def _openai(prefix: str, paid_by: PaidBy, paths: tuple[_Path, ...]) -> _Surface:
    return _Surface(prefix, Dialect.OPENAI, CredentialForm.BEARER, paid_by, paths)


def _free(path: str) -> _Path:
    return _Path(path, waits=False, paid_by=PaidBy.NOTHING)


def _tool(path: str) -> _Path:
    return _Path(path, waits=False, paid_by=PaidBy.TOOLS)


_CHAT = _Path("/chat/completions", LlmProtocol.OPENAI_CHAT_COMPLETIONS)
_EMBEDDINGS = _Path("/embeddings", LlmProtocol.OPENAI_EMBEDDINGS)
_MODELS = (_free("/models"), _free("/models/{id}"))
_MESSAGES = (
    _Path("/messages", LlmProtocol.ANTHROPIC_MESSAGES),
    _free("/messages/count_tokens"),
    _Path("/messages/batches"),
    _Path("/messages/batches/{id}"),
)
_RESPONSES = (
    _Path("/responses", LlmProtocol.OPENAI_RESPONSES),
    _Path("/responses/{id}"),
    _Path("/responses/{id}/cancel"),
    _Path("/responses/{id}/input_items"),
)
_PAAS = (
    _CHAT,
    _EMBEDDINGS,
    *_MODELS,
    _Path("/async/chat/completions"),
    _Path("/async-result/{id}"),
    _Path("/images/generations"),
    _Path("/async/images/generations"),
    _Path("/videos/generations"),
    _Path("/audio/speech"),
    _Path("/audio/transcriptions"),
    _Path("/audio/customization"),
    _Path("/voice/clone"),
    _Path("/voice/delete"),
    _Path("/voice/list"),
    _Path("/files"),
    _Path("/files/{id}"),
    _Path("/files/{id}/content"),
    _Path("/files/parser/create"),
    _Path("/files/parser/sync"),
    _Path("/files/parser/result/{id}/{id}"),
    _Path("/files/ocr"),
    _Path("/layout_parsing"),
    _Path("/batches"),
    _Path("/batches/{id}"),
    _Path("/batches/{id}/cancel"),
    _Path("/web_search"),
    _Path("/reader"),
    _Path("/tools"),
    _Path("/moderations"),
    _Path("/assistant"),
    _Path("/assistant/list"),
    _Path("/assistant/conversation/list"),
    _Path("/tokenizer"),
    _Path("/realtime"),
)
_TOOLS = tuple(
    _tool(f"/{tool}/{end}") for tool in ("web_search_prime", "web_reader", "zread") for end in ("mcp", "sse")
)

_SURFACES: Final = (
    _anthropic("/v1", _MESSAGES),
    _anthropic("/api/anthropic/v1", (*_MESSAGES, *_MODELS)),
    _openai("/v1", PaidBy.BASE_PATH, (_CHAT, _EMBEDDINGS, *_MODELS)),
    _openai("", PaidBy.BASE_PATH, (_CHAT, _EMBEDDINGS, *_MODELS)),
    _openai("/v1", PaidBy.PLAN, _RESPONSES),
    _openai("", PaidBy.PLAN, _RESPONSES),
    _openai("/api/v1", PaidBy.PLAN, (*_RESPONSES, *_MODELS, _Path("/mcp/usage"))),
    _openai("/api/paas/v4", PaidBy.BALANCE, (*_PAAS, _Path("/v1/agents"))),
    _openai("/api/coding/paas/v4", PaidBy.PLAN, _PAAS),
    _openai("/api/mcp", PaidBy.TOOLS, _TOOLS),
)

_OWN: Final = Route("/", Dialect.OPENAI, CredentialForm.BEARER, leaves=False, waits=False, paid_by=PaidBy.NOTHING)
"""What Envoy answers by itself."""

_OWN_ROUTES: Final = (
    _OWN,
    replace(_OWN, label="/api/hello"),
    replace(_OWN, label="/health", is_probe=True),
    replace(_OWN, label="/metrics", is_probe=True),
)

_ROUTES = {route.label: route for route in (*(r for each in _SURFACES for r in each.routes()), *_OWN_ROUTES)}
_PATTERNS = tuple((tuple(route.label.split("/")), route) for route in _ROUTES.values() if IDENTIFIER in route.label)

_ANTHROPIC_MODELS = {
    label: replace(_ROUTES[label], dialect=Dialect.ANTHROPIC, credential=CredentialForm.X_API_KEY)
    for label in ("/v1/models", "/v1/models/{id}", "/models", "/models/{id}")
}
# For paths that are not in the table. An attempt's log entry can have one, since it has the path that Envoy made of the
# client's: ZAI_OPENAI_BASE_PATH may be any.
_UNROUTED = replace(_OWN, label=OTHER, waits=True, paid_by=PaidBy.UNKNOWN)
_UNROUTED_ANTHROPIC = replace(_UNROUTED, dialect=Dialect.ANTHROPIC)

_OTHER_ANTHROPIC = Route(OTHER, Dialect.ANTHROPIC, CredentialForm.X_API_KEY)
_OTHER_OPENAI = Route(OTHER, Dialect.OPENAI, CredentialForm.BEARER)
_OTHER_BALANCE = replace(_OTHER_OPENAI, paid_by=PaidBy.BALANCE)
_OTHER_TOOL = replace(_OTHER_OPENAI, waits=False, paid_by=PaidBy.TOOLS)
_BELOW: Final = (
    ("/v1/messages", _OTHER_ANTHROPIC),
    ("/api/anthropic", _OTHER_ANTHROPIC),
    ("/api/mcp", _OTHER_TOOL),
    ("/v1/models", _OTHER_OPENAI),
    ("/models", _OTHER_OPENAI),
    ("/v1/responses", _OTHER_OPENAI),
    ("/responses", _OTHER_OPENAI),
    ("/api/paas", _OTHER_BALANCE),
    ("/api/coding", _OTHER_OPENAI),
    ("/api/v1", _OTHER_OPENAI),
)
"""What Envoy sends upstream below these prefixes although the table does not know it."""


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


def spends_plan(route: Route, openai_base_path: str) -> bool:
    """Whether a request on this route is paid from the plan's windows, and so refused once one is used up."""
    if route.paid_by is PaidBy.BASE_PATH:
        return classify(openai_base_path, speaks_anthropic=False).paid_by is not PaidBy.BALANCE
    return route.paid_by is PaidBy.PLAN


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
    below = (route for prefix, route in _BELOW if path == prefix or path.startswith(f"{prefix}/"))
    return next(below, _UNROUTED)
