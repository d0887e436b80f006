"""No alarm where nothing is wrong, whatever people do with their conversations; and one for each fault."""

import random
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from extproc.domain.cache.conversation import Speaker
from extproc.domain.cache.lanes import Asked
from extproc.domain.cache.ledger import CacheLedger
from extproc.domain.cache.prompt import Cause
from extproc.domain.usage.price_file import packaged_prices, parse_price_table
from tests.unit.domain.cache.people import (
    EXPIRY,
    TOOLS,
    Change,
    Person,
    Piece,
    PrefixCache,
    as_it_is,
    looking_up,
    numbers,
    work,
)

pytestmark = pytest.mark.slow

PRICES = parse_price_table(packaged_prices())
NOON = 1_795_608_000.0
CLAUDE = Speaker("", "source-01", "Claude Code", "session", "", "glm-5.3")
NAMELESS = Speaker("", "source-01", "", "", "", "glm-5.3")


class Office:
    """A ledger, and whoever it hears of: all conversations that it ever called cold, and all causes that it found.
    Envoy tells it of the parts that it wants to know of, and of no others; of none if there is no `doctor`."""

    def __init__(
        self,
        seed: int,
        speaker: Speaker,
        change: Change = as_it_is,
        expiry: float = EXPIRY,
        *,
        doctor: bool = True,
    ) -> None:
        self.doctor = doctor
        self.ledger = CacheLedger(PRICES)
        self.alarms: list[str] = []
        self.causes: set[Cause] = set()
        self.person = Person(
            random.Random(seed),
            PrefixCache(expiry),
            self.hear,
            numbers(),
            speaker,
            NOON,
            change,
            needs_marks=seed % 2 == 1,
        )

    def hear(self, speaker: Speaker, asked: Asked) -> None:
        seen = asked if self.ledger.wants_parts(speaker) and self.doctor else replace(asked, prompt="")
        self.ledger.hear(speaker, seen, asked.begun)
        self.alarms += [str(each) for each in self.ledger.cold(asked.begun)]
        self.causes |= {each.change.cause for each in self.ledger.findings(asked.begun)}


@pytest.mark.parametrize("speaker", [CLAUDE, NAMELESS], ids=["with a session", "without one"])
def test_no_honest_conversation_is_cold(speaker: Speaker) -> None:
    for seed in range(100):
        office = Office(seed, speaker)
        work(office.person, 20, speaker.is_named)

        assert (office.alarms, office.causes) == ([], set()), seed


def about(size: int, share: float, seed: int) -> Callable[[int], int]:
    """Sizes near to one, by as large a share of it at most."""
    return lambda number: round(size * (1 + random.Random(f"{seed} {number}").uniform(-share, share)))


LOOKED_UP: Mapping[str, Callable[[int], Callable[[int], int]]] = {
    "the same size": lambda seed: about(10_000, 0.0, seed),
    "about the same size": lambda seed: about(10_000, 0.02, seed),
    "a page": lambda seed: about(8000, 0.15, seed),
    "any size": lambda seed: about(20_000, 0.9, seed),
    "a state that grows": lambda seed: lambda number: 6000 + (100 + 50 * (seed % 8)) * number,
}
"""How many tokens of what was looked up stand in the last message alone, by how often that was done before."""


@pytest.mark.parametrize(
    ("sizes", "block"),
    [*((name, 64) for name in LOOKED_UP), *((name, 1024) for name in LOOKED_UP if name != "a state that grows")],
)
@pytest.mark.parametrize("speaker", [CLAUDE, NAMELESS], ids=["with a session", "without one"])
def test_what_is_looked_up_for_the_last_message_alone_is_no_fault(speaker: Speaker, sizes: str, block: int) -> None:
    """As docs/clients.md advises: so the end of each prompt is not in the next one. Long chats of small turns, of
    larger ones, and whole days of work."""
    for seed in range(6):
        office = Office(seed, speaker, looking_up(LOOKED_UP[sizes](seed)), doctor=seed % 2 > 0)
        office.person.cache = PrefixCache(block=block)
        office.person.prompt = [("system prompt", 2500 * (seed % 4 > 0)), office.person.new(5, 300)]
        office.person.answers = range(5, (60, 400, 1500)[seed % 3])
        for _ in range(60):
            office.person.ask()
            office.person.prompt.append(office.person.new(5, (40, 200, 800)[seed % 3]))
            office.person.now += office.person.random.uniform(1, 40)
        assert (office.alarms, office.causes) == ([], set()), seed
        for use in office.ledger.programs(office.person.now):
            assert block > 64 or use.sums.cacheable - use.sums.cached <= 0.05 * use.sums.input, seed

        office = Office(seed, speaker, looking_up(LOOKED_UP[sizes](seed)), doctor=seed % 2 > 0)
        office.person.cache = PrefixCache(block=block)
        work(office.person, 20, speaker.is_named)
        assert (office.alarms, office.causes) == ([], set()), seed


