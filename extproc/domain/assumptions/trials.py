"""The requests that `zai-proxy verify` sends: as few and as small as tell what is to be told."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from extproc.domain.assumptions.budget import most_tokens

DEFAULT_MODEL: Final = "glm-5.3-flash"
_OTHER_MODEL: Final = "glm-4.5-air"
_COUNTED_MODEL: Final = "glm-5.3"
_NO_MODEL: Final = "zai-proxy-verify-no-such-model"
MOST_OUTPUT: Final = 8
"""The tokens that an answer is asked to have at most."""


_ANTHROPIC: Final = "/api/anthropic/v1"
MESSAGES_PATH: Final = f"{_ANTHROPIC}/messages"
_MODELS_PATH: Final = f"{_ANTHROPIC}/models"
_CODING: Final = "/api/coding/paas/v4"
_GENERAL: Final = "/api/paas/v4"
_RESPONSES: Final = "/api/v1"
_NO_PATH: Final = "zai-proxy-verify"
_QUOTA_PATH: Final = "/api/monitor/usage/quota/limit"

# Trials that others know by name.
BETA: Final = "beta"
WRONG_KEY: Final = "wrong key"
MODELS: Final = "models"
BURST: Final = "burst of"
WRONG_PATH: Final = "wrong path"
QUOTA: Final = "quota"
# What they begin with, where the request is wrong by itself.
UNSOUND: Final = ("bad ", "wrong ")
# In the form of Z.AI's keys, and made for nobody: it can lock nobody out.
NOBODYS_KEY: Final = f"{'0' * 32}.{'0' * 16}"

_STEPS: Final = (2, 4, 8)
# As Claude Code 2.1.330 sends it with its first request.
_BETA_FLAGS: Final = ",".join(
    (
        *("claude-code-20250219", "interleaved-thinking-2025-05-14", "context-management-2025-06-27"),
        *("mid-conversation-tool-changes-2026-07-01", "thinking-token-count-2026-05-13"),
        *("advanced-tool-use-2025-11-20", "effort-2025-11-24"),
    )
)
_BETA_HEADER: Final = {"anthropic-beta": _BETA_FLAGS}
_LINE: Final = "x-anthropic-billing-header: cc_version=2.1.330.{}; cc_entrypoint=cli;"
_SENTENCE: Final = "The gateway in front of the model passes every byte as it comes, and counts what it costs. "
# Caches of prompts take nothing below 1,024 tokens; this is some 1,190 of plain English, and 1,400 of 4 bytes each.
_PROMPT_BYTES: Final = 5600


class Credential(StrEnum):
    """How the key is shown."""

    API_KEY = "x-api-key"
    BEARER = "bearer"
    BARE = "bare"


@dataclass(frozen=True, slots=True)
class Trial:
    """One request. `body` is None for a GET. `most` is the tokens that it may take at most, 0 if it is free: its prompt
    by its size, and the output that it asks for. Without `has_key` it shows `NOBODYS_KEY` in place of the user's."""

    name: str
    path: str
    credential: Credential
    body: Mapping[str, object] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    most: int = 0
    has_key: bool = True

    @property
    def method(self) -> str:
        return "GET" if self.body is None else "POST"

    @property
    def model(self) -> str:
        return "" if self.body is None else str(self.body.get("model", ""))

    @property
    def content(self) -> bytes:
        return b"" if self.body is None else json.dumps(self.body).encode()


def plan(model: str, chat_base: str, nonce: str) -> list[Sequence[Trial]]:
    """The trials in their order; those of one group are sent at the same time. The long prompts for the cache go last:
    all else that is answered takes less than one of them. `nonce` makes them new to the cache. `chat_base` is where the
    clients' Chat Completions go."""
    first, second = nonce[:3], nonce[::-1][:3] + "0"
    pair = (model, _another(model))
    small = [
        Trial("quota before", _QUOTA_PATH, Credential.BARE),
        *_refused(model, chat_base),
        _count_tokens(),
        _anthropic(BETA, model, headers=_BETA_HEADER),
        _anthropic("unknown fields anthropic", model, zai_proxy_verify=True),
        _anthropic("stream anthropic", model, stream=True),
        _chat("stream chat", chat_base, model, stream=True),
        _chat(
            "stream chat options",
            chat_base,
            model,
            stream=True,
            stream_options={"include_usage": True},
            zai_proxy_verify=True,
        ),
        _responses("stream responses", model, stream=True),
        _responses("unknown fields responses", model, zai_proxy_verify=True),
        *_with_a_wrong_key(model, chat_base),
    ]
    together = [_chat(name, chat_base, each) for name, each in zip(("pair one", "pair two"), pair, strict=True)]
    long = [
        _cached("cache first", model, first, nonce),
        _cached("cache again", model, first, nonce),
        _cached("cache other line", model, second, nonce),
    ]
    return [*([trial] for trial in small), together, *([trial] for trial in long)]


