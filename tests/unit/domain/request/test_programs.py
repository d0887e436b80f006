"""A program is known by the family of its user agent, whatever its version, and only those of the list have a name."""

import pytest

from extproc.domain.request.programs import program_of


@pytest.mark.parametrize(
    ("user_agent", "program"),
    [
        ("claude-cli/2.1.330 (external, cli)", "Claude Code"),
        ("codex_cli_rs/0.104.0 (Debian 12.0.0; x86_64) xterm", "Codex"),
        ("codex_exec/0.104.0", "Codex"),
        ("opencode/1.1.2", "OpenCode"),
        ("OpenAI/Python 2.8.1", "OpenAI SDK"),
        ("AsyncOpenAI/Python 2.8.1", "OpenAI SDK"),
        ("Anthropic/JS 0.70.0", "Anthropic SDK"),
        ("curl/8.14.1", "curl"),
        ("claude-client/1", ""),
        ("invented-by-a-stranger/1", ""),
        ("", ""),
        ("\udcff", ""),
    ],
)
def test_the_list_names_what_it_knows(user_agent: str, program: str) -> None:
    assert program_of(user_agent) == program
