"""Which part in front of a program's prompts changes with each of its sessions, though others behind it stay.

Observed: the tokens of each session's first request, and the parts of one of its later prompts, if any is looked at.
Sub-agents count like sessions. Those of one are held against those of the latest few, and of these against the one that
it has most in common with: main conversations and sub-agents of several kinds take turns. If a part differs, none of
what stands behind it can come from the cache that the other has filled. It is a pity only if much behind it is the
same, as far as the next part that differs. A part of quite another length is a role of agents of another kind.

What stands the same behind a part makes a row of those that it is held against: a part that is another one three times
in a row, never one that was there before, is a finding. Where nobody knows what it is it takes six: it may be the role
of an agent, of which a program has a few. A session whose front was there before as it is ends its row; that of the
agents of one session may be the same.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from extproc.domain.cache.changes import Finding, When
from extproc.domain.cache.conversation import Speaker
from extproc.domain.cache.lanes import LONGEST_PAUSE, Asked
from extproc.domain.cache.prompt import Cause, FrontChange, Prompt, front_change, have_one_front
from extproc.domain.cache.rows import Row

# Some thousand tokens. Claude Code 2.1.330 has 6,800 bytes behind its line.
_LEAST_BYTES: Final = 4096
_MOST_BYTES_PER_TOKEN: Final = 8
_MOST_SESSIONS: Final = 4096
_MOST_PROGRAMS: Final = 256
_MOST_FRONTS: Final = 16
_MOST_ROWS: Final = 8
_ENOUGH_OF_UNKNOWN: Final = 6


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
    """Its latest request was sent at `heard` (Unix time). `prompts` are the latest that were looked at, each with its
    session, the latest last. `rows` has what changes in front of what stays the same."""

    heard: float = 0.0
    prompts: list[tuple[str, Prompt]] = field(default_factory=list)
    rows: list[tuple[FrontChange, Row]] = field(default_factory=list)


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
            _compare(program, speaker.session, prompt, session)
        program.prompts = [*program.prompts, (speaker.session, prompt)][-_MOST_FRONTS:]

    def findings(self, now: float, within: float) -> list[Finding]:
        """What changes, as far as it did within these seconds. The speaker has no session."""
        return [
            Finding(key, row.change, row.since, row.at, row.requests, when=When.EACH_SESSION)
            for key, program in self._programs.items()
            for row in {row.change.name: row for _, row in program.rows if _is_enough(row)}.values()
            if now - row.at < within
        ]


def _compare(program: _Program, name: str, prompt: Prompt, session: _Session) -> None:
    """Notes what differs, if the first request of the session can have missed what is the same behind it."""
    the_same = [known for known, before in program.prompts if have_one_front(before, prompt)]
    if the_same:
        if any(known != name for known in the_same):
            program.rows = [(known, row) for known, row in program.rows if not known.is_before(prompt)]
        return
    found = [front_change(before, prompt) for _, before in reversed(program.prompts)]
    of_a_kind = [each for each in found if each is not None and each.is_of_a_kind]
    most = max(of_a_kind, key=lambda each: each.bytes, default=None)
    if most is None or most.bytes < _LEAST_BYTES or session.missed * _MOST_BYTES_PER_TOKEN < most.bytes:
        return
    row = next((row for known, row in program.rows if _is_one_row(known, most)), None)
    if row is not None and most.change.value in row.values:
        return  # another of the same session, which has that part too
    if row is None:
        row = Row.of(most.change, session.began)
        program.rows = [*program.rows, (most, row)][-_MOST_ROWS:]
    row.add(most.change, session.began)


def _is_enough(row: Row) -> bool:
    return row.is_enough and (row.change.cause is not Cause.UNKNOWN or row.requests >= _ENOUGH_OF_UNKNOWN)


def _is_one_row(one: FrontChange, other: FrontChange) -> bool:
    """Whether it is the same part, in front of the same blocks."""
    return (one.change.name, one.same) == (other.change.name, other.same)