def _refused(model: str, chat_base: str) -> list[Trial]:
    """What Z.AI has to refuse on each of its surfaces, so none of it costs anything."""
    return [
        _anthropic("bad model anthropic", _NO_MODEL),
        _chat("bad model chat", chat_base, _NO_MODEL),
        _responses("bad model responses", _NO_MODEL),
        _chat("bad model general", _GENERAL, _NO_MODEL),
        _anthropic("bad parameter anthropic", model, messages=[]),
        _chat("bad parameter chat", chat_base, model, messages=[]),
        _responses("bad parameter responses", model, input=[]),
        _chat("bad parameter general", _GENERAL, model, messages=[]),
        _wrong_path("coding", _CODING, Credential.BEARER, model),
        _wrong_path("anthropic", _ANTHROPIC, Credential.API_KEY, model),
        _wrong_path("responses", _RESPONSES, Credential.BEARER, model),
        _wrong_path("general", _GENERAL, Credential.BEARER, model),
    ]


def name_of(kind: str, surface: str) -> str:
    """The name of the trial of a kind on a surface."""
    return f"{kind} {surface.split()[0].lower()}"


def _with_a_wrong_key(model: str, chat_base: str) -> Iterator[Trial]:
    """One for each surface that clients use; what is refused costs nothing."""
    yield replace(_anthropic(f"{WRONG_KEY} anthropic", model), has_key=False)
    yield replace(_chat(f"{WRONG_KEY} chat", chat_base, model), has_key=False)
    yield replace(_responses(f"{WRONG_KEY} responses", model), has_key=False)


def burst(model: str, chat_base: str) -> list[Sequence[Trial]]:
    """More and more requests at once, to be sent until one is refused: half of them as Claude Code sends them, the
    others to Chat Completions."""
    return [[_of_burst(f"{BURST} {size}", n, model, chat_base) for n in range(size)] for size in _STEPS]


def _of_burst(name: str, number: int, model: str, chat_base: str) -> Trial:
    if number % 2:
        return _chat(name, chat_base, model)
    return _anthropic(name, model, headers=_BETA_HEADER)


def burst_of_two_models(size: int, model: str, chat_base: str) -> Sequence[Trial]:
    """As many again, half of them to another model. That goes first: where both share their places, the model that had
    all of them in the burst is refused now."""
    name = f"{BURST} {size} two models"
    half = size // 2
    others = [_chat(name, chat_base, _another(model)) for _ in range(half)]
    return [*others, *(_of_burst(name, n, model, chat_base) for n in range(size - half))]


def _another(model: str) -> str:
    return _OTHER_MODEL if model != _OTHER_MODEL else DEFAULT_MODEL


def last() -> Trial:
    return Trial("quota after", _QUOTA_PATH, Credential.BARE)


def models() -> Trial:
    """A request that costs nothing, for a connection that is to be left alone."""
    return Trial(MODELS, _MODELS_PATH, Credential.API_KEY)


def most_of(groups: Sequence[Sequence[Trial]]) -> int:
    """The tokens that all of them may take at most."""
    return sum(trial.most for group in groups for trial in group)


def _billed(
    name: str, path: str, credential: Credential, body: Mapping[str, object], headers: Mapping[str, str] | None = None
) -> Trial:
    most = most_tokens(json.dumps(body).encode(), MOST_OUTPUT)
    return Trial(name, path, credential, body, headers or {}, most)


def _anthropic(name: str, model: str, headers: Mapping[str, str] | None = None, **fields: object) -> Trial:
    body = {"model": model, "max_tokens": MOST_OUTPUT, "messages": _said("Say yes."), **fields}
    return _billed(name, MESSAGES_PATH, Credential.API_KEY, body, headers)


def _cached(name: str, model: str, line: str, nonce: str) -> Trial:
    text = f"{nonce}. {_SENTENCE * (_PROMPT_BYTES // len(_SENTENCE))}"
    system = [
        {"type": "text", "text": _LINE.format(line)},
        {"type": "text", "text": text, "cache_control": {"type": "ephemeral"}},
    ]
    return _anthropic(name, model, system=system)


def _chat(name: str, base: str, model: str, **fields: object) -> Trial:
    body = {"model": model, "max_tokens": MOST_OUTPUT, "messages": _said("Say yes."), **fields}
    return _billed(name, f"{base}/chat/completions", Credential.BEARER, body)


def _responses(name: str, model: str, **fields: object) -> Trial:
    body = {"model": model, "max_output_tokens": MOST_OUTPUT, "input": "Say yes.", **fields}
    return _billed(name, f"{_RESPONSES}/responses", Credential.BEARER, body)


def _wrong_path(surface: str, base: str, credential: Credential, model: str) -> Trial:
    return Trial(f"{WRONG_PATH} {surface}", f"{base}/{_NO_PATH}", credential, {"model": model})


def _count_tokens() -> Trial:
    body = {"model": _COUNTED_MODEL, "messages": _said("Say yes.")}
    return Trial("count tokens", f"{MESSAGES_PATH}/count_tokens", Credential.API_KEY, body)


def _said(text: str) -> list[Mapping[str, object]]:
    return [{"role": "user", "content": text}]
