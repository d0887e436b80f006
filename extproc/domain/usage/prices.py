"""What a request's tokens cost: list prices in USD, Coding Plan credits, and the tier of the hour.

Pure: the caller brings the time, as Unix seconds. The table itself is data: see `price_file`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from extproc.domain.request.record import record
from extproc.domain.usage.tokens import TokenCounts

_PER_MILLION: Final = 1_000_000
_PER_CREDIT_UNIT: Final = 10_000
_OFF_PEAK_FACTOR: Final = 0.5

_HOUR: Final = 3600
_DAY: Final = 24 * _HOUR
_WEEK: Final = 7 * _DAY
_CHINA_OFFSET: Final = 8 * _HOUR
_FIRST_MONDAY: Final = 4 * _DAY  # 1970-01-05; day 0 was a Thursday

# glm-5.3-20260815 and glm-5.3-2026-08-15 are builds of glm-5.3.
_BUILD_DAY: Final = re.compile(r"-20[0-9]{2}-?[0-9]{2}-?[0-9]{2}\Z")


class PricingTier(StrEnum):
    PEAK = "peak"
    OFF_PEAK = "off_peak"


@record
class Cost:
    """USD for each direction of TokenCounts."""

    input: float
    output: float
    cache_read: float
    cache_write: float

    @property
    def total(self) -> float:
        return self.input + self.output + self.cache_read + self.cache_write


@dataclass(frozen=True, slots=True)
class CreditRates:
    """Coding Plan credits per 10,000 tokens at peak. Cache writes take none."""

    input: float
    output: float
    cache_read: float


@dataclass(frozen=True, slots=True)
class PriceRow:
    """What one model costs from `since` (Unix seconds) on, in USD per million tokens.

    `credits` is None where Z.AI has published no coefficients.
    """

    since: float
    input: float
    output: float
    cache_read: float
    cache_write: float
    credits: CreditRates | None


class PriceTable:
    """Dated prices by model. `rows` are keyed by `normalise_model` names, each list in order of `since`.

    `as_of` is the day on which the table was last compared with the published prices.
    """

    __slots__ = ("_rows", "as_of")

    def __init__(self, as_of: date, rows: Mapping[str, Sequence[PriceRow]]) -> None:
        self.as_of = as_of
        # The newest row first: it is nearly always the one that holds.
        self._rows = {model: tuple(reversed(history)) for model, history in rows.items()}

    @property
    def models(self) -> tuple[str, ...]:
        """The models that have a price, in the table's order."""
        return tuple(self._rows)

    def cost(self, model: str, tokens: TokenCounts, at: float) -> Cost | None:
        """What the tokens cost in USD at the list price of that moment; None for a model without a price."""
        row = self._row(model, at)
        if row is None:
            return None
        return Cost(
            input=tokens.input * row.input / _PER_MILLION,
            output=tokens.output * row.output / _PER_MILLION,
            cache_read=tokens.cache_read * row.cache_read / _PER_MILLION,
            cache_write=tokens.cache_write * row.cache_write / _PER_MILLION,
        )

    def credits(self, model: str, tokens: TokenCounts, at: float) -> float | None:
        """Coding Plan credits: sum of tokens / 10,000 x coefficient, and half of that outside peak hours.

        None for a model whose coefficients are not published: a guess would look like a measurement.
        Source: the plan's published formula, which one account's own figures met within 0.14 %.
        """
        row = self._row(model, at)
        if row is None or row.credits is None:
            return None
        rates = row.credits
        weighted = tokens.input * rates.input + tokens.cache_read * rates.cache_read + tokens.output * rates.output
        factor = 1.0 if pricing_tier(at) is PricingTier.PEAK else _OFF_PEAK_FACTOR
        return weighted / _PER_CREDIT_UNIT * factor

    def _row(self, model: str, at: float) -> PriceRow | None:
        history = self._rows.get(model)
        if history is None:
            name = normalise_model(model)
            history = self._rows.get(name) or self._rows.get(_BUILD_DAY.sub("", name), ())
        for row in history:
            if row.since <= at:
                return row
        return None


def pricing_tier(at: float) -> PricingTier:
    """`peak` from 14:00 to 18:00 (exclusive) in UTC+8 on Monday to Friday, else `off_peak`.

    `at` is Unix time. Public holidays are working days here: Z.AI publishes no exception for them.
    """
    since_monday = (at + _CHINA_OFFSET - _FIRST_MONDAY) % _WEEK
    working_day = since_monday < 5 * _DAY
    peak_hour = 14 * _HOUR <= since_monday % _DAY < 18 * _HOUR
    return PricingTier.PEAK if working_day and peak_hour else PricingTier.OFF_PEAK


def normalise_model(model: str) -> str:
    """The name under which a model is priced: `zai/GLM-5.3[1m]` is `glm-5.3`."""
    name = model.strip().lower().removesuffix("[1m]")
    return name[name.rfind("/") + 1 :]
