"""What differs between two prompts of a conversation, and what is said of it."""

import pytest

from extproc.domain.cache.prompt import Cause, Change, Prompt, are_of_one, differences, read_prompt
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
    read = prompt("sa74:a1:a9 sr400:b1 i9:c1 c t12:31202:d1:d9 m632:e1:e9 m20:f1 e13:0a:7 e14:0b")

    assert [(part.bytes, part.hash, part.loose, part.is_attribution) for part in read.system] == [
        (74, "a1", "a9", True),
        (400, "b1", "", False),
        (9, "c1", "", False),
    ]
    assert read.tools is not None
    assert (read.tools.count, read.tools.bytes, read.tools.as_set) == (12, 31202, "d9")
    assert (read.length, read.up_to, read.is_marked) == (14, {13: "0a", 14: "0b"}, True)
    assert read.sizes == {13: 7, 14: 0}


@pytest.mark.parametrize("words", ["m", "m12", "t1:2:3", "e1", "e1:2:x", "sx:1:2", "e:1"])
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
        (MORE.replace("d1:d9", "d2:d8"), [("what is in the tool list", Cause.UNKNOWN)]),
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


@pytest.mark.parametrize(
    ("length", "changing", "place", "size"),
    [
        (20, 13, "message 13", 1300),
        (22, 16, "message 16", 1600),
        (26, 19, "message 19", 1900),
        (31, 19, "one of the messages 13 to 22", 0),
    ],
)
def test_a_message_behind_the_twelfth_is_named_as_exactly_as_it_is_known(
    length: int, changing: int, place: str, size: int
) -> None:
    def words(count: int, version: str) -> str:
        ends = [f"e{n}:{version if n >= changing else 'same'}{n}:{n}00" for n in range(13, count + 1)[-12:]]
        return " ".join([*(f"m9:{number:x}" for number in range(12)), *ends])

    [change] = differences(prompt(words(length, "a")), prompt(words(length + 2, "b"))) or []
    assert (change.name, change.place, change.bytes) == ("a message behind the 12th", place, size)


def test_of_messages_that_are_stamped_or_dropped_the_number_and_size_are_told() -> None:
    [old] = differences(prompt(stamped(6, "a")), prompt(stamped(8, "b"))) or []
    messages = [f"{number:x}" for number in range(12)]
    [oldest] = differences(prompt(chat(*messages[:10])), prompt(chat(*messages[2:]))) or []

    assert (old.count, old.bytes) == (4, 40 + 41 + 42 + 43)
    assert (oldest.count, oldest.bytes) == (2, 20)


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
        (
            Change("old messages", Cause.STAMPED, 640, "", 6),
            "old messages change with each request (6 of the first 12, 640 bytes), each by a word or a number: "
            "something such as the time is written into all of them anew. Write it once, when a message is made, or "
            "into the last one alone",
        ),
        (
            Change("the oldest messages", Cause.DROPPED, 4820, "", 2),
            "the oldest messages are dropped with each request (2 of the first 12, 4,820 bytes), and all behind them "
            "is read anew. Drop many at once and seldom, or sum them up",
        ),
        (Change("message 3", Cause.UNKNOWN, 138, ""), "message 3 changes with each request (138 bytes)"),
        (
            Change("what is in the tool list", Cause.UNKNOWN, 31202, "", 12),
            "what is in the tool list changes with each request (12 tools, 31,202 bytes in all)",
        ),
        (
            Change("a message behind the 12th", Cause.UNKNOWN, 0, "", place="message 19"),
            "message 19 changes with each request",
        ),
        (
            Change("message 3", Cause.UNKNOWN, 0, ""),
            "message 3 changes with each request",
        ),
    ],
)
def test_a_known_cause_comes_with_its_cure_and_another_with_its_place_and_size(change: Change, text: str) -> None:
    assert text_of(change) == text


def chat(*messages: str, system: str = "s9:1:9") -> str:
    """The words of a prompt with these messages, each of so many bytes as its hash is long times ten."""
    return " ".join([system, *(f"m{10 * len(each)}:{each}" for each in messages)])


def stamped(count: int, stamp: str) -> str:
    """The words of a prompt whose messages say each something else, and all of them a stamp."""
    first = [f"m{40 + number}:{stamp}{number}:{number}" for number in range(min(2, count))]
    return " ".join(["s9:1:9", *first, *(f"m{40 + number}:{stamp}{number}" for number in range(2, count))])


@pytest.mark.parametrize("count", [4, 6, 12])
def test_messages_that_are_all_stamped_anew_are_one_change(count: int) -> None:
    assert changed(stamped(count, "a"), stamped(count + 2, "b")) == [("old messages", Cause.STAMPED)]


def test_every_other_message_that_is_stamped_anew_is_one_change_and_a_single_one_is_named() -> None:
    before = "s9:1:9 m40:a1:1 m50:b m41:a2 m51:c m42:a3 m52:d"
    assert changed(before, before.replace(":a", ":e")) == [("old messages", Cause.STAMPED)]
    assert changed(before, before.replace("a1:1", "e1:1")) == [("message 1", Cause.DATE)]


