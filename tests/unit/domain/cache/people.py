"""People at work with agents, in front of a model whose cache works: what they ask, and what is cached of it.

A prompt is a list of pieces, each a name and its length in tokens. The cache knows each prompt that it has seen as a
whole, piece by piece from the front, until it has not been asked for it for some minutes.
"""

import random
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, count
from typing import Final

from extproc.domain.cache.conversation import Speaker
from extproc.domain.cache.lanes import Asked

EXPIRY = 300.0
Piece = tuple[str, int]
TOOLS: Final[Sequence[Piece]] = [(f"tool {number}", 1800) for number in range(6)]


class PrefixCache:
    """What a model has seen lately, in blocks of `block` tokens: the rest of the last one is no hit. Each time that
    it is asked it may have forgotten all, if it `forgets`."""

    def __init__(self, expiry: float = EXPIRY, block: int = 64, forgets: Callable[[], bool] = lambda: False) -> None:
        self._expiry = expiry
        self._forgets = forgets
        self._names: dict[tuple[object, Piece], int] = {}
        self._seen: dict[int, float] = {}
        self._block = block

    def ask(self, model: str, prompt: list[Piece], now: float) -> int:
        """How much of it is cached; from now on all of it is."""
        hit, is_hit = 0, not self._forgets()
        root: object = model
        for piece in prompt:
            prefix = self._names.setdefault((root, piece), len(self._names))
            is_hit = is_hit and now - self._seen.get(prefix, -1e18) <= self._expiry
            hit += piece[1] if is_hit else 0
            self._seen[prefix] = now
            root = prefix
        return hit // self._block * self._block


def words_of(prompt: list[Piece]) -> str:
    """What Envoy would tell of its parts."""
    tools = [name for name, _ in prompt if name.startswith("tool")]
    system = [(name, size) for name, size in prompt if name.startswith("system")]
    messages = [(name, size) for name, size in prompt if not name.startswith(("tool", "system"))]
    words = [f"t{len(tools)}:9:{_hash(*tools)}:{_hash(*sorted(tools))}"] if tools else []
    for name, size in system:
        loose = _hash(name.rstrip("0123456789"))
        words.append(f"s{'a' if 'line' in name else ''}{size}:{_hash(name)}:{loose}")
    words += [f"m{size}:{_hash(name)}" for name, size in messages[:12]]
    chain = list(accumulate((name for name, _ in messages), lambda before, name: _hash(before, name), initial=""))
    last = range(13, len(messages) + 1)[-12:]
    return " ".join([*words, *(f"e{number}:{chain[number]}:{messages[number - 1][1]}" for number in last)])


def _hash(*names: str) -> str:
    return f"{zlib.crc32(' '.join(names).encode()):08x}"


Change = Callable[[list[Piece], int], list[Piece]]


def as_it_is(prompt: list[Piece], _number: int) -> list[Piece]:
    return prompt


def looking_up(size: Callable[[int], int]) -> Change:
    """What was just looked up, or seen on a screen, stands in the last message and is not in the next prompt. `size` is
    how many tokens it has, by how many were looked up before."""
    times = count()

    def change(prompt: list[Piece], number: int) -> list[Piece]:
        (name, length), found = prompt[-1], size(next(times))
        return [*prompt[:-1], (f"{name} beside what was found as {number}", length + found)]

    return change


