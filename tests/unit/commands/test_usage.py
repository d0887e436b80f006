"""How `zai-proxy usage` prints what it has read: whole in a pipe, and in a terminal however narrow that is."""

import io
from typing import Any

import pytest
from rich.console import Console

from extproc.commands.doctor import verdict
from extproc.commands.usage import _cache_lines, print_usage

ROW: dict[str, Any] = {
    "day": "2026-11-26",
    "client": "a-client-with-a-rather-long-name",
    "program": "Claude Code",
    "model": "glm-5.3-with-[red]-in-its-name",
    "requests": 1_234_567,
    "input_tokens": 123_456_789,
    "output_tokens": 12_345_678,
    "cost_usd": 12_345.678,
    "credits": 98_765.43,
}
WORDS = [
    *(ROW[name] for name in ("day", "client", "program", "model")),
    *("1,234,567", "123,456,789", "12,345,678", "$12345.68", "98,765.4"),
]


def printed(rows: list[dict[str, Any]], width: int, *, is_terminal: bool) -> list[str]:
    file = io.StringIO()
    print_usage(rows, Console(file=file, width=width, force_terminal=is_terminal, color_system=None))
    return file.getvalue().splitlines()


def test_a_pipe_gets_every_column_of_a_row_in_one_line() -> None:
    header, row, other = printed([ROW, {**ROW, "program": None}], 80, is_terminal=False)

    assert [word for word in WORDS if word not in row] == []
    assert " ".join(header.split()) == "day (UTC) client program model requests input output list price credits"
    assert len(other) == len(row)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_terminal_too_narrow_for_the_table_gets_two_lines_a_row_and_loses_nothing(width: int) -> None:
    lines = printed([ROW], width, is_terminal=True)

    assert len(lines) == 2
    assert [word for word in WORDS if word not in " ".join(lines)] == []


def test_a_wide_terminal_gets_a_table() -> None:
    lines = printed([ROW], 200, is_terminal=True)

    assert lines[0].startswith("┏")
    assert any(all(word in line for word in WORDS) for line in lines)


@pytest.mark.parametrize(("width", "is_terminal"), [(80, False), (80, True), (200, True)])
def test_credits_that_nobody_knows_are_no_zero_and_a_sentence_says_so(width: int, is_terminal: bool) -> None:
    unknown, known = ({**ROW, "credits": each} for each in (None, 0.0))

    *table, note = printed([unknown], width, is_terminal=is_terminal)
    assert any(line.rstrip(" │").endswith("–") for line in table)
    assert note.startswith("–: nobody has published how many credits")
    assert not any("published" in line or "–" in line for line in printed([known], width, is_terminal=is_terminal))


@pytest.mark.parametrize("is_terminal", [False, True])
def test_where_nothing_was_counted_a_sentence_says_so(is_terminal: bool) -> None:
    [line] = printed([], 80, is_terminal=is_terminal)

    assert line.startswith("No request has been counted yet. ")


def cache(listed: int, **fields: int) -> dict[str, Any]:
    """What a proxy says of healthy sessions and so many cold ones, as `/status` has them."""
    conversations = [{"text": f"Claude Code, session {number}: 4 %"} for number in range(listed)]
    programs = [{"text": "Claude Code: 88 %"}]
    return {"cache": {"programs": programs, "conversations": conversations[:20], "findings": [], **fields}}


def test_each_conversation_that_is_cold_has_a_line_beside_that_of_its_program() -> None:
    lines = _cache_lines(cache(1))

    assert lines == ["Claude Code: 88 %", "cold now: Claude Code, session 0: 4 %"]


@pytest.mark.parametrize(("listed", "fields", "more"), [(6, {}, 1), (47, {"cold": 47}, 42)])
def test_of_many_the_worst_five_have_one_and_the_others_are_counted(
    listed: int, fields: dict[str, int], more: int
) -> None:
    _, *lines, last = _cache_lines(cache(listed, **fields))

    assert lines == [f"cold now: Claude Code, session {number}: 4 %" for number in range(5)]
    assert last.startswith(f"cold now: {more} more; ")


def test_an_older_proxy_has_no_lines_of_the_cache() -> None:
    assert _cache_lines({}) == []


@pytest.mark.parametrize(
    ("problems", "warnings", "text"),
    [
        (0, 0, "No problem was found."),
        (1, 0, "1 problem was found."),
        (0, 1, "No problem was found. 1 warning was found."),
        (2, 3, "2 problems were found. 3 warnings were found."),
    ],
)
def test_the_doctors_last_line_counts_problems_and_warnings(problems: int, warnings: int, text: str) -> None:
    assert verdict(problems, warnings) == text
