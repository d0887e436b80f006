"""The coding agents themselves, pinned in tests/agents/package.json, each pointed at a stack as its user would do it.

An agent gets a folder of its own to work in, a home of its own with nothing but the settings below, and a network in
which only the proxy answers.
"""

import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from tests.harness.processes import ROOT
from tests.harness.sealed_network import Finished, run_sealed

MODEL: Final = "glm-5.3"
SMALL_MODEL: Final = "glm-4.5-air"
CLIENT_KEY: Final = "whatever-the-user-typed"
PROMPT: Final = "Write a small file, then say what you did."
DEADLINE: Final = 200.0

_INSTALLED = ROOT / "tests" / "agents" / "node_modules"


@dataclass(frozen=True, slots=True)
class Agent:
    """A coding agent. `path` is what it calls, as its requests are counted; `upstream_path` is what Z.AI is called for.

    `configure` writes its settings into a home, for a proxy at a URL, and returns its environment variables.
    """

    name: str
    path: str
    upstream_path: str
    command: tuple[str, ...]
    configure: Callable[[Path, str], Mapping[str, str]]


class Door(Protocol):
    """What an agent is pointed at: a stack, or what stands in front of one."""

    @property
    def url(self) -> str: ...

    @property
    def proxy_port(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Turn:
    """What came of one prompt: how the process ended, and the folder that it worked in."""

    process: Finished
    folder: Path


def missing() -> str | None:
    """Why no agent can run here; None when all can."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return f"the coding agents are pinned for Linux on x86-64, this is {platform.system()} on {platform.machine()}"
    installed = all(Path(agent.command[0]).exists() for agent in AGENTS)
    return None if installed else "the coding agents are not installed: make setup-agents"


def take_turn(agent: Agent, door: Door, directory: Path, prompt: str = PROMPT, **variables: str) -> Turn:
    """One prompt, without a person; `variables` are added to the agent's environment. Raises TimeoutError.

    A second one in the same directory is another conversation of the same person in the same project.
    """
    home, folder = directory / "home", directory / "work"
    temporary = home / "tmp"
    for each in (temporary, folder):
        each.mkdir(parents=True, exist_ok=True)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        **agent.configure(home, door.url),
        **variables,
    }
    return Turn(run_sealed([*agent.command, prompt], door.proxy_port, environment, folder, DEADLINE), folder)


def _claude_code_settings(_home: Path, url: str) -> Mapping[str, str]:
    return {
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_AUTH_TOKEN": CLIENT_KEY,
        "ANTHROPIC_MODEL": MODEL,
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": SMALL_MODEL,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }


def _codex_settings(home: Path, url: str) -> Mapping[str, str]:
    # Plugins are fetched from a public repository, analytics and updates from their makers.
    _write(
        home / ".codex" / "config.toml",
        f"""
        model = "{MODEL}"
        model_provider = "zai-proxy"
        check_for_update_on_startup = false
        features.plugins = false
        analytics.enabled = false

        [model_providers.zai-proxy]
        name = "Z.AI through zai-proxy"
        base_url = "{url}/v1"
        wire_api = "responses"
        env_key = "ZAI_PROXY_TOKEN"
        """,
    )
    return {"ZAI_PROXY_TOKEN": CLIENT_KEY}


def _codex_websocket_settings(home: Path, url: str) -> Mapping[str, str]:
    variables = _codex_settings(home, url)
    with (home / ".codex" / "config.toml").open("a") as config:
        config.write("supports_websockets = true\n")
    return variables


def _opencode_settings(package: str) -> Callable[[Path, str], Mapping[str, str]]:
    def configure(home: Path, url: str) -> Mapping[str, str]:
        provider = {
            "npm": package,
            "name": "Z.AI through zai-proxy",
            "options": {"baseURL": f"{url}/v1", "apiKey": CLIENT_KEY},
            "models": {MODEL: {}, SMALL_MODEL: {}},
        }
        settings = {
            "model": f"zai-proxy/{MODEL}",
            "small_model": f"zai-proxy/{SMALL_MODEL}",
            "provider": {"zai-proxy": provider},
            "autoupdate": False,
            "share": "disabled",
        }
        _write(home / ".config" / "opencode" / "opencode.json", json.dumps(settings))
        # It fetches a list of models from its makers, and a package for its plugins from npm.
        return {"OPENCODE_DISABLE_MODELS_FETCH": "1", "npm_config_offline": "true"}

    return configure


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True)
    file.write_text(text)


def _installed(path: str, *arguments: str) -> tuple[str, ...]:
    return (str(_INSTALLED / path), *arguments)


_CODEX = _installed(
    "codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex",
    *("exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"),
)
_OPENCODE = _installed("opencode-linux-x64-baseline/bin/opencode", "run")

CLAUDE_CODE: Final = Agent(
    name="Claude Code",
    path="/v1/messages",
    upstream_path="/api/anthropic/v1/messages?beta=true",
    command=_installed("@anthropic-ai/claude-code-linux-x64/claude", "--allowedTools=Bash", "--print"),
    configure=_claude_code_settings,
)
CODEX: Final = Agent("Codex", "/v1/responses", "/api/v1/responses", _CODEX, _codex_settings)
CODEX_WITH_WEBSOCKETS: Final = Agent(
    "Codex with WebSockets", "/v1/responses", "/api/v1/responses", _CODEX, _codex_websocket_settings
)
OPENCODE: Final = Agent(
    name="opencode",
    path="/v1/chat/completions",
    upstream_path="/api/coding/paas/v4/chat/completions",
    command=_OPENCODE,
    configure=_opencode_settings("@ai-sdk/openai-compatible"),
)
OPENCODE_ANTHROPIC: Final = Agent(
    name="opencode, Anthropic provider",
    path="/v1/messages",
    upstream_path="/api/anthropic/v1/messages",
    command=_OPENCODE,
    configure=_opencode_settings("@ai-sdk/anthropic"),
)
AGENTS: Final[Sequence[Agent]] = (CLAUDE_CODE, CODEX, OPENCODE, OPENCODE_ANTHROPIC)
