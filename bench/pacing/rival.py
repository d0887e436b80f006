"""The rival: one pace of requests a second for everybody, halved by a 429 and slowly raised without.

What proxies usually do against rate limits: additive increase, multiplicative decrease, first come first served. It
doesn't know how many requests run, and hands a refusal on to the client.
"""

import asyncio
from typing import Final

_CUT: Final = 0.5
_RAISE: Final = 0.1
_LEAST: Final = 0.1


class RateAimd:
    """Times are in seconds of the plan's time, like the rate; `speed` of them pass in a second."""

    def __init__(self, rate: float, speed: float) -> None:
        self.rate = rate
        self._speed = speed
        self._next = 0.0
        self._moved = 0.0

    async def turn(self) -> None:
        """Waits until the next request may start."""
        turn = max(self._now(), self._next)
        self._next = turn + 1.0 / self.rate
        await asyncio.sleep((turn - self._now()) / self._speed)

    def answered(self, status: int) -> None:
        """Learns from an answer: at most one move a second, so that a burst of refusals is one."""
        now = self._now()
        if now < self._moved + 1.0:
            return
        self._moved = now
        self.rate = max(_LEAST, self.rate * _CUT) if status == 429 else self.rate + _RAISE

    def _now(self) -> float:
        return asyncio.get_running_loop().time() * self._speed
