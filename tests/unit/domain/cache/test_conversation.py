"""Which requests bear out a claim, and when a conversation is cold."""

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

from extproc.domain.cache.conversation import (
    NAMED,
    NAMELESS,
    CacheTraits,
    Claim,
    Conversation,
    Steps,
    Told,
    chance_of,
)
from extproc.domain.cache.lanes import LONGEST_PAUSE, Asked


def asked(number: int, *, cached: int = 0, **fields: float) -> Asked:
    """One of a row of requests, a minute and a thousand tokens apart."""
    return Asked(**{"sent": 60.0 * number, "begun": 60.0 * number + 2, "input": 20_000 + 1000 * number, "output": 500}
        | {"cached": cached} | fields)  # type: ignore[arg-type]  # fmt: skip


def row(length: int, first: int = 0) -> list[Asked]:
    return [asked(number) for number in range(first, first + length)]


def claims_of(conversation: Conversation, *requests: Asked) -> list[Claim]:
    return [claim for each in requests for claim in conversation.take(each).claims]


def test_the_claims_of_a_conversation_count_once_three_in_a_row_bear_each_other_out() -> None:
    conversation = Conversation(CacheTraits(), NAMED)

    assert claims_of(conversation, *row(3)) == []
    assert [claim.due for claim in conversation.take(asked(3)).claims] == [20_000, 21_000, 22_000]
    assert [claim.due for claim in conversation.take(asked(4)).claims] == [23_000]


@pytest.mark.parametrize(
    "odd",
    [
        asked(4, input=22_999),
        asked(4, input=60_000),
        asked(4, sent=181.0),
        replace(asked(4), sent=100.0),
    ],
    ids=["shrinks", "is far larger", "left before the last was answered", "is older"],
)
def test_a_request_that_does_not_follow_from_the_last_one_claims_nothing_and_begins_anew(odd: Asked) -> None:
    conversation = Conversation(CacheTraits(), NAMED)
    claims_of(conversation, *row(4))

    assert conversation.take(odd).claims == ()
    for number in (1, 2):
        sent = odd.sent + 200 + number
        assert conversation.take(replace(odd, sent=sent, begun=sent + 0.5, input=odd.input + 10 * number)).claims == ()


def test_the_same_question_once_more_claims_nothing_and_begins_nothing_anew() -> None:
    conversation = Conversation(CacheTraits(), NAMED)
    claims_of(conversation, *row(4))

    assert conversation.take(asked(3, sent=200.0, begun=201.0)).claims == ()
    assert [claim.due for claim in conversation.take(asked(4)).claims] == [23_000]


def test_six_requests_in_a_row_that_find_less_than_half_make_a_conversation_cold_and_one_that_finds_it_warm() -> None:
    conversation = Conversation(CacheTraits(), NAMED)

    claims_of(conversation, *row(NAMED.alarm))
    assert not conversation.is_cold
    conversation.take(asked(6))
    assert conversation.is_cold
    assert conversation.misses is not None
    assert (conversation.misses.requests, conversation.misses.since, conversation.misses.at) == (6, 60.0, 360.0)
    assert (conversation.misses.due, conversation.misses.input) == (135_000, 141_000)
    conversation.take(asked(7, cached=20_000))
    assert conversation.is_cold
    conversation.take(asked(8, cached=25_000))
    assert (conversation.is_cold, conversation.misses) == (False, None)


def test_large_tools_that_are_cached_do_not_hide_that_all_behind_them_is_missed() -> None:
    conversation = Conversation(CacheTraits(), NAMED)
    requests = [asked(number, input=58_000 + 1500 * number, cached=50_000 if number else 0) for number in range(30)]

    claims_of(conversation, *requests[:7])
    assert not conversation.is_cold
    claims = claims_of(conversation, *requests[7:])
    assert conversation.is_cold
    assert conversation.misses is not None
    missing = [58_000 + 1500 * number - 50_000 for number in range(1, 29)]
    assert (conversation.misses.requests, conversation.misses.due - conversation.misses.cached) == (28, sum(missing))
    assert [claim.lost for claim in claims] == missing[-len(claims) :]


