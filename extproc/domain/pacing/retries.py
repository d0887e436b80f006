"""Which running requests may be waiting to be sent again: in flight here, but not at the upstream."""

from typing import Final

# Envoy sends a refused request again after a random part of 0.5 s, 1.5 s, 3.5 s and so on, of 8 s at most; the news
# of a refusal comes up to half a second after it, and to connect takes time too.
_BASE: Final = 0.5
_LONGEST: Final = 8.0
_ON_THE_WAY: Final = 0.8


class Retries:
    """Remembers the requests that were refused lately. Not each of them is waiting, but no other is.

    `most` is how often a request is sent again.
    """

    __slots__ = ("_most", "_refusals", "_until")

    def __init__(self, most: int) -> None:
        self._most = most
        self._until: dict[str, float] = {}
        self._refusals: dict[str, int] = {}

    def refused(self, request_id: str, ended_at: float) -> None:
        """An attempt of a running request was refused."""
        refusals = self._refusals.get(request_id, 0)
        self._refusals[request_id] = refusals + 1
        pause = min(_LONGEST, _BASE * (2.0 ** min(refusals + 1, 16) - 1.0)) if refusals < self._most else 0.0
        self._until[request_id] = ended_at + pause + _ON_THE_WAY

    def times(self, request_id: str) -> int:
        """How often a request was refused."""
        return self._refusals.get(request_id, 0)

    def waits_here(self, request_id: str) -> None:
        """The request has given its place back: it is not in flight here either."""
        self._until.pop(request_id, None)

    def left(self, request_id: str) -> None:
        """The request runs no more."""
        self._until.pop(request_id, None)
        self._refusals.pop(request_id, None)

    def count(self, now: float) -> int:
        """How many may be waiting."""
        if not self._until:
            return 0
        for request_id in [each for each, until in self._until.items() if until <= now]:
            del self._until[request_id]
        return len(self._until)
