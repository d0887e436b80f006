"""The parts of a prompt are told as hashes: of what a model is shown, however JSON has it and wherever it is cut."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.envoy.lua import pieces
from tests.unit.envoy.prompts import prompts, read_prompt
from tests.unit.envoy.streams import CUTS, asked, damaged, written

bounded = settings(derandomize=True, deadline=None, max_examples=120)

ATTRIBUTION = "x-anthropic-billing-header: cc_version=2.1.330.20a; cc_entrypoint=sdk-cli;"
TEXTS = st.text(max_size=40) | st.sampled_from([ATTRIBUTION, '"\\"', "It is 10:45 on 2026-11-26.", "x" * 66_000, ""])
LEAVES = TEXTS | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False, allow_infinity=False)
KEYS = st.sampled_from(["text", "type", "cache_control", "content", "name", "k" * 70, "input", "messages", "typ", "é"])
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)
MANY = st.lists(VALUES, max_size=3) | st.lists(
    TEXTS | st.dictionaries(KEYS, TEXTS, max_size=2), min_size=11, max_size=30
)
SECTIONS = ["system", "tools", "messages", "input", "instructions"]


@st.composite
def asking(draw: st.DrawFn) -> dict[str, object]:
    """A request's object with parts of prompts in it, in any order."""
    fields = draw(asked()) | draw(st.dictionaries(st.sampled_from(SECTIONS), MANY | VALUES, max_size=4))
    return dict(draw(st.permutations(list(fields.items()))))


@bounded
@given(body=written(asking()), cuts=CUTS, salt=st.integers(0, 2**31 - 1))
def test_a_prompt_says_the_same_to_both_readers_however_it_is_cut(body: bytes, cuts: list[int], salt: int) -> None:
    expected = read_prompt(body, salt)
    assert prompts().read(body, salt) == expected
    assert prompts().in_pieces(pieces(body, cuts), salt) == expected


@settings(bounded, max_examples=20)
@given(body=written(asking()).filter(lambda body: len(body) < 500))
def test_no_cut_matters(body: bytes) -> None:
    expected = read_prompt(body)
    for cut in range(len(body) + 1):
        assert prompts().in_pieces([body[:cut], body[cut:]]) == expected
    assert prompts().in_pieces([body[n : n + 1] for n in range(len(body))]) == expected


@bounded
@given(body=damaged(written(asking())), cuts=CUTS)
def test_of_what_is_no_json_it_tells_something(body: bytes, cuts: list[int]) -> None:
    prompts().in_pieces(pieces(body, cuts))


@st.composite
def growing(draw: st.DrawFn) -> list[bytes]:
    """Bodies of a conversation, one after the other: parts stay, change, move, come and go."""
    long = st.integers(20, 400).map(lambda size: {"text": 'said "x" ' * size, "type": "text"})
    line = st.integers(0, 9).map(lambda number: {"text": f"{ATTRIBUTION} {number} " + "y" * 200, "cache_control": {}})
    part: st.SearchStrategy[Any] = VALUES | long | line
    parts = {name: draw(st.lists(part, max_size=5)) for name in draw(st.permutations(["system", "tools", "messages"]))}
    bodies: list[dict[str, object]] = [dict(parts)]
    for _ in range(draw(st.integers(1, 3))):
        changed = draw(st.sampled_from(sorted(parts)))
        parts = {**parts, changed: draw(st.permutations([*parts[changed], draw(part)]))}
        bodies.append({**parts, "model": "glm-5.3"})
    return [draw(written(st.just(each))) for each in bodies]


@settings(bounded, max_examples=60)
@given(bodies=growing(), cuts=CUTS, salt=st.integers(0, 2))
def test_what_was_read_before_changes_nothing(bodies: list[bytes], cuts: list[int], salt: int) -> None:
    for body in [*bodies, *bodies]:
        expected = read_prompt(body, salt)
        assert prompts().read(body, salt) == expected
        assert prompts().in_pieces(pieces(body, cuts), salt) == expected