@pytest.mark.parametrize("speaker", [CLAUDE, NAMELESS], ids=["with a session", "without one"])
@pytest.mark.parametrize(("messages", "growth"), [(1, 1), (3, 1), (5, 1), (8, 3), (9, 2), (12, 1)])
def test_messages_that_are_there_for_one_turn_are_no_fault(speaker: Speaker, messages: int, growth: int) -> None:
    """Such as a reminder, or a call of a tool and its result, that the client takes back."""
    taken = numbers()

    def change(prompt: list[Piece], _number: int) -> list[Piece]:
        number = next(taken)
        return [*prompt, *((f"{place} of turn {number}", 1500 + place) for place in range(messages))]

    office = Office(1, speaker, change)
    office.person.answers = range(20, 400)
    for _ in range(60):
        office.person.prompt += [office.person.new(20, 300) for _ in range(growth)]
        office.person.ask()
        office.person.now += office.person.random.uniform(3, 20)

    assert office.alarms == []
    assert office.causes == set()


@pytest.mark.parametrize("expiry", [70.0, 120.0])
def test_a_cache_that_forgets_sooner_is_no_clients_fault(expiry: float) -> None:
    for seed in range(20):
        office = Office(seed, CLAUDE, expiry=expiry)
        work(office.person, 20, is_named=True)

        assert (office.alarms, office.causes) == ([], set()), seed


@pytest.mark.parametrize("doctor", [True, False], ids=["with the doctor", "without"])
def test_of_a_cache_that_forgets_by_chance_nothing_but_that_is_said(doctor: bool) -> None:
    """Each fourth prompt, and each tenth: the first may be an alarm, since it is so much, but is no client's fault."""
    for seed in range(6):
        often = Office(seed, CLAUDE, doctor=doctor)
        seldom = Office(seed, CLAUDE, doctor=doctor)
        for office, share in ((often, 0.25), (seldom, 0.1)):
            chance = random.Random(seed)
            office.person.cache = PrefixCache(forgets=lambda chance=chance, share=share: chance.random() < share)
            days_work(office.person, 25)

        assert often.causes <= {Cause.FORGOTTEN}, seed
        assert (seldom.alarms, seldom.causes) == ([], set()), seed


@pytest.mark.parametrize("seed", range(20))
def test_an_honest_conversation_has_had_nearly_all_that_it_is_said_to_could_have(seed: int) -> None:
    office = Office(seed, CLAUDE)
    work(office.person, 30, is_named=True)

    for use in office.ledger.programs(office.person.now):
        assert use.sums.cached <= use.sums.cacheable <= use.sums.input
        assert use.sums.cacheable - use.sums.cached <= 0.05 * use.sums.input


def attribution(prompt: list[Piece], number: int) -> list[Piece]:
    """The first block of the system prompt says something else each time."""
    return [(f"{name} {number}" if name == "system line" else name, length) for name, length in prompt]


def attribution_behind_large_tools(prompt: list[Piece], number: int) -> list[Piece]:
    """The same, and most of each prompt is cached all the same."""
    return [("tool of all", 100_000), *attribution(prompt, number)]


def clock(prompt: list[Piece], number: int) -> list[Piece]:
    """The time stands in front of all."""
    return [(f"system {number}", 20), *prompt]


def shuffled_tools(prompt: list[Piece], number: int) -> list[Piece]:
    """The tools come in another order each time."""
    tools = [piece for piece in prompt if piece in TOOLS]
    return [*random.Random(number).sample(tools, len(tools)), *prompt[len(tools) :]]


def rewritten_message(prompt: list[Piece], number: int) -> list[Piece]:
    """The first message says something else each time."""
    first = next((place for place, (name, _) in enumerate(prompt) if name.startswith("piece")), 0)
    return [*prompt[:first], (f"piece {first} as of {number}", prompt[first][1]), *prompt[first + 1 :]]


def stamped_messages(prompt: list[Piece], number: int) -> list[Piece]:
    """All messages say what time it is."""
    return [
        (f"{name} as of {number}", length + 16) if name.startswith("piece") else (name, length)
        for name, length in prompt
    ]


