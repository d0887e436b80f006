"""The level at which a limit was refused, and how sure that still is; when it is tried again, `probing` says."""

from dataclasses import dataclass

from extproc.domain.pacing.clock import Steady


@dataclass(slots=True)
class Ceiling:
    """A level that the upstream refused. `seen` is when it last did; confidence halves every `half_life` seconds.

    A limit keeps `seen` in steady time; what is noted for others has it in Unix time, and only `confidence` is asked
    of that.
    """

    level: float
    seen: float
    half_life: float

    def confidence(self, now: float) -> float:
        """1.0 when just seen, towards 0.0 as it ages."""
        return float(0.5 ** (max(0.0, now - self.seen) / self.half_life))

    def is_doubtful(self, t: Steady) -> bool:
        return t >= self.doubtful_at()

    def doubtful_at(self) -> float:
        """When confidence falls to a half."""
        return self.seen + self.half_life

    def confirm(self, t: Steady, longest: float) -> None:
        """The upstream refused the same level again: it holds twice as long before it is doubted, but no longer than
        `longest` seconds."""
        self.seen = t
        self.half_life = min(2 * self.half_life, longest)
