import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.domain.request.routes import (
    CredentialForm,
    Dialect,
    LlmProtocol,
    PaidBy,
    classify,
    labels,
    spends_plan,
)


@pytest.mark.parametrize(
    ("path", "label", "dialect", "credential", "protocol"),
    [
        ("/v1/messages", "/v1/messages", "anthropic", "x-api-key", "anthropic_messages"),
        ("/v1/messages?beta=true", "/v1/messages", "anthropic", "x-api-key", "anthropic_messages"),
        ("/v1/messages/count_tokens", "/v1/messages/count_tokens", "anthropic", "x-api-key", None),
        ("/api/anthropic/v1/messages", "/api/anthropic/v1/messages", "anthropic", "x-api-key", "anthropic_messages"),
        ("/v1/chat/completions", "/v1/chat/completions", "openai", "authorization", "openai_chat_completions"),
        ("/chat/completions", "/chat/completions", "openai", "authorization", "openai_chat_completions"),
        ("/v1/responses", "/v1/responses", "openai", "authorization", "openai_responses"),
        ("/responses", "/responses", "openai", "authorization", "openai_responses"),
        ("/responses/resp_123/", "/responses/{id}", "openai", "authorization", None),
        ("/models", "/models", "openai", "authorization", None),
        ("/embeddings", "/embeddings", "openai", "authorization", "openai_embeddings"),
        ("/v1/responses/resp_123", "/v1/responses/{id}", "openai", "authorization", None),
        ("/v1/embeddings", "/v1/embeddings", "openai", "authorization", "openai_embeddings"),
        ("/api/paas/v4/async-result/42", "/api/paas/v4/async-result/{id}", "openai", "authorization", None),
        ("/api/paas/v4/files/f/content", "/api/paas/v4/files/{id}/content", "openai", "authorization", None),
        ("/api/paas/v4/async/chat/completions", "/api/paas/v4/async/chat/completions", "openai", "authorization", None),
        ("/api/mcp/zread/mcp", "/api/mcp/zread/mcp", "openai", "authorization", None),
        ("/api/mcp/unheard/of", "other", "openai", "authorization", None),
        ("/api/anthropic/v2/x", "other", "anthropic", "x-api-key", None),
        ("/v1/messages/", "/v1/messages", "anthropic", "x-api-key", "anthropic_messages"),
    ],
)
def test_a_path_that_leaves_has_its_label_dialect_credential_and_protocol(
    path: str, label: str, dialect: str, credential: str, protocol: str | None
) -> None:
    route = classify(path, speaks_anthropic=False)

    assert route.leaves
    assert (route.label, route.dialect, route.credential, route.llm_protocol) == (label, dialect, credential, protocol)


@pytest.mark.parametrize("path", ["/", "/health", "/metrics", "/nothing", "", "/v1", "/v1/messagesX", "/api/monitor/x"])
def test_other_paths_never_leave(path: str) -> None:
    assert not classify(path, speaks_anthropic=False).leaves


@pytest.mark.parametrize("base", ["/v1", ""])
def test_the_models_of_a_caller_that_speaks_anthropic_are_asked_for_in_that_form(base: str) -> None:
    anthropic = classify(f"{base}/models/glm-5.3", speaks_anthropic=True)
    openai = classify(f"{base}/models/glm-5.3", speaks_anthropic=False)

    assert (anthropic.dialect, anthropic.credential) == (Dialect.ANTHROPIC, CredentialForm.X_API_KEY)
    assert (openai.dialect, openai.credential) == (Dialect.OPENAI, CredentialForm.BEARER)
    assert anthropic.label == openai.label == f"{base}/models/{{id}}"


def test_an_anthropic_version_header_changes_no_other_surface() -> None:
    assert classify("/v1/chat/completions", speaks_anthropic=True).dialect is Dialect.OPENAI
    assert classify("/no/such/path", speaks_anthropic=True).dialect is Dialect.ANTHROPIC


@given(st.text(max_size=200), st.booleans())
def test_labels_are_bounded_whatever_the_path(path: str, speaks_anthropic: bool) -> None:
    assert classify("/" + path, speaks_anthropic).label in labels()


@given(st.text(alphabet=st.characters(exclude_characters="/?"), min_size=1, max_size=80))
def test_no_identifier_becomes_a_label(identifier: str) -> None:
    assert classify(f"/api/paas/v4/files/{identifier}", speaks_anthropic=False).label in labels()


def test_a_label_means_the_same_as_the_path_that_it_stands_for() -> None:
    for label in labels() - {"other"}:
        assert classify(label, speaks_anthropic=False).label == label


