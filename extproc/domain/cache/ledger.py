"""What came from the cache and what could have: by client and program, and the conversations that are cold now."""

import math
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import count
from typing import Any, Final, NamedTuple, TypeVar

from extproc.domain.cache.changes import Changes, Finding, When
from extproc.domain.cache.conversation import (
    SMALLEST_PROMPT,
    CacheTraits,
    Claim,
    Conversation,
    Misses,
    Speaker,
    patience_with,
)
from extproc.domain.cache.fronts import Fronts
from extproc.domain.cache.interest import Interest, Wait
from extproc.domain.cache.lanes import LONGEST_PAUSE, Asked, Lanes
from extproc.domain.cache.prompt import Cause, Change, read_prompt
from extproc.domain.cache.sessions import ShortSessions
from extproc.domain.request.programs import program_of
from extproc.domain.request.record import record
from extproc.domain.request.routes import LlmProtocol
from extproc.domain.usage.outcome import Outcome
from extproc.domain.usage.prices import PriceTable
from extproc.domain.usage.tokens import TokenCounts

VERSION: Final = 1
WINDOW_SECONDS: Final = 3600
"""What counts as lately."""

COLD_SECONDS: Final = 900.0
"""How long a conversation that says nothing any more still counts as cold."""

_SETTLES_AFTER: Final = 0.5
# For each request that is heard of so many are taken in at most, so that none has to wait for thousands.
_SETTLED_AT_ONCE: Final = 4
_MOST_NEW: Final = 10_000
_PART_SECONDS: Final = 300
_MOST_CONVERSATIONS: Final = 4096
_MOST_PROGRAMS: Final = 256
PROMPTS: Final = frozenset(set(LlmProtocol) - {LlmProtocol.OPENAI_EMBEDDINGS})

_SUMS: Final = ("requests", "input", "cached", "cacheable", "usd", "credits")
Key = TypeVar("Key")
Value = TypeVar("Value")


@record
class Price:
    """What tokens cost more than they had to, by list price and as credits of the plan; 0 where none is known."""

    usd: float = 0.0
    credits: float = 0.0


@dataclass(slots=True)
class Sums:
    """Tokens of prompts: all of them, what came from the cache, what could have; what the difference cost, where it was
    more than crumbs; and of how many more it is not known whether they could have come from the cache."""

    requests: int = 0
    input: int = 0
    cached: int = 0
    cacheable: int = 0
    usd: float = 0.0
    credits: float = 0.0
    unknown: int = 0

    def add(self, other: "Sums") -> None:
        self.requests += other.requests
        self.input += other.input
        self.cached += other.cached
        self.cacheable += other.cacheable
        self.usd += other.usd
        self.credits += other.credits
        self.unknown += other.unknown


@record
class ProgramUse:
    """What one program of a client did lately. `cold` are its conversations that are cold now."""

    client: str
    program: str
    sums: Sums
    cold: int


@record
class ColdConversation:
    """A conversation whose prompts miss the cache: how many in a row, with their tokens, and what that cost. Or several
    `sessions` of one program, each of which is too short to tell; the speaker has no session then."""

    speaker: Speaker
    misses: Misses
    price: Price
    sessions: int = 1


