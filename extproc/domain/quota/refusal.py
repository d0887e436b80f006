"""What a caller is told whose request meets a used-up window."""

from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import Final

from extproc.domain.quota.windows import duration, spoken
from extproc.domain.request.refusals import Refusal, RefusalReason, UsedUp

_NEAR_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class QuotaRefusal:
    """Why a request does not go upstream.

    `resets_at` is a Unix time, None if unknown. `retry_after` is in whole seconds, None if the reset is not near: then
    a client had better not try again by itself. `used_up` tells the client that the plan has nothing left; it is None
    if the rest is only kept from this request's lane.
    """

    window: str
    resets_at: float | None
    text: str
    retry_after: int | None
    used_up: UsedUp | None = None

    def as_refusal(self) -> Refusal:
        """The same as an answer: 429, with `x-should-retry: false` unless the reset is near."""
        return Refusal(RefusalReason.QUOTA, 429, self.text, self.retry_after, self.used_up)


def refuse_used_up(window: str, resets_at: float | None, now: float, *, is_last: bool = True) -> QuotaRefusal:
    """The window is used up. Unless it `is_last` no time to come back is offered: another window may stay closed."""
    text = f"The {spoken(window)} quota of the Z.AI plan is used up{_until(resets_at, now)}."
    if resets_at is None or not is_last:
        return QuotaRefusal(window, resets_at, text, None, UsedUp())
    used_up = UsedUp(ceil(resets_at), max(1, ceil(resets_at - now)))
    return QuotaRefusal(window, resets_at, text, _retry_after(resets_at, now), used_up)


def refuse_held_back(window: str, resets_at: float | None, reserve: float, now: float) -> QuotaRefusal:
    """The rest of the window is kept for the main lane."""
    text = (
        f"The last {reserve * 100:g} % of the {spoken(window)} quota of the Z.AI plan are kept for main conversations"
        f"{_until(resets_at, now)}."
    )
    return QuotaRefusal(window, resets_at, text, _retry_after(resets_at, now))


def _until(resets_at: float | None, now: float) -> str:
    if resets_at is None:
        return "; when it resets is not known yet"
    at = datetime.fromtimestamp(resets_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"; it resets at {at}, in {duration(resets_at - now)}"


def _retry_after(resets_at: float | None, now: float) -> int | None:
    if resets_at is None or resets_at - now > _NEAR_SECONDS:
        return None
    return max(1, ceil(resets_at - now))
