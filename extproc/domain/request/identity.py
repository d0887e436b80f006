"""Whether "overloaded" means it: Z.AI gives the same answer to a client whose looks it does not like.

A sentence in a system prompt, the preamble of an agent's SDK or a header of a library gets nothing but 1305, at any
load, while all others pass. Taken for an overload it slows everybody, for nothing, and nobody learns what to change.

The code does not tell the two apart, but the others do. A refusal is one of the identity if

* it goes on: the client has been refused before, and Z.AI has answered it nothing since, nor within the last minute;
* the others pass: meanwhile, and within the last minute, Z.AI has taken at least two requests of other clients; and
* undisturbed: no client that passed within a minute before has been refused since then.

So the first refusal of a client is always an overload, a client that is alone is never refused for its looks, and a
real overload, which also meets those who have just passed, slows all at once. Moments are those at which Z.AI took or
refused a request, and not at which its answer ended: what began before an overload says nothing about it.

Pure: the events bring the time, in Unix seconds. They may come late and out of order; a clock that goes back makes
overloads of all refusals for a while, no more.
"""

import re
from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, TypeVar

from extproc.domain.request.business_codes import BusinessCode, ErrorClass
from extproc.domain.request.record import record

_WITHIN: Final = 60.0
_ANSWERS: Final = 2
# A client that has not asked for this long is judged anew. Agents wait for minutes before they try again.
_LONGEST_PAUSE: Final = 300.0
_SHOWN_FOR: Final = 600.0
_TOLD_EVERY: Final = 60.0
_MOST_CLIENTS: Final = 256
_MOST_SHOWN: Final = 20
_FAMILY: Final = re.compile(r"[A-Za-z0-9._-]{1,32}")
_ADVICE: Final = "Look at the client's user agent and system prompt: Z.AI answers others."

Value = TypeVar("Value")


@record
class Caller:
    """Who is told apart: the client's name (or what stands for one), and the family of its user agent."""

    name: str
    agent: str

    def __str__(self) -> str:
        return f"{self.name} ({self.agent})" if self.agent else self.name


@dataclass(frozen=True, slots=True)
class RefusedIdentity:
    """A client that Z.AI refuses for what it is: the first of its `refusals` was at `since`, the last at `at`."""

    caller: Caller
    code: str
    since: float
    at: float
    refusals: int
    is_news: bool
    """Whether nobody was told of it within the last minute."""

    def as_json(self) -> dict[str, object]:
        """For /status; times are Unix times."""
        return {
            "client": self.caller.name,
            "user_agent": self.caller.agent or None,
            "code": self.code,
            "since": self.since,
            "at": self.at,
            "refusals": self.refusals,
            "text": f"Z.AI refuses this client: {self.caller}. Look at its user agent and system prompt.",
        }


@lru_cache(maxsize=_MOST_CLIENTS)
def family(user_agent: str) -> str:
    """What a user agent calls itself, in small letters and without its version; empty if it does not."""
    match = _FAMILY.match(user_agent)
    return match[0].lower() if match else ""


def may_be_identity(code: BusinessCode) -> bool:
    """Whether a refusal with this code is to be judged."""
    return code.may_be_identity


def as_identity(code: BusinessCode) -> BusinessCode:
    """The same code as a refusal of a client's identity."""
    return replace(code, error_class=ErrorClass.IDENTITY, meaning="Z.AI refuses this client", advice=_ADVICE)


@dataclass(slots=True)
class _Streak:
    """Refusals of one client without an answer between them."""

    first: float
    last: float
    refusals: int = 0
    judged: RefusedIdentity | None = None
    told_at: float = -1e18


class RefusedIdentities:
    """Judges refusals by what others are answered meanwhile. Its memory is bounded: the clients that were seen last."""

    def __init__(self) -> None:
        self._answers: list[float] = []
        self._passed: OrderedDict[Caller, float] = OrderedDict()
        self._streaks: OrderedDict[Caller, _Streak] = OrderedDict()

    def answered(self, caller: Caller, at: float) -> None:
        """Z.AI answers a request as asked that it took at this moment. Told twice of one request, it counts once."""
        if at > self._passed.get(caller, -1e18):
            _put(self._passed, caller, at)
        streak = self._streaks.get(caller)
        if streak is not None and at > streak.first:
            del self._streaks[caller]
        if at not in self._answers:
            self._answers = sorted((*self._answers, at))[-_ANSWERS:]

    def refused(self, caller: Caller, code: str, at: float) -> RefusedIdentity | None:
        """Z.AI has refused a request with a code of overload; None if it is one."""
        streak = self._streaks.get(caller)
        if streak is None or not streak.first <= at <= streak.last + _LONGEST_PAUSE:
            streak = _Streak(at, at)
        streak.last, streak.refusals = max(at, streak.last), streak.refusals + 1
        _put(self._streaks, caller, streak)
        if at - self._passed.get(caller, -1e18) < _WITHIN:
            self._answers = [answer for answer in self._answers if answer > at]
            return None
        if len(self._answers) < _ANSWERS or self._answers[0] <= max(streak.first, at - _WITHIN):
            return None
        is_news = at - streak.told_at >= _TOLD_EVERY
        if is_news:
            streak.told_at = at
        streak.judged = RefusedIdentity(caller, code, streak.first, streak.last, streak.refusals, is_news)
        return streak.judged

    def describe(self, now: float) -> list[dict[str, object]]:
        """Those that were refused so within the last ten minutes and not answered since, the latest first."""
        judged = [streak.judged for streak in self._streaks.values() if streak.judged is not None]
        latest = sorted((each for each in judged if now - each.at < _SHOWN_FOR), key=lambda each: -each.at)
        return [each.as_json() for each in latest[:_MOST_SHOWN]]


def _put(memory: "OrderedDict[Caller, Value]", caller: Caller, value: Value) -> None:
    memory[caller] = value
    memory.move_to_end(caller)
    if len(memory) > _MOST_CLIENTS:
        memory.popitem(last=False)
