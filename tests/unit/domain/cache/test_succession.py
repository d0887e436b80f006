"""Which request goes on with which."""

from extproc.domain.cache.succession import LONGEST_PAUSE, Asked, Place, Succession


def places(*tokens: int, most_aside: int = 3, apart: float = 10.0) -> list[tuple[str, int]]:
    """Where requests of so many tokens stand, each some seconds after the one before, and with which they go on."""
    succession = Succession(most_aside)
    found = [succession.take(Asked(apart * number, apart * number + 1, each, 0)) for number, each in enumerate(tokens)]
    return [(place.name, before.input if before else 0) for place, before in found]


def test_a_conversation_grows() -> None:
    assert places(20_000, 21_000, 21_000) == [("FIRST", 0), ("NEXT", 20_000), ("NEXT", 21_000)]


def test_questions_of_other_sizes_do_not_interrupt_it() -> None:
    assert places(20_000, 3_000, 21_000, 60_000, 22_000)[1:] == [
        ("ASIDE", 0),
        ("NEXT", 20_000),
        ("ASIDE", 0),
        ("NEXT", 21_000),
    ]


def test_what_was_compacted_goes_on_with_its_first_request() -> None:
    assert places(90_000, 9_000, 9_500, 10_000)[1:] == [("ASIDE", 0), ("NEXT_TO_ASIDE", 9_000), ("NEXT", 9_500)]


def test_the_larger_of_two_that_take_turns_is_the_conversation_whichever_came_first() -> None:
    expected = [("NEXT_TO_ASIDE", 60_000), ("ASIDE", 0), ("NEXT", 61_000)]
    assert places(3_000, 60_000, 2_900, 61_000, 3_200, 62_000)[3:] == expected
    assert places(3_000, 60_000, 3_100, 61_000, 3_200, 62_000)[3:] == expected


def test_more_than_three_in_a_row_that_go_on_with_nothing_end_it() -> None:
    assert places(20_000, 9_000, 8_000, 7_000, 21_000)[-1] == ("NEXT", 20_000)
    assert places(20_000, 9_000, 8_000, 7_000, 6_000)[-1] == ("FIRST", 0)
    assert places(20_000, 9_000, most_aside=0)[-1] == ("FIRST", 0)


def test_what_was_put_aside_is_forgotten_after_a_pause() -> None:
    apart = LONGEST_PAUSE / 2 + 1
    assert places(20_000, 60_000, 21_000, 61_000)[-1] == ("NEXT_TO_ASIDE", 60_000)
    assert places(20_000, 60_000, 21_000, 61_000, apart=apart)[-1] == ("ASIDE", 0)


def test_a_request_that_left_before_an_answer_began_does_not_go_on_with_it() -> None:
    succession = Succession()
    succession.take(Asked(0.0, 5.0, 20_000, 0))

    assert succession.take(Asked(4.0, 6.0, 21_000, 0)) == (Place.ASIDE, None)
    assert succession.take(Asked(5.0, 7.0, 21_000, 0))[0] is Place.NEXT
