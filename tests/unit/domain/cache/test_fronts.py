"""What changes in front of the prompts of a program's sessions."""

from dataclasses import replace
from random import Random

import pytest

from extproc.domain.cache.changes import When
from extproc.domain.cache.conversation import Speaker
from extproc.domain.cache.fronts import Fronts
from extproc.domain.cache.lanes import LONGEST_PAUSE, Asked
from extproc.domain.cache.ledger import COLD_SECONDS, CacheLedger
from extproc.domain.cache.prompt import Cause, Prompt, read_prompt
from extproc.domain.cache.report import as_json, text_of
from extproc.domain.usage.price_file import packaged_prices, parse_price_table

NOON = 1_795_608_000.0
SPEAKER = Speaker("anna", "source-01", "Claude Code", "s-1", "", "glm-5.3")


def prompt(front: str, task: int) -> Prompt:
    read = read_prompt(f"{front} m90:{task}")
    assert read is not None
    return read


def sessions(*fronts: str, apart: float = 30.0, cached: int = 0) -> list[tuple[str, Cause, int]]:
    """What is found after sessions of two requests each, the second of which is looked at, behind these fronts."""
    found = Fronts()
    for number, front in enumerate(fronts):
        speaker = replace(SPEAKER, session=f"s-{number}")
        first = Asked(NOON + apart * number, NOON + apart * number + 1, 6000, cached)
        found.take(speaker, first, None)
        found.take(speaker, replace(first, sent=first.sent + 5, input=7000), prompt(front, number))
        found.take(speaker, replace(first, sent=first.sent + 9, input=8000), prompt("s9:never s9000:b", number))
    findings = found.findings(NOON + apart * len(fronts), COLD_SECONDS)
    assert {(each.speaker.session, each.when) for each in findings} <= {("", When.EACH_SESSION)}
    return [(each.change.name, each.change.cause, each.requests) for each in findings]


def test_a_line_that_is_another_one_in_each_session_in_front_of_much_that_stays_is_a_finding() -> None:
    fronts = [f"t3:9000:5:5 sa90:{number} s9000:b" for number in range(5)]

    assert sessions(*fronts[:3]) == []
    assert sessions(*fronts[:4]) == [("system block 1", Cause.ATTRIBUTION, 3)]
    assert sessions(*fronts) == [("system block 1", Cause.ATTRIBUTION, 4)]


def test_a_part_of_which_nobody_knows_what_it_is_has_to_be_another_one_six_times() -> None:
    fronts = [f"t3:9000:5:5 s90:{number} s9000:b" for number in range(8)]

    assert sessions(*fronts[:6]) == []
    assert sessions(*fronts[:7]) == [("system block 1", Cause.UNKNOWN, 6)]


@pytest.mark.parametrize("kinds", ["abcabcabcd", "aabbccdd", "abcdabcd", "abcdefabcdef"])
@pytest.mark.parametrize(
    "lengths", [dict.fromkeys("abcdef", 90), dict(zip("abcdef", (23, 31, 52, 45, 9, 29), strict=True))]
)
def test_roles_of_agents_in_front_of_what_all_share_are_none(kinds: str, lengths: dict[str, int]) -> None:
    assert sessions(*(f"t3:9000:5:5 s{lengths[kind]}:{kind} s9000:b" for kind in kinds)) == []


def test_a_line_of_any_length_such_as_a_path_is_named_and_stays_so() -> None:
    random = Random(1)
    fronts = [f"t3:9000:5:5 s{random.randint(40, 160)}:{number:x} s9000:b" for number in range(24)]

    found = [bool(sessions(*fronts[:count])) for count in range(len(fronts) + 1)]
    assert found.index(True) <= 12
    assert all(found[found.index(True) :])


def test_tools_in_another_order_are_one_too() -> None:
    fronts = [f"t3:9000:{number}:5 s9000:b" for number in range(5)]

    assert sessions(*fronts) == [("the tool list", Cause.TOOLS_REORDERED, 4)]


def test_sub_agents_of_several_kinds_that_take_turns_with_the_conversations_hide_nothing() -> None:
    """Each session starts some: with a line of their own, or without one."""
    kinds = ["sa90:{0} s9000:main", "sa90:{0}1 s8000:search", "s7000:review s60:a", "sa90:{0}2 s6000:plan"]
    fronts = [f"t3:9000:5:5 {kind.format(number)}" for number in range(1, 5) for kind in kinds]

    assert sessions(*fronts)[0][:2] == ("system block 1", Cause.ATTRIBUTION)


def test_a_line_that_a_session_shares_with_its_sub_agents_is_named() -> None:
    found = Fronts()
    for number in range(1, 6):
        for agent, front in (
            ("", "sa90:{0} s9000:main"),
            ("a1", "sa90:{0} s8000:search"),
            ("a2", "sa90:{0} s8000:search"),
        ):
            speaker = replace(SPEAKER, session=f"s-{number}", agent=agent)
            asked = Asked(NOON + 30 * number, NOON + 30 * number + 1, 6000, 0)
            found.take(speaker, asked, None)
            found.take(speaker, replace(asked, sent=asked.sent + 5, input=7000), prompt(front.format(number), number))

    [finding] = found.findings(NOON + 200, COLD_SECONDS)
    assert (finding.change.cause, finding.requests) == (Cause.ATTRIBUTION, 4)


