"""Claude Code takes what its own settings say of its environment before what it is started in."""

import json
from pathlib import Path

import pytest

from extproc.commands.claude_settings import claude_code_environment

OFF = "CLAUDE_CODE_ATTRIBUTION_HEADER"


def write(directory: Path, text: str) -> None:
    directory.mkdir()
    (directory / "settings.json").write_text(text)


def test_what_its_settings_say_goes_before_the_environment(tmp_path: Path) -> None:
    write(tmp_path / ".claude", json.dumps({"env": {OFF: "0", "ANTHROPIC_BASE_URL": "http://there"}, "model": "opus"}))
    environ = {"HOME": str(tmp_path), "ANTHROPIC_BASE_URL": "http://here", "PATH": "/bin"}

    assert claude_code_environment(environ) == {**environ, OFF: "0", "ANTHROPIC_BASE_URL": "http://there"}


def test_its_settings_may_stand_elsewhere(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", json.dumps({"env": {OFF: "0"}}))
    environ = {"HOME": str(tmp_path), "CLAUDE_CONFIG_DIR": str(tmp_path / "elsewhere")}

    assert claude_code_environment(environ)[OFF] == "0"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"env": 7}', '{"env": {"A": 7}}', "[" * 100_000])
def test_settings_that_say_nothing_of_it_change_nothing(text: str, tmp_path: Path) -> None:
    write(tmp_path / ".claude", text)
    environ = {"HOME": str(tmp_path), "PATH": "/bin"}

    assert claude_code_environment(environ) == environ


def test_without_settings_or_a_home_it_is_the_environment(tmp_path: Path) -> None:
    assert claude_code_environment({"HOME": str(tmp_path)}) == {"HOME": str(tmp_path)}
    assert claude_code_environment({}) == {}
