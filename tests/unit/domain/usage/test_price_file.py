"""A price table's JSON: what it means, and one clear line for each way to get it wrong."""

import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.domain.usage.price_file import PriceTableError, packaged_prices, parse_price_table
from extproc.domain.usage.prices import Cost
from extproc.domain.usage.tokens import TokenCounts

MILLION_EACH = TokenCounts(input=1_000_000, output=1_000_000, cache_read=1_000_000, cache_write=1_000_000)
MIDNIGHT = 1_757_433_600  # 2025-09-10 00:00 in UTC+8


def table(**row: object) -> str:
    """A table whose only row is a good one with these fields changed; None takes a field away."""
    fields = {"input": 1, "output": 2, **row}
    rows = [{name: value for name, value in fields.items() if value is not None}]
    return json.dumps({"as_of": "2026-09-04", "models": {"glm-6": rows}})


def history(*days: str | None) -> str:
    rows = [{"from": day, "input": 1, "output": 2} if day else {"input": 1, "output": 2} for day in days]
    return json.dumps({"as_of": "2026-09-04", "models": {"glm-6": rows}})


def complaint(text: str) -> str:
    with pytest.raises(PriceTableError) as raised:
        parse_price_table(text)
    return str(raised.value)


def test_the_packaged_table_is_sound() -> None:
    assert parse_price_table(packaged_prices()).as_of == date(2026, 9, 4)


def test_without_a_cache_price_cached_input_costs_as_much_as_input_and_cache_writes_nothing() -> None:
    prices = parse_price_table(table())
    assert prices.cost("glm-6", MILLION_EACH, at=0) == Cost(input=1, output=2, cache_read=1, cache_write=0)
    assert prices.credits("glm-6", MILLION_EACH, at=0) is None


def test_every_field_is_taken() -> None:
    credits = {"input": 3, "cache_read": 2, "output": 1}
    prices = parse_price_table(table(cache_read=0.5, cache_write=0.25, credits=credits))
    assert prices.cost("glm-6", MILLION_EACH, at=0) == Cost(input=1, output=2, cache_read=0.5, cache_write=0.25)
    assert prices.credits("glm-6", MILLION_EACH, at=0) == pytest.approx(0.5 * 100 * (3 + 2 + 1))


def test_a_row_holds_from_midnight_in_china() -> None:
    prices = parse_price_table(history("2025-09-10"))
    assert prices.cost("glm-6", MILLION_EACH, at=MIDNIGHT - 1) is None
    assert prices.cost("glm-6", MILLION_EACH, at=MIDNIGHT) is not None


