"""Whose prompts Envoy is asked to tell the parts of: to hash them costs time, and of most nobody has to know.

Where nearly all of a prompt came from the cache, or of what the one before had put there, nothing can have changed in
it. So a conversation is of interest once an answer has had less, until one has its due again. A fault is named later
for that: its first prompt is not seen, and the second has none to be held against.

Two prompts in a row are enough to be compared. So a few in a row are looked at, at once, and then several times as many
are passed over: whether it goes on, their tokens tell. The first rest is the shortest: what was not found by then may
have begun since.

Where answers with too little take turns with others, so few in a row would seldom meet a change. But as long as a
conversation goes on, prompts that are further apart tell it too. So each seventh is looked at, whatever it has.

Programs that name no session are looked at by their source, the longer at a time the longer it lasts, since many
conversations may take turns there. And a client's program has a budget, which its requests fill: that bounds the share
that is looked at for many short conversations too.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from math import ceil
from typing import Final, TypeAlias, TypeVar

from extproc.domain.cache.conversation import Speaker
from extproc.domain.cache.lanes import LONGEST_PAUSE, WARM, Asked, Lanes, misses_what_was_there

RESTS: Final = 6
"""For each prompt that is looked at so many are passed over."""

LATER_RESTS: Final = 24
"""The same where one row has been looked at before."""

AT_FIRST: Final = 48
"""So many prompts of a client's program may be looked at before there was any to pass over."""

_ONE: Final = 1
_FEW: Final = 5
_FEW_OF_A_SOURCE: Final = 12
_MOST_IN_A_ROW: Final = 48
_WELL: Final = 24
_TURNS: Final = 2
_MOST_BY_CHANCE: Final = 2
_MOST_CONVERSATIONS: Final = 4096
_MOST_BUDGETS: Final = 256
_Key: TypeAlias = tuple[str, str, str, str, str, str]
Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(slots=True)
class _Look:
    """How a conversation or a source is looked at: `left` more prompts, and then none of the next `rest`. `few` are as
    many as are looked at in a row the next time, for each of which `rests` are passed over then. `warm` counts the
    latest answers that had nearly all."""

    few: int
    left: int = 0
    rest: int = 0
    rests: int = RESTS
    warm: int = 0


@dataclass(frozen=True, slots=True)
class Wait:
    """After how many more `requests` prompts are looked at: of a conversation's own, or of its whole program."""

    requests: int
    is_for_program: bool


@dataclass(slots=True)
class _Turns:
    """How answers that come short and others take turns in a conversation, of which the latest was sent at `sent`. Of
    the latest in a row `well` did not come short, or `short` did. `relapses` counts how often one did behind others
    that did not. `is_ill` is whether the latest answer had less than its due. There were so many `requests`."""

    sent: float = 0.0
    requests: int = 0
    is_ill: bool = False
    well: int = 0
    short: int = 0
    relapses: int = 0

    def take(self, asked: Asked, before: Asked | None) -> None:
        """A request goes on with the one before, None if it is the first."""
        self.sent, self.requests = asked.sent, self.requests + 1
        is_warm = asked.cached >= asked.input * WARM
        if before is None:
            self.is_ill = not is_warm
            return
        is_missed = misses_what_was_there(asked, before)
        self.relapses += is_missed and self.well > 0
        self.well, self.short = (0, self.short + 1) if is_missed else (self.well + 1, 0)
        if self.well > _WELL or self.short > _FEW:
            self.relapses = 0
        # After a pause the cache may have forgotten it: then it is not known.
        self.is_ill = not is_warm and (is_missed or asked.sent - before.sent > LONGEST_PAUSE)

    @property
    def are_taken(self) -> bool:
        return self.relapses >= _TURNS


@dataclass(slots=True)
class _Session:
    """The conversations under one name, by the numbers of their lanes."""

    lanes: Lanes = field(default_factory=Lanes)
    turns: dict[int, _Turns] = field(default_factory=dict)

    def take(self, asked: Asked) -> bool:
        """Whether a request says something of a conversation. Small questions do not, and few of them seem to go on
        with one another by chance."""
        largest = self.lanes.largest()
        sequel = self.lanes.take(asked)
        if sequel.is_new:
            self.turns[sequel.lane] = _Turns()
        turns = self.turns[sequel.lane]
        turns.take(asked, sequel.before)
        if asked.input < largest and turns.requests <= _MOST_BY_CHANCE:
            turns.is_ill = False
            return False
        return True

    def going_on(self, now: float) -> list[_Turns]:
        """Those that were heard of lately."""
        return [each for each in self.turns.values() if now - each.sent <= LONGEST_PAUSE]


