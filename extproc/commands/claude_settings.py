"""What Claude Code's own settings add to its environment. They are only read."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_FILE: Final = "settings.json"


def claude_code_environment(environ: Mapping[str, str]) -> Mapping[str, str]:
    """The environment that Claude Code has when it is started in this one: what `env` in its settings says goes first.

    A file that is not there, or that nobody can read, says nothing.
    """
    directory = environ.get("CLAUDE_CONFIG_DIR") or Path(environ.get("HOME", ""), ".claude")
    try:
        settings = json.loads(Path(directory, _FILE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return environ
    said = settings.get("env") if isinstance(settings, dict) else None
    if not isinstance(said, dict):
        return environ
    return {**environ, **{name: value for name, value in said.items() if isinstance(value, str)}}
