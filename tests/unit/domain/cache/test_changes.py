"""When a part that changes is a finding, and when it is not."""

from dataclasses import replace

import pytest

from extproc.domain.cache.changes import Changes, When
from extproc.domain.cache.conversation import Speaker
from extproc.domain.cache.lanes import Asked
from extproc.domain.cache.ledger import COLD_SECONDS, CacheLedger
from extproc.domain.cache.prompt import Cause, Prompt, read_prompt
from extproc.domain.cache.report import text_of
from extproc.domain.usage.price_file import packaged_prices, parse_price_table

NOON = 1_795_608_000.0
SPEAKER = Speaker("anna", "source-01", "Claude Code", "s-1", "", "glm-5.3")


def prompt(number: int, words: str, messages: int | None = None) -> Prompt:
    """The prompt of a conversation's request with this number, behind these words."""
    count = 2 * number + 1 if messages is None else messages
    read = read_prompt(" ".join([words, *(f"m9:{message:x}" for message in range(1, count + 1))]))
    assert read is not None
    return read


def asked(number: int, cached: int = 0) -> Asked:
    return Asked(NOON + 60 * number, NOON + 60 * number + 1, 20_000 + 1000 * number, cached)


def found(changes: Changes, at: float = NOON + 600) -> list[tuple[str, Cause, int]]:
    findings = changes.findings(at, COLD_SECONDS)
    return [(each.change.name, each.change.cause, each.requests) for each in findings]


def taken(words: list[str], cached: int = 0) -> list[tuple[str, Cause, int]]:
    """What is found after requests of one conversation, each behind its words."""
    changes = Changes()
    for number, each in enumerate(words):
        changes.take(SPEAKER, prompt(number, each), asked(number, cached))
    return found(changes)


def test_three_changes_in_a_row_are_a_finding_and_two_are_none() -> None:
    assert taken(["s9:1:9", "s9:2:9", "s9:3:9"]) == []
    assert taken(["s9:1:9", "s9:2:9", "s9:3:9", "s9:4:9"]) == [("system block 1", Cause.DATE, 3)]


def test_a_request_in_which_it_stays_begins_the_row_anew() -> None:
    assert taken(["s9:1:9", "s9:2:9", "s9:3:9", "s9:3:9", "s9:4:9", "s9:5:9"]) == []


def test_what_has_been_there_before_is_no_change() -> None:
    """Forks that take turns have each its own."""
    assert taken(["s9:1:9", "s9:2:9"] * 6) == []


def test_what_was_there_before_the_first_change_is_none_either() -> None:
    """Three kinds of sub-agents that take turns."""
    assert taken(["s9:a:a", "s9:b:b", "s9:c:c", "s9:a:a"]) == []
    assert taken([f"t9:99:{kind}:{kind}" for kind in "abca"]) == []


@pytest.mark.parametrize(("roles", "expected"), [(6, []), (7, [("system block 1", Cause.UNKNOWN, 6)])])
def test_a_block_that_is_another_one_in_prompts_that_do_not_go_on_with_one_another_may_be_a_role(
    roles: int, expected: list[tuple[str, Cause, int]]
) -> None:
    """Agents of several kinds that are asked one thing each, under one name."""
    changes = Changes()
    for number in range(roles):
        changes.take(SPEAKER, prompt(1, f"s9:{number:x}:{number:x}"), asked(number))

    assert found(changes) == expected


