"""What a request could have had from the cache, and when a conversation has too little of it.

Observed: the tokens of each request that was answered, when it left, when its answer began and ended, and under which
name of a conversation it came. Nobody says which request goes on with which, and no text is known. Those that take
turns under one name were sorted by their sizes before (`lanes`).

A request *claims* its due, the whole prompt before it, if there is no other reading than that it goes on with that:

* It grows, but by no more than half and a large tool's result. A prompt that shrinks was compacted, rewound, forked, or
  is another conversation's.
* It left after the answer before it had begun. Before that the cache could not know the prompt.
* It left soon after that answer had ended, since a cache forgets. How soon is not published, so a miss counts within a
  minute, or within the longest pause after which something was found. Four minutes after the prompt before was sent it
  claims nothing.

Each claim is one of these, by what came from the cache:

* met: nothing is missing but crumbs, which are a tenth of the due, or 2,048 tokens if that is more;
* short: it is not met, and no more was found than ever before, though the prompts have grown by more than the block in
  which the cache counts. What changes stands in one place, and all that can be found stands in front of it: tools,
  say, which may be most of the prompt. It never grows;
* in doubt: any other. More was found than before, or may be soon. In an honest conversation what can be found grows:
  the cache may lag behind, or two conversations take turns, or the client takes back the end of each prompt, such as
  what it has looked up for one question. Then it is no fault that the end is not found, and the due is not known.

A claim is missed if less than half of the due was found. That alone says nothing: what is taken back may be most of it.

States of a conversation, and what leads from one to the next:

| state    | event                                                     | next                                          |
| -------- | --------------------------------------------------------- | --------------------------------------------- |
| unproven | several claims in a row                                   | proven: they count, and so does each to come  |
| unproven | a request that claims nothing                             | unproven: those before it never count         |
| proven   | a request that claims nothing, and not for a pause alone  | unproven, and the row of short claims is over |
| proven   | six claims in a row find no more (`Patience` has numbers) | cold                                          |
| proven   | a claim in doubt that finds more                          | proven, and the row begins anew with it       |
| proven   | of the latest sixteen two fifths are short and missed     | cold, after 12 in a row, or 24 (`Steps`)      |
| proven   | short claims follow a rule (`rhythm`) and cost a twelfth  | cold                                          |
| cold     | a request that claims nothing, and not for a pause alone  | cold, but claims have to be proven anew       |
| cold     | a claim that is met, where no longer so many are missed   | proven                                        |
| cold     | three claims in a row that find more each time            | proven                                        |

Why it has to be proven: prompts that have nothing in common grow too, by chance. But n of them in rising order are one
case in n!. They may have been sorted, though. So where no session is named the answers have to show it as well: each is
a part of the next prompt, so prompts grow the more the longer the answers were (`chance_of`).
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd
from typing import Final

from extproc.domain.cache.lanes import LONGEST_PAUSE, Asked, goes_on_with
from extproc.domain.cache.rhythm import Step, chance_of_rule
from extproc.domain.request.record import record

SMALLEST_PROMPT: Final = 2048
"""Tokens of a prompt that is worth a look. Caches keep nothing of very short ones, and titles are made with those."""

_SHORTEST_LIFE: Final = 60.0
_MISSED_BELOW: Final = 0.5
_CRUMB_SHARE: Final = 0.1
_LARGEST_CRUMB: Final = 2048
_SMALLEST_CHANCE: Final = 0.0001
_MOST_UNPROVEN: Final = 32
_STEPS_KEPT: Final = 48
_MOST_BREAKS_SHARE: Final = 1 / 3
_FEW_BREAKS_SHARE: Final = 1 / 6
_CLAIMS_KEPT: Final = 64
_LATEST: Final = 16
_FEWEST_CLAIMS: Final = 12
_FEWEST_CLAIMS_IN_DOUBT: Final = 24
_COLD_FROM_SHARE: Final = 0.4
_COLD_UNTIL_SHARE: Final = 0.25
_FEWEST_FOUND: Final = 3
_GROWING: Final = 3
_LARGEST_BLOCK: Final = 1024
_SMALLEST_BLOCK: Final = 512
_FEWEST_TOKENS_LOST: Final = 50_000
_NOTABLE_SHARE: Final = 1 / 12
_CHANCE_OF_RULE: Final = 0.00002
_CHANCE_OF_RULE_GOING_ON: Final = 0.001


@record
class Speaker:
    """Whose conversation it is. A cache belongs to a model, and so does a conversation here.

    `client` is empty without client tokens, `program` where it is not known, `session` and `agent` where the program
    names none. `source` stands for an address. Conversations that were told apart under one name have a number each:
    `strand`, from 1 on. Those of a session are told apart by their sizes, those without one by their prompts."""

    client: str
    source: str
    program: str
    session: str
    agent: str
    model: str
    strand: int = 0

    @property
    def is_named(self) -> bool:
        """Whether its requests say that they are of one conversation."""
        return bool(self.session)


@record
class Claim:
    """What a request could have had: the prompt before it, `due` tokens.

    That one came at `before` (Unix time). Its answer had `answer` tokens and ended `pause` seconds before this request
    left. `found` is the most that any request before it in this conversation had from the cache, and `grown` by how
    many tokens the due has grown since. A cache that counts in blocks shows growth once it is a whole `block`."""

    asked: Asked
    due: int
    pause: float
    found: int = 0
    answer: int = 0
    before: float = 0.0
    grown: int = 0
    block: int = _LARGEST_BLOCK

    @property
    def growth(self) -> int:
        """Tokens by which the prompt is larger than the one before."""
        return self.asked.input - self.due

    @property
    def is_met(self) -> bool:
        """Whether nothing but the usual crumbs is missing."""
        return self.due - self.asked.cached <= max(_LARGEST_CRUMB, self.due * _CRUMB_SHARE)

    @property
    def is_missed(self) -> bool:
        """Whether the cache gave less than half of it."""
        return self.asked.cached < self.due * _MISSED_BELOW

    @property
    def finds_no_more(self) -> bool:
        """Whether it is not met, and no more was found than before."""
        return not self.is_met and self.asked.cached <= self.found

    @property
    def is_short(self) -> bool:
        """Whether something is wrong, if it goes on like that: no more was found, and more would have been if what can
        be found had grown with the prompts."""
        found = self.asked.cached
        falls = found + self.block <= self.found
        return self.finds_no_more and (falls or not found or self.grown >= self.block)

    @property
    def is_in_doubt(self) -> bool:
        """Whether it is not met, but need not be short: the end of the prompt before may be gone."""
        return not self.is_met and not self.is_short

    @property
    def missing(self) -> int:
        """Tokens of it that did not come from the cache."""
        return max(0, self.due - self.asked.cached)

    @property
    def lost(self) -> int:
        """Tokens that were paid in full for nothing: none where nothing need be wrong."""
        return self.due - self.asked.cached if self.is_short else 0

    @property
    def unknown(self) -> int:
        """Of so many of the missing tokens nobody knows whether the cache could have had them."""
        return self.missing if self.is_in_doubt else 0


@record
class Told:
    """What becomes known with a request: the `claims` that count from now on, its own and those before it that it has
    proven. Of `unknown` tokens nobody can tell whether the cache could have had them."""

    claims: Sequence[Claim] = ()
    unknown: int = 0


def chance_of(claims: Sequence[Claim]) -> float:
    """How likely it is that each of these prompts has room for the answer before it, if it does not hold that answer.

    That is a share: of all orders in which the same answers might have come, those in which each would fit into what
    its prompt grew by. It is small where prompts grow by little more than the answers, and 1 where every answer would
    fit everywhere."""
    growths, chance = sorted(claim.growth for claim in claims), 1.0
    for number, answer in enumerate(sorted((claim.answer for claim in claims), reverse=True)):
        fitting = len(growths) - bisect_left(growths, answer)
        chance *= max(0, fitting - number) / (len(growths) - number)
    return chance


class CacheTraits:
    """What is known of the cache: for how many seconds it remembers a prompt, for sure, and how it counts."""

    def __init__(self) -> None:
        self.seconds = _SHORTEST_LIFE
        self._divisor = 0

    @property
    def block(self) -> int:
        """So many tokens that some of them are surely a block: twice what divides all that was ever found."""
        return min(max(2 * self._divisor, _SMALLEST_BLOCK), _LARGEST_BLOCK) if self._divisor else _LARGEST_BLOCK

    def finds(self, cached: int) -> None:
        """A request had so many tokens from the cache."""
        self._divisor = gcd(self._divisor, cached)

    def bears_out(self, claim: Claim) -> bool:
        """Whether a claim says something: one that found its due does, and one that did not if it was soon enough."""
        if claim.is_met:
            self.seconds = max(self.seconds, claim.pause)
        return claim.pause <= self.seconds


@dataclass(frozen=True, slots=True)
class Patience:
    """How much has to come together until something is said of a conversation. Numbers are claims in a row.

    So many as `proof` have to be made until they count. So many as `alarm` have to be short until it is cold, or
    `alarm_in_doubt` where requests of its kind often don't go on with the one before (`Steps`).

    `outlasts_breaks`: a request that claims nothing does not begin the row of short ones anew.

    `knows_whose`: something but their tokens says that the requests are of one conversation. Without it the tokens have
    to show it, by `chance_of`."""

    proof: int
    alarm: int
    alarm_in_doubt: int
    outlasts_breaks: bool = False
    knows_whose: bool = True


NAMED: Final = Patience(proof=3, alarm=6, alarm_in_doubt=12)
NAMELESS: Final = Patience(proof=6, alarm=10, alarm_in_doubt=10, knows_whose=False)

TOLD_APART: Final = Patience(proof=1, alarm=6, alarm_in_doubt=6, outlasts_breaks=True)
"""For conversations without a session that were told apart by their prompts. That a prompt goes on with the one before
is known of each, so the first claim counts. Some prompts are looked at and then none for a while, so breaks tell
nothing."""


def patience_with(speaker: Speaker) -> Patience:
    """How much a conversation of this speaker's needs."""
    if speaker.is_named:
        return NAMED
    return TOLD_APART if speaker.strand else NAMELESS


