"""Which part of a conversation's prompts changes, with each request or with some of them.

Observed: the parts of some of a conversation's prompts, and of all of them whether the cache gave what it should (a
hit) or not (a miss).

States: of each conversation the last few prompts are remembered, since forks and sub-agents may take turns under one
name. Of each part that has changed there is a row: how often it did so, and what it was.

Events, for a prompt that is looked at. It is held against the remembered one that it is most like. Others may have come
in between that were not looked at: that is no matter while the conversation went on, each larger than the one before.

| since that one      | the part is the same | it is one that was not there before | it is one of before |
| ------------------- | -------------------- | ----------------------------------- | ------------------- |
| the cache missed    | its row ends         | one more                            | begins anew at 0    |
| it did not miss     | nothing              | nothing                             | nothing             |

Where so much came in between that the messages behind the first ones cannot be compared, the row of those stays as it
is, and that nothing else changed says nothing. So it is with a prompt of the conversation that was in the same place
before, as documents one after the other are: of that the front alone is compared.

A row of three is a finding, or one of six where it may be no fault (`rows`). It stands through at most twice as many
hits in a row as ever were between two of its changes: where a part changes with each request there were none, and the
first hit ends it.
"""

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from extproc.domain.cache.conversation import Speaker
from extproc.domain.cache.lanes import WARM, Asked, goes_on_with, misses_what_was_there
from extproc.domain.cache.prompt import (
    FIRST_MESSAGES,
    LATER_MESSAGE,
    Cause,
    Change,
    Prompt,
    are_compared_to_the_end,
    are_of_one,
    bytes_compared,
    compared,
    differences,
    in_common,
    keeps_the_last,
)
from extproc.domain.cache.rows import ENOUGH, MOST_HITS, Row
from extproc.domain.request.record import record

_MOST_SPEAKERS: Final = 256
_MOST_STRANDS: Final = 8
_STRAND_SECONDS: Final = 900.0
_MOST_PROMPTS: Final = 4
_MOST_BYTES_PER_TOKEN: Final = 8


class When(StrEnum):
    """How often a part changes."""

    EACH_REQUEST = "with each request"
    SOME_REQUESTS = "every few requests"
    EACH_SESSION = "with each session"


@record
class Finding:
    """A part that changes: in so many requests in a row of those that missed and were looked at. The first was sent at
    `since`, the last that it may have changed in at `at` (Unix times). `is_cut` is whether only the front of them was.
    `may_be_the_end` is whether it may be no more than the end of each prompt, which a client takes back. Of what
    changes with each session the speaker has none, and `requests` are the first of theirs."""

    speaker: Speaker
    change: Change
    since: float
    at: float
    requests: int
    is_cut: bool = False
    when: When = When.EACH_REQUEST
    may_be_the_end: bool = False


@record
class _Known:
    """A prompt that is remembered, with its tokens. `is_foreign` is whether it is of the conversation that was in this
    place before."""

    prompt: Prompt
    tokens: int
    is_foreign: bool = False

    def held_against(self, now: Prompt) -> "_Compared | None":
        """What the next prompt has of this one; None if that is not to be compared."""
        changes = differences(self.prompt, now)
        if changes is None:
            return None
        goes_on = now.length > self.prompt.length and not any(change.is_of_messages for change in changes)
        if self.is_foreign:
            # It may be a fork of it, or have the same front, or be no more than another document between its words.
            changes = [change for change in changes if not change.is_of_messages]
        is_partial = self.is_foreign or not are_compared_to_the_end(self.prompt, now)
        return _Compared(self, changes, is_partial, goes_on)


@record
class _Compared:
    """A prompt was held against a `known` one: what differs, and whether more may that is not compared. If it goes on
    with that it replaces it. One that may be a fork is remembered beside it: otherwise, of two conversations that take
    turns, each prompt would be compared with the other conversation's."""

    known: _Known
    changes: list[Change]
    is_partial: bool
    goes_on: bool


