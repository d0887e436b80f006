"""Which prompts are looked at: some of those of conversations that get too little from the cache."""

from collections.abc import Iterable
from dataclasses import replace

from extproc.domain.cache.conversation import Speaker
from extproc.domain.cache.interest import AT_FIRST, LATER_RESTS, RESTS, Interest, Wait
from extproc.domain.cache.lanes import Asked

SPEAKER = Speaker("anna", "source-01", "Claude Code", "4a08be83-d265", "", "glm-5.3")
NAMELESS = replace(SPEAKER, session="")
COLD, WARM = Asked(1.0, 1.0, 20_000, 17_999), Asked(1.0, 1.0, 20_000, 18_000)


def looked(interest: Interest, traffic: Iterable[tuple[Speaker, Asked]]) -> list[bool]:
    """Whether each of these requests was looked at, one after the other."""
    found = []
    for speaker, asked in traffic:
        found.append(interest.takes_a_look(speaker))
        interest.take(speaker, asked)
    return found


def test_a_conversation_is_of_interest_from_an_answer_with_too_little_to_one_with_nearly_all() -> None:
    found = looked(Interest(), [(SPEAKER, each) for each in (WARM, COLD, COLD, WARM, WARM, COLD, WARM)])

    assert found == [False, False, True, True, False, False, True]


def test_a_conversation_that_stays_cold_is_looked_at_five_times_in_a_row_at_once_and_then_rests_for_thirty() -> None:
    found = looked(Interest(), [(SPEAKER, COLD)] * 286)

    assert found == [False] + [True] * 5 + [False] * 30 + ([True] * 5 + [False] * 120) * 2


def test_a_conversation_that_grows_fast_and_has_its_due_keeps_its_looks_for_a_fault_that_begins_later() -> None:
    honest = [Asked(10.0 * number, 2.0, 20_000 * (number + 1), 20_000 * number) for number in range(20)]
    missed = [Asked(10.0 * number, 2.0, 20_000 * (number + 1), 10_000) for number in range(20, 30)]

    found = looked(Interest(), [(SPEAKER, each) for each in [*honest, *missed]])
    assert found == [False, True] + [False] * 19 + [True] * 5 + [False] * 4


def test_a_conversation_whose_answers_take_turns_is_looked_at_each_seventh_time_until_they_no_longer_do() -> None:
    traffic = [(SPEAKER, WARM if number % 3 else COLD) for number in range(60)] + [(SPEAKER, WARM)] * 60
    found = looked(Interest(), traffic)

    assert found[:7] == [False, True, False, False, True, False, False]
    assert found[7:84] == ([True] + [False] * 6) * 11
    assert found[84:] == [False] * 36


def test_once_all_answers_come_short_several_in_a_row_are_looked_at_again() -> None:
    traffic = [(SPEAKER, WARM if number % 3 else COLD) for number in range(30)] + [(SPEAKER, COLD)] * 60
    found = looked(Interest(), traffic)

    assert [True] * 5 in [found[first : first + 5] for first in range(30, 75)]


def test_a_small_question_neither_begins_nor_ends_it() -> None:
    questions = [replace(COLD, input=3000 - 10 * number, cached=0) for number in range(20)]
    warm, cold = ([(SPEAKER, each) for asked in questions for each in (usual, asked)] for usual in (WARM, COLD))

    assert looked(Interest(), warm).count(True) == 0
    assert looked(Interest(), cold)[:6] == [False] + [True] * 5


def test_answers_that_are_cold_after_a_long_pause_or_for_what_is_new_in_a_prompt_are_no_turns() -> None:
    paused = [Asked(1000.0 * number, 2.0, 20_000, 0 if number % 2 else 18_000) for number in range(20)]
    large = [Asked(10.0 * number, 2.0, 20_000 * (number + 1), 20_000 * number) for number in range(20)]

    behind_a_miss = [number > 0 and number % 2 == 0 for number in range(20)]
    assert looked(Interest(), [(SPEAKER, each) for each in paused]) == behind_a_miss
    assert looked(Interest(), [(SPEAKER, each) for each in large]) == [False, True] + [False] * 18


def test_a_source_without_sessions_is_looked_at_from_the_first_and_longer_each_time() -> None:
    found = looked(Interest(), [(NAMELESS, COLD)] * 800)

    assert found[:684] == [True] * 12 + [False] * 72 + [True] * 24 + [False] * 576
    assert found[684:] == [True] * 48 + [False] * 68


