"""What differs between two prompts of a conversation, and what is said of it."""

import pytest

from extproc.domain.cache.prompt import Cause, Change, Prompt, differences, read_prompt
from extproc.domain.cache.report import text_of

FIRST = "sa74:a1:a9 s62:b1:b9 s6866:c1:c9 c t12:31202:d1:d9 m632:e1:e9 m9295:f1:f9"
MORE = f"{FIRST} m138:91 m69:92 m40:93"


def prompt(words: str) -> Prompt:
    read = read_prompt(words)
    assert read is not None
    return read


def changed(before: str, now: str) -> list[tuple[str, Cause]] | None:
    found = differences(prompt(before), prompt(now))
    return None if found is None else [(change.name, change.cause) for change in found]


def test_the_words_of_a_prompt_are_read() -> None:
    read = prompt("sa74:a1:a9 sr400:b1 i9:c1 c t12:31202:d1:d9 m632:e1:e9 m20:f1 e13:0a e14:0b")

    assert [(part.bytes, part.hash, part.loose, part.is_attribution) for part in read.system] == [
        (74, "a1", "a9", True),
        (400, "b1", "", False),
        (9, "c1", "", False),
    ]
    assert read.tools is not None
    assert (read.tools.count, read.tools.bytes, read.tools.as_set) == (12, 31202, "d9")
    assert (read.length, read.up_to, read.is_marked) == (14, {13: "0a", 14: "0b"}, True)


@pytest.mark.parametrize("words", ["m", "m12", "t1:2:3", "e1", "sx:1:2", "e:1"])
def test_what_envoy_never_says_is_not_read(words: str) -> None:
    assert read_prompt(words) is None


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (MORE, []),
        (MORE.replace("a1", "a2"), [("system block 1", Cause.ATTRIBUTION)]),
        (MORE.replace("c1", "c2"), [("system block 3", Cause.DATE)]),
        (MORE.replace("c1:c9", "c2:c8"), [("system block 3", Cause.UNKNOWN)]),
        (MORE.replace("d1", "d2"), [("the tool list", Cause.TOOLS_REORDERED)]),
        (MORE.replace("d1:d9", "d2:d8"), [("the tool list", Cause.UNKNOWN)]),
        (MORE.replace("t12:31202:d1", "t13:32000:d2"), [("the tool list", Cause.UNKNOWN)]),
        (
            MORE.replace("b1", "b2").replace("d1", "d2"),
            [("the tool list", Cause.TOOLS_REORDERED), ("system block 2", Cause.DATE)],
        ),
    ],
)
def test_the_parts_that_differ_are_named_in_the_models_order(now: str, expected: list[tuple[str, Cause]]) -> None:
    assert changed(FIRST, now) == expected


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (MORE, FIRST),
        (FIRST, MORE.replace("s62:b1:b9 ", "")),
        (FIRST, MORE.replace("t12:31202:d1:d9 ", "")),
        (FIRST, MORE.replace("e1", "e2").replace("f1", "f2")),
    ],
    ids=["shorter", "another system prompt", "no tools", "other messages"],
)
def test_another_conversations_prompt_is_not_compared(before: str, now: str) -> None:
    assert changed(before, now) is None


def test_the_last_messages_may_still_change_and_those_before_may_not() -> None:
    longer = f"{MORE} m7:94 m7:95"

    assert changed(MORE, longer.replace("m40:93", "m40:83").replace("m69:92", "m69:82")) == []
    assert changed(MORE, longer.replace("m138:91", "m138:81")) == [("message 3", Cause.UNKNOWN)]
    assert changed(MORE, longer.replace("e1", "e2")) == [("message 1", Cause.DATE)]


def test_behind_the_twelfth_message_only_that_one_differs_is_known() -> None:
    first = " ".join(f"m9:{number:x}" for number in range(12))
    before = f"{first} e13:a1 e14:a2 e15:a3 e16:a4"

    assert changed(before, f"{first} e13:a1 e14:a2 e15:b3 e16:b4 e17:b5") == []
    assert changed(before, f"{first} e13:a1 e14:b2 e15:b3 e16:b4 e17:b5") == [
        ("a message behind the 12th", Cause.UNKNOWN)
    ]
    assert changed(before, f"{first} e17:b5 e18:b6") == []


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            Change("system block 1", Cause.ATTRIBUTION, 74, ""),
            "system block 1 changes with each request: Claude Code's attribution line. "
            "Set CLAUDE_CODE_ATTRIBUTION_HEADER=0",
        ),
        (
            Change("system block 3", Cause.DATE, 6866, ""),
            "system block 3 changes with each request, in nothing but digits (6,866 bytes): a time, a date or a count. "
            "Put it into the last message, or leave it out",
        ),
        (
            Change("the tool list", Cause.TOOLS_REORDERED, 31202, ""),
            "the tool list comes in another order with each request (31,202 bytes). Sort it by name",
        ),
        (Change("message 3", Cause.UNKNOWN, 138, ""), "message 3 changes with each request (138 bytes)"),
        (
            Change("message 3", Cause.UNKNOWN, 0, ""),
            "message 3 changes with each request",
        ),
    ],
)
def test_a_known_cause_comes_with_its_cure_and_another_with_its_place_and_size(change: Change, text: str) -> None:
    assert text_of(change) == text
