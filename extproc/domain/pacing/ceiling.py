"""The level at which a limit was refused, and how sure that still is; when it is tried again, `probing` says."""

from dataclasses import dataclass


@dataclass(slots=True)
class Ceiling:
    """A level that the upstream refused. `seen` is when it last did; confidence halves every `half_life` seconds."""

    level: float
    seen: float
    half_life: float

    def confidence(self, now: float) -> float:
        """1.0 when just seen, towards 0.0 as it ages."""
        return float(0.5 ** (max(0.0, now - self.seen) / self.half_life))

    def is_doubtful(self, now: float) -> bool:
        return now >= self.doubtful_at()

    def doubtful_at(self) -> float:
        """When confidence falls to a half."""
        return self.seen + self.half_life

    def confirm(self, now: float, longest: float) -> None:
        """The upstream refused the same level again: it holds twice as long before it is doubted, but no longer than
        `longest` seconds."""
        self.seen = now
        self.half_life = min(2 * self.half_life, longest)