def test_a_source_that_is_well_is_not_looked_at_until_it_is_not() -> None:
    found = looked(Interest(), [(NAMELESS, WARM)] * 200 + [(NAMELESS, COLD)] * 13)

    assert found == [True] * 12 + [False] * 188 + [False] + [True] * 12


def share(traffic: list[tuple[Speaker, Asked]]) -> float:
    """The share that is looked at, but for those that a program may have at first."""
    return (looked(Interest(), traffic).count(True) - AT_FIRST) / len(traffic)


def test_of_whatever_traffic_no_more_than_one_prompt_in_seven_is_looked_at() -> None:
    """One conversation, many short ones, sources, and one that is well each other time: all of them cold for ever."""
    sessions = [replace(SPEAKER, session=f"{number}") for number in range(3000)]
    traffic = {
        "one conversation": [(SPEAKER, COLD)] * 3000,
        "three requests a session": [(each, COLD) for each in sessions[:1000] for _ in range(3)],
        "twenty at once": [(sessions[number % 20], COLD) for number in range(3000)],
        "one source": [(NAMELESS, COLD)] * 3000,
        "a hundred sources": [(replace(NAMELESS, source=f"{number % 100}"), COLD) for number in range(3000)],
        "now and then": [(SPEAKER, WARM if number % 2 else COLD) for number in range(3000)],
    }

    shares = {name: share(each) for name, each in traffic.items()}
    assert {name: each for name, each in shares.items() if each > 1 / (1 + RESTS)} == {}
    assert min(shares.values()) > 0.02


def test_of_what_stays_cold_for_long_one_prompt_in_twenty_five_is_looked_at() -> None:
    for speaker in (SPEAKER, NAMELESS):
        assert looked(Interest(), [(speaker, COLD)] * 30_000).count(True) / 30_000 < 1 / (1 + LATER_RESTS) + 0.002


def test_a_conversation_that_rests_says_after_how_many_of_its_requests_it_is_looked_at() -> None:
    interest, said = Interest(), []
    for _ in range(37):
        interest.takes_a_look(SPEAKER)
        interest.take(SPEAKER, COLD)
        said.append(interest.waits(SPEAKER))

    assert said[:5] == [None] * 5
    assert said[5:35] == [Wait(number, is_for_program=False) for number in range(30, 0, -1)]
    assert said[35:] == [None] * 2


def test_of_several_conversations_that_are_cold_for_long_each_is_looked_at() -> None:
    speakers = [replace(SPEAKER, session=f"{number}") for number in range(20)]
    traffic = [(speakers[number % 20], COLD) for number in range(3000)]

    found = looked(Interest(), traffic)
    assert {speaker for (speaker, _), is_looked_at in zip(traffic, found, strict=True) if is_looked_at} == set(speakers)


def test_what_one_program_or_client_uses_up_is_not_missing_to_another() -> None:
    interest = Interest()
    looked(interest, [(replace(SPEAKER, session=f"{number // 2}"), COLD) for number in range(500)])

    for other in (replace(SPEAKER, program="Codex"), replace(SPEAKER, client="berta")):
        assert looked(interest, [(other, COLD)] * 6) == [False] + [True] * 5


def test_what_a_conversation_gets_says_nothing_of_its_sub_agents_other_models_or_others() -> None:
    interest = Interest()
    others = [
        replace(SPEAKER, agent="a-1"),
        replace(SPEAKER, model="glm-4.5-air"),
        replace(SPEAKER, session="another"),
        replace(SPEAKER, client="berta"),
        replace(SPEAKER, source="source-02"),
    ]
    interest.take(SPEAKER, COLD)
    assert [interest.takes_a_look(each) for each in others] == [False] * 5

    for each in others:
        interest.take(each, WARM)
    assert interest.takes_a_look(SPEAKER)


def test_it_goes_by_the_model_that_is_asked_for_and_not_by_the_one_that_answers() -> None:
    interest = Interest()
    interest.take(SPEAKER, replace(COLD, model="claude-opus"))

    assert interest.takes_a_look(replace(SPEAKER, model="claude-opus"))
    assert not interest.takes_a_look(SPEAKER)


def test_those_that_were_heard_last_are_remembered() -> None:
    interest = Interest()
    interest.take(SPEAKER, COLD)
    for number in range(4095):
        interest.take(replace(SPEAKER, session=f"{number}"), COLD)
    interest.take(SPEAKER, COLD)
    interest.take(replace(SPEAKER, session="one more"), COLD)

    assert interest.takes_a_look(SPEAKER)
    assert not interest.takes_a_look(replace(SPEAKER, session="0"))
    assert interest.takes_a_look(replace(SPEAKER, session="1"))