@dataclass
class Person:
    """Works with one agent. `ask` tells of each request; `change` is what the agent does to each of its prompts. An
    answer has as many tokens as one of `answers`."""

    random: random.Random
    cache: PrefixCache
    tell: Callable[[Speaker, Asked], None]
    names: Iterator[int]
    speaker: Speaker
    now: float
    change: Change = as_it_is
    needs_marks: bool = False
    prompt: list[Piece] = field(default_factory=list)
    answers: Sequence[int] = range(5, 2001)

    def __post_init__(self) -> None:
        self.prompt = self.prompt or self.beginning()

    def new(self, least: int, most: int) -> Piece:
        return f"piece {next(self.names)}", self.random.randint(least, most)

    def beginning(self) -> list[Piece]:
        """Tools before the system prompt, as the model gets them, then the first message."""
        return [*TOOLS, ("system line", 30), ("system 2", 2000), self.new(10, 3000)]

    def ask(self) -> None:
        """One request and its answer, to the end."""
        prompt = self.change(self.prompt, next(self.names))
        cached = self.cache.ask(self.speaker.model, prompt, self.now)
        begun, output = self.now + self.random.uniform(0.3, 8), self.random.choice(self.answers)
        tokens = sum(length for _, length in prompt)
        words = words_of(prompt)
        told = f"c {words}" if self.needs_marks else words
        ended = begun + output / 60
        asked = Asked(self.now, begun, tokens, cached, output, told, self.needs_marks, ended=ended)
        self.tell(self.speaker, asked)
        self.prompt = [*self.prompt, (f"piece {next(self.names)}", output)]
        self.now = ended

    def turn(self) -> None:
        """One tool after the other, until the answer."""
        for _ in range(self.random.randint(1, 12)):
            self.prompt.append(self.new(5, self.random.choice((50, 500, 4000, 30_000))))
            self.ask()
            self.now += self.random.uniform(0.01, self.random.choice((1, 1, 1, 60)))
        self.now += self.random.uniform(1, 100)

    def compact(self) -> None:
        """Asks for a summary, and goes on with it."""
        self.prompt.append(self.new(200, 800))
        self.ask()
        self.prompt = [*self.beginning(), self.new(500, 4000)]

    def rewind(self) -> None:
        self.prompt = self.prompt[: self.random.randint(len(TOOLS) + 3, len(self.prompt))]

    def pause(self) -> None:
        self.now += self.random.uniform(EXPIRY, 20 * EXPIRY)

    def other(self, *, has_prompt: bool = False, **fields: str) -> "Person":
        """Somebody beside this one, at the same time: with the same conversation so far, or a new one."""
        speaker = Speaker(*(fields.get(name, getattr(self.speaker, name)) for name in Speaker.__slots__))
        prompt = list(self.prompt) if has_prompt else []
        shared = self.random, self.cache, self.tell, self.names
        return Person(*shared, speaker, self.now, self.change, self.needs_marks, prompt, self.answers)


def work(person: Person, turns: int, is_named: bool) -> None:
    """An honest day: turns, and all that happens in between."""
    rng = person.random
    others = [person]
    for number in range(turns):
        who = rng.choice(others)
        who.now = max(each.now for each in others)
        happening = rng.random()
        if happening < 0.1:
            who.compact()
        elif happening < 0.2:
            who.rewind()
        elif happening < 0.3:
            who.pause()
        elif happening < 0.4 and len(others) < 4:
            others.append(who.other(has_prompt=True, session=_session_of(who, f"fork {number}", is_named)))
        elif happening < 0.5 and len(others) < 4:
            others.append(who.other(session=_session_of(who, f"second {number}", is_named)))
        elif happening < 0.55:
            _at_once(who)
        elif happening < 0.65:
            _sub_agents(who, f"agent {number}" if is_named and rng.random() < 0.7 else "")
        elif happening < 0.75:
            _switch(who)
        elif happening < 0.85:
            _small_questions(who)
        who.turn()


def _session_of(person: Person, name: str, is_named: bool) -> str:
    """A session of its own, or the same one: not each program gives a fork another name."""
    return name if is_named and person.random.random() < 0.6 else person.speaker.session


def _at_once(person: Person) -> None:
    """Two conversations take turns under one name, request by request: a fork, or one that begins."""
    pair = person, person.other(has_prompt=person.random.random() < 0.5)
    for number in range(person.random.randint(4, 30)):
        who = pair[number % 2] if person.random.random() < 0.8 else person.random.choice(pair)
        who.now = max(each.now for each in pair) if person.random.random() < 0.7 else who.now
        who.prompt.append(who.new(5, person.random.choice((50, 500, 4000, 30_000))))
        who.ask()
    person.now = max(each.now for each in pair)


def _sub_agents(person: Person, name: str) -> None:
    """Several at once, each with a prompt of its own behind the same tools; the one that asked waits for them."""
    team = [person.other(agent=name and f"{name}.{number}") for number in range(person.random.randint(1, 4))]
    for each in team:
        each.prompt = [*TOOLS, ("system of agents", 1500), each.new(100, 5000)]
    for _ in range(person.random.randint(1, 8)):
        each = person.random.choice(team)
        each.prompt.append(each.new(5, 8000))
        each.ask()
    person.now = max(each.now for each in team)


def _switch(person: Person) -> None:
    model = person.speaker.model
    other = person.other(has_prompt=True, model="glm-5.2" if model == "glm-5.3" else "glm-5.3")
    other.turn()
    person.prompt, person.now = other.prompt, other.now


def _small_questions(person: Person) -> None:
    """Titles and pages to sum up: single prompts that have nothing in common, for a small model or the same."""
    model = person.random.choice(("glm-4.5-air", person.speaker.model))
    for _ in range(person.random.randint(1, 6)):
        single = person.other(model=model)
        single.prompt = [single.new(300, 20_000)]
        single.ask()
        person.now = single.now


def numbers() -> Iterator[int]:
    return count()