class Interest:
    """The conversations whose latest answer had too little from the cache. Its memory is bounded."""

    def __init__(self) -> None:
        self._looks: OrderedDict[_Key, _Look] = OrderedDict()
        self._sessions: OrderedDict[_Key, _Session] = OrderedDict()
        self._budgets: OrderedDict[tuple[str, str], float] = OrderedDict()

    def take(self, speaker: Speaker, asked: Asked) -> None:
        """A request has ended. What is known before the next one is answered is the model that it asks for."""
        key = _key(speaker, asked.model or speaker.model)
        if speaker.is_named:
            self._take_of_session(key, speaker, asked)
            return
        is_warm = asked.cached >= asked.input * WARM
        look = self._looks.get(key)
        if look is None or (look.warm >= _WELL and not is_warm):
            look = _Look(_FEW_OF_A_SOURCE)
        look.warm = look.warm + 1 if is_warm else 0
        self._put(key, look)

    def _take_of_session(self, key: _Key, speaker: Speaker, asked: Asked) -> None:
        session = self._sessions.get(key) or _Session()
        _remember(self._sessions, key, session, _MOST_CONVERSATIONS)
        if not session.take(asked):
            return
        going_on = session.going_on(asked.sent)
        if any(each.are_taken for each in going_on):
            look = self._looks.get(key) or _Look(_ONE)
            look.few, look.rest = _ONE, min(look.rest, RESTS)
            self._put(key, look)
        elif any(each.is_ill for each in going_on):
            look = self._looks.get(key) or _Look(_FEW)
            look.few = _FEW
            self._put(key, look)
        elif (ended := self._looks.pop(key, None)) is not None:
            self._save(speaker, ended.left)

    def takes_a_look(self, speaker: Speaker) -> bool:
        """Whether to look at this prompt, which is about to be sent; asked once of each. The speaker's model is the one
        that it asks for. A source of requests without a session is looked at before anything is known of it."""
        self._save(speaker, 1 / (1 + RESTS))
        key = _key(speaker, speaker.model)
        look = self._looks.get(key)
        if look is None and not speaker.is_named:
            look = _Look(_FEW_OF_A_SOURCE)
            self._put(key, look)
        if look is None or look.warm >= _WELL:
            return False
        if not look.left and not look.rest:
            look.left = self._granted(speaker, look.few)
            look.rest = look.rests * look.left
            if look.left:
                look.rests = LATER_RESTS
            if look.left and not speaker.is_named:
                look.few = min(2 * look.few, _MOST_IN_A_ROW)
        if look.left:
            look.left -= 1
            return True
        look.rest = max(0, look.rest - 1)
        return False

    def waits(self, speaker: Speaker) -> Wait | None:
        """What a conversation waits for until its prompts are looked at; None if they are, or if nothing is missing.
        The speaker's model may be another one than the one that it asks for."""
        whose = _key(speaker, "")[:-1]
        looks = [look for key, look in self._looks.items() if key[:-1] == whose and look.warm < _WELL]
        if not looks or any(look.left for look in looks):
            return None
        if rest := min(look.rest for look in looks):
            return Wait(rest, is_for_program=False)
        least = min(min(look.few, _least(speaker)) for look in looks)
        lacking = ceil((least - self._budgets.get((speaker.client, speaker.program), AT_FIRST)) * (1 + RESTS))
        return Wait(lacking, is_for_program=True) if lacking > 0 else None

    def _granted(self, speaker: Speaker, few: int) -> int:
        """Takes so many out of the budget, or what there is, if it is enough to be worth it."""
        key = speaker.client, speaker.program
        granted = min(few, int(self._budgets[key]))
        if granted < min(few, _least(speaker)):
            return 0
        self._budgets[key] -= granted
        return granted

    def _save(self, speaker: Speaker, prompts: float) -> None:
        key = speaker.client, speaker.program
        saved = min(_MOST_IN_A_ROW, self._budgets.get(key, AT_FIRST) + prompts)
        _remember(self._budgets, key, saved, _MOST_BUDGETS)

    def _put(self, key: _Key, look: _Look) -> None:
        _remember(self._looks, key, look, _MOST_CONVERSATIONS)


def _remember(memory: "OrderedDict[Key, Value]", key: Key, value: Value, most: int) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > most:
        memory.popitem(last=False)


def _least(speaker: Speaker) -> int:
    """So many prompts in a row have to be granted, or none is worth it."""
    return _FEW if speaker.is_named else _FEW_OF_A_SOURCE


def _key(speaker: Speaker, model: str) -> _Key:
    return speaker.client, speaker.source, speaker.program, speaker.session, speaker.agent, model
