"""What Envoy tells of a prompt: a length and a salted hash for each of its parts, and never a word of it.

The form is that of `envoy/prompt.lua`. Two prompts of a conversation are compared part by part, in the order in which a
model gets them: tools, system prompt, messages. All that stands behind the first part that differs is read anew.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Final

from extproc.domain.request.record import record

FIRST_MESSAGES: Final = 12
"""So many messages have a hash of their own."""

LATER_MESSAGE: Final = f"a message behind the {FIRST_MESSAGES}th"
TOOL_LIST: Final = "the tool list"
"""What it is called where it grows, shrinks or comes in another order."""

# Messages that may stand in front of those that a sliding window drops: a system prompt in two messages, and a task.
_MOST_PINNED: Final = 3
# So many messages in a row have to be the same, and no two of them alike, for those before them to have been dropped.
_LEAST_IN_COMMON: Final = 3
# Two texts of at least so many bytes whose lengths differ by so little may be one that was stamped anew.
_SHORTEST_STAMPED: Final = 16
_LONGEST_STAMP: Final = 2
# A block with other words in it, such as a path or an id, differs by so many bytes, or by such a part of it.
_LONGEST_WORD: Final = 32
_WORDS_SHARE: Final = 0.1
# The last messages of a prompt may still change once: a client takes back what it has put there for one turn.
_UNSETTLED: Final = 2
# For each four messages one may have been taken back, and three at most: so few may be no more than those with which
# all conversations of a program begin.
_MESSAGES_FOR_EACH: Final = 4
_MOST_TAKEN_BACK: Final = 3
_FEWEST_LENGTHS: Final = 3
_TOOLS_IN_IT: Final = "what is in the tool list"
_SYSTEM_BLOCK: Final = "system block"


class Cause(StrEnum):
    """Why a part differs from request to request."""

    ATTRIBUTION = "attribution"
    """Claude Code's line about itself."""
    DATE = "date"
    """It differs in nothing but digits."""
    STAMPED = "stamped"
    """Old messages differ, each by a word or a number, and several of them at once."""
    DROPPED = "dropped"
    """Those in front are gone, and the others have moved up."""
    TOOLS_REORDERED = "tools_reordered"
    CACHE_CONTROL = "cache_control"
    """Nothing differs, and nothing is marked for the cache, where that is needed."""
    FORGOTTEN = "forgotten"
    """Nothing differs, and the cache does not know it all the same."""
    UNKNOWN = "unknown"


@record
class Part:
    """A text of a prompt. `loose` is a hash that does not see digits, empty where there is none."""

    bytes: int
    hash: str
    loose: str = ""
    is_attribution: bool = False


@record
class Tools:
    """The list of tools. `as_set` is the same in whatever order they stand."""

    count: int
    bytes: int
    hash: str
    as_set: str


@record
class Prompt:
    """The parts of a prompt. `system` are the blocks of the system prompt, or the instructions; `messages` the first
    ones. By the number (from 1 on) of some of the last, `up_to` has a hash of all up to it, and `sizes` its bytes.
    `is_cut` is whether only the front of it was looked at, since it is too large."""

    tools: Tools | None
    system: tuple[Part, ...]
    messages: tuple[Part, ...]
    up_to: Mapping[int, str]
    sizes: Mapping[int, int]
    is_marked: bool
    is_cut: bool = False

    @property
    def length(self) -> int:
        """How many messages there are."""
        return max(self.up_to, default=len(self.messages))


@record
class Change:
    """A part that differs from the one of the request before. `name` is what people call it, `value` what it is now and
    `was` what it was before, both as hashes; of several messages it is not known what they were. If it is several tools
    or messages, `count` is how many of them are known and `bytes` what they have together. `place` says more exactly
    which part it is than the name, where that is known; `number` is that of a message behind the first ones, 0 where it
    is not known. `is_in_place` is whether those behind that message are as long as they were: so it was rewritten, and
    not taken back with all that follows."""

    name: str
    cause: Cause
    bytes: int
    value: str
    count: int = 0
    place: str = ""
    number: int = 0
    is_in_place: bool = False
    was: str = ""

    @property
    def is_of_messages(self) -> bool:
        return "message" in self.name

    @property
    def is_of_system(self) -> bool:
        return self.name.startswith(_SYSTEM_BLOCK)


