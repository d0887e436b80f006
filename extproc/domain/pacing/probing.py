"""How many refusals learning may cost: probes above a ceiling are paid from a share of the attempts that went well.

Nobody tells a limiter that a limit has risen; it has to try, and a try that fails is a request refused. So what may be
tried is bounded by what has been sent, and not by time alone.
"""

from typing import Final

# One in 150 attempts: with the refusals that changes of the plan cost anyway, under one in 100.
_SHARE: Final = 1 / 150
# A pause saves up for two probes, and a bad time is forgotten after as many attempts as four refusals cost.
_MOST: Final = 2.0
_LEAST: Final = -3.0


class ProbeBudget:
    """Earns with every attempt, pays for every refusal that a limit learns from."""

    __slots__ = ("_balance",)

    def __init__(self) -> None:
        self._balance = 1.0

    @property
    def allows_probe(self) -> bool:
        return self._balance >= 1.0

    def earn(self) -> None:
        """An attempt was sent."""
        self._balance = min(_MOST, self._balance + _SHARE)

    def pay(self) -> None:
        """An attempt was refused."""
        self._balance = max(_LEAST, self._balance - 1.0)