class _Lately:
    """Sums of the last hour, in parts of five minutes, by their number. Around a mark of five minutes those of both
    sides come mixed: requests are taken in by when they were sent, and count when they have ended."""

    def __init__(self) -> None:
        self._parts: dict[int, Sums] = {}

    def add(self, sums: Sums, now: float) -> None:
        number = int(now // _PART_SECONDS)
        if number not in self._parts:
            self._parts[number] = Sums()
            if len(self._parts) > WINDOW_SECONDS // _PART_SECONDS:
                del self._parts[min(self._parts)]
        if number in self._parts:
            self._parts[number].add(sums)

    def parts(self) -> list[list[float]]:
        """Plain values for `restored`."""
        return [[number, *(getattr(sums, name) for name in _SUMS)] for number, sums in sorted(self._parts.items())]

    def unknown(self) -> list[list[int]]:
        """The same of what is not known, as far as there is any."""
        return [[number, sums.unknown] for number, sums in sorted(self._parts.items()) if sums.unknown]

    @classmethod
    def restored(cls, parts: Iterable[list[Any]], unknown: Iterable[list[Any]], now: float) -> "_Lately":
        """The same again, without what is no longer of the last hour or, by a clock that was wrong, not yet. Raises
        TypeError or ValueError for what `parts` and `unknown` never say."""
        lately, last = cls(), int(now // _PART_SECONDS)
        unknown_of: dict[Any, Any] = dict(unknown)
        if not all(map(_is_sum, unknown_of.values())):
            raise ValueError
        for number, *values in parts:
            if type(number) is not int or len(values) != len(_SUMS) or not all(map(_is_sum, values)):
                raise ValueError
            if last - WINDOW_SECONDS // _PART_SECONDS < number <= last:
                sums = Sums(*values)
                sums.unknown = unknown_of.get(number, 0)
                lately._parts[number] = sums
        return lately

    def total(self, now: float) -> Sums:
        first = int(now // _PART_SECONDS) - WINDOW_SECONDS // _PART_SECONDS
        total = Sums()
        for number, sums in self._parts.items():
            if number > first:
                total.add(sums)
        return total


class _Heard(NamedTuple):
    """A request that was heard of at `at`. The `number` has those of one moment in the order in which they were."""

    sent: float
    number: int
    at: float
    speaker: Speaker
    asked: Asked


class CacheLedger:
    """Listens to finished requests. Its memory is bounded: the speakers and programs that were heard last. The sums of
    the last hour can be kept over a restart; conversations begin anew, and so do sums since the start."""

    def __init__(self, prices: PriceTable) -> None:
        self._prices = prices
        self._conversations: OrderedDict[Speaker, Conversation] = OrderedDict()
        self._lanes: OrderedDict[Speaker, Lanes] = OrderedDict()
        self._short_sessions: OrderedDict[Speaker, ShortSessions] = OrderedDict()
        self._lately: OrderedDict[tuple[str, str], _Lately] = OrderedDict()
        self._since_start: dict[str, Sums] = {}
        self._changes = Changes()
        self._fronts = Fronts()
        self._traits = CacheTraits()
        self._interest = Interest()
        # What is not taken in yet: a heap by when it was sent, and in the order in which it was heard of.
        self._numbers = count()
        self._new: list[_Heard] = []
        self._heard: deque[_Heard] = deque()
        self._until = -math.inf

    def take(self, outcome: Outcome, now: float) -> None:
        """A request has ended. Nothing is made of one whose prompt nobody has counted, whose answer says nothing of a
        cache, or that is very short."""
        asked = _asked(outcome)
        if asked is not None:
            self.hear(_speaker(outcome), asked, now)

    def hear(self, speaker: Speaker, asked: Asked, now: float) -> None:
        """The same of a request whose speaker is known."""
        self._interest.take(speaker, asked)
        heard = _Heard(asked.sent, next(self._numbers), now, speaker, asked)
        heappush(self._new, heard)
        self._heard.append(heard)
        self._settle(now, _SETTLED_AT_ONCE)

    def wants_parts(self, speaker: Speaker) -> bool:
        """Whether to have Envoy tell of the parts of a prompt that is about to be sent; asked once of each. The
        speaker's model is the one that is asked for."""
        return self._interest.takes_a_look(speaker)

    def snapshot(self, now: float, *, is_last: bool = False) -> dict[str, object]:
        """Plain values for `restore`: the last hour's sums. The latest half second is not in them yet, unless nothing
        more is to come."""
        self._settle(now + _SETTLES_AFTER if is_last else now)
        programs = [[*key, lately.parts()] for key, lately in self._lately.items()]
        unknown = [[*key, told] for key, lately in self._lately.items() if (told := lately.unknown())]
        return {"version": VERSION, "part_seconds": _PART_SECONDS, "programs": programs, "unknown": unknown}

    @property
    def is_settled(self) -> bool:
        """Whether all that was heard is in the sums."""
        return not self._new

    def restore(self, data: object, now: float) -> None:
        """Takes over what a `snapshot` said. Raises ValueError, and changes nothing, for what no snapshot says."""
        if not isinstance(data, Mapping) or (data.get("version"), data.get("part_seconds")) != (VERSION, _PART_SECONDS):
            raise ValueError("this version writes no such sums of the cache")
        try:
            # Versions before this one say nothing of what is not known.
            unknown = {(client, program): told for client, program, told in data.get("unknown", ())}
            found = [_program(row, unknown, now) for row in data["programs"]]
        except (LookupError, TypeError, ValueError):
            raise ValueError("a row of it is damaged") from None
        self._lately = OrderedDict(found[-_MOST_PROGRAMS:])

    def programs(self, now: float) -> list[ProgramUse]:
        """Each client and program of the last hour, those first that lost most."""
        cold = Counter((each.speaker.client, each.speaker.program) for each in self.cold(now))
        found = [(key, lately.total(now)) for key, lately in self._lately.items()]
        used = [ProgramUse(*key, sums, cold[key]) for key, sums in found if sums.requests]
        return sorted(used, key=lambda each: (-each.sums.usd, -each.sums.credits, -each.sums.input))

    def cold(self, now: float) -> list[ColdConversation]:
        """The conversations that are cold now, those first that lost most."""
        self._settle(now)
        found = (replace(each, speaker=_name_of(each.speaker)) for each in self._cold(now))
        return sorted(found, key=lambda each: (-each.price.usd, -each.misses.due))

    def since_start(self, now: float) -> Mapping[str, Sums]:
        """The sums of each program since the start; those without a name have `""`."""
        self._settle(now)
        return self._since_start

    def waits_for_a_look(self, speaker: Speaker) -> Wait | None:
        """What a conversation waits for until its prompts are looked at; None if they are, or if nothing is missing."""
        return self._interest.waits(speaker)

    def findings(self, now: float) -> list[Finding]:
        """What keeps prompts out of the cache, as far as Envoy tells of their parts; the latest first."""
        self._settle(now)
        found = self._changing(now)
        named = {each.speaker for each in found}
        parts = {(*_program_of(each.speaker), each.change.name) for each in found}
        of_sessions = self._fronts.findings(now, COLD_SECONDS)
        told = [
            *found,
            *(each for each in of_sessions if (*_program_of(each.speaker), each.change.name) not in parts),
            *(each for each in self._unchanged(now) if each.speaker not in named),
        ]
        # Of two conversations under one name the latest word.
        of_names = {(_name_of(each.speaker), each.change.name): each for each in reversed(told)}
        return [replace(each, speaker=name) for (name, _), each in reversed(of_names.items())]

    def _changing(self, now: float) -> list[Finding]:
        """The parts of prompts that change. Those that don't change with each request have to be worth a word, and so
        do the last messages: a client may take back what it has put there for one turn."""
        found = self._changes.findings(now, COLD_SECONDS)
        return [each for each in found if self._is_worth_a_word(each) and not self._is_left(each.speaker)]

    def _is_worth_a_word(self, finding: Finding) -> bool:
        if finding.when is not When.EACH_REQUEST and not self._loses_much(finding.speaker):
            return False
        conversation = self._conversations.get(finding.speaker)
        return not finding.may_be_the_end or (conversation is not None and conversation.is_cold)

    def _loses_much(self, speaker: Speaker) -> bool:
        conversation = self._conversations.get(speaker)
        return conversation is not None and conversation.loses_much

    def _unchanged(self, now: float) -> Iterator[Finding]:
        """The cold conversations in which nothing changes: nothing is marked for the cache where that is needed, or the
        cache forgets it. It may be something else, of which no hash is told, where it gives as much as half."""
        for each in self._cold(now):
            misses, change = each.misses, self._changes.unchanged(each.speaker)
            if self._changes.unmarked(each.speaker) is not None and not misses.cached:
                change = Change("the whole prompt", Cause.CACHE_CONTROL, 0, "")
            if change is not None and misses.cached < misses.due / 2:
                is_cut = self._changes.is_cut(each.speaker)
                yield Finding(each.speaker, change, misses.since, misses.at, misses.requests, is_cut)

    def _settle(self, now: float, most: int = _MOST_NEW) -> None:
        """Takes in what was heard a moment ago and what was sent before that, in the order in which it was sent:
        Envoy's threads tell each of its own requests."""
        # More than is ever asked within that moment: the clock was set back.
        before = now - _SETTLES_AFTER if len(self._new) < _MOST_NEW else math.inf
        # What was heard of later than now was so before the clock was set back.
        while self._heard and (self._heard[0].at <= before or self._heard[0].at > now):
            self._until = max(self._until, self._heard.popleft().sent)
        while self._new and self._new[0].sent <= self._until:
            if not most:
                return
            most -= 1
            heard = heappop(self._new)
            self._take(heard.speaker, heard.asked, heard.at)
        self._until = -math.inf

    def _take(self, speaker: Speaker, asked: Asked, now: float) -> None:
        prompt = read_prompt(asked.prompt) if asked.prompt else None
        sessions = self._sessions_like(speaker) if speaker.is_named else None
        begins_anew = False
        if sessions is not None:
            self._fronts.take(speaker, asked, prompt)
            speaker, is_new = self._lane_of(speaker, asked, sessions)
        elif prompt is not None:
            speaker, is_new = self._changes.told_apart(speaker, prompt, asked.sent)
            begins_anew = not self._changes.goes_on(speaker, prompt)
        else:
            is_new = False
        if is_new and (ended := self._conversations.pop(speaker, None)) is not None:
            self._add(speaker, Sums(unknown=ended.unproven_tokens), now)
        if prompt is None:
            self._changes.pass_over(speaker, asked)
        else:
            self._changes.take(speaker, prompt, asked)
        self._add(speaker, Sums(1, asked.input, asked.cached, asked.cached), now)
        if not self._pays_off(speaker.model, now):
            return
        conversation = self._conversations.get(speaker)
        if conversation is None:
            steps = None if sessions is None else sessions.steps
            conversation = Conversation(self._traits, patience_with(speaker), steps)
        _put(self._conversations, speaker, conversation, _MOST_CONVERSATIONS)
        told = conversation.take(asked, begins_anew=begins_anew)
        for claim in told.claims:
            self._add(speaker, self._sums_of(claim, speaker.model), now)
        if sessions is not None and not conversation.is_cold:
            sessions.take(replace(speaker, strand=0), told)
        if told.unknown:
            self._add(speaker, Sums(unknown=told.unknown), now)

    def _lane_of(self, speaker: Speaker, asked: Asked, sessions: ShortSessions) -> tuple[Speaker, bool]:
        """Which conversation under a session's name a request is of, and whether that is a new one."""
        lanes = self._lanes.get(speaker)
        is_first = lanes is None
        lanes = lanes or Lanes()
        _put(self._lanes, speaker, lanes, _MOST_CONVERSATIONS)
        sequel = lanes.take(asked)
        lane = replace(speaker, strand=sequel.lane)
        if sequel.is_new:
            self._changes.begin_anew(lane)
            if not is_first:
                sessions.steps.take(breaks_off=True)
        return lane, sequel.is_new

    def _is_left(self, speaker: Speaker) -> bool:
        """Whether a session's name has gone on with another conversation, and for so long that this one is over."""
        if not speaker.is_named:
            return False
        lanes = [self._conversations.get(replace(speaker, strand=number)) for number in (1, 2)]
        heard = self._conversations[speaker].heard if speaker in self._conversations else 0.0
        return any(lane is not None and lane.heard - heard > LONGEST_PAUSE for lane in lanes)

    def _cold(self, now: float) -> Iterator[ColdConversation]:
        """Those that are cold by their tokens, and those of which a part is known that changes with some requests. Of
        those under a session's name the one that lost most. Of a source without a session either those that were told
        apart by their prompts or, if none of them is cold, the one that its tokens tell of: the same requests may be in
        both."""
        told: set[Speaker] = set()
        changing = {each.speaker for each in self._changing(now) if self._loses_much(each.speaker)}
        found = []
        for speaker, conversation in self._conversations.items():
            if not (conversation.is_cold or speaker in changing) or self._is_left(speaker):
                continue
            misses = conversation.misses if conversation.is_cold else conversation.lately
            is_told_apart = speaker.strand and not speaker.is_named
            heard = max(conversation.heard, self._changes.missed(speaker) if is_told_apart else 0.0)
            if misses is not None and now - heard < COLD_SECONDS:
                found.append((speaker, misses))
        for speaker, misses in sorted(found, key=lambda each: (not each[0].strand, each[1].cached - each[1].due)):
            name = replace(speaker, strand=0)
            if name in told and (speaker.is_named or not speaker.strand):
                continue
            told.add(name)
            price = self._price(speaker.model, misses.due - misses.cached, misses.at)
            yield ColdConversation(speaker, misses, price)

        for speaker, sessions in self._short_sessions.items():
            if sessions.misses is not None and now - sessions.heard < COLD_SECONDS:
                misses = sessions.misses
                price = self._price(speaker.model, misses.due - misses.cached, misses.at)
                yield ColdConversation(speaker, misses, price, sessions.sessions)

    def _sessions_like(self, speaker: Speaker) -> ShortSessions:
        """Those of the same client, program and model."""
        program = Speaker(speaker.client, "", speaker.program, "", "", speaker.model)
        sessions = self._short_sessions.get(program) or ShortSessions()
        _put(self._short_sessions, program, sessions, _MOST_PROGRAMS)
        return sessions

    def _sums_of(self, claim: Claim, model: str) -> Sums:
        """What a claim adds to its request, which is in the sums already."""
        price = self._price(model, claim.lost, claim.asked.sent)
        cacheable = claim.missing - claim.unknown
        return Sums(cacheable=cacheable, usd=price.usd, credits=price.credits)

    def _add(self, speaker: Speaker, sums: Sums, now: float) -> None:
        key = speaker.client, speaker.program
        lately = self._lately.get(key) or _Lately()
        _put(self._lately, key, lately, _MOST_PROGRAMS)
        lately.add(sums, now)
        self._since_start.setdefault(speaker.program, Sums()).add(sums)

    def _price(self, model: str, tokens: int, at: float) -> Price:
        """What so many tokens cost more as input than from the cache."""
        full, cached = TokenCounts(input=tokens), TokenCounts(cache_read=tokens)
        cost, less = self._prices.cost(model, full, at), self._prices.cost(model, cached, at)
        credits, fewer = self._prices.credits(model, full, at), self._prices.credits(model, cached, at)
        return Price(
            usd=cost.total - less.total if cost is not None and less is not None else 0.0,
            credits=credits - fewer if credits is not None and fewer is not None else 0.0,
        )

    def _pays_off(self, model: str, at: float) -> bool:
        """Whether cached input is cheaper at all, or its price is not known."""
        tokens = TokenCounts(input=1)
        if self._prices.cost(model, tokens, at) is None:
            return True
        price = self._price(model, SMALLEST_PROMPT, at)
        return price.usd > 0.0 or price.credits > 0.0


def _asked(outcome: Outcome) -> Asked | None:
    entry, usage = outcome.entry, outcome.usage
    if usage is None or usage.estimated.input or not entry.answer.tells_cache or entry.sent_upstream is None:
        return None
    tokens = usage.tokens
    if outcome.route.llm_protocol not in PROMPTS or tokens.input_total < SMALLEST_PROMPT:
        return None
    begun = entry.duration if entry.first_byte is None else entry.first_byte
    return Asked(
        sent=entry.started + entry.sent_upstream,
        begun=entry.started + begun,
        ended=entry.started + (entry.duration if entry.last_byte is None else entry.last_byte),
        input=tokens.input_total,
        cached=tokens.cache_read,
        output=tokens.output - tokens.reasoning,
        prompt=entry.prompt,
        needs_marks=outcome.route.llm_protocol is LlmProtocol.ANTHROPIC_MESSAGES,
        model=entry.model_asked,
        came=entry.started,
    )


def _name_of(speaker: Speaker) -> Speaker:
    """The speaker, by the name under which its requests came: a session may have several conversations."""
    return replace(speaker, strand=0) if speaker.is_named else speaker


def _program_of(speaker: Speaker) -> tuple[str, str, str]:
    return speaker.client, speaker.program, speaker.model


def _speaker(outcome: Outcome) -> Speaker:
    entry = outcome.entry
    return Speaker(
        client=entry.client,
        source=entry.source,
        program=program_of(entry.user_agent),
        session=entry.session or entry.thread,
        agent=entry.agent,
        model=entry.answer.model or entry.model_asked,
    )


def _program(
    row: Any, unknown: Mapping[tuple[str, str], list[list[Any]]], now: float
) -> tuple[tuple[str, str], _Lately]:
    client, program, parts = row
    if not isinstance(client, str) or not isinstance(program, str):
        raise ValueError
    key = client, program
    return key, _Lately.restored(parts, unknown.get(key, ()), now)


def _is_sum(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < float("inf")


def _put(memory: "OrderedDict[Key, Value]", key: Key, value: Value, most: int) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > most:
        memory.popitem(last=False)