def test_what_is_found_later_or_in_turns_but_grows_with_the_conversation_is_no_alarm() -> None:
    """A cache that has a prompt two requests later, or two conversations that take turns under one name."""
    conversation = Conversation(CacheTraits(), NAMED)

    inputs = [20_000 + 5000 * number for number in range(30)]
    claims_of(
        conversation,
        *[asked(number, input=inputs[number], cached=inputs[max(0, number - 3)]) for number in range(1, 30)],
    )

    assert not conversation.is_cold


def test_crumbs_that_are_never_found_are_no_alarm() -> None:
    small, large = Conversation(CacheTraits(), NAMED), Conversation(CacheTraits(), NAMED)

    claims_of(small, *[asked(number, input=8000 + 80 * number, cached=7500) for number in range(20)])
    claims_of(large, *[asked(number, input=99_000 + 50 * number, cached=90_000) for number in range(20)])

    assert (small.is_cold, large.is_cold) == (False, False)


def test_half_of_its_due_is_enough_while_it_grows() -> None:
    conversation = Conversation(CacheTraits(), NAMED)

    claims_of(conversation, *[asked(number, cached=(19_000 + 1000 * number) // 2) for number in range(20)])

    assert not conversation.is_cold


def test_a_cold_conversation_stays_so_through_a_break_and_one_that_is_not_yet_begins_to_count_anew() -> None:
    cold, unlucky = Conversation(CacheTraits(), NAMED), Conversation(CacheTraits(), NAMED)
    claims_of(cold, *row(7))
    claims_of(unlucky, *row(6))

    for each in (cold, unlucky):
        claims_of(each, asked(7, input=9000), *row(4, first=8))

    assert (cold.is_cold, unlucky.is_cold) == (True, False)


def talk(length: int, *, seed: int = 0, first: int = 20_000, cached: int = 0) -> list[Asked]:
    """A conversation: each prompt is the one before, its answer, and something new."""
    random, requests = Random(seed), []
    for number in range(length):
        output = random.randint(20, 900)
        requests.append(asked(number, input=first, output=output, cached=cached))
        first += output + random.randint(10, 200)
    return requests


def test_without_a_session_each_prompt_has_to_hold_the_answer_before_it_and_ten_come_short() -> None:
    conversation = Conversation(CacheTraits(), NAMELESS)

    claims_of(conversation, *talk(NAMELESS.alarm))
    assert not conversation.is_cold
    claims_of(conversation, *talk(40)[NAMELESS.alarm :])
    assert conversation.is_cold


def test_how_likely_it_is_that_prompts_hold_the_answers_before_them_by_chance() -> None:
    def claims(*rows: tuple[int, int]) -> list[Claim]:
        return [Claim(asked(0, input=20_000 + growth), 20_000, 1.0, answer=answer) for growth, answer in rows]

    assert chance_of(claims((110, 100), (210, 200), (310, 300))) == pytest.approx(1 / 6)
    assert chance_of(claims((210, 100), (210, 200), (310, 300))) == pytest.approx(1 / 3)
    assert chance_of(claims((900, 100), (900, 200), (900, 300))) == 1.0


@pytest.mark.parametrize(
    ("step", "answer"), [(20, 500), (1000, 5), (1000, 60), (300, 500), (3000, 900)], ids=lambda value: f"{value}"
)
def test_single_prompts_in_rising_order_of_size_are_no_conversation(step: int, answer: int) -> None:
    """Such as files that are summed up, the smallest first: whether they hold the answers before them is chance."""
    for seed in range(40):
        random, conversation, size = Random(seed), Conversation(CacheTraits(), NAMELESS), 4000
        for number in range(200):
            size += random.randint(1, 2 * step)
            single = asked(number, input=size, output=random.randint(1, 2 * answer), cached=1000)
            conversation.take(single)
            assert not conversation.is_cold, (seed, number)


def test_only_what_is_short_is_lost() -> None:
    assert Claim(asked(0, cached=12_000), due=20_000, pause=1.0).lost == 0
    assert Claim(asked(0, cached=5000), due=20_000, pause=1.0, found=5000, grown=2000).lost == 15_000


def test_what_grows_but_is_not_met_is_not_known_to_be_lost() -> None:
    """The end of the prompt before may be gone; and a cache may count in blocks that no turn fills."""
    grows = Claim(asked(0, cached=5000), due=20_000, pause=1.0, found=4000, grown=2000)
    same_block = Claim(asked(0, cached=5000), due=20_000, pause=1.0, found=5000, grown=800)

    assert [(each.lost, each.unknown) for each in (grows, same_block)] == [(0, 15_000)] * 2


@pytest.mark.parametrize(("block", "is_cold"), [(64, True), (1024, False)])
def test_small_turns_show_a_fault_where_the_cache_counts_in_small_blocks(block: int, is_cold: bool) -> None:
    traits = CacheTraits()
    for blocks in (7, 8, 11):
        traits.finds(block * blocks)
    conversation = Conversation(traits, NAMED)
    for number in range(9):
        conversation.take(asked(number, cached=10_240, input=20_000 + 120 * number))

    assert conversation.is_cold is is_cold


def with_ends_of_their_own(length: int, *, cached: int = 0) -> list[Asked]:
    """A conversation of 4,000 tokens and 700 more with each turn, and 10,000 tokens at the end of each prompt that are
    not in the next. It finds so much of it, or all that is in both."""
    return [
        asked(number, input=14_000 + 700 * number, cached=cached or max(0, 3300 + 700 * number) // 64 * 64)
        for number in range(length)
    ]


def test_what_stands_in_the_last_message_alone_is_no_fault_that_the_cache_does_not_have_it() -> None:
    for patience in (NAMED, NAMELESS):
        conversation = Conversation(CacheTraits(), patience)
        for each in with_ends_of_their_own(40):
            told = conversation.take(each)
            assert not conversation.is_cold
            assert [claim.lost for claim in told.claims] == [0] * len(told.claims)
    assert told.unknown > 0


def test_a_fault_in_front_of_such_a_conversation_is_one_until_it_finds_its_history_again() -> None:
    conversation = Conversation(CacheTraits(), NAMED)

    *ill, last = with_ends_of_their_own(7, cached=1500)
    claims_of(conversation, *ill)
    assert not conversation.is_cold
    claims_of(conversation, last)
    assert conversation.is_cold
    well = with_ends_of_their_own(10)[7:]
    claims_of(conversation, *well[:2])
    assert conversation.is_cold
    claims_of(conversation, well[2])
    assert (conversation.is_cold, conversation.misses) == (False, None)


def test_what_is_found_more_of_now_and_then_and_less_again_does_not_grow() -> None:
    """Tools in another order each time: the first, or the first two, may be the same by chance."""
    conversation = Conversation(CacheTraits(), NAMED)
    found = (0, 0, 0, 1800, 0, 3600)

    claims_of(conversation, *(asked(number, cached=cached) for number, cached in enumerate(found)))
    assert not conversation.is_cold
    conversation.take(asked(6))
    assert conversation.is_cold
    assert conversation.misses is not None
    assert (conversation.misses.requests, conversation.misses.since, conversation.misses.due) == (6, 60.0, 135_000)


def test_without_growth_worth_a_block_it_is_no_alarm_that_no_more_is_found() -> None:
    conversation = Conversation(CacheTraits(), NAMED)
    small = [asked(number, input=20_000 + 100 * number, cached=4096) for number in range(13)]

    claims_of(conversation, *small[:12])
    assert not conversation.is_cold
    conversation.take(small[12])
    assert conversation.is_cold


def test_a_miss_after_a_pause_counts_only_if_something_was_found_after_one_as_long() -> None:
    traits = CacheTraits()
    slow, other = Conversation(traits, NAMED), Conversation(traits, NAMED)
    pauses = [replace(asked(number), sent=100.0 * number, begun=100.0 * number + 2) for number in range(20)]

    assert claims_of(slow, *pauses) == []
    assert not slow.is_cold
    claims_of(other, *[replace(each, cached=each.input - 1000) for each in pauses])
    assert not other.is_cold
    later = [
        replace(each, sent=each.sent + 2000, begun=each.begun + 2000, input=each.input + 20_000) for each in pauses
    ]
    claims_of(slow, *later)
    assert slow.is_cold


def by_turns(length: int, every: int, *, first: int = 0) -> list[Asked]:
    """A conversation in which each request with a number that `every` divides finds nothing, and each other its due."""
    return [
        replace(each, cached=0 if number % every == 0 else each.input - 1000)
        for number, each in enumerate(row(length, first=first))
    ]


def test_what_changes_with_every_second_request_is_an_alarm_until_the_cache_gives_more() -> None:
    conversation = Conversation(CacheTraits(), NAMED)

    claims_of(conversation, *by_turns(12, every=2))
    assert not conversation.is_cold
    claims = claims_of(conversation, *by_turns(18, every=2, first=12))
    assert conversation.is_cold
    assert conversation.misses is not None
    assert (conversation.misses.requests, conversation.misses.at) == (29, claims[-1].asked.sent)
    assert 0.4 < conversation.misses.cached / conversation.misses.due < 0.6
    claims_of(conversation, *by_turns(16, every=100, first=30))
    assert (conversation.is_cold, conversation.misses) == (False, None)


@pytest.mark.parametrize(("breaks_after", "claims"), [(8, 12), (3, 24)], ids=["few break off", "more do"])
def test_what_misses_by_no_rule_but_often_takes_longer_where_more_requests_begin_something_new(
    breaks_after: int, claims: int
) -> None:
    """As where small questions come in between, or where it is documents with two questions each."""
    steps, random, colds = Steps(), Random(4), []
    conversation = Conversation(CacheTraits(), NAMED, steps)
    for number, each in enumerate(row(40)):
        conversation.take(replace(each, cached=random.choice((0, each.input - 1000))))
        if number % breaks_after == 0:
            steps.take(breaks_off=True)
        colds.append(conversation.is_cold)

    assert claims <= colds.index(True) <= claims + 4
    assert all(colds[claims + 4 :])


@pytest.mark.parametrize(("every", "within"), [(3, 30), (5, 40), (7, 55), (10, 65)])
def test_what_changes_with_every_so_many_th_request_is_an_alarm_until_it_does_so_no_more(
    every: int, within: int
) -> None:
    conversation = Conversation(CacheTraits(), NAMED)

    claims_of(conversation, *by_turns(within, every=every))
    assert conversation.is_cold
    claims_of(conversation, *by_turns(5 * every, every=every, first=within - within % every))
    assert conversation.is_cold
    claims_of(conversation, *by_turns(3 * every, every=1000, first=within + 6 * every)[1:])
    assert (conversation.is_cold, conversation.misses) == (False, None)


def test_it_is_one_too_behind_tools_that_are_most_of_each_prompt_and_without_a_session() -> None:
    tools, nameless = Conversation(CacheTraits(), NAMED), Conversation(CacheTraits(), NAMELESS)

    claims_of(tools, *(replace(each, cached=each.cached or 15_000) for each in by_turns(40, every=2)))
    claims_of(nameless, *(replace(each, cached=0 if n % 4 == 0 else each.input - 1200)
        for n, each in enumerate(talk(60))))  # fmt: skip

    assert (tools.is_cold, nameless.is_cold) == (True, True)


def to_the_minute(seed: int) -> Iterator[Asked]:
    """A conversation with a request each 5 to 25 seconds, and the time to the minute in front of its prompts. Some wait
    for their turn."""
    random, came, before = Random(seed), 1_795_608_000.0 + 7 * seed, 0.0
    for number in range(80):
        sent = came + random.choice((0, 0, 0, 4))
        found = came // 60 == before // 60
        tokens = 60_000 + 300 * number
        yield Asked(sent, sent + 1, tokens, tokens - 300 if found else 0, 200, came=came)
        came, before = sent + random.uniform(5, 25), came


@pytest.mark.parametrize("seed", range(6))
def test_a_time_to_the_minute_is_an_alarm_within_ten_minutes_also_with_several_requests_a_minute(seed: int) -> None:
    conversation = Conversation(CacheTraits(), NAMED)

    claims_of(conversation, *list(to_the_minute(seed))[:40])
    assert conversation.is_cold


def test_what_a_cache_forgets_now_and_then_by_chance_is_no_alarm() -> None:
    for seed in range(24):
        random, conversation = Random(seed), Conversation(CacheTraits(), NAMED)
        share = (0.1, 0.2, 0.25)[seed % 3]
        for each in row(200):
            conversation.take(replace(each, cached=0 if random.random() < share else each.input - 1000))
            assert not (conversation.is_cold and conversation._misses_by_rule), seed


def test_what_misses_seldom_or_little_is_no_alarm() -> None:
    seldom, small = Conversation(CacheTraits(), NAMED), Conversation(CacheTraits(), NAMED)

    claims_of(seldom, *by_turns(200, every=15))
    claims_of(small, *[replace(each, input=4000 + 20 * n, cached=each.cached and 4000) for n, each in
        enumerate(by_turns(24, every=2))])  # fmt: skip

    assert (seldom.is_cold, small.is_cold) == (False, False)


def in_turns(length: int, turns: int, *, cached: int = 0) -> list[list[Asked]]:
    """So many turns of a conversation, each of so many requests, and a long pause behind each. The first request of a
    turn finds nothing."""
    pause = LONGEST_PAUSE + 10
    return [
        [
            replace(each, sent=each.sent + pause * turn, begun=each.begun + pause * turn, cached=place and cached)
            for place, each in enumerate(row(length, first=length * turn))
        ]
        for turn in range(turns)
    ]


@pytest.mark.parametrize(("length", "turns"), [(2, 6), (4, 2), (6, 2)])
def test_short_turns_with_pauses_between_them_are_an_alarm_like_a_long_one(length: int, turns: int) -> None:
    conversation = Conversation(CacheTraits(), NAMED)

    *before, last = in_turns(length, turns)
    claims_of(conversation, *(each for turn in before for each in turn))
    assert not conversation.is_cold
    claims_of(conversation, *last)
    assert conversation.is_cold


def test_what_is_found_within_a_turn_ends_the_misses_of_the_turns_before_and_those_behind_a_pause_are_none() -> None:
    conversation = Conversation(CacheTraits(), NAMED)
    ill, well = in_turns(4, 2)[0], in_turns(4, 10, cached=60_000)[1:]

    claims_of(conversation, *ill, *(each for turn in well for each in turn))

    assert (conversation.is_cold, conversation.misses) == (False, None)


def test_a_pause_begins_with_the_end_of_the_answer_before() -> None:
    """Answers of 70 seconds, and ten more until the next request: the cache was asked for the prompt all that time."""
    conversation = Conversation(CacheTraits(), NAMED)
    slow = [replace(asked(n), sent=80.0 * n, begun=80.0 * n + 5, ended=80.0 * n + 70) for n in range(7)]

    assert [claim.pause for claim in claims_of(conversation, *slow)] == [10.0] * 6
    assert conversation.is_cold


def test_of_what_comes_after_a_longer_pause_than_the_cache_may_live_it_is_not_known_what_it_could_have() -> None:
    conversation = Conversation(CacheTraits(), NAMED)
    claims_of(conversation, *row(4))

    after_90_seconds = replace(asked(4), sent=270.0, begun=272.0, ended=280.0, cached=1000)
    assert conversation.take(after_90_seconds) == Told([], unknown=22_000)
    after_five_minutes = replace(asked(5), sent=600.0, begun=602.0, cached=1000)
    assert conversation.take(after_five_minutes) == Told(unknown=23_000)


def test_of_requests_without_a_session_that_nothing_shows_to_be_of_one_conversation_nothing_is_known() -> None:
    single = Conversation(CacheTraits(), NAMELESS)
    inputs = (30_000, 20_000, 21_000, 9000)

    told = [single.take(asked(number, input=tokens, cached=500)) for number, tokens in enumerate(inputs)]
    assert sum(each.unknown for each in told) == sum(inputs) - 4 * 500
