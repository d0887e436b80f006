"""The script for coding agents: which of their tools is called, and with what. Each writes the same small file."""

from __future__ import annotations

from simulator.scenario.model import ToolCall

AGENT_FILE = "zai-simulator.txt"
AGENT_TEXT = "written by a simulated model"

_COMMAND = f"echo '{AGENT_TEXT}' > {AGENT_FILE}"

# The first that the request offers is called: Claude Code, opencode, Codex (by age of its shell tool), Cline.
AGENT_SCRIPT = (
    ToolCall("Bash", {"command": _COMMAND, "description": "Write a small file"}),
    ToolCall("bash", {"command": _COMMAND, "description": "Write a small file"}),
    ToolCall("exec_command", {"cmd": _COMMAND}),
    ToolCall("shell_command", {"command": _COMMAND}),
    ToolCall("shell", {"command": ["bash", "-c", _COMMAND]}),
    ToolCall("execute_command", {"command": _COMMAND, "requires_approval": False}),
)