def read_prompt(words: str) -> Prompt | None:
    """Reads what Envoy tells; None for what it never says."""
    tools: Tools | None = None
    system: list[Part] = []
    messages: list[Part] = []
    up_to: dict[int, str] = {}
    sizes: dict[int, int] = {}
    is_marked = is_cut = False
    try:
        for word in words.split():
            kind, values = word[0], word[1:].split(":")
            if kind == "c":
                is_marked = True
            elif kind == "b":
                is_cut = True
            elif kind == "t":
                tools = Tools(int(values[0]), int(values[1]), values[2], values[3])
            elif kind in "si":
                system.append(_part(values))
            elif kind == "m":
                messages.append(_part(values))
            elif kind == "e":
                number = int(values[0])
                up_to[number] = values[1]
                sizes[number] = int(values[2]) if len(values) > 2 else 0  # an older Envoy does not say
    except (ValueError, IndexError):
        return None
    return Prompt(tools, tuple(system), tuple(messages), up_to, sizes, is_marked, is_cut)


def _part(values: list[str]) -> Part:
    size = values[0].lstrip("ar")
    loose = values[2] if len(values) > 2 else ""
    return Part(int(size), values[1], loose, is_attribution=values[0].startswith("a"))


def differences(before: Prompt, now: Prompt) -> list[Change] | None:
    """What differs in the part of a prompt that was there before, in order; None if it is another conversation's."""
    if len(now.system) != len(before.system) or not before.messages:
        return None
    if (now.tools is None) != (before.tools is None):
        return None
    front = [*_of_tools(before, now), *_of_system(before, now)]
    messages = _of_messages(before, now)
    if messages is None:
        # Whatever the messages are of, the front is one that changes.
        return front if front and _is_of_another(before, now) else None
    return [*front, *messages]


@record
class FrontChange:
    """The first part in front of the messages that differs. `same` are the hashes of the blocks behind it that do not
    differ, up to the next that does, and `bytes` what they have together. `is_of_a_kind` is whether it looks like the
    same part with other words in it, by its length or number."""

    change: Change
    same: tuple[str, ...]
    bytes: int
    is_of_a_kind: bool

    def is_before(self, prompt: Prompt) -> bool:
        """Whether in a prompt the same blocks stand behind that part."""
        first = _blocks_before(self.change.name)
        return tuple(part.hash for part in prompt.system[first : first + len(self.same)]) == self.same


def _blocks_before(name: str) -> int:
    """How many blocks of the system prompt stand in front of what is behind this part."""
    return 0 if name in (TOOL_LIST, _TOOLS_IN_IT) else int(name.rpartition(" ")[2])


def front_change(before: Prompt, now: Prompt) -> FrontChange | None:
    """What differs in front of the messages. None if nothing does, or two fronts cannot be compared."""
    if len(now.system) != len(before.system) or (now.tools is None) != (before.tools is None):
        return None
    changes = [*_of_tools(before, now), *_of_system(before, now)]
    if not changes:
        return None
    differ = [old.hash != new.hash for old, new in zip(before.system, now.system, strict=True)]
    first = _blocks_before(changes[0].name)
    until = differ.index(True, first) if True in differ[first:] else len(differ)
    same = now.system[first:until]
    if first:
        old, new = before.system[first - 1], now.system[first - 1]
        is_of_a_kind = abs(old.bytes - new.bytes) <= max(_LONGEST_WORD, old.bytes * _WORDS_SHARE)
    else:
        is_of_a_kind = before.tools is not None and before.tools.count == changes[0].count
    return FrontChange(
        changes[0],
        same=tuple(part.hash for part in same),
        bytes=sum(part.bytes for part in same),
        is_of_a_kind=is_of_a_kind,
    )


def compared(before: Prompt, now: Prompt) -> int:
    """How many parts of the prompt before `differences` holds against those of the next: the tools are one."""
    settled = max(0, before.length - _UNSETTLED)
    if not are_compared_to_the_end(before, now):
        settled = min(settled, len(before.messages), len(now.messages))
    return (before.tools is not None) + len(before.system) + settled


def bytes_compared(before: Prompt, now: Prompt) -> int:
    """How many bytes, at least, the prompt before has in the parts that `differences` compares."""
    settled = max(0, min(before.length - _UNSETTLED, len(now.messages)))
    tools = 0 if before.tools is None else before.tools.bytes
    return tools + sum(part.bytes for part in (*before.system, *before.messages[:settled]))


