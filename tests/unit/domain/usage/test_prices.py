"""What tokens cost, in USD and in plan credits, and when the peak hours are."""

from datetime import date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.domain.usage.price_file import packaged_prices, parse_price_table
from extproc.domain.usage.prices import (
    Cost,
    CreditRates,
    PriceRow,
    PriceTable,
    PricingTier,
    normalise_model,
    pricing_tier,
)
from extproc.domain.usage.tokens import TokenCounts

CHINA = timezone(timedelta(hours=8))
TABLE = parse_price_table(packaged_prices())
MILLION_EACH = TokenCounts(input=1_000_000, output=1_000_000, cache_read=1_000_000, cache_write=1_000_000)

# Z.AI's published list: USD per million tokens of input, cached input (None: not offered) and output.
PUBLISHED = {
    "glm-5.3": (1.40, 0.26, 4.40),
    "glm-5.3-flash": (0.15, 0.03, 0.50),
    "glm-5.3-flashx": (0.37, 0.075, 1.25),
    "glm-5.2": (1.40, 0.26, 4.40),
    "glm-5.1": (1.40, 0.26, 4.40),
    "glm-5": (1.00, 0.20, 3.20),
    "glm-5-turbo": (1.20, 0.24, 4.00),
    "glm-5v-turbo": (1.20, 0.24, 4.00),
    "glm-5-code": (1.20, 0.30, 5.00),
    "glm-4.7": (0.60, 0.11, 2.20),
    "glm-4.7-flashx": (0.07, 0.01, 0.40),
    "glm-4.7-flash": (0, 0, 0),
    "glm-4.6": (0.60, 0.11, 2.20),
    "glm-4.6v": (0.30, 0.05, 0.90),
    "glm-4.6v-flashx": (0.04, 0.004, 0.40),
    "glm-4.6v-flash": (0, 0, 0),
    "glm-4.5": (0.60, 0.11, 2.20),
    "glm-4.5-air": (0.20, 0.03, 1.10),
    "glm-4.5-x": (2.20, None, 8.90),
    "glm-4.5-airx": (1.10, None, 4.50),
    "glm-4.5-flash": (0, 0, 0),
    "glm-4.5v": (0.60, 0.11, 1.80),
    "glm-4-32b-0414-128k": (0.10, None, 0.10),
    "glm-ocr": (0.03, None, 0.03),
}
# Credits per 10,000 tokens of input, cached input and output, at peak.
COEFFICIENTS = {
    "glm-5.3": (6.9, 1.7, 24),
    "glm-5.3-flash": (2.3, 0.56, 8),
    "glm-5-turbo": (5.7, 1.5, 21),
    "glm-4.6v": (1.2, 0.3, 2.7),
}
COUNTS = st.builds(TokenCounts, *[st.integers(min_value=0, max_value=10_000_000)] * 4)


def china(text: str) -> float:
    """Unix time of a moment in UTC+8."""
    return datetime.fromisoformat(text).replace(tzinfo=CHINA).timestamp()


PEAK = china("2026-10-14T15:00:00")
OFF_PEAK = china("2026-10-14T20:00:00")


def test_the_packaged_table_has_exactly_the_published_models() -> None:
    assert set(TABLE.models) == set(PUBLISHED)


@pytest.mark.parametrize("model", PUBLISHED)
def test_a_million_tokens_cost_the_published_price(model: str) -> None:
    price, cached, output = PUBLISHED[model]
    cost = TABLE.cost(model, MILLION_EACH, OFF_PEAK)
    assert cost == Cost(input=price, output=output, cache_read=price if cached is None else cached, cache_write=0)


@pytest.mark.parametrize("model", PUBLISHED)
def test_credits_follow_the_published_coefficients_and_are_unknown_without(model: str) -> None:
    ten_thousand_each = TokenCounts(input=10_000, output=10_000, cache_read=10_000, cache_write=10_000)
    expected = pytest.approx(sum(COEFFICIENTS[model])) if model in COEFFICIENTS else None
    assert TABLE.credits(model, ten_thousand_each, PEAK) == expected


def test_the_credits_of_an_agents_turn() -> None:
    # By hand: 12,000 uncached -> 1.2 x 6.9 = 8.28; 88,000 cached -> 8.8 x 1.7 = 14.96; 2,500 out -> 0.25 x 24 = 6.
    turn = TokenCounts(input=12_000, cache_read=88_000, output=2_500)
    assert TABLE.credits("glm-5.3", turn, PEAK) == pytest.approx(29.24)
    assert TABLE.credits("glm-5.3", turn, OFF_PEAK) == pytest.approx(14.62)


def test_the_cost_of_an_agents_turn() -> None:
    turn = TokenCounts(input=12_000, cache_read=88_000, output=2_500)
    cost = TABLE.cost("glm-5.3", turn, PEAK)
    assert cost is not None
    assert cost.total == pytest.approx(0.012 * 1.40 + 0.088 * 0.26 + 0.0025 * 4.40)


def test_the_launch_promotion_ends_with_its_last_day_in_china() -> None:
    last_second = TABLE.cost("glm-5.3-flash", MILLION_EACH, china("2026-09-09T23:59:59"))
    next_second = TABLE.cost("glm-5.3-flash", MILLION_EACH, china("2026-09-10T00:00:00"))
    assert last_second == Cost(input=0.075, output=0.25, cache_read=0.015, cache_write=0)
    assert next_second == Cost(input=0.15, output=0.50, cache_read=0.03, cache_write=0)
    promoted = TABLE.credits("glm-5.3-flash", MILLION_EACH, china("2026-09-09T15:00:00"))
    assert promoted == TABLE.credits("glm-5.3-flash", MILLION_EACH, china("2026-09-10T15:00:00"))