@dataclass(slots=True)
class _Memory:
    """What is known of one speaker's prompts. Times are Unix times, of when a prompt was sent.

    Of those that were looked at: `prompts` are the last few, the latest last, and `rows` what changes
    in them, by the name of the part. The latest was sent at `heard`; `requests` counts them. `unmarked` is the latest,
    if it lacks marks that it needs; `is_cut` is whether only its front was looked at. `unchanged` counts the latest
    misses in which nothing changed, in `parts` parts. `begin_alike` is how many of the first messages of two of them
    were the same, where fewest were.

    Of those that were not: the latest was sent at `passed`, the latest of them that missed at `missed`. Of all that
    were looked at in a row, the first was sent at `began`.

    Of both, if the speaker is named: `latest` is the latest. `goes_on` is whether each since the last that was looked
    at was larger than the one before. `hits` counts those since the last miss; `hits_between` are the most in a row
    that a miss ended since the last that was looked at."""

    prompts: list[_Known] = field(default_factory=list)
    rows: dict[str, Row] = field(default_factory=dict)
    unmarked: Prompt | None = None
    is_cut: bool = False
    heard: float = 0.0
    requests: int = 0
    passed: float = 0.0
    missed: float = 0.0
    began: float = 0.0
    unchanged: int = 0
    parts: int = 0
    begin_alike: int = FIRST_MESSAGES
    latest: Asked | None = None
    goes_on: bool = False
    hits: int = 0
    hits_between: int = 0

    def follow(self, asked: Asked) -> bool:
        """A named speaker's next request has ended. Whether it missed; one that does not go on with the one before says
        neither that nor the contrary."""
        latest, self.latest = self.latest, replace(asked, prompt="")
        if latest is None:
            return False
        is_known = goes_on_with(asked, latest.input)
        is_missed = is_known and misses_what_was_there(asked, latest)
        self.goes_on = self.goes_on and asked.input > latest.input
        if is_known:
            self.count(is_missed=is_missed)
        return is_missed

    def count(self, *, is_missed: bool) -> None:
        """Counts hits in a row, and forgets what they end."""
        if is_missed:
            self.hits, self.hits_between = 0, max(self.hits, self.hits_between)
            return
        self.hits += 1
        if self.hits > MOST_HITS:
            self.unchanged = 0
        self.rows = {name: row for name, row in self.rows.items() if row.outlasts(self.hits)}

    def common_with(self, prompt: Prompt) -> int:
        """How many of the first messages a prompt has in common with one of these at most; all if there is none."""
        return max((in_common(known.prompt, prompt) for known in self.prompts), default=FIRST_MESSAGES)

    def closest(self, prompt: Prompt) -> _Compared | None:
        """A prompt held against the one of these that it is most like, the latest of several. Only where there is no
        other it is one of the conversation before."""
        found = [each for known in reversed(self.prompts) if (each := known.held_against(prompt)) is not None]
        return min(found, key=lambda each: (each.known.is_foreign, each.is_partial, len(each.changes)), default=None)

    def begin_anew(self) -> None:
        """Another conversation takes the place of this one."""
        self.latest, self.goes_on, self.unchanged = None, False, 0
        self.prompts = [replace(known, is_foreign=True) for known in self.prompts]
        self.rows = {name: row for name, row in self.rows.items() if not row.change.is_of_messages}

    def note(self, held: _Compared, prompt: Prompt, asked: Asked) -> None:
        """A prompt that missed was compared with one before it."""
        before, changes = held.known, {change.name: change for change in held.changes}
        kept = {*changes, LATER_MESSAGE} if held.is_partial else changes.keys()
        self.rows = {name: row for name, row in self.rows.items() if name in kept}
        for name, change in changes.items():
            row = self.rows.setdefault(name, Row.of(change, asked.sent))
            row.add(change, asked.sent, hits=self.hits_between, goes_on=held.goes_on)
        # Where all that was compared was found, what keeps the rest out stands behind it.
        there = min(before.tokens * WARM, bytes_compared(before.prompt, prompt) / _MOST_BYTES_PER_TOKEN)
        is_found = asked.cached >= max(1, there)
        if changes or not (held.is_partial or is_found):
            self.unchanged = 0 if changes else self.unchanged + 1
            self.parts = compared(before.prompt, prompt)

    def enough(self) -> list[Row]:
        """What has changed often enough. What may be no more than the end that a client takes back counts only if
        nothing further in front does: everything behind that is read anew."""
        rows = [row for row in self.rows.values() if row.is_enough]
        return [row for row in rows if not row.may_be_the_end] or rows

    def likeness(self, prompt: Prompt) -> tuple[int, int]:
        """How likely a prompt is to go on with one of these, as a value to compare: the kinship to the closest, and how
        long that one is. The kinship is 0 if it goes on with none."""
        before = (known.prompt for known in self.prompts)
        return max(((_kinship(each, prompt), each.length) for each in before), default=(0, 0))

    def worth(self, now: float) -> tuple[bool, float]:
        """A value to compare: what is worth least is forgotten first. First goes what had a single request, or none for
        a quarter of an hour, and of several such the one that was heard longest ago."""
        return self.requests > 1 and self.heard > now - _STRAND_SECONDS, self.heard