@pytest.mark.parametrize(("count", "agents"), [(1, 6), (4, 8)])
def test_a_line_that_is_each_sub_agents_own_is_named_also_within_one_session(count: int, agents: int) -> None:
    """As Claude Code has it, whose line follows from the first message."""
    found, sent = Fronts(), NOON
    for number in range(count * agents):
        speaker = replace(SPEAKER, session=f"s-{number // agents}", agent=f"a-{number}")
        sent += 30
        found.take(speaker, Asked(sent, sent + 1, 6000, 0), None)
        found.take(speaker, Asked(sent + 5, sent + 6, 7000, 0), prompt(f"sa90:{number} s9000:search", number))

    [finding] = found.findings(sent + 10, COLD_SECONDS)
    assert (finding.change.cause, finding.requests) == (Cause.ATTRIBUTION, count * agents - 1)


def test_roles_of_another_length_and_other_tools_are_no_fault() -> None:
    assert sessions(*(f"s{300 * number}:{number} s9000:rules" for number in range(1, 9))) == []
    assert sessions(*(f"t{number}:900:{number}:{number} s9000:rules" for number in range(1, 9))) == []


@pytest.mark.parametrize(
    "kinds",
    [
        ["main", "one", "main", "two", "main", "three", "main", "main", "four", "main"],
        ["one", "two", "one", "three", "one", "two", "three", "one"],
    ],
)
def test_kinds_of_agents_whose_role_stands_in_front_of_what_all_share_are_no_fault(kinds: list[str]) -> None:
    assert sessions(*(f"s400:{kind} s9000:rules" for kind in kinds)) == []


def test_it_ends_with_the_session_in_which_the_line_stays_whatever_other_kinds_do() -> None:
    ill = [f"sa90:{number} s9000:main" for number in range(5)]

    assert sessions(*ill, "s7000:review s60:a", "s7000:review s60:a") == [("system block 1", Cause.ATTRIBUTION, 4)]
    assert sessions(*ill, ill[-1]) == []


@pytest.mark.parametrize(
    "fronts",
    [
        ["s90:1 s9000:b"] * 5,
        [f"s9000:{number} s90:b" for number in range(5)],
        [f"s90:{number} s9000:{number}" for number in range(5)],
        [f"s90:{number} s9000:b" + " s7:1" * number for number in range(5)],
        [f"s90:{number % 2} s9000:b" for number in range(5)],
        ["s90:1 s9000:b", "s90:2 s9000:b", "s90:3 s9000:b", "s90:3 s9000:b", "s90:4 s9000:b", "s90:5 s9000:b"],
    ],
    ids=["nothing", "little stays behind it", "all", "blocks come and go", "two by turns", "it stays once"],
)
def test_what_is_no_fault_or_cannot_be_told_is_none(fronts: list[str]) -> None:
    assert sessions(*fronts) == []


def test_sessions_that_are_far_apart_or_find_the_front_all_the_same_tell_nothing() -> None:
    fronts = [f"s90:{number} s9000:b" for number in range(5)]

    assert sessions(*fronts, apart=LONGEST_PAUSE + 20) == []
    assert sessions(*fronts, cached=5500) == []


def test_it_is_said_of_the_program_once_and_not_where_it_is_known_to_change_with_each_request() -> None:
    for requests, expected in ((2, {When.EACH_SESSION}), (6, {When.EACH_REQUEST})):
        ledger = CacheLedger(parse_price_table(packaged_prices()))
        for number in range(24):
            session, turn = divmod(number, requests)
            line = number if requests > 2 else session
            messages = " ".join(f"m90:{session:x}{message:x}" for message in range(2 * turn + 1))
            speaker = replace(SPEAKER, session=f"s-{session}")
            words = f"s90:{line}:9 s9000:b {messages}" if ledger.wants_parts(speaker) else ""
            asked = Asked(NOON + 10 * number, NOON + 10 * number + 1, 9000 + 500 * turn, 0, prompt=words)
            ledger.hear(speaker, asked, asked.begun)

        found = ledger.findings(NOON + 300)
        assert {each.when for each in found} == expected
        assert {each.change.name for each in found} == {"system block 1"}
    assert "system block 1 changes with each request" in str(as_json(ledger, NOON + 300)["findings"])
    assert text_of(found[0].change, when=When.EACH_SESSION).startswith("system block 1 changes with each session, in")


def test_it_is_told_for_some_time_and_of_those_that_were_heard_last() -> None:
    fronts = Fronts()
    for number in range(5000):
        speaker = replace(SPEAKER, session=f"s-{number}", program=f"program {number // 10}")
        asked = Asked(NOON + number / 10, NOON + number / 10 + 1, 6000, 0)
        fronts.take(speaker, asked, prompt(f"s90:{number} s9000:b", number))

    found = fronts.findings(NOON + 500, COLD_SECONDS)
    assert len(found) == len(fronts._programs) == 256
    assert len(fronts._sessions) == 4096
    assert fronts.findings(NOON + 500 + COLD_SECONDS, COLD_SECONDS) == []
