"""The level at which a limit was refused, how sure that still is, and how often it may be tried again."""

from dataclasses import dataclass
from typing import Final

# How long a fresh lesson holds before it is doubted; each time it proves right again, twice as long.
FIRST_HALF_LIFE: Final = 20.0
LONGEST_HALF_LIFE: Final = 240.0
# A number in flight is doubted sooner than a rate: its probe is one request and costs one refusal.
_LONGEST_IN_FLIGHT: Final = 60.0
# Below this confidence a ceiling is worth a probe.
_DOUBT: Final = 0.5


@dataclass(slots=True)
class Ceiling:
    """A level that the upstream refused. `seen` is when it last did; confidence halves every `half_life` seconds."""

    level: float
    seen: float
    half_life: float = FIRST_HALF_LIFE

    def confidence(self, now: float) -> float:
        """1.0 when just seen, towards 0.0 as it ages."""
        return float(0.5 ** (max(0.0, now - self.seen) / self.half_life))

    def is_doubtful(self, now: float) -> bool:
        return now >= self.doubtful_at()

    def doubtful_at(self) -> float:
        """When confidence falls to a half."""
        return self.seen + self.half_life

    def confirm(self, now: float) -> None:
        """The upstream refused the same level again."""
        self.seen = now
        self.half_life = min(2 * self.half_life, _LONGEST_IN_FLIGHT)