class Changes:
    """Compares the prompts of each speaker. Its memory is bounded: the speakers that were heard last."""

    def __init__(self) -> None:
        self._speakers: OrderedDict[Speaker, _Memory] = OrderedDict()

    def told_apart(self, speaker: Speaker, prompt: Prompt, sent: float) -> tuple[Speaker, bool]:
        """Which conversation of a speaker without a session this prompt goes on with, and whether that is a new one. If
        there is no place for a new one, it takes that of the one that is worth least."""
        self._memory(speaker)
        strands = [replace(speaker, strand=number) for number in range(1, _MOST_STRANDS + 1)]
        known = [(each, memory) for each in strands if (memory := self._speakers.get(each)) is not None]
        alike = [(memory.likeness(prompt), memory.heard, each) for each, memory in known]
        best = max(alike, key=lambda each: each[:2], default=None)
        if best is not None and best[0][0]:
            return best[2], False
        if len(known) < _MOST_STRANDS:
            return next(each for each in strands if each not in self._speakers), True
        strand, _ = min(known, key=lambda found: found[1].worth(sent))
        del self._speakers[strand]
        return strand, True

    def goes_on(self, speaker: Speaker, prompt: Prompt) -> bool:
        """Whether a prompt is known to go on with one before it of this conversation: it has the last message of that,
        or more in common with it than others had. Two that begin alike need not go on with one another."""
        memory = self._speakers.get(speaker)
        if memory is None or not memory.prompts:
            return False
        is_kept = any(keeps_the_last(known.prompt, prompt) for known in memory.prompts)
        return is_kept or memory.common_with(prompt) > memory.begin_alike

    def take(self, speaker: Speaker, prompt: Prompt, asked: Asked) -> None:
        """A request has ended that had this prompt. It is compared with one that others came behind which were not
        looked at only if they all went on with it: else what a person did to the conversation in between would be taken
        for its program's doing."""
        source = self._memory(_source(speaker))
        memory = self._memory(speaker)
        if source.began <= source.passed:
            source.began = asked.sent
        is_apart = memory.heard <= source.passed
        is_missed = speaker.is_named and (memory.follow(asked) or memory.missed > memory.heard)
        if is_apart and not memory.goes_on:
            memory.prompts = []
        memory.heard, memory.requests = max(memory.heard, asked.sent), memory.requests + 1
        memory.is_cut = prompt.is_cut
        memory.unmarked = prompt if asked.needs_marks and not prompt.is_marked and not prompt.is_cut else None
        memory.begin_alike = min(memory.begin_alike, memory.common_with(prompt))
        closest = memory.closest(prompt)
        if closest is not None:
            tokens = closest.known.tokens
            if closest.goes_on:
                memory.prompts = [known for known in memory.prompts if known is not closest.known]
            if not is_apart:
                is_missed = asked.cached < tokens * WARM and (goes_on_with(asked, tokens) or not speaker.is_named)
            if not speaker.is_named:
                memory.count(is_missed=is_missed)
            if is_missed:
                memory.note(closest, prompt, asked)
        memory.prompts = [*memory.prompts, _Known(prompt, asked.input)][-_MOST_PROMPTS:]
        memory.goes_on, memory.hits_between = speaker.is_named, 0

    def begin_anew(self, speaker: Speaker) -> None:
        """Another conversation takes the place of this one. The front of its prompts is still compared with that of the
        latest before, but what was found of the messages of those says nothing of its own."""
        memory = self._speakers.get(speaker)
        if memory is not None:
            memory.begin_anew()

    def pass_over(self, speaker: Speaker, asked: Asked) -> None:
        """A request has ended whose prompt was not looked at. Its tokens tell whether what was found goes on. If it
        names no session nobody knows of which conversation it is, so it may be of any of its source."""
        memory = self._speakers.get(speaker)
        if memory is None:
            return
        memory.passed = asked.sent
        is_missed = memory.follow(asked) if speaker.is_named else asked.cached < asked.input * WARM
        if is_missed:
            memory.missed = asked.sent

    def missed(self, speaker: Speaker) -> float:
        """When the latest prompt was sent (Unix time) that missed, was not looked at, and may be of this conversation;
        0 if none was. Of one without a session that may be any of its source, if it came by when that was looked at
        last."""
        memory, source = self._speakers.get(speaker), self._speakers.get(_source(speaker))
        return source.missed if memory is not None and source is not None and memory.heard >= source.began else 0.0

    def unmarked(self, speaker: Speaker) -> Prompt | None:
        """The latest prompt of a speaker, if nothing in it is marked for the cache where that is needed."""
        memory = self._speakers.get(speaker)
        return None if memory is None else memory.unmarked

    def unchanged(self, speaker: Speaker) -> Change | None:
        """What did not change in several prompts of a speaker in a row that had too little from the cache."""
        memory = self._speakers.get(speaker)
        if memory is None or memory.unchanged < ENOUGH:
            return None
        return Change(f"the first {memory.parts} parts", Cause.FORGOTTEN, 0, "")

    def is_cut(self, speaker: Speaker) -> bool:
        """Whether only the front of a speaker's latest prompt was looked at."""
        memory = self._speakers.get(speaker)
        return memory is not None and memory.is_cut

    def findings(self, now: float, within: float) -> list[Finding]:
        """What changes, as far as it did within these seconds, the latest first. It goes on with each request that has
        too little from the cache, until one is looked at in which nothing changed."""
        found = [
            Finding(
                speaker,
                row.change,
                row.since,
                max(row.at, self.missed(speaker)),
                row.requests,
                memory.is_cut,
                when=When.SOME_REQUESTS if row.hits else When.EACH_REQUEST,
                may_be_the_end=row.may_be_the_end,
            )
            for speaker, memory in self._speakers.items()
            for row in memory.enough()
        ]
        return sorted((each for each in found if now - each.at < within), key=lambda each: -each.at)

    def _memory(self, speaker: Speaker) -> _Memory:
        memory = self._speakers.setdefault(speaker, _Memory())
        self._speakers.move_to_end(speaker)
        if len(self._speakers) > _MOST_SPEAKERS:
            self._speakers.popitem(last=False)
        return memory


def _source(speaker: Speaker) -> Speaker:
    """Under which it is remembered when prompts were passed over: the speaker, without the number of a conversation
    that was told apart."""
    return speaker if speaker.is_named else replace(speaker, strand=0)


def _kinship(before: Prompt, now: Prompt) -> int:
    """0 if two prompts are not of one conversation, 1 if they are, 2 if they can be compared, 3 if one goes on with all
    messages of the other."""
    if not are_of_one(before, now):
        return 0
    changes = differences(before, now)
    if changes is None:
        return 1
    return 2 if any(change.is_of_messages for change in changes) else 3