def test_a_models_name_may_be_written_as_people_write_it() -> None:
    prices = parse_price_table('{"as_of": "2026-09-04", "models": {"zai/GLM-6": [{"input": 1, "output": 2}]}}')
    assert prices.models == ("glm-6",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1, column 1: need JSON (Expecting value)"),
        ('{"as_of": "2026-09-04",\n "models": {,}}', "line 2, column 13: need JSON"),
        ("[" * 100_000, "nested too deeply: need an object with as_of and models"),
        (" " * (1 << 20) + "{}", "1048578 characters: need at most 1048576"),
        ("[]", "the table is []: need an object with about, as_of, models"),
        ("null", "the table is missing: need an object with about, as_of, models"),
        ('{"model": {}}', 'the table, "model": no such field, need one of about, as_of, models'),
        ('{"as_of": "2026-09-04"}', '"models" is missing: need an object with 1 to 1000 model names'),
        ('{"as_of": "2026-09-04", "models": {}}', '"models" is {}: need an object with 1 to 1000 model names'),
        ('{"as_of": "2026-09-04", "models": []}', '"models" is []: need an object with 1 to 1000 model names'),
        ('{"models": {"glm-6": [{"input": 1, "output": 2}]}}', '"as_of" is missing: need a day like 2026-09-10'),
        (
            '{"as_of": "today", "models": {"glm-6": [{"input": 1, "output": 2}]}}',
            '"as_of" is "today": need a day like 2026-09-10',
        ),
        ('{"as_of": "2026-09-04", "as_of": 1}', '"as_of" appears twice: need each name once in an object'),
        (
            '{"models": {"glm-6": [{"input": 1, "output": 2}], "GLM-6": []}}',
            'model "GLM-6": need a name that no other model of the table has',
        ),
        ('{"models": {"": []}}', 'model "": need a name that no other model of the table has'),
        ('{"models": {"glm-6": {}}}', 'model "glm-6" is {}: need a list of 1 to 100 rows'),
        ('{"models": {"glm-6": []}}', 'model "glm-6" is []: need a list of 1 to 100 rows'),
        ('{"models": {"glm-6": [7]}}', 'model "glm-6", row 1 is 7.0: need an object with from, input, output'),
        (table(input=None), 'model "glm-6", row 1, "input" is missing: need a number from 0 to 100000'),
        (table(output=None), 'model "glm-6", row 1, "output" is missing: need a number from 0 to 100000'),
        (table(input="1.4"), 'model "glm-6", row 1, "input" is "1.4": need a number from 0 to 100000'),
        (table(input=True), 'model "glm-6", row 1, "input" is true: need a number'),
        (table(input=-0.1), 'model "glm-6", row 1, "input" is -0.1: need a number'),
        (table(input=100_001), 'model "glm-6", row 1, "input" is 100001.0: need a number'),
        (table(input=float("nan")), 'model "glm-6", row 1, "input" is NaN: need a number'),
        (table(output=float("inf")), 'model "glm-6", row 1, "output" is Infinity: need a number'),
        ('{"models": {"glm-6": [{"input": ' + "9" * 5000 + "}]}}", '"input" is Infinity: need a number'),
        (table(cache_read=[1]), 'model "glm-6", row 1, "cache_read" is [1.0]: need a number'),
        (table(cache_write="free"), 'model "glm-6", row 1, "cache_write" is "free": need a number'),
        (table(cached=1), 'model "glm-6", row 1, "cached": no such field, need one of from, input, output, cache_read'),
        (table(credits=6.9), 'model "glm-6", row 1, credits is 6.9: need an object with input, output, cache_read'),
        (table(credits={"input": 1}), 'model "glm-6", row 1, credits, "output" is missing: need a number'),
        (table(credits={"cost": 1}), 'model "glm-6", row 1, credits, "cost": no such field'),
        (table(**{"from": "20260910"}), 'model "glm-6", row 1, "from" is "20260910": need a day like 2026-09-10'),
        (table(**{"from": "2026-02-30"}), 'model "glm-6", row 1, "from" is "2026-02-30": need a day'),
        (table(**{"from": 20260910}), 'model "glm-6", row 1, "from" is 20260910.0: need a day'),
        (history(None, None), 'model "glm-6", row 2, "from" is missing: need a day like 2026-09-10'),
        (
            history("2026-09-10", "2026-09-10"),
            'model "glm-6", row 2, "from" is "2026-09-10": need a day after the row before',
        ),
        (
            history(None, "2026-09-10", "2026-09-09"),
            'model "glm-6", row 3, "from" is "2026-09-09": need a day after the row before',
        ),
    ],
)
def test_a_mistake_is_named_with_its_place_and_what_would_be_right(text: str, message: str) -> None:
    assert message in complaint(text)
    assert "\n" not in complaint(text)


def test_a_complaint_stays_short_whatever_is_in_the_file() -> None:
    assert len(complaint(table(input="x\n" * 10_000))) < 200
    assert len(complaint(json.dumps({"models": {"m\n" * 10_000: 1}}))) < 200


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["as_of", "models", "input", "output", "from", "credits"]), inner)
    ),
    max_leaves=10,
)


@given(st.text() | JSON_VALUES.map(json.dumps))
def test_any_text_is_a_table_or_one_line_of_complaint(text: str) -> None:
    try:
        parse_price_table(text)
    except PriceTableError as error:
        complaint_made = str(error)
    else:
        return
    assert "need" in complaint_made
    assert "\n" not in complaint_made