FAULTS: Mapping[Callable[[list[Piece], int], list[Piece]], Cause] = {
    attribution: Cause.ATTRIBUTION,
    attribution_behind_large_tools: Cause.ATTRIBUTION,
    clock: Cause.DATE,
    shuffled_tools: Cause.TOOLS_REORDERED,
    rewritten_message: Cause.UNKNOWN,
    stamped_messages: Cause.STAMPED,
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("seed", range(5))
def test_each_fault_is_an_alarm_within_thirty_turns_and_its_cause_is_found(
    seed: int, fault: Callable[[list[Piece], int], list[Piece]]
) -> None:
    office = Office(seed, CLAUDE, fault)
    work(office.person, 30, is_named=True)

    assert office.alarms
    assert office.causes == {FAULTS[fault]}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("seed", range(3))
def test_a_fault_that_begins_after_an_honest_start_is_found_as_soon_as_one_from_the_first(
    seed: int, fault: Callable[[list[Piece], int], list[Piece]]
) -> None:
    """Each prompt at the start is larger than the one before by more than a tenth."""
    office = Office(seed, CLAUDE)
    for _ in range(8):
        office.person.prompt.append(office.person.new(20_000, 30_000))
        office.person.ask()
    assert office.causes == set()

    office.person.change = fault
    for _ in range(6):
        office.person.prompt.append(office.person.new(50, 500))
        office.person.ask()
    assert office.causes == {FAULTS[fault]}


@pytest.mark.parametrize("growth", [2, 3])
@pytest.mark.parametrize("place", [13, 17, 41])
def test_a_message_behind_the_first_ones_that_changes_is_named_for_as_long_as_it_does(place: int, growth: int) -> None:
    """Also where so many messages come while none is looked at that the two looks have none of the last in common."""

    def change(prompt: list[Piece], number: int) -> list[Piece]:
        index = [index for index, (name, _) in enumerate(prompt) if name.startswith("piece")][:place][-1]
        if len(prompt) < index + 8:
            return prompt
        return [*prompt[:index], (f"piece {place} as of {number}", prompt[index][1]), *prompt[index + 1 :]]

    office = Office(1, CLAUDE, change)
    named: list[bool] = []
    for _ in range(120):
        office.person.prompt += [office.person.new(50, 3000) for _ in range(growth - 1)]
        office.person.ask()
        office.person.now += 10
        named.append(bool(office.ledger.findings(office.person.now)))

    assert all(named[30:])
    assert office.causes == {Cause.UNKNOWN}


def interrupted(office: Office, every: int, requests: int) -> list[tuple[bool, bool]]:
    """A conversation with titles and pages to sum up in between, under its name: whether it is cold and whether the
    cause is named, after each of its requests."""
    found = []
    for number in range(1, requests + 1):
        office.person.prompt.append(office.person.new(50, 3000))
        office.person.ask()
        office.person.now += 5
        if number % every == 0:
            question = office.person.other()
            question.change, question.prompt = as_it_is, [question.new(2100, 9000)]
            question.ask()
            office.person.now = question.now + 1
        now = office.person.now
        found.append((bool(office.ledger.cold(now)), bool(office.ledger.findings(now))))
    return found


@pytest.mark.parametrize("fault", [attribution, clock, shuffled_tools, rewritten_message])
@pytest.mark.parametrize("every", [1, 2, 3, 5, 8])
def test_small_questions_to_the_same_model_in_between_hide_no_fault(
    every: int, fault: Callable[[list[Piece], int], list[Piece]]
) -> None:
    office = Office(0, CLAUDE, fault)
    named = [is_named for _, is_named in interrupted(office, every, 120)]

    assert named[24]
    assert named.count(True) > 75
    assert office.causes == {FAULTS[fault]}


@pytest.mark.parametrize("fault", [attribution, clock, rewritten_message])
@pytest.mark.parametrize("every", [1, 2, 3, 5, 8])
def test_nor_do_they_hide_that_it_is_cold_where_nothing_is_looked_at(
    every: int, fault: Callable[[list[Piece], int], list[Piece]]
) -> None:
    office = Office(0, CLAUDE, fault, doctor=False)

    assert all(is_cold for is_cold, _ in interrupted(office, every, 120)[16:])


@pytest.mark.parametrize("every", [1, 2, 3, 5, 8])
def test_nor_do_they_hide_that_nothing_is_marked_for_the_cache(every: int) -> None:
    office = Office(0, CLAUDE)
    office.person.cache = PrefixCache(forgets=lambda: True)
    office.person.tell = lambda speaker, asked: office.hear(speaker, replace(asked, needs_marks=True))

    assert all(is_named for _, is_named in interrupted(office, every, 60)[20:])
    assert office.causes == {Cause.CACHE_CONTROL}


@pytest.mark.parametrize("doctor", [True, False], ids=["with the doctor", "without it"])
@pytest.mark.parametrize("every", [1, 2, 3, 5, 8])
def test_a_conversation_that_is_often_interrupted_is_no_alarm(every: int, doctor: bool) -> None:
    office = Office(0, CLAUDE, doctor=doctor)
    interrupted(office, every, 120)

    assert (office.alarms, office.causes) == ([], set())


def documents(office: Office, pieces: tuple[int, int], size: tuple[int, int], behind: int) -> None:
    """A batch: each document, in some pieces, stands behind the same examples and in front of the same words."""
    for _ in range(100):
        each = office.person.other()
        pieces_of_it = [each.new(*size) for _ in range(each.random.randint(*pieces))]
        each.prompt = [
            ("system prompt", 2000),
            ("example", 500),
            ("its answer", 500),
            *pieces_of_it,
            *((f"words {number}", 20) for number in range(behind)),
        ]
        each.now = office.person.now
        each.ask()
        office.person.now = each.now + 1


@pytest.mark.parametrize("agents", [1, 2])
@pytest.mark.parametrize("doctor", [True, False], ids=["with the doctor", "without it"])
def test_sub_agents_that_come_at_once_under_the_sessions_name_hide_no_fault(agents: int, doctor: bool) -> None:
    office = Office(0, CLAUDE, attribution, doctor=doctor)
    cold, named = [], []
    for _ in range(20):
        for _ in range(5):
            office.person.prompt.append(office.person.new(50, 3000))
            office.person.ask()
            office.person.now += 3
            cold.append(bool(office.ledger.cold(office.person.now)))
            named.append(bool(office.ledger.findings(office.person.now)))
        team = [office.person.other() for _ in range(agents)]
        for number, each in enumerate(team):
            each.prompt = [("system of agents", 1500), each.new(1000 + 2000 * number, 3000 + 2000 * number)]
        at_once(team, 3)
        office.person.now = max(each.now for each in team) + 1

    assert cold.count(True) > 60
    assert not doctor or named.count(True) > 90


@pytest.mark.parametrize("speaker", [CLAUDE, NAMELESS], ids=["with a session", "without one"])
@pytest.mark.parametrize(
    ("pieces", "size", "behind"),
    [((1, 1), (2000, 9000), 0), ((1, 1), (2000, 9000), 2), ((1, 4), (1000, 4000), 2), ((2, 10), (1000, 1000), 0)],
    ids=["one piece", "words behind it", "several pieces", "pieces of one size"],
)
def test_a_batch_of_documents_is_no_fault(
    speaker: Speaker, pieces: tuple[int, int], size: tuple[int, int], behind: int
) -> None:
    for seed in range(4):
        office = Office(seed, speaker)
        documents(office, pieces, size, behind)

        assert (office.alarms, office.causes) == ([], set()), seed


Prompt = Callable[[int, random.Random], list[Piece]]


def batch(office: Office, prompt: Prompt, *, turns: tuple[int, int] = (1, 1), beside: int = 0) -> None:
    """Prompts one after the other, under one name, each with some turns. Before each fifth of them as many requests as
    `beside` go on with a conversation of that name."""
    who, rng = office.person, office.person.random
    for number in range(80):
        for _ in range(beside if number % 5 == 0 else 0):
            who.prompt.append(who.new(5, 1500))
            who.ask()
        one = who.other()
        one.now, one.answers, one.prompt = who.now + rng.uniform(0.2, 3), range(5, 600), prompt(number, rng)
        for turn in range(rng.randint(*turns)):
            one.prompt += [one.new(10, 800)] * (turn > 0)
            one.ask()
        who.now = one.now + rng.uniform(0.2, 3)


@pytest.mark.parametrize("fixed", [1, 3])
@pytest.mark.parametrize("speaker", [CLAUDE, NAMELESS], ids=["with a session", "without one"])
@pytest.mark.parametrize(
    ("turns", "beside"), [((1, 1), 0), ((1, 3), 0), ((1, 1), 5)], ids=["one turn", "some", "beside a conversation"]
)
def test_documents_with_the_same_words_and_a_question_of_their_own_behind_them_are_no_fault(
    turns: tuple[int, int], beside: int, speaker: Speaker, fixed: int
) -> None:
    def document(number: int, rng: random.Random) -> list[Piece]:
        first = [(f"instruction {part}", 300) for part in range(fixed)]
        return [*first, (f"document {number}", rng.randint(2000, 9000)), ("ok", 20), (f"question {number}", 50)]

    for seed in range(6):
        office = Office(seed, speaker)
        batch(office, document, turns=turns, beside=beside)

        assert office.causes == set(), seed


@pytest.mark.parametrize("speaker", [CLAUDE, NAMELESS], ids=["with a session", "without one"])
@pytest.mark.parametrize("beside", [0, 6])
@pytest.mark.parametrize("roles", [3, 4, 6])
def test_roles_of_agents_that_are_asked_one_thing_each_are_no_fault(roles: int, beside: int, speaker: Speaker) -> None:
    """One after the other, of one document, or each of its own."""
    for seed in range(8):

        def prompt(number: int, rng: random.Random, roles: int = roles, seed: int = seed) -> list[Piece]:
            role, about = number % roles, number // roles if seed % 2 else number
            front = [*TOOLS, (f"system role {'abcdef'[role]}", 200 + 70 * role), ("system rules", 2500)]
            return [*front, ("task", 300), (f"document {about}", rng.randint(2000, 9000)), ("go", 30)]

        office = Office(seed, speaker)
        batch(office, prompt, beside=beside)

        assert office.causes == set(), seed


@pytest.mark.parametrize(("turns", "seed"), [((2, 2), 18), ((2, 2), 24), ((2, 3), 0), ((1, 3), 13)])
def test_documents_with_some_questions_each_raise_no_alarm(turns: tuple[int, int], seed: int) -> None:
    office = Office(seed, CLAUDE, doctor=False)

    def document(_number: int, _rng: random.Random) -> list[Piece]:
        return [("instructions", 600), office.person.new(2000, 20_000)]

    batch(office, document, turns=turns)
    assert office.alarms == []


def at_once(people: list[Person], requests: int) -> None:
    """Several take turns, request by request."""
    for number in range(requests * len(people)):
        who = people[number % len(people)]
        who.now = max(each.now for each in people)
        who.prompt.append(who.new(5, 4000))
        who.ask()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("seed", range(3))
def test_without_a_session_the_one_of_several_conversations_that_has_a_fault_is_an_alarm(
    seed: int, fault: Callable[[list[Piece], int], list[Piece]]
) -> None:
    office = Office(seed, NAMELESS)
    ill = office.person.other()
    ill.change = fault
    at_once([office.person, ill, office.person.other()], 60)

    assert len(office.ledger.cold(office.person.now + 1)) == 1
    assert office.causes == {FAULTS[fault]}


def days_work(person: Person, turns: int) -> None:
    """Turn after turn in one conversation, with a long pause now and then."""
    for _ in range(turns):
        person.turn()
        if person.random.random() < 0.2:
            person.pause()


@pytest.mark.parametrize("requests", [2, 3])
def test_a_line_that_is_another_one_in_each_of_many_short_sessions_is_named(requests: int) -> None:
    for is_ill in (True, False):
        office = Office(0, CLAUDE)
        for number in range(12):
            session = office.person.other(session=f"session {number}")
            session.now = office.person.now
            line = f"system {number if is_ill else 0}"
            session.prompt = [*TOOLS, (line, 20), ("system prompt", 12_000), session.new(50, 800)]
            for _ in range(requests):
                session.ask()
            office.person.now = session.now + 5

        assert office.alarms == []
        assert office.causes == ({Cause.DATE} if is_ill else set())


def each(count: int) -> Callable[[list[Piece], int], list[Piece]]:
    """The line in front changes with each so-many-th request."""
    requests = numbers()

    def change(prompt: list[Piece], _number: int) -> list[Piece]:
        return [("system line", 30), (f"system {next(requests) // count}", 20), *prompt[len(TOOLS) + 1 :]]

    return change


@pytest.mark.parametrize("doctor", [True, False], ids=["with the doctor", "without"])
@pytest.mark.parametrize("count", [2, 3, 5, 10])
def test_what_changes_now_and_then_is_an_alarm_and_named_if_prompts_are_looked_at(count: int, doctor: bool) -> None:
    for seed in range(2):
        office = Office(seed, CLAUDE, each(count), doctor=doctor)
        days_work(office.person, 25)

        assert office.alarms, seed
        assert office.causes == ({Cause.DATE} if doctor else set()), seed


@pytest.mark.parametrize("doctor", [True, False], ids=["with the doctor", "without"])
def test_a_time_to_the_minute_is_one_too(doctor: bool) -> None:
    for seed in range(3):
        office = Office(seed, CLAUDE, doctor=doctor)
        office.person.change = lambda prompt, _, who=office.person: [(f"system {int(who.now // 60)}", 20), *prompt]
        days_work(office.person, 20)

        assert office.alarms, seed
        assert office.causes == ({Cause.DATE} if doctor else set()), seed