def test_two_forks_that_take_turns_are_each_held_against_their_own_prompt() -> None:
    changes = Changes()
    common = " ".join(f"m9:{message:x}" for message in range(1, 13))
    for number in range(12):
        fork, length = "ab"[number % 2], 2 * (number // 2)
        own = " ".join(f"e{place}:{fork}{place}" for place in range(14, 16 + length))
        told = read_prompt(f"s9:{number:x}:9 {common} e13:1 {own}")
        assert told is not None
        changes.take(SPEAKER, told, asked(number))

    assert found(changes, NOON + 720) == [("system block 1", Cause.DATE, 11)]


def test_a_cause_is_named_only_if_it_is_that_of_most_changes() -> None:
    assert taken(["s9:1:9", "s9:2:9", "s9:3:8", "s9:4:7"]) == [("system block 1", Cause.UNKNOWN, 3)]
    assert taken(["s9:1:9", "s9:2:9", "s9:3:8", "s9:4:8", "s9:5:7"]) == [("system block 1", Cause.UNKNOWN, 4)]


def test_a_clock_that_gains_a_digit_is_one_before_and_after() -> None:
    assert taken(["s9:1:9", "s9:2:9", "s9:3:9", "s10:4:8", "s10:5:8"]) == [("system block 1", Cause.DATE, 4)]


def test_a_list_of_tools_that_grows_at_the_beginning_is_none_and_one_that_never_rests_is() -> None:
    growing = [f"t{count}:99:{count:x}:{count:x}" for count in range(1, 20)]

    assert taken(growing[:6]) == []
    assert taken(growing[:7]) == [("the tool list", Cause.UNKNOWN, 6)]
    assert taken([f"t3:99:{number % 2}:5" for number in range(4)]) == [("the tool list", Cause.TOOLS_REORDERED, 3)]


def test_a_tool_that_changes_is_found_as_soon_as_any_other_part_and_one_more_begins_its_row_anew() -> None:
    changing = [f"t9:99:{number:x}:{number:x}" for number in range(1, 5)]

    assert taken(changing) == [("what is in the tool list", Cause.UNKNOWN, 3)]
    assert taken([*changing[:3], "t10:99:a:a", "t10:99:b:b", "t10:99:c:c"]) == []


@pytest.mark.parametrize(
    ("first", "text"),
    [
        (18, "message 15 changes with each request (1,500 bytes)"),
        (28, "one of the messages 13 to 19 changes with each request"),
    ],
)
def test_where_a_message_stands_is_told_as_exactly_as_it_ever_was_known(first: int, text: str) -> None:
    changes = Changes()
    for number in range(7):
        count = first + 2 * number
        ends = [f"e{n}:{number if n >= 15 else 0}{n}:{n}00" for n in range(13, count + 1)[-12:]]
        read = read_prompt(" ".join([*(f"m9:{message:x}" for message in range(12)), *ends]))
        assert read is not None
        changes.take(SPEAKER, read, asked(number))

    [finding] = changes.findings(NOON + 600, COLD_SECONDS)
    assert (finding.requests, text_of(finding.change)) == (6, text)


def test_a_finding_says_whether_only_the_front_of_the_prompts_was_looked_at() -> None:
    changes = Changes()
    for number in range(4):
        changes.take(SPEAKER, prompt(number, f"s9:{number}:9 b"), asked(number))

    [finding] = changes.findings(NOON + 600, COLD_SECONDS)
    text = text_of(finding.change, is_cut=finding.is_cut)
    assert text.endswith("; of such large prompts only the front is looked at")


def test_what_changes_where_the_cache_gives_its_due_all_the_same_is_no_finding() -> None:
    """An API may leave a part out before it looks into its cache."""
    words = [f"s9:{number:x}:9" for number in range(8)]

    assert taken(words, cached=27_000) == []
    assert taken(words, cached=12_000) != []


def test_several_parts_that_change_are_all_found_and_another_speakers_prompts_are_not_compared() -> None:
    changes = Changes()
    for number in range(4):
        changes.take(SPEAKER, prompt(number, f"s9:{number:x}:9 s9:{number:x}:{number:x}"), asked(number))
        changes.take(replace(SPEAKER, session=f"s-{number + 7}"), prompt(number, f"s9:{number:x}"), asked(number))

    assert sorted(found(changes)) == [
        ("system block 1", Cause.DATE, 3),
        ("system block 2", Cause.UNKNOWN, 3),
    ]


def test_a_finding_is_told_for_some_time_and_only_the_speakers_heard_last_are_remembered() -> None:
    changes = Changes()
    for number in range(4):
        changes.take(SPEAKER, prompt(number, f"s9:{number:x}:9"), asked(number))

    last = asked(3).sent
    assert found(changes, last + COLD_SECONDS - 1) != []
    assert found(changes, last + COLD_SECONDS) == []
    for number in range(1000):
        changes.take(replace(SPEAKER, session=f"session {number}"), prompt(0, "s9:1:9"), asked(3))
    assert found(changes) == []
    assert len(changes._speakers) == 256


@pytest.mark.parametrize(
    ("words", "needs_marks", "cached", "cause"),
    [
        ("s9:1:1", True, 0, Cause.CACHE_CONTROL),
        ("c s9:1:1", True, 0, Cause.FORGOTTEN),
        ("s9:1:1", False, 0, Cause.FORGOTTEN),
        ("s90000:1:1", True, 5000, Cause.FORGOTTEN),
    ],
    ids=["no mark", "marked", "another API", "something was cached"],
)
def test_a_cold_conversation_in_which_nothing_changes_lacks_marks_or_is_forgotten_by_the_cache(
    words: str, needs_marks: bool, cached: int, cause: Cause
) -> None:
    ledger = CacheLedger(parse_price_table(packaged_prices()))
    for number in range(8):
        told = " ".join([words, *(f"m9:{message:x}" for message in range(1, 2 * number + 2))])
        ledger.hear(
            SPEAKER, replace(asked(number, cached), prompt=told, needs_marks=needs_marks), NOON + 60 * number + 2
        )

    causes = [each.change.cause for each in ledger.findings(NOON + 600)]
    assert causes == [cause]
    assert len(ledger.cold(NOON + 600)) == 1


def test_what_the_cache_forgets_is_told_with_how_much_of_it_did_not_change() -> None:
    ledger = CacheLedger(parse_price_table(packaged_prices()))
    told = []
    for number in range(12):
        words = " ".join(["t3:99:5:5 s9:1:1", *(f"m9:{message:x}" for message in range(1, 2 * number + 2))])
        is_looked_at = ledger.wants_parts(SPEAKER)
        each = replace(asked(number, 30_000 if number == 11 else 0), prompt=words if is_looked_at else "")
        ledger.hear(SPEAKER, each, each.sent + 2)
        told.append([text_of(finding.change) for finding in ledger.findings(each.sent + 3)])

    assert told[:6] == [[]] * 6
    assert told[6] == [
        "nothing changed in the first 9 parts of its prompts: the upstream's cache forgot them (they expired, or "
        "another of its nodes was asked)"
    ]
    assert (len(told[10]), told[11]) == (1, [])


def test_nothing_is_said_to_be_forgotten_where_something_changes_or_much_is_found() -> None:
    ledger = CacheLedger(parse_price_table(packaged_prices()))
    for number in range(12):
        for session, front, cached in (("changes", number % 3, 0), ("large tools", 0, 15_000)):
            words = " ".join([f"s9:{front}:1", *(f"m9:{message:x}" for message in range(1, 2 * number + 2))])
            each = replace(asked(number, cached), prompt=words)
            ledger.hear(replace(SPEAKER, session=session), each, each.sent + 2)

    assert {each.speaker.session for each in ledger.cold(NOON + 800)} == {"changes", "large tools"}
    assert ledger.findings(NOON + 800) == []


def test_a_fault_is_named_by_the_fifth_request_that_has_it_though_nobody_looks_where_all_is_well() -> None:
    ledger, looked, named = CacheLedger(parse_price_table(packaged_prices())), [], []
    for number in range(10):
        is_well = number < 5
        words = " ".join([f"s9:{0 if is_well else number}:9", *(f"m9:{each}" for each in range(1, 2 * number + 2))])
        looked.append(ledger.wants_parts(SPEAKER))
        found = 19_000 + 1000 * number if is_well else 0
        ledger.hear(SPEAKER, replace(asked(number, found), prompt=words if looked[-1] else ""), asked(number).sent + 2)
        named.append(bool(ledger.findings(asked(number).sent + 3)))

    assert looked == [False] * 6 + [True] * 4
    assert named == [False] * 9 + [True]


def test_a_finding_stands_while_nobody_looks_and_the_cache_misses_and_ends_with_the_first_hit() -> None:
    ledger, looked, named = CacheLedger(parse_price_table(packaged_prices())), [], []
    for number in range(60):
        words = " ".join([f"s9:{number}:9", *(f"m9:{each}" for each in range(1, 2 * number + 2))])
        looked.append(ledger.wants_parts(SPEAKER))
        cached = 18_000 + 1000 * number if number == 59 else 0
        told = replace(asked(number, cached), prompt=words if looked[-1] else "")
        ledger.hear(SPEAKER, told, told.sent + 2)
        named.append(bool(ledger.findings(told.sent + 3)))

    assert (looked.count(True), looked[59]) == (10, False)
    assert named == [False] * 4 + [True] * 55 + [False]


def test_a_finding_ends_once_a_prompt_is_looked_at_in_which_it_stays() -> None:
    changes = Changes()
    for number in range(4):
        changes.take(SPEAKER, prompt(number, f"s9:{number}:9"), asked(number))
    changes.pass_over(SPEAKER, asked(4))
    assert [each.at for each in changes.findings(NOON + 600, COLD_SECONDS)] == [asked(4).sent]

    changes.take(SPEAKER, prompt(5, "s9:9:9"), asked(5))
    changes.take(SPEAKER, prompt(6, "s9:9:9"), asked(6))
    assert found(changes) == []


def document(number: int, front: str = "s9:1:9") -> Prompt:
    """One of a batch, with as many questions and answers behind it as none has had before."""
    questions = " ".join(f"m20:{number:x}{question:x}" for question in range(2 * number + 1))
    read = read_prompt(f"{front} m300:1 m{9000 + 50 * number}:d{number:x} m2:2 {questions}")
    assert read is not None
    return read


def test_what_changes_in_the_messages_is_not_told_by_those_of_the_conversation_before() -> None:
    """A lane goes on with another one, such as the next document between the same words."""
    for begins_anew, expected in ((False, [("message 2", Cause.UNKNOWN, 3)]), (True, [])):
        changes = Changes()
        for number in range(4):
            if begins_anew:
                changes.begin_anew(SPEAKER)
            changes.take(SPEAKER, document(number), asked(number))

        assert found(changes) == expected
        assert changes.unchanged(SPEAKER) is None


def test_what_changes_in_front_is_told_by_the_prompts_of_the_conversation_before_too() -> None:
    changes = Changes()
    for number in range(4):
        changes.begin_anew(SPEAKER)
        changes.take(SPEAKER, document(number, f"sa9:{number:x}"), asked(number))

    assert found(changes) == [("system block 1", Cause.ATTRIBUTION, 3)]


def test_a_conversation_that_takes_the_place_of_another_one_knows_nothing_of_its_messages() -> None:
    changes = Changes()
    for number in range(4):
        changes.take(SPEAKER, told(f"a{number}", "b", "c", "d", *"efghij"[:number]), asked(number))
    assert found(changes) == [("message 1", Cause.UNKNOWN, 3)]

    changes.begin_anew(SPEAKER)
    assert found(changes) == []


def test_that_the_cache_forgot_the_conversation_before_says_nothing_of_the_one_that_takes_its_place() -> None:
    changes = Changes()
    for number in range(4):
        changes.take(SPEAKER, prompt(number, "s9:1:9"), asked(number))
    assert changes.unchanged(SPEAKER) is not None

    changes.begin_anew(SPEAKER)
    assert changes.unchanged(SPEAKER) is None


def test_prompts_are_compared_over_others_that_were_not_looked_at_only_while_each_is_larger_than_the_last() -> None:
    for shrinks, expected in ((False, [("system block 1", Cause.DATE, 9)]), (True, [])):
        changes = Changes()
        for number in range(0, 20, 2):
            changes.take(SPEAKER, prompt(number, f"s9:{number}:9"), asked(number))
            passed = asked(number + 1)
            changes.pass_over(SPEAKER, replace(passed, input=9000) if shrinks else passed)

        assert found(changes, NOON + 1200) == expected


@pytest.mark.parametrize(("share", "expected"), [(0.5, Cause.FORGOTTEN), (0.92, None)])
def test_that_nothing_changed_says_nothing_where_all_that_was_compared_was_found(
    share: float, expected: Cause | None
) -> None:
    """What keeps the rest out of the cache stands behind it."""
    changes = Changes()
    for number in range(5):
        tokens = 20_000 + 7000 * number
        told = replace(asked(number, int(share * (tokens - 7000))), input=tokens)
        changes.take(SPEAKER, prompt(number, "s200000:1:9"), told)
        changes.pass_over(SPEAKER, replace(told, sent=told.sent + 5, input=tokens + 4000))

    unchanged = changes.unchanged(SPEAKER)
    assert (unchanged and unchanged.cause) is expected


def test_nor_does_it_where_as_much_was_found_as_there_is_to_compare() -> None:
    """As of examples that stand in front of another document each time."""
    changes = Changes()
    for number in range(5):
        changes.take(SPEAKER, prompt(number, "s20000:1:9"), replace(asked(number, 5000), input=20_000 + 7000 * number))

    assert changes.unchanged(SPEAKER) is None


def test_a_prompt_goes_on_with_one_whose_end_it_has_taken_back_once_they_have_more_in_common_than_before() -> None:
    changes, found_to = Changes(), []
    for number in range(5):
        words = [*(f"m9:{each}" for each in range(1, number + 3)), f"m9:f{number}"]
        told = read_prompt(" ".join(words))
        assert told is not None
        found_to.append(changes.goes_on(NAMELESS, told))
        changes.take(NAMELESS, told, asked(number))

    assert found_to == [False, False, True, True, True]


def test_documents_behind_the_same_words_do_not_go_on_with_one_another() -> None:
    changes, found_to = Changes(), []
    for number in range(5):
        told = read_prompt(f"m9:1 m9:2 m9:f{number}")
        assert told is not None
        found_to.append(changes.goes_on(NAMELESS, told))
        changes.take(NAMELESS, told, asked(number))

    assert found_to == [False] * 5


def by_turns(*fronts: int) -> tuple[Changes, list[list[tuple[str, When]]]]:
    """What is found after each request of a conversation that is looked at now and then: what stands in front of its
    prompts, and the cache misses where that is another one than before. A negative one is not looked at."""
    changes, told, last = Changes(), list[list[tuple[str, When]]](), 0
    for number, front in enumerate(fronts):
        each = asked(number, cached=18_500 + 1000 * number if abs(front) == last else 0)
        if front < 0:
            changes.pass_over(SPEAKER, each)
        else:
            changes.take(SPEAKER, prompt(number, f"s9:{front}:9"), each)
        found = changes.findings(each.sent + 1, COLD_SECONDS)
        told.append([(finding.change.name, finding.when) for finding in found])
        last = abs(front)
    return changes, told


def test_what_changes_with_some_requests_is_found_by_prompts_that_are_far_apart_and_stands_through_their_hits() -> None:
    fronts = [number // 3 + 1 for number in range(36)]
    _, told = by_turns(*(front if number % 7 == 0 else -front for number, front in enumerate(fronts)))

    assert told == [[]] * 21 + [[("system block 1", When.SOME_REQUESTS)]] * 15


def test_it_ends_after_twice_as_many_hits_in_a_row_as_were_between_two_of_its_changes() -> None:
    _, told = by_turns(1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 4, 4, 4)

    assert [bool(each) for each in told] == [False] * 7 + [True] * 5 + [False]


def test_a_miss_in_which_it_stays_begins_the_row_anew_also_where_it_was_not_looked_at() -> None:
    changes, _ = by_turns(1, 2, 3, 3)
    changes.pass_over(SPEAKER, asked(4))
    changes.take(SPEAKER, prompt(5, "s9:3:9"), asked(5, cached=24_000))
    changes.take(SPEAKER, prompt(6, "s9:4:9"), asked(6))

    assert found(changes) == []


def test_a_miss_behind_a_long_pause_tells_nothing_of_what_changes() -> None:
    changes, _ = by_turns(1, 2, 3)
    late = replace(asked(3), sent=asked(3).sent + 400)
    changes.pass_over(SPEAKER, late)
    changes.take(SPEAKER, prompt(4, "s9:3:9"), replace(asked(4, cached=23_000), sent=late.sent + 60))
    changes.take(SPEAKER, prompt(5, "s9:4:9"), replace(asked(5), sent=late.sent + 120))

    assert found(changes) == [("system block 1", Cause.DATE, 3)]


NAMELESS = Speaker("", "source-01", "", "", "", "glm-5.3")


def told(*messages: str, system: str = "s9:1:9") -> Prompt:
    read = read_prompt(" ".join([system, *(f"m9:{each}" for each in messages)]))
    assert read is not None
    return read


def strands(prompts: list[Prompt]) -> list[int]:
    """The conversations to which prompts of a speaker without a session are counted, in order."""
    changes, found = Changes(), []
    for number, each in enumerate(prompts):
        strand, _ = changes.told_apart(NAMELESS, each, asked(number).sent)
        changes.take(strand, each, asked(number))
        found.append(strand.strand)
    return found


def test_conversations_that_take_turns_without_a_name_are_told_apart() -> None:
    one = [told(*(f"a{n}" for n in range(2 * number + 1))) for number in range(4)]
    two = [told(*(f"b{n}" for n in range(2 * number + 1))) for number in range(4)]

    assert strands([each for pair in zip(one, two, strict=True) for each in pair]) == [1, 2] * 4


def test_a_system_prompt_among_the_messages_that_all_have_makes_no_conversation_of_them() -> None:
    one = [told("system", *(f"a{n}" for n in range(2 * number + 1))) for number in range(4)]
    two = [told("system", *(f"b{n}" for n in range(2 * number + 1))) for number in range(4)]

    assert strands([each for pair in zip(one, two, strict=True) for each in pair]) == [1, 2] * 4


def test_a_conversation_stays_one_whatever_changes_in_front_of_it() -> None:
    fronts = [f"s9:{number}:9" + " s7:1:1" * (number % 2) for number in range(6)]
    assert strands([told("a", "b", *"cdefgh"[:number], system=each) for number, each in enumerate(fronts)]) == [1] * 6
    assert strands([told(f"a{number}", "b", "c", *"defgh"[:number]) for number in range(6)]) == [1] * 6
    assert strands([told(*"abcdefghijklmn"[number : number + 8]) for number in range(6)]) == [1] * 6


def test_what_was_asked_once_makes_room_before_a_conversation_does() -> None:
    conversation = [told(*(f"a{n}" for n in range(2 * number + 1))) for number in range(20)]
    singles = [[told(f"single {number} {n}".replace(" ", "-")) for n in range(5)] for number in range(20)]
    found = strands([each for one, more in zip(conversation, singles, strict=True) for each in (one, *more)])

    assert found[::6] == [1] * 20
    assert set(found) == set(range(1, 9))


def test_a_place_that_is_taken_again_knows_nothing_of_the_one_before() -> None:
    changes = Changes()
    for number in range(4):
        strand, _ = changes.told_apart(NAMELESS, told("a", system=f"s9:{number}:9"), asked(number).sent)
        changes.take(strand, told("a", system=f"s9:{number}:9"), asked(number))
    assert found(changes) == [("system block 1", Cause.DATE, 3)]
    for number in range(8):
        later = replace(asked(0), sent=asked(0).sent + COLD_SECONDS * 2)
        strand, is_new = changes.told_apart(NAMELESS, told(f"b{number}"), later.sent)
        changes.take(strand, told(f"b{number}"), later)
        assert is_new

    assert found(changes) == []


def test_what_was_found_without_a_session_stands_while_its_source_misses_until_it_is_looked_at_without_it() -> None:
    changes = Changes()

    def ask(number: int, message: str) -> None:
        each = told(message, *"xyz"[: number % 4], system=f"s9:{number}:9")
        strand, _ = changes.told_apart(NAMELESS, each, asked(number).sent)
        changes.take(strand, each, asked(number))

    for number in range(4):
        ask(number, "a")
    for number in range(4, 40):
        changes.pass_over(NAMELESS, asked(number, cached=0 if number % 2 else 10**6))
    assert found(changes, asked(40).sent) == [("system block 1", Cause.DATE, 3)]

    ask(40, "b")
    changes.pass_over(NAMELESS, asked(41))
    assert found(changes, asked(42).sent) == []


def test_a_window_that_slides_and_stamps_in_all_messages_are_findings() -> None:
    changes = Changes()
    for number in range(4):
        changes.take(SPEAKER, told(*"abcdefghijklmn"[number : number + 8]), asked(number))
    assert found(changes) == [("the oldest messages", Cause.DROPPED, 3)]

    changes = Changes()
    for number in range(4):
        messages = " ".join(f"m40:{number}{n}:{n}" for n in range(2)) + f" m40:{number + 90} m40:{number + 80}"
        read = read_prompt(f"s9:1:9 {messages}" + " m7:1" * number)
        assert read is not None
        changes.take(SPEAKER, read, asked(number))
    assert found(changes) == [("old messages", Cause.STAMPED, 3)]
