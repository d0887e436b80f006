"""Sessions that are too short for each to be cold by itself, such as those of a program that is run in a loop."""

from collections import deque
from typing import Final

from extproc.domain.cache.conversation import Claim, Misses, Speaker, Steps, Told

_CLAIMS_KEPT: Final = 12
_COLD_FROM_CLAIMS: Final = 8
_LEAST_SESSIONS: Final = 3
_SECONDS: Final = 900.0


class ShortSessions:
    """What the sessions of one program claim lately that are not cold by themselves: its latest claims, of whichever
    session. They are cold together while most of them are short, and those of several sessions, and few requests of the
    sessions break off: prompts that have nothing in common come to some claims by chance. The sessions note their
    `steps` themselves."""

    def __init__(self) -> None:
        self._latest: deque[tuple[Speaker, Claim]] = deque(maxlen=_CLAIMS_KEPT)
        self.steps = Steps()
        self.misses: Misses | None = None
        self.sessions = 0

    @property
    def heard(self) -> float:
        """When the latest request that claims something left (Unix time), 0 before the first."""
        return self._latest[-1][1].asked.sent if self._latest else 0.0

    def take(self, speaker: Speaker, told: Told) -> None:
        """A request of one of its sessions has told that."""
        if not self.steps.go_on:
            self.misses = None
        for claim in told.claims:
            self._take(speaker, claim)

    def _take(self, speaker: Speaker, claim: Claim) -> None:
        self._latest.append((speaker, claim))
        while self._latest[0][1].asked.sent < claim.asked.sent - _SECONDS:
            self._latest.popleft()
        short = [(each, claim) for each, claim in self._latest if claim.is_short]
        self.sessions = len({each for each, _ in short})
        if len(short) < _COLD_FROM_CLAIMS or self.sessions < _LEAST_SESSIONS or not self.steps.go_on:
            self.misses = None
        elif self.misses is None:
            self.misses = Misses.of([claim for _, claim in short])
        elif claim.is_short:
            self.misses.add(claim)
