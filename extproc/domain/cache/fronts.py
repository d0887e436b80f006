"""Which part in front of a program's prompts changes with each of its sessions, though others behind it stay.

Observed: the tokens of each session's first request, and the parts of one of its later prompts, if any is looked at.
Those of one session are held against those of the few sessions before, and of these against the one that it has most in
common with: main conversations and sub-agents of several kinds take turns. If a part differs, none of what stands
behind it can come from the cache that the other session has filled. It is a pity only if much behind it is the same, as
far as the next part that differs. A part that is another one in three sessions in a row, never one that was there
before, is a finding; a session in which nothing differs ends it.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from extproc.domain.cache.changes import Finding, Row, When
from extproc.domain.cache.conversation import LONGEST_PAUSE, Asked, Speaker
from extproc.domain.cache.prompt import Prompt, front_change

# Some thousand tokens. Claude Code 2.1.330 has 6,800 bytes behind its line.
_LEAST_BYTES: Final = 4096
_MOST_BYTES_PER_TOKEN: Final = 8
_MOST_SESSIONS: Final = 4096
_MOST_PROGRAMS: Final = 256
_MOST_FRONTS: Final = 6


@dataclass(slots=True)
class _Session:
    """Its first request was sent at `began` (Unix time), and `missed` so many tokens of it did not come from the cache.
    `is_soon` is whether the cache could still know what it has in common with one of another session, `is_known`
    whether a prompt of this one has been looked at."""

    began: float
    missed: int
    is_soon: bool
    is_known: bool = False


@dataclass(slots=True)
class _Program:
    """Its latest request was sent at `heard` (Unix time). `prompts` are those of the latest sessions that were looked
    at, the latest last, and `rows` has what changes, by the name of the part."""

    heard: float = 0.0
    prompts: list[Prompt] = field(default_factory=list)
    rows: dict[str, Row] = field(default_factory=dict)


class Fronts:
    """Compares the sessions of each client's program. Its memory is bounded: those that were heard last."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[Speaker, _Session] = OrderedDict()
        self._programs: OrderedDict[Speaker, _Program] = OrderedDict()

    def take(self, speaker: Speaker, asked: Asked, prompt: Prompt | None) -> None:
        """A request of a session has ended; `prompt` is None if it was not looked at."""
        key = Speaker(speaker.client, "", speaker.program, "", "", speaker.model)
        program = self._programs.setdefault(key, _Program())
        is_soon = asked.sent - program.heard <= LONGEST_PAUSE
        session = self._sessions.get(speaker) or _Session(asked.sent, asked.missed, is_soon)
        program.heard = max(program.heard, asked.sent)
        self._sessions[speaker] = session
        for memory, each, most in ((self._sessions, speaker, _MOST_SESSIONS), (self._programs, key, _MOST_PROGRAMS)):
            memory.move_to_end(each)
            if len(memory) > most:
                memory.popitem(last=False)
        if prompt is None or session.is_known:
            return
        session.is_known = True
        if session.is_soon:
            _compare(program, prompt, session)
        program.prompts = [*program.prompts, prompt][-_MOST_FRONTS:]

    def findings(self, now: float, within: float) -> list[Finding]:
        """What changes, as far as it did within these seconds. The speaker has no session."""
        return [
            Finding(key, row.change, row.since, row.at, row.requests, when=When.EACH_SESSION)
            for key, program in self._programs.items()
            for row in program.rows.values()
            if row.is_enough and now - row.at < within
        ]


def _compare(program: _Program, prompt: Prompt, session: _Session) -> None:
    """Notes what differs, if the first request of the session can have missed what is the same behind it."""
    if any((before.tools, before.system) == (prompt.tools, prompt.system) for before in program.prompts):
        values = {each.hash for each in (prompt.tools, *prompt.system) if each is not None}
        program.rows = {name: row for name, row in program.rows.items() if row.change.value not in values}
        return
    found = [each for before in reversed(program.prompts) if (each := front_change(before, prompt)) is not None]
    change, same = max(found, key=lambda each: each[1], default=(None, 0))
    if change is None or same < _LEAST_BYTES or session.missed * _MOST_BYTES_PER_TOKEN < same:
        return
    row = program.rows.get(change.name) or Row(session.began, session.began, change)
    row.add(change, session.began, hits=0)
    program.rows = {change.name: row}