def test_a_free_model_costs_nothing_and_an_unknown_one_has_no_cost() -> None:
    assert TABLE.cost("glm-4.5-flash", MILLION_EACH, PEAK) == Cost(0, 0, 0, 0)
    assert TABLE.cost("gpt-6", MILLION_EACH, PEAK) is None
    assert TABLE.credits("gpt-6", MILLION_EACH, PEAK) is None


def test_a_model_has_no_price_before_its_first_day() -> None:
    row = PriceRow(since=PEAK, input=1, output=1, cache_read=1, cache_write=0, credits=CreditRates(1, 1, 1))
    table = PriceTable(date(2026, 10, 14), {"glm-6": [row]})
    assert table.cost("glm-6", MILLION_EACH, PEAK - 1) is None
    assert table.credits("glm-6", MILLION_EACH, PEAK - 1) is None
    assert table.cost("glm-6", MILLION_EACH, PEAK) is not None


@pytest.mark.parametrize(
    "name",
    [
        "glm-5.3",
        "GLM-5.3",
        " glm-5.3 ",
        "glm-5.3[1m]",
        "GLM-5.3[1M]",
        "zai/glm-5.3",
        "openrouter/z-ai/glm-5.3",
        "glm-5.3-20260815",
        "glm-5.3-2026-08-15",
        "zai/GLM-5.3-20260815[1m]",
    ],
)
def test_a_model_is_priced_under_every_spelling_of_its_name(name: str) -> None:
    assert TABLE.cost(name, MILLION_EACH, PEAK) == TABLE.cost("glm-5.3", MILLION_EACH, PEAK)


@pytest.mark.parametrize(
    "name", ["", "/", "[1m]", "glm-5.3-99990815", "glm-5.3-2026081", "-20260815", "glm-5.4", "glm"]
)
def test_a_name_that_only_resembles_a_model_has_no_price(name: str) -> None:
    assert TABLE.cost(name, MILLION_EACH, PEAK) is None


@given(st.text())
def test_a_providers_prefix_of_any_depth_is_ignored(name: str) -> None:
    assert normalise_model(f"zai/{name}") == normalise_model(f"x/zai/{name}")


@given(st.sampled_from(sorted(PUBLISHED)), COUNTS, COUNTS)
def test_more_tokens_never_cost_less(model: str, some: TokenCounts, more: TokenCounts) -> None:
    both = TokenCounts(
        some.input + more.input,
        some.output + more.output,
        some.cache_read + more.cache_read,
        some.cache_write + more.cache_write,
    )
    cost, cost_of_both = TABLE.cost(model, some, PEAK), TABLE.cost(model, both, PEAK)
    assert cost is not None
    assert cost_of_both is not None
    assert 0 <= cost.total <= cost_of_both.total
    credits, credits_of_both = TABLE.credits(model, some, PEAK), TABLE.credits(model, both, PEAK)
    assert (credits is None) == (credits_of_both is None) == (model not in COEFFICIENTS)
    assert (credits or 0) <= (credits_of_both or 0)


@pytest.mark.parametrize(
    ("moment", "tier"),
    [
        ("2026-10-12T13:59:59.999", PricingTier.OFF_PEAK),  # Monday
        ("2026-10-12T14:00:00", PricingTier.PEAK),
        ("2026-10-12T17:59:59.999", PricingTier.PEAK),
        ("2026-10-12T18:00:00", PricingTier.OFF_PEAK),
        ("2026-10-16T13:59:59", PricingTier.OFF_PEAK),  # Friday
        ("2026-10-16T14:00:00", PricingTier.PEAK),
        ("2026-10-16T17:59:59", PricingTier.PEAK),
        ("2026-10-16T18:00:00", PricingTier.OFF_PEAK),
        ("2026-10-17T14:00:00", PricingTier.OFF_PEAK),  # Saturday
        ("2026-10-17T16:00:00", PricingTier.OFF_PEAK),
        ("2026-10-18T16:00:00", PricingTier.OFF_PEAK),  # Sunday
        ("2026-10-19T00:00:00", PricingTier.OFF_PEAK),  # Monday in China, still Sunday in UTC
        ("2026-10-19T07:59:59", PricingTier.OFF_PEAK),
        ("2026-10-19T14:00:00", PricingTier.PEAK),
        ("2028-02-29T15:00:00", PricingTier.PEAK),  # a Tuesday
        ("1970-01-01T14:30:00", PricingTier.PEAK),  # a Thursday
    ],
)
def test_the_tier_changes_to_the_second(moment: str, tier: PricingTier) -> None:
    assert pricing_tier(china(moment)) is tier


@given(st.integers(min_value=-300_000_000, max_value=4_000_000_000))
def test_the_tier_agrees_with_the_calendar(at: int) -> None:
    local = datetime.fromtimestamp(at, CHINA)
    peak = local.weekday() < 5 and 14 <= local.hour < 18
    assert pricing_tier(at) is (PricingTier.PEAK if peak else PricingTier.OFF_PEAK)