def test_a_byte_that_changes_in_a_part_that_is_known_is_seen_wherever_it_stands() -> None:
    text = 'The "quick" brown fox jumps over the lazy dog. ' * 6
    before = words({"messages": [{"content": "first"}, {"content": text}, {"content": "last" * 50}]})

    for place in range(len(text)):
        for other in (text[:place] + "#" + text[place + 1 :], text[:place] + text[place + 1 :]):
            after = words({"messages": [{"content": "first"}, {"content": other}, {"content": "last" * 50}]})
            assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True]
        assert words({"messages": [{"content": "first"}, {"content": text}, {"content": "last" * 50}]}) == before


def test_parts_that_are_longer_than_a_piece_or_lie_across_two_are_read_as_a_whole() -> None:
    sizes = [10, 65_000, 500, 70_000, 200_000, 40_000, 40_000, 3, 65_536 - 14, 64, 131_072]
    parts = [{"role": "user", "content": 'x"\\' * (size // 3)} for size in sizes]
    for body in (
        {"messages": parts},
        {"tools": parts},
        {"system": parts},
        {"system": "y" * 200_000, "messages": parts},
    ):
        written = json.dumps(body).encode()
        for _ in range(2):
            assert prompts().read(written) == read_prompt(written)


def test_more_parts_than_are_remembered_are_read_all_the_same() -> None:
    body = json.dumps(
        {"messages": [{"role": "user", "content": f"{number} " * 40} for number in range(10_000)]}
    ).encode()
    for _ in range(2):
        assert prompts().read(body) == read_prompt(body)


def words(body: dict[str, Any], salt: int = 1) -> list[str]:
    return prompts().read(json.dumps(body).encode(), salt).split()


def test_a_mark_that_moves_on_and_a_text_that_was_a_list_change_nothing() -> None:
    marked = {"role": "user", "content": [{"type": "text", "text": "hello", "cache_control": {"type": "ephemeral"}}]}

    assert words({"messages": [{"role": "user", "content": "hello"}]}) == words({"messages": [marked]})[1:]
    assert words({"messages": [marked]})[0] == "c"


def test_a_mark_on_a_tool_or_on_the_whole_prompt_is_one_too_and_what_a_tool_takes_is_none() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    tool = {"name": "Read", "input_schema": {"properties": mark}}
    body = {"tools": [tool], "messages": [{"role": "user", "content": "hello"}]}

    assert "c" not in words(body)
    assert "c" in words({**body, "tools": [tool, {"name": "Write", **mark}]})
    assert words({**body, **mark}) == ["c", *words(body)]


def test_each_part_has_a_word_and_claude_codes_line_a_letter() -> None:
    body = {
        "system": [{"type": "text", "text": ATTRIBUTION}, {"type": "text", "text": "You are helpful."}],
        "tools": [{"name": "Read"}, {"name": "Write"}],
        "messages": [{"role": "user", "content": "hello"}],
        "instructions": "Be brief.",
    }

    assert [word.partition(":")[0] for word in words(body)] == ["sa74", "s16", "i9", "t2", "m9"]
    assert words({**body, "system": "x" + ATTRIBUTION})[0].startswith("s75:")


def test_claude_codes_line_is_the_first_text_of_a_block() -> None:
    blocks = [[ATTRIBUTION], ["", ATTRIBUTION], [ATTRIBUTION[:9], ATTRIBUTION[9:]]]

    assert [word.partition(":")[0] for word in words({"system": blocks})] == ["sa74", "s74", "s74"]


def test_any_byte_that_changes_changes_its_part_alone() -> None:
    text = "The quick brown fox jumps over the lazy dog, again and again."
    before = words({"messages": [{"content": "first"}, {"content": text}, {"content": "last"}]})

    for place in range(len(text)):
        other = text[:place] + "#" + text[place + 1 :]
        after = words({"messages": [{"content": "first"}, {"content": other}, {"content": "last"}]})
        assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True]


@pytest.mark.parametrize(
    ("other", "is_loosely_same"),
    [
        ("It is 10:46 on 2026-11-27.", True),
        ("It is 10:45 on Thursday...", False),
        ("It was 10:45 on 2026-11-26", False),
    ],
)
def test_a_text_in_which_only_digits_differ_is_loosely_the_same(other: str, is_loosely_same: bool) -> None:
    [one], [two] = words({"system": "It is 10:45 on 2026-11-26."}), words({"system": other})

    assert one != two
    assert (one.rpartition(":")[2] == two.rpartition(":")[2]) == is_loosely_same


def test_tools_in_another_order_are_the_same_set() -> None:
    tools = [{"name": name, "input_schema": {"type": "object"}} for name in ("Read", "Write", "Bash")]
    [one], [two] = words({"tools": tools}), words({"tools": tools[::-1]})

    assert one.split(":")[3] == two.split(":")[3]
    assert one.split(":")[2] != two.split(":")[2]


def test_a_type_or_a_name_within_a_tool_counts() -> None:
    told = {
        tuple(words({"tools": [{"p": {key: {"type": kind}}}]})) for key in ("a", "b") for kind in ("string", "null")
    }

    assert len(told) == 4


def test_a_long_conversation_is_told_by_its_first_messages_and_by_all_up_to_each_of_the_last() -> None:
    messages = [{"role": "user", "content": f"message {number}"} for number in range(40)]
    one, longer = words({"messages": messages}), words({"messages": [*messages, {"content": "more"}]})

    assert len(one) == 24
    assert one[:12] == longer[:12]
    assert [word.partition(":")[0] for word in one[12:]] == [f"e{number}" for number in range(29, 41)]
    assert one[-1] in longer


def test_another_salt_makes_other_hashes() -> None:
    body = {"system": "You are helpful.", "messages": [{"content": "hello"}], "tools": [{"name": "Read"}]}
    told = [words(body, salt) for salt in range(5)]

    for one, two in pairwise(told):
        assert all(a.split(":")[1:] != b.split(":")[1:] for a, b in zip(one, two, strict=True))


def test_nothing_of_a_text_is_told() -> None:
    body = {"system": "secret " * 5, "messages": [{"role": "user", "content": "secret " * 9}], "tools": [{"secret": 1}]}

    assert "secret" not in " ".join(words(body))


def test_a_prompt_of_any_length_has_few_words() -> None:
    body = {"system": ["x"] * 100, "messages": ["y"] * 1000, "tools": [{}] * 500, "instructions": ["z"] * 1000}

    assert len(words(body)) == 6 + 24 + 1


SLOW = {
    "texts": b'"",',
    "numbers": b"1,",
    "objects": b'{"a":1},',
    "brackets": b"[",
    "spaces": b" ",
    "digits": b"1",
    "a list of texts": b'"",',
}


@pytest.mark.parametrize("unit", SLOW.values(), ids=SLOW)
@pytest.mark.parametrize("opening", [b'{"messages": [', b'{"tools": [', b'{"system": [[', b'{"tools": [{"a": ['])
def test_what_is_slow_to_read_is_read_for_so_many_steps_and_no_further(opening: bytes, unit: bytes) -> None:
    body = opening + unit * (4_000_000 // len(unit))

    assert prompts().piece_ends(body)[-1] <= 2**20
    assert "b" in prompts().read(body).split()


def test_of_a_body_of_more_than_eight_mebibytes_the_front_is_told_and_that_there_is_more() -> None:
    front, large = {"system": ["x", "y"]}, ["a", "b" * 9_000_000, "c"]

    assert words(front | {"messages": large}) == [*words(front), "b", *words({"messages": ["a"]})]
    assert "b" not in words(front | {"messages": ["b" * 8_000_000]})


def test_of_tools_or_blocks_of_which_not_all_were_read_nothing_is_told_that_needs_all() -> None:
    tools = json.dumps({"system": "s", "tools": [{"a": number} for number in range(100_000)]}).encode()
    blocks = json.dumps({"tools": [{}], "system": [f"{number}" for number in range(100_000)]}).encode()

    assert [word[0] for word in prompts().read(tools).split()] == ["s", "b"]
    assert [word[0] for word in prompts().read(blocks).split()] == [*"sssss", "b", "t"]


def test_nesting_may_be_deep() -> None:
    deep = b'{"messages": [' + b'[{"a":' * 50_000 + b"1" + b"}]" * 50_000 + b', "more"]}'

    assert [word.partition(":")[0][0] for word in prompts().read(deep).split()] == ["m", "m"]
    assert prompts().read(deep).split()[1].startswith("m4:")


def test_brackets_without_end_take_little_memory() -> None:
    assert prompts().heap_of(b'{"messages": [' + b"[" * 4_000_000) < 1024