def are_compared_to_the_end(before: Prompt, now: Prompt) -> bool:
    """Whether `differences` sees all of the messages that two prompts have in common. If many came in between, it sees
    the first ones alone."""
    settled = before.length - _UNSETTLED
    if settled <= min(len(before.messages), len(now.messages)):
        return True
    return settled in before.up_to and settled in now.up_to


def are_of_one(before: Prompt, now: Prompt) -> bool:
    """Whether two prompts are of one conversation or of its forks. They have the only message in common, or two: a
    single one may be the same for all, such as a system prompt among the messages. All conversations of a program may
    begin with more of the same, though. So two of one length are none if the last message alone differs, or an old one.
    Nor are two if nothing behind the first old one that differs comes back, or if their fronts differ and more messages
    than a client may take back."""
    if any(change.cause in (Cause.STAMPED, Cause.DROPPED) for change in _of_messages(before, now) or ()):
        return True
    pairs = list(zip(before.messages, now.messages, strict=False))
    equal = [old.hash == new.hash for old, new in pairs]
    first = equal.index(False) if False in equal else len(equal)
    if (now.length == before.length and first == now.length - 1) or _is_of_another(before, now):
        return False
    if first < min(len(equal), before.length - _UNSETTLED) and not any(equal[first:]):
        return False
    if not have_one_front(before, now) and equal.count(False) > min(
        _MOST_TAKEN_BACK, (before.length - 1) // _MESSAGES_FOR_EACH
    ):
        return False
    return sum(equal) >= min(2, max(1, len(equal)))


def _is_of_another(before: Prompt, now: Prompt) -> bool:
    """Whether of two prompts of one length an old message differs, and nobody knows why: nothing was added, so it is
    another document between the same words, with the same question or one of its own."""
    settled = max(0, before.length - _UNSETTLED)
    pairs = zip(before.messages[:settled], now.messages[:settled], strict=False)
    changed = next(((old, new) for old, new in pairs if old.hash != new.hash), None)
    return now.length == before.length and changed is not None and _cause(*changed) is Cause.UNKNOWN


def in_common(before: Prompt, now: Prompt) -> int:
    """How many of the first messages of two prompts are the same."""
    return sum(old.hash == new.hash for old, new in zip(before.messages, now.messages, strict=False))


def keeps_the_last(before: Prompt, now: Prompt) -> bool:
    """Whether the last message of a prompt stands in the same place of another one, as far as that is known. Of those
    behind the first ones their lengths are."""
    place = before.length
    if 0 < place <= min(len(before.messages), len(now.messages)):
        return before.messages[place - 1].hash == now.messages[place - 1].hash
    return place not in before.sizes or place not in now.sizes or before.sizes[place] == now.sizes[place]


def have_one_front(one: Prompt, other: Prompt) -> bool:
    """Whether nothing differs in front of the messages."""
    return (one.tools, one.system) == (other.tools, other.system)


def _of_tools(before: Prompt, now: Prompt) -> Iterator[Change]:
    old, new = before.tools, now.tools
    if old is not None and new is not None and old.hash != new.hash:
        # A list that grows is another matter: servers of tools start one after the other.
        name = TOOL_LIST if old.count != new.count or old.as_set == new.as_set else _TOOLS_IN_IT
        is_same_set = (old.count, old.as_set) == (new.count, new.as_set)
        cause = Cause.TOOLS_REORDERED if is_same_set else Cause.UNKNOWN
        yield Change(name, cause, new.bytes, new.hash, new.count, was=old.hash)


def _of_system(before: Prompt, now: Prompt) -> Iterator[Change]:
    for number, (old, new) in enumerate(zip(before.system, now.system, strict=True), 1):
        if old.hash != new.hash:
            yield Change(f"{_SYSTEM_BLOCK} {number}", _cause(old, new), new.bytes, new.hash, was=old.hash)


