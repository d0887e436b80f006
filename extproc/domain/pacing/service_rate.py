"""How fast the upstream gets through the work, so that a wait can be foretold. Pure: the caller brings the time."""

from typing import Final

# Before the first answer: what an agent's request takes on average.
_PRIOR_SECONDS: Final = 10.0
# The weight of the latest answer, once a few have come.
_WEIGHT: Final = 0.1


class ServiceRate:
    """Averages how long requests run; the first ones count more."""

    def __init__(self) -> None:
        self._mean = _PRIOR_SECONDS
        self._seen = 0

    @property
    def seconds(self) -> float:
        """How long a request runs on average."""
        return self._mean

    def note(self, seconds: float) -> None:
        """A request has run for so long."""
        self._seen += 1
        weight = max(_WEIGHT, 1.0 / (self._seen + 1))
        self._mean += weight * (max(0.0, seconds) - self._mean)

    def wait(self, ahead: int, places: int, rate: float) -> float:
        """Seconds until one goes that has `ahead` in front of it, all `places` being taken now.

        Places come free one by one, each after the mean time; `rate` (requests a second) may be slower than that.
        """
        per_second = min(places / max(self._mean, 1e-3), rate)
        return (ahead + 1) / per_second