def test_only_surfaces_that_generate_have_a_protocol() -> None:
    metered = {label for label in labels() if classify(label, speaks_anthropic=False).llm_protocol is not None}

    assert metered == {
        "/v1/messages",
        "/api/anthropic/v1/messages",
        "/v1/chat/completions",
        "/chat/completions",
        "/api/paas/v4/chat/completions",
        "/api/coding/paas/v4/chat/completions",
        "/v1/responses",
        "/responses",
        "/api/v1/responses",
        "/v1/embeddings",
        "/embeddings",
        "/api/paas/v4/embeddings",
        "/api/coding/paas/v4/embeddings",
    }
    assert {p.value for p in LlmProtocol} >= {"anthropic_messages"}


@pytest.mark.parametrize(
    "path",
    [
        "/v1/messages/count_tokens",
        "/v1/models",
        "/api/anthropic/v1/models/glm-5.3",
        "/api/coding/paas/v4/models",
        "/api/mcp/web_search_prime/mcp",
        "/api/mcp/zread/sse",
        "/api/mcp/a_tool_of_next_year/mcp?x=1",
        "/api/mcp",
    ],
)
def test_what_takes_nothing_of_the_plan_waits_in_no_queue_for_it(path: str) -> None:
    assert not classify(path, speaks_anthropic=False).waits


@pytest.mark.parametrize(
    "path",
    ["/v1/messages", "/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/api/mcpx", "/api/v1/mcp/usage"],
)
def test_all_else_waits_for_its_turn(path: str) -> None:
    assert classify(path, speaks_anthropic=False).waits


def test_the_tools_are_paid_by_a_month_of_their_own() -> None:
    tools = {label for label in labels() if classify(label, speaks_anthropic=False).paid_by is PaidBy.TOOLS}

    assert tools == {
        f"/api/mcp/{tool}/{end}" for tool in ("web_search_prime", "web_reader", "zread") for end in ("mcp", "sse")
    }
    assert classify("/api/mcp/unheard/of", speaks_anthropic=False).paid_by is PaidBy.TOOLS


@pytest.mark.parametrize(
    ("path", "paid_by"),
    [
        ("/v1/messages", "plan"),
        ("/api/v1/responses", "plan"),
        ("/api/coding/paas/v4/embeddings", "plan"),
        ("/v1/chat/completions", "base_path"),
        ("/chat/completions", "base_path"),
        ("/v1/embeddings", "base_path"),
        ("/api/paas/v4/chat/completions", "balance"),
        ("/api/paas/v4/what/is/new", "balance"),
        ("/v1/models", "nothing"),
        ("/v1/messages/count_tokens", "nothing"),
        ("/health", "nothing"),
        ("/api/coding/paas/v4/images/generations", "unknown"),
        ("/v1/responses/resp_123", "unknown"),
    ],
)
def test_a_route_says_who_pays(path: str, paid_by: str) -> None:
    assert classify(path, speaks_anthropic=False).paid_by == paid_by


def test_only_what_machines_ask_all_the_time_is_a_probe() -> None:
    assert {each for each in labels() if classify(each, speaks_anthropic=False).is_probe} == {"/health", "/metrics"}


@pytest.mark.parametrize(
    ("path", "base", "spends"),
    [
        ("/v1/messages", "/api/coding/paas/v4", True),
        ("/api/anthropic/v1/messages", "/api/coding/paas/v4", True),
        ("/v1/messages/count_tokens", "/api/coding/paas/v4", False),
        ("/v1/models", "/api/coding/paas/v4", False),
        ("/v1/responses", "/api/coding/paas/v4", True),
        ("/v1/chat/completions", "/api/coding/paas/v4", True),
        ("/v1/chat/completions", "/api/paas/v4", False),
        ("/v1/messages", "/api/paas/v4", True),
        ("/api/paas/v4/chat/completions", "/api/coding/paas/v4", False),
        ("/api/coding/paas/v4/chat/completions", "/api/paas/v4", True),
        ("/api/mcp/zread/mcp", "/api/coding/paas/v4", False),
        ("/v1/chat/completions", "/a/base/path/of/mine", True),
        ("/v1/chat/completions", "/api/paas", False),
        ("/health", "/api/coding/paas/v4", False),
    ],
)
def test_what_is_paid_from_the_plan_depends_on_the_route(path: str, base: str, spends: bool) -> None:
    assert spends_plan(classify(path, speaks_anthropic=False), base) is spends
