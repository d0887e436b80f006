"""The models that Z.AI serves, the names that it maps to them, and what their tokens cost of the plan. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType

BEIJING = timezone(timedelta(hours=8))

CHAT_MODELS = (
    "glm-4.5",
    "glm-4.5-air",
    "glm-4.6",
    "glm-4.7",
    "glm-5",
    "glm-5-turbo",
    "glm-5.1",
    "glm-5.2",
    "glm-5.3",
    "glm-5.3-flash",
    "glm-5.3-flashx",
)

# Served, but in no list.
_UNLISTED = (
    "glm-4.5-x",
    "glm-4.5-airx",
    "glm-4.5-flash",
    "glm-4.5v",
    "glm-4.6v",
    "glm-4.6v-flash",
    "glm-4.6v-flashx",
    "glm-4.7-flash",
    "glm-4.7-flashx",
    "glm-5-code",
    "glm-5v-turbo",
    "glm-4-32b-0414-128k",
    "glm-ocr",
)

SERVED_MODELS = frozenset(CHAT_MODELS + _UNLISTED)
_ALWAYS_THINK = ("glm-5.2", "glm-5.3")


@dataclass(frozen=True, slots=True)
class CreditRates:
    """Plan credits per 10,000 tokens, at peak."""

    input: float
    cached: float
    output: float


# Source: the Coding Plan's published coefficients (September 2026). Models without one are charged as glm-5.3.
CREDIT_RATES: Mapping[str, CreditRates] = MappingProxyType(
    {
        "glm-5.3": CreditRates(6.9, 1.7, 24.0),
        "glm-5.3-flash": CreditRates(2.3, 0.56, 8.0),
        "glm-5-turbo": CreditRates(5.7, 1.5, 21.0),
        "glm-4.6v": CreditRates(1.2, 0.3, 2.7),
    }
)


def served_model(name: str, *, anthropic: bool) -> str | None:
    """The model that answers to `name`, or None for an unknown one.

    The Anthropic surface also takes Claude's names and the `[1m]` suffix.
    """
    model = name.strip().lower()
    if anthropic:
        model = model.removesuffix("[1m]")
        if model.startswith("claude-"):
            return "glm-5.3-flash" if "haiku" in model else "glm-5.3"
    return model if model in SERVED_MODELS else None


def always_thinks(model: str) -> bool:
    return model.startswith(_ALWAYS_THINK)


def is_peak(unix_time: float) -> bool:
    """Monday to Friday, 14:00 to 18:00 in UTC+8."""
    local = datetime.fromtimestamp(unix_time, UTC).astimezone(BEIJING)
    return local.weekday() < 5 and 14 <= local.hour < 18


def plan_credits(model: str, *, input_tokens: int, cached_tokens: int, output_tokens: int, unix_time: float) -> float:
    """Plan credits of one request: tokens / 10,000 x coefficient, halved off the peak. `input_tokens` is uncached."""
    rates = CREDIT_RATES.get(model, CREDIT_RATES["glm-5.3"])
    full = (input_tokens * rates.input + cached_tokens * rates.cached + output_tokens * rates.output) / 10_000
    return full if is_peak(unix_time) else full / 2


def beijing_text(unix_time: float, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """A time as Z.AI writes it: UTC+8, without a zone."""
    return datetime.fromtimestamp(unix_time, BEIJING).strftime(form)