@dataclass(slots=True)
class Misses:
    """What an alarm is about: short claims in a row, or claims of which many are short. The first was sent at `since`,
    the last at `at` (Unix times). `requests` is how many there are, the others sum up their tokens. `first_due` is what
    the first of them could have had."""

    since: float
    at: float
    requests: int = 0
    input: int = 0
    cached: int = 0
    due: int = 0
    first_due: int = 0

    @classmethod
    def of(cls, claims: Sequence[Claim]) -> "Misses":
        """Those of some claims, at least one, in the order in which they were sent."""
        misses = cls(since=claims[0].asked.sent, at=claims[0].asked.sent, first_due=claims[0].due)
        for claim in claims:
            misses.add(claim)
        return misses

    def add(self, claim: Claim) -> None:
        asked = claim.asked
        self.at = asked.sent
        self.requests += 1
        self.input += asked.input
        self.cached += asked.cached
        self.due += claim.due

    def put_in_front(self, earlier: "Misses") -> None:
        """Counts those too that came right before them."""
        self.since, self.first_due = earlier.since, earlier.first_due
        self.requests += earlier.requests
        self.input += earlier.input
        self.cached += earlier.cached
        self.due += earlier.due


class Steps:
    """Whether requests of a program go on with the one before, or break off: the latest of all its sessions.

    It tells conversations from prompts that have nothing in common. Such prompts grow several times in a row by chance,
    and where there are many of them some come to claims. But they shrink as often, so far more of their steps break
    off."""

    def __init__(self) -> None:
        self._breaks: deque[bool] = deque(maxlen=_STEPS_KEPT)

    def take(self, *, breaks_off: bool) -> None:
        """A request has claimed nothing (it `breaks_off`), or a claim of one counts."""
        self._breaks.append(breaks_off)

    @property
    def go_on(self) -> bool:
        """Whether they look like those of a conversation: no more than a third breaks off."""
        return sum(self._breaks) <= len(self._breaks) * _MOST_BREAKS_SHARE

    @property
    def seldom_break(self) -> bool:
        """Whether they look so even more than that: no more than a sixth does."""
        return sum(self._breaks) <= len(self._breaks) * _FEW_BREAKS_SHARE


