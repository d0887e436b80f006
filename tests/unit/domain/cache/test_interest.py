"""Which prompts are worth a look: those of conversations that get too little from the cache."""

from dataclasses import replace

from extproc.domain.cache.conversation import Asked, Speaker
from extproc.domain.cache.interest import Interest

SPEAKER = Speaker("anna", "source-01", "Claude Code", "4a08be83-d265", "", "glm-5.3")
COLD, WARM = Asked(1.0, 2.0, 20_000, 17_999), Asked(1.0, 2.0, 20_000, 18_000)


def test_a_conversation_is_of_interest_from_an_answer_with_too_little_to_one_with_nearly_all() -> None:
    interest = Interest()
    assert not interest.has(SPEAKER)

    interest.take(SPEAKER, COLD)
    assert interest.has(SPEAKER)
    interest.take(SPEAKER, WARM)
    assert not interest.has(SPEAKER)


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
    assert [interest.has(each) for each in others] == [False] * 5

    for each in others:
        interest.take(each, WARM)
    assert interest.has(SPEAKER)


def test_it_goes_by_the_model_that_is_asked_for_and_not_by_the_one_that_answers() -> None:
    interest = Interest()
    interest.take(SPEAKER, replace(COLD, model="claude-opus"))

    assert interest.has(replace(SPEAKER, model="claude-opus"))
    assert not interest.has(SPEAKER)


def test_a_program_that_names_no_session_is_always_of_interest() -> None:
    interest = Interest()
    interest.take(replace(SPEAKER, session=""), WARM)

    assert interest.has(replace(SPEAKER, session=""))


def test_those_that_were_heard_last_are_remembered() -> None:
    interest = Interest()
    interest.take(SPEAKER, COLD)
    for number in range(4095):
        interest.take(replace(SPEAKER, session=f"{number}"), COLD)
    interest.take(SPEAKER, COLD)
    interest.take(replace(SPEAKER, session="one more"), COLD)

    assert interest.has(SPEAKER)
    assert not interest.has(replace(SPEAKER, session="0"))
    assert interest.has(replace(SPEAKER, session="1"))