@pytest.mark.parametrize(
    "now",
    ["s9:1:9 m900:e1:8 m901:e2:9 m42:e3 m43:e4 m44:e5", "s9:1:9 m5:e1:8 m6:e2:9 m42:e3 m43:e4 m44:e5"],
    ids=["other lengths", "too short to say"],
)
def test_messages_that_have_nothing_in_common_are_not_stamped(now: str) -> None:
    assert changed(stamped(4, "a"), now) is None


@pytest.mark.parametrize("pinned", [[], ["system"], ["system", "task", "plan"]], ids=len)
@pytest.mark.parametrize("dropped", [1, 2, 4])
@pytest.mark.parametrize("count", [7, 9, 12])
def test_a_window_that_slides_over_the_messages_is_one_change(pinned: list[str], dropped: int, count: int) -> None:
    messages = [f"{number:x}" for number in range(100)][: count + dropped]
    before, now = chat(*pinned, *messages[:count]), chat(*pinned, *messages[dropped:])

    assert changed(before, now) == [("the oldest messages", Cause.DROPPED)]


def test_of_a_long_conversation_the_first_messages_show_that_a_window_slides() -> None:
    def window(first: int) -> str:
        ends = [f"e{number}:{first + number:x}" for number in range(19, 31)]
        return " ".join([chat(*(f"{number:x}" for number in range(first, first + 12))), *ends])

    assert changed(window(20), window(22)) == [("the oldest messages", Cause.DROPPED)]


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (chat("a", "b", "c", "d", "e"), chat("a", "b", "c")),
        (chat("a", "b", "c", "d", "e"), chat("sum", "d", "e", "f")),
        (chat("a", "b", "c", "d"), chat("c", "d", "e")),
    ],
    ids=["rewound", "compacted", "too few to say"],
)
def test_what_else_may_become_of_the_front_is_no_window(before: str, now: str) -> None:
    assert changed(before, now) is None


def test_messages_that_are_all_the_same_have_not_moved_up() -> None:
    before, now = chat("a", "b", "b", "b", "b", "b"), chat("b", "b", "b", "b", "b", "c", "d")

    assert changed(before, now) == [("message 1", Cause.UNKNOWN)]


OTHER_FRONT = "s9:2:8 s7:1:1"


@pytest.mark.parametrize("front", ["s9:1:9", OTHER_FRONT], ids=["the same front", "another front"])
@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (["a"], ["a", "b", "c"], True),
        (["a"], ["b"], False),
        (["system", "a"], ["system", "a", "b", "c"], True),
        (["system", "a"], ["system", "b"], False),
        (["system", "a", "b", "c"], ["system", "d", "e", "f", "g"], False),
        (["system", "a", "b", "c", "d"], ["other", "a", "b", "c", "d", "e"], True),
        (["a", "b", "c", "d"], ["a", "b"], True),
        (list("abcdefg"), list("cdefghi"), True),
        ([], ["a"], False),
    ],
)
def test_two_prompts_are_of_one_conversation_if_they_have_more_in_common_than_all_have(
    before: list[str], now: list[str], expected: bool, front: str
) -> None:
    assert are_of_one(prompt(chat(*before)), prompt(chat(*now, system=front))) is expected


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (["task", "example", "own"], ["task", "example", "other"]),
        (["task", "example", "own"], ["task", "example", "other", "d", "e"]),
        (["task", "example", "own", "d", "e"], ["task", "example", "other", "f", "g", "h", "i"]),
    ],
)
def test_that_all_conversations_of_a_program_begin_with_the_same_makes_no_two_with_other_fronts_one(
    before: list[str], now: list[str]
) -> None:
    assert not are_of_one(prompt(chat(*before)), prompt(chat(*now, system=OTHER_FRONT)))


@pytest.mark.parametrize("last", [("next", "next"), ("why", "who")], ids=["the same question", "another one"])
def test_of_two_prompts_of_one_length_a_front_that_differs_is_told_whatever_their_messages_are_of(
    last: tuple[str, str],
) -> None:
    texts = zip(("novel", "poem"), last, strict=True)
    one, other = (chat(text, "ack", "go-on", question, system=f"s9:{text}:9") for text, question in texts)

    assert changed(one, other) == [("system block 1", Cause.DATE)]


@pytest.mark.parametrize("last", [("briefly", "briefly"), ("why", "who")], ids=["the same question", "another one"])
def test_documents_between_the_same_words_are_neither_one_conversation_nor_a_message_that_changes(
    last: tuple[str, str],
) -> None:
    texts = zip(("novel", "poem"), last, strict=True)
    one, other = (chat("task", "example", text, "well", question) for text, question in texts)

    assert not are_of_one(prompt(one), prompt(other))
    assert changed(one, other) is None


def test_of_two_prompts_of_one_length_an_old_message_with_another_time_in_it_is_told() -> None:
    one, other = (f"s9:1:9 m40:{time}:9 m20:ack m30:{time}7 m9:{time}8" for time in ("noon", "night"))

    assert changed(one, other) == [("message 1", Cause.DATE)]


def test_a_conversation_that_is_stamped_anew_is_one() -> None:
    assert are_of_one(prompt(stamped(6, "a")), prompt(stamped(8, "b")))