def _of_messages(before: Prompt, now: Prompt) -> list[Change] | None:
    """The first thing that differs in the messages, if anything does; None if they are another conversation's."""
    dropped = _dropped(before, now)
    if dropped is not None:
        return [dropped]
    if now.length < before.length:
        return None
    settled = before.length - _UNSETTLED
    everything = list(zip(before.messages, now.messages, strict=False))
    pairs = everything[: max(0, settled)]
    changed = [(number, old, new) for number, (old, new) in enumerate(pairs, 1) if old.hash != new.hash]
    comes_back = not changed or any(old.hash == new.hash for old, new in everything[changed[0][0] :])
    if not comes_back and not _are_the_same_texts([(old, new) for _, old, new in changed]):
        return None
    if len(changed) > 1 and all(_may_be_stamped(old, new) for _, old, new in changed):
        size = sum(new.bytes for _, _, new in changed)
        return [Change("old messages", Cause.STAMPED, size, changed[0][2].hash, len(changed))]
    if all(old.hash != new.hash for old, new in zip(before.messages, now.messages, strict=False)):
        return None
    if changed:
        number, old, new = changed[0]
        if _is_of_another(before, now):
            return None
        return [Change(f"message {number}", _cause(old, new), new.bytes, new.hash, was=old.hash)]
    old_end, new_end = before.up_to.get(settled), now.up_to.get(settled)
    if old_end is not None and new_end is not None and old_end != new_end:
        return [_behind_the_first(before, now, settled)]
    return []


def _behind_the_first(before: Prompt, now: Prompt, settled: int) -> Change:
    """The message that differs, of those behind the first ones and up to a settled one. Of the last is told what all up
    to it come to; so it may be any of those in front of the first that both prompts tell of."""
    told = [
        number for number in range(FIRST_MESSAGES + 1, settled + 1) if number in before.up_to and number in now.up_to
    ]
    number = next(number for number in told if before.up_to[number] != now.up_to[number])
    is_known = number == FIRST_MESSAGES + 1 or number - 1 in told
    behind = [(before.sizes[other], now.sizes[other]) for other in told if other > number]
    return Change(
        name=LATER_MESSAGE,
        cause=Cause.UNKNOWN,
        bytes=now.sizes[number] if is_known else 0,
        value=now.up_to[settled],
        place=f"message {number}" if is_known else f"one of the messages {FIRST_MESSAGES + 1} to {number}",
        number=number if is_known else 0,
        is_in_place=bool(behind) and all(old == new > 0 for old, new in behind),
    )


def _dropped(before: Prompt, now: Prompt) -> Change | None:
    """Messages that are gone from the front, or from behind some that always stay there."""
    old, new = [each.hash for each in before.messages], [each.hash for each in now.messages]
    pinned = _equal(old, new)
    if pinned > _MOST_PINNED:
        return None
    for first in range(pinned + 1, len(old) - _LEAST_IN_COMMON + 1):
        both = min(len(old) - first, len(new) - pinned)
        moved_up = _equal(old[first:], new[pinned:])
        if moved_up >= both - _UNSETTLED and len(set(old[first : first + moved_up])) >= _LEAST_IN_COMMON:
            size = sum(each.bytes for each in before.messages[pinned:first])
            return Change("the oldest messages", Cause.DROPPED, size, new[pinned], first - pinned)
    return None


def _equal(one: Sequence[str], other: Sequence[str]) -> int:
    """How many are the same from the front."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (left, right) in pairs if left != right), min(len(one), len(other)))


def _may_be_stamped(old: Part, new: Part) -> bool:
    if old.loose and old.loose == new.loose:
        return True
    return min(old.bytes, new.bytes) >= _SHORTEST_STAMPED and abs(old.bytes - new.bytes) <= _LONGEST_STAMP


def _are_the_same_texts(changed: Sequence[tuple[Part, Part]]) -> bool:
    """Whether messages that all differ are those of before with other stamps in them: one differs in nothing but
    digits, or each is as long as it was and their lengths are not all one, as those of pieces of a document are."""
    if any(old.loose and old.loose == new.loose for old, new in changed):
        return True
    if len(changed) < 2 or not all(_may_be_stamped(old, new) for old, new in changed):
        return False
    return len({old.bytes for old, _ in changed}) >= min(_FEWEST_LENGTHS, len(changed))


def _cause(old: Part, new: Part) -> Cause:
    if new.is_attribution:
        return Cause.ATTRIBUTION
    return Cause.DATE if new.loose and old.loose == new.loose else Cause.UNKNOWN