class Conversation:
    """The requests of one speaker, which are taken in the order in which they were sent. It remembers the last of them
    and the latest claims. It shares its `steps` with the others of its program; without any it has its own."""

    def __init__(self, traits: CacheTraits, patience: Patience, steps: Steps | None = None) -> None:
        self._traits = traits
        self._patience = patience
        self._last: Asked | None = None
        self._found = 0
        self._found_of: int | None = None
        self._unproven: list[Claim] = []
        self._is_proven = False
        self._steps = steps or Steps()
        self._latest: deque[Claim] = deque(maxlen=_CLAIMS_KEPT)
        self._unbroken = 0
        self._growing = 0
        self._aside: Misses | None = None
        self.misses: Misses | None = None
        self.is_cold = False

    @property
    def heard(self) -> float:
        """When its latest request left (Unix time), 0 before the first."""
        return 0.0 if self._last is None else self._last.sent

    @property
    def unproven_tokens(self) -> int:
        """Tokens of its claims that are not proven yet: if nothing follows, nobody knows whether they could have come
        from the cache."""
        return sum(map(self._unknown_of, self._unproven))

    @property
    def loses_much(self) -> bool:
        """Whether a notable share of what the latest claims could have had is lost."""
        lost, due = sum(claim.lost for claim in self._latest), sum(claim.due for claim in self._latest)
        return lost >= max(_FEWEST_TOKENS_LOST, due * _NOTABLE_SHARE)

    @property
    def lately(self) -> Misses | None:
        """The latest claims, whether they are short or not; None if there are none."""
        return Misses.of(self._latest) if self._latest else None

    def take(self, asked: Asked, *, begins_anew: bool = False) -> Told:
        """A request has ended. `begins_anew` is whether it is known not to go on with the one before."""
        self._traits.finds(asked.cached)
        last = self._last
        if last is None or asked.sent >= last.sent:
            self._last = asked
        if last is None:
            # What other conversations have in common with it, such as tools, the cache may have known.
            self._break_off(asked)
            return Told(unknown=asked.missed)
        if self._patience.knows_whose and asked.input == last.input and asked.sent >= last.begun:
            return Told(unknown=asked.missed)  # the same question once more
        if begins_anew or asked.sent < last.begun or not self._grows(last, asked):
            return self._breaks_off(asked, asked.missed)
        pause = max(0.0, asked.sent - max(last.begun, last.ended))
        grown = 0 if self._found_of is None else last.input - self._found_of
        block = self._traits.block
        claim = Claim(asked, last.input, pause, self._found, last.output, last.arrived, grown, block)
        if asked.sent > last.sent + LONGEST_PAUSE:
            return self._pauses(claim)
        self._unproven.append(claim)
        if self._found_of is None or asked.cached > self._found:
            self._found_of = claim.due
        self._found = max(self._found, asked.cached)
        self._is_proven = self._is_proven or self._is_proof(self._unproven)
        if not self._is_proven:
            return Told(unknown=sum(map(self._unknown_of, self._forgotten())))
        borne_out = [(claim, self._traits.bears_out(claim)) for claim in self._unproven]
        self._unproven = []
        claims = [claim for claim, is_borne_out in borne_out if is_borne_out]
        for claim in claims:
            self._judge(claim)
        late = sum(claim.missing for claim, is_borne_out in borne_out if not is_borne_out)
        return Told(claims, late + sum(claim.unknown for claim in claims))

    def _grows(self, last: Asked, asked: Asked) -> bool:
        least = 1 if self._patience.knows_whose else max(1, last.output)
        return asked.input - last.input >= least and goes_on_with(asked, last.input)

    def _is_proof(self, claims: Sequence[Claim]) -> bool:
        if len(claims) < self._patience.proof:
            return False
        return self._patience.knows_whose or chance_of(claims) <= _SMALLEST_CHANCE

    def _forgotten(self) -> Sequence[Claim]:
        """The oldest of the claims that are still to be proven, if there are too many."""
        forgotten, self._unproven = self._unproven[:-_MOST_UNPROVEN], self._unproven[-_MOST_UNPROVEN:]
        return forgotten

    def _unknown_of(self, claim: Claim) -> int:
        """Tokens of a claim that nothing bears out, of which it is not known whether the cache could have had them."""
        return claim.missing if self._patience.knows_whose else claim.asked.missed

    def _breaks_off(self, asked: Asked, unknown: int) -> Told:
        """A request claims nothing, and so nothing proves those before it. Of `unknown` of its tokens nobody can tell
        whether the cache could have had them."""
        unknown += self.unproven_tokens
        self._steps.take(breaks_off=True)
        self._break_off(asked)
        return Told(unknown=unknown)

    def _pauses(self, claim: Claim) -> Told:
        """A request comes so late that the cache may have forgotten all. If it is known to go on with the one before,
        that tells nothing either way; else it breaks off."""
        if not self._patience.knows_whose:
            return self._breaks_off(claim.asked, self._unknown_of(claim))
        self._found, self._found_of = claim.asked.cached, None
        return Told(unknown=self._unknown_of(claim))

    def _break_off(self, asked: Asked) -> None:
        self._unproven, self._is_proven = [], False
        self._found, self._found_of = asked.cached, None
        if not self.is_cold and not self._patience.outlasts_breaks:
            self.misses = self._aside = None
            self._unbroken = 0

    @property
    def _alarm(self) -> int:
        """How many claims in a row have to be short."""
        return self._patience.alarm if self._steps.seldom_break else self._patience.alarm_in_doubt

    def _by_turns(self) -> Sequence[Claim]:
        """The latest claims if those that come short and others take turns, and it is worth a word; else none."""
        if self._misses_often:
            return self._latest_unbroken
        return list(self._latest) if self._misses_by_rule else ()

    @property
    def _latest_unbroken(self) -> Sequence[Claim]:
        """A few of the latest claims, if nothing broke off in between."""
        return list(self._latest)[-self._unbroken :][-_LATEST:] if self._unbroken else ()

    @property
    def _misses_often(self) -> bool:
        """Whether of the latest claims many are missed and others are met, and much is lost by it. Something changes
        with every second request, or the cache forgets as often."""
        is_in_doubt = not (self.is_cold or self._steps.seldom_break)
        fewest = _FEWEST_CLAIMS_IN_DOUBT if is_in_doubt else _FEWEST_CLAIMS
        if not self._patience.knows_whose or not self._steps.go_on or self._unbroken < fewest:
            return False
        latest = self._latest_unbroken
        missed = [claim.lost for claim in latest if claim.is_missed and claim.is_short]
        is_often = len(missed) >= len(latest) * (_COLD_UNTIL_SHARE if self.is_cold else _COLD_FROM_SHARE)
        found = sum(claim.is_met for claim in latest)
        return is_often and found >= _FEWEST_FOUND and sum(missed) >= _FEWEST_TOKENS_LOST

    @property
    def _misses_by_rule(self) -> bool:
        """Whether the latest claims come short by a rule, and much is lost by it. Something changes with every third
        request, say, or each minute."""
        if not self.loses_much or not self._steps.go_on:
            return False
        steps = [Step(claim.before, claim.asked.arrived, claim.is_short) for claim in self._latest]
        return chance_of_rule(steps) <= (_CHANCE_OF_RULE_GOING_ON if self.is_cold else _CHANCE_OF_RULE)

    def _judge(self, claim: Claim) -> None:
        self._steps.take(breaks_off=False)
        self._latest.append(claim)
        self._unbroken += 1
        self._growing = self._growing + 1 if not claim.is_met and not claim.finds_no_more else 0
        by_turns = self._by_turns() if claim.finds_no_more != self.is_cold else ()
        if claim.finds_no_more or by_turns:
            self._add(claim)
            if not self.is_cold and by_turns:
                self.misses = Misses.of(by_turns)
            self.is_cold = self.is_cold or bool(by_turns) or self._is_enough(claim)
        elif not self.is_cold:
            # It missed, but more was found than before. If that goes on, each such request begins the row anew. If it
            # does not, the cache had not seen the conversation yet, or finds now more and now less of what changes.
            self._aside = self.misses if claim.is_missed else None
            self.misses = Misses.of([claim]) if claim.is_missed else None
        elif claim.is_met or self._growing >= _GROWING:
            self.is_cold, self.misses, self._aside, self._unbroken = False, None, None, 0
            self._latest.clear()

    def _add(self, claim: Claim) -> None:
        """One more of a row. If it finds less than the one before, so that nothing grows, the row goes on that was put
        aside when more was found."""
        if self.misses is None:
            self.misses = Misses.of([claim])
            return
        if self._aside is not None and claim.asked.cached < claim.found:
            self.misses.put_in_front(self._aside)
            self._aside = None
        self.misses.add(claim)

    def _is_enough(self, claim: Claim) -> bool:
        """Whether the row is long enough, and more would have been found since it began if that had grown."""
        misses = self.misses
        if misses is None or misses.requests < self._alarm:
            return False
        return claim.due - misses.first_due >= claim.block
