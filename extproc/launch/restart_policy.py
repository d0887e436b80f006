"""How long to wait before a crashed process is started again. Pure: the caller brings the time."""

from typing import Final

HEALTHY_SECONDS: Final = 5.0
MOST_CRASHES: Final = 10
_FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 10.0


class Restarts:
    """Counts crashes in a row: the first is mended at once, the next wait 0.5, 1, 2 … 10 s, the tenth is the last.

    A process that had served for 5 s before it crashed begins a new row. Ten in a row take about a minute.
    """

    def __init__(self) -> None:
        self._crashes = 0

    def wait_after(self, served: float) -> float | None:
        """Seconds to wait after a crash of a process that had been ready for `served` seconds, or None to give up."""
        self._crashes = 1 if served >= HEALTHY_SECONDS else self._crashes + 1
        if self._crashes >= MOST_CRASHES:
            return None
        if self._crashes == 1:
            return 0.0
        return min(LONGEST_WAIT, _FIRST_WAIT * 2.0 ** (self._crashes - 2))
