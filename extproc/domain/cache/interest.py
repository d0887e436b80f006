"""Whose prompts Envoy is asked to tell the parts of: to hash them costs time, and of most nobody has to know.

Where nearly all of a prompt came from the cache nothing can have changed in it. So a conversation is of interest once
an answer has had less, until one has nearly all again. A fault is named later for that: its first prompt is not seen,
and the second has none to be held against.
"""

from collections import OrderedDict
from typing import Final, TypeAlias

from extproc.domain.cache.conversation import WARM, Asked, Speaker

_MOST_CONVERSATIONS: Final = 4096
_Key: TypeAlias = tuple[str, str, str, str, str, str]


class Interest:
    """The conversations whose latest answer had too little from the cache. Its memory is bounded."""

    def __init__(self) -> None:
        self._cold: OrderedDict[_Key, None] = OrderedDict()

    def take(self, speaker: Speaker, asked: Asked) -> None:
        """A request has ended. What is known before the next one is answered is the model that it asks for."""
        key = _key(speaker, asked.model or speaker.model)
        if asked.cached >= asked.input * WARM:
            self._cold.pop(key, None)
            return
        self._cold[key] = None
        self._cold.move_to_end(key)
        if len(self._cold) > _MOST_CONVERSATIONS:
            self._cold.popitem(last=False)

    def has(self, speaker: Speaker) -> bool:
        """Whether to look at the next prompt of this speaker, whose model is the one that it asks for. Those of
        programs that name no session always: by their parts alone they are told apart."""
        return not speaker.is_named or _key(speaker, speaker.model) in self._cold


def _key(speaker: Speaker, model: str) -> _Key:
    return speaker.client, speaker.source, speaker.program, speaker.session, speaker.agent, model
