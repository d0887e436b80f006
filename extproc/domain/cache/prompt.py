"""What Envoy tells of a prompt: a length and a salted hash for each of its parts, and never a word of it.

The form is that of `envoy/prompt.lua`. Two prompts of a conversation are compared part by part, in the order in which a
model gets them: tools, system prompt, messages. All that stands behind the first part that differs is read anew.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

from extproc.domain.request.record import record

FIRST_MESSAGES: Final = 12
"""So many messages have a hash of their own."""

# The last messages of a prompt may still change once: a client takes back what it has put there for one turn.
_UNSETTLED: Final = 2


class Cause(StrEnum):
    """Why a part differs from request to request."""

    ATTRIBUTION = "attribution"
    """Claude Code's line about itself."""
    DATE = "date"
    """It differs in nothing but digits."""
    TOOLS_REORDERED = "tools_reordered"
    CACHE_CONTROL = "cache_control"
    """Nothing differs, and nothing is marked for the cache, where that is needed."""
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
    ones, and `up_to` has for some of the last a hash of all up to it, by its number from 1 on."""

    tools: Tools | None
    system: tuple[Part, ...]
    messages: tuple[Part, ...]
    up_to: Mapping[int, str]
    is_marked: bool

    @property
    def length(self) -> int:
        """How many messages there are."""
        return max(self.up_to, default=len(self.messages))


@record
class Change:
    """A part that differs from the one of the request before. `name` is what people call it, `value` what it is now."""

    name: str
    cause: Cause
    bytes: int
    value: str

    @property
    def is_of_messages(self) -> bool:
        return "message" in self.name


def read_prompt(words: str) -> Prompt | None:
    """Reads what Envoy tells; None for what it never says."""
    tools: Tools | None = None
    system: list[Part] = []
    messages: list[Part] = []
    up_to: dict[int, str] = {}
    is_marked = False
    try:
        for word in words.split():
            kind, values = word[0], word[1:].split(":")
            if kind == "c":
                is_marked = True
            elif kind == "t":
                tools = Tools(int(values[0]), int(values[1]), values[2], values[3])
            elif kind in "si":
                system.append(_part(values))
            elif kind == "m":
                messages.append(_part(values))
            elif kind == "e":
                up_to[int(values[0])] = values[1]
    except (ValueError, IndexError):
        return None
    return Prompt(tools, tuple(system), tuple(messages), up_to, is_marked)


def _part(values: list[str]) -> Part:
    size = values[0].lstrip("ar")
    loose = values[2] if len(values) > 2 else ""
    return Part(int(size), values[1], loose, is_attribution=values[0].startswith("a"))


def differences(before: Prompt, now: Prompt) -> list[Change] | None:
    """What differs in the part of a prompt that was there before, in order; None if it is another conversation's."""
    if now.length < before.length or len(now.system) != len(before.system) or not before.messages:
        return None
    if (now.tools is None) != (before.tools is None):
        return None
    if all(old.hash != new.hash for old, new in zip(before.messages, now.messages, strict=False)):
        return None
    return [*_of_tools(before, now), *_of_system(before, now), *_of_messages(before, now)]


def _of_tools(before: Prompt, now: Prompt) -> Iterator[Change]:
    old, new = before.tools, now.tools
    if old is not None and new is not None and old.hash != new.hash:
        is_same_set = (old.count, old.as_set) == (new.count, new.as_set)
        yield Change("the tool list", Cause.TOOLS_REORDERED if is_same_set else Cause.UNKNOWN, new.bytes, new.hash)


def _of_system(before: Prompt, now: Prompt) -> Iterator[Change]:
    for number, (old, new) in enumerate(zip(before.system, now.system, strict=True), 1):
        if old.hash != new.hash:
            yield Change(f"system block {number}", _cause(old, new), new.bytes, new.hash)


def _of_messages(before: Prompt, now: Prompt) -> Iterator[Change]:
    settled = before.length - _UNSETTLED
    for number, (old, new) in enumerate(zip(before.messages[: max(0, settled)], now.messages, strict=False), 1):
        if old.hash != new.hash:
            yield Change(f"message {number}", _cause(old, new), new.bytes, new.hash)
            return
    old_end, new_end = before.up_to.get(settled), now.up_to.get(settled)
    if old_end is not None and new_end is not None and old_end != new_end:
        yield Change(f"a message behind the {FIRST_MESSAGES}th", Cause.UNKNOWN, 0, new_end)


def _cause(old: Part, new: Part) -> Cause:
    if new.is_attribution:
        return Cause.ATTRIBUTION
    return Cause.DATE if new.loose and old.loose == new.loose else Cause.UNKNOWN
