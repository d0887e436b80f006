"""What a client's program is called, by the family of its user agent. Bounded: what is not on the list has no name."""

from collections.abc import Mapping
from typing import Final

from extproc.domain.request.identity import family
from extproc.domain.request.labels import OTHER

_BY_FAMILY: Final[Mapping[str, str]] = {
    "claude-cli": "Claude Code",
    "claude-code": "Claude Code",
    "codex_cli_rs": "Codex",
    "codex_exec": "Codex",
    "codex_vscode": "Codex",
    "codex-tui": "Codex",
    "opencode": "OpenCode",
    "cline": "Cline",
    "roocode": "Roo Code",
    "kilo-code": "Kilo Code",
    "openai": "OpenAI SDK",
    "asyncopenai": "OpenAI SDK",
    "anthropic": "Anthropic SDK",
    "asyncanthropic": "Anthropic SDK",
    "litellm": "LiteLLM",
    "curl": "curl",
    "python-httpx": "httpx",
    "python-requests": "Requests",
}


def label_of(program: str) -> str:
    """The program's name as a label, `other` for one without a name."""
    return program.lower().replace(" ", "_") or OTHER


def program_of(user_agent: str) -> str:
    """The name of the program that sends this user agent; empty if it is not known."""
    return _BY_FAMILY.get(family(user_agent), "")
