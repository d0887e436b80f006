"""Which traces are recorded: OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

# The end of a trace id, by which the SDKs sample too: whoever else has the same ratio keeps the same traces.
_RANDOM_BITS: Final = 64


class SamplerName(StrEnum):
    """The samplers that need nobody to ask."""

    ALWAYS_ON = "always_on"
    ALWAYS_OFF = "always_off"
    RATIO = "traceidratio"
    PARENT_ALWAYS_ON = "parentbased_always_on"
    PARENT_ALWAYS_OFF = "parentbased_always_off"
    PARENT_RATIO = "parentbased_traceidratio"


_FOLLOWING: Final = frozenset((SamplerName.PARENT_ALWAYS_ON, SamplerName.PARENT_ALWAYS_OFF, SamplerName.PARENT_RATIO))
_WITH_RATIO: Final = frozenset((SamplerName.RATIO, SamplerName.PARENT_RATIO))
_NEVER: Final = frozenset((SamplerName.ALWAYS_OFF, SamplerName.PARENT_ALWAYS_OFF))


@dataclass(frozen=True, slots=True)
class Sampler:
    """Decides once for a trace. `ratio` is the share of traces that are recorded where nobody has decided before."""

    follows_parent: bool = True
    ratio: float = 1.0

    def samples(self, trace_id: str, parent: bool | None) -> bool:
        """Whether a trace is recorded. `parent` is what was decided for the span above; None without such a span."""
        if self.follows_parent and parent is not None:
            return parent
        return int(trace_id, 16) % (1 << _RANDOM_BITS) < self.ratio * (1 << _RANDOM_BITS)


def is_known(name: str) -> bool:
    """Whether this is the name of a sampler that needs nobody to ask."""
    return name.lower() in set(SamplerName)


def read_sampler(name: str, argument: str | None) -> Sampler:
    """Raises ValueError for an unknown name, and for a ratio that is no number from 0 to 1 where the name needs one."""
    known = SamplerName(name.lower())
    ratio = 0.0 if known in _NEVER else 1.0
    if known in _WITH_RATIO and argument is not None:
        ratio = float(argument)
        if not 0.0 <= ratio <= 1.0:
            raise ValueError(argument)
    return Sampler(known in _FOLLOWING, ratio)
