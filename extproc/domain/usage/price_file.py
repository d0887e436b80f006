"""Reads a price table from JSON: the package's own `price_table.json`, or a file of the same form that replaces it.

The form, as an example:

    {"as_of": "2026-09-04",
     "models": {"glm-5.3": [{"input": 1.4, "cache_read": 0.26, "output": 4.4,
                             "credits": {"input": 6.9, "cache_read": 1.7, "output": 24}},
                            {"from": "2027-01-01", "input": 1.2, "output": 4}]}}

Prices are USD per million tokens, credits Coding Plan coefficients per 10,000 tokens. A row holds from its day `from`
(00:00 in UTC+8) until the next row's; only a model's first row may do without, and then holds since ever. Without
`cache_read` cached input costs as much as input, `cache_write` is 0 unless given, and without `credits` the model's
credits are not counted. `about` is for people and ignored.
"""

import json
from collections.abc import Mapping
from datetime import date
from importlib import resources
from typing import Final

from extproc.domain.usage.prices import CreditRates, PriceRow, PriceTable, normalise_model

_LONGEST_TEXT: Final = 1 << 20
_MOST_MODELS: Final = 1000
_MOST_ROWS: Final = 100
_HIGHEST_PRICE: Final = 100_000

_TABLE_FIELDS: Final = ("about", "as_of", "models")
_ROW_FIELDS: Final = ("from", "input", "output", "cache_read", "cache_write", "credits")
_CREDIT_FIELDS: Final = ("input", "output", "cache_read")

_UNIX_EPOCH: Final = date(1970, 1, 1).toordinal()
_SINCE_EVER: Final = float("-inf")


class PriceTableError(ValueError):
    """The table cannot be used; the message is one line that says where, what is there and what would be right."""


def packaged_prices() -> str:
    """The text of the price table that comes with the package."""
    return resources.files("extproc.domain.usage").joinpath("price_table.json").read_text("utf-8")


def parse_price_table(text: str) -> PriceTable:
    """The table that a JSON text describes. Raises PriceTableError."""
    table = _object("the table", _load(text), _TABLE_FIELDS)
    models = table.get("models")
    if not isinstance(models, dict) or not 1 <= len(models) <= _MOST_MODELS:
        raise PriceTableError(f'"models" {_shown(models)}: need an object with 1 to {_MOST_MODELS} model names')
    rows: dict[str, list[PriceRow]] = {}
    for written, history in models.items():
        name = normalise_model(written)
        if not name or name in rows:
            raise PriceTableError(f"model {_quoted(written)}: need a name that no other model of the table has")
        rows[name] = _history(f"model {_quoted(written)}", history)
    return PriceTable(_day('"as_of"', table.get("as_of")), rows)


def _history(where: str, rows: object) -> list[PriceRow]:
    if not isinstance(rows, list) or not 1 <= len(rows) <= _MOST_ROWS:
        raise PriceTableError(f"{where} {_shown(rows)}: need a list of 1 to {_MOST_ROWS} rows")
    history: list[PriceRow] = []
    for number, row in enumerate(rows, start=1):
        place = f"{where}, row {number}"
        parsed = _row(place, row, may_lack_day=number == 1)
        if history and parsed.since <= history[-1].since:
            raise PriceTableError(f'{place}, "from" {_shown(row["from"])}: need a day after the row before')
        history.append(parsed)
    return history


def _row(where: str, value: object, *, may_lack_day: bool) -> PriceRow:
    row = _object(where, value, _ROW_FIELDS)
    lacks_day = may_lack_day and "from" not in row
    price_of_input = _number(where, row, "input")
    return PriceRow(
        since=_SINCE_EVER if lacks_day else _midnight_in_china(_day(f'{where}, "from"', row.get("from"))),
        input=price_of_input,
        output=_number(where, row, "output"),
        cache_read=_number(where, row, "cache_read") if "cache_read" in row else price_of_input,
        cache_write=_number(where, row, "cache_write") if "cache_write" in row else 0.0,
        credits=_credits(f"{where}, credits", row["credits"]) if "credits" in row else None,
    )


def _credits(where: str, value: object) -> CreditRates:
    rates = _object(where, value, _CREDIT_FIELDS)
    return CreditRates(
        input=_number(where, rates, "input"),
        output=_number(where, rates, "output"),
        cache_read=_number(where, rates, "cache_read"),
    )


def _number(where: str, fields: Mapping[str, object], name: str) -> float:
    value = fields.get(name)
    if not isinstance(value, float) or not 0 <= value <= _HIGHEST_PRICE:  # NaN fails the comparison
        raise PriceTableError(f'{where}, "{name}" {_shown(value)}: need a number from 0 to {_HIGHEST_PRICE}')
    return value


def _day(where: str, value: object) -> date:
    try:
        day = date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        day = None
    if day is None or day.isoformat() != value:  # fromisoformat also takes 20260910 and 2026-W37-4
        raise PriceTableError(f"{where} {_shown(value)}: need a day like 2026-09-10")
    return day


def _midnight_in_china(day: date) -> float:
    return float((day.toordinal() - _UNIX_EPOCH) * 86_400 - 8 * 3600)


def _object(where: str, value: object, allowed: tuple[str, ...]) -> dict[str, object]:
    if not isinstance(value, dict):
        raise PriceTableError(f"{where} {_shown(value)}: need an object with {', '.join(allowed)}")
    for name in value:
        if name not in allowed:
            raise PriceTableError(f"{where}, {_quoted(name)}: no such field, need one of {', '.join(allowed)}")
    return value


def _load(text: str) -> object:
    if len(text) > _LONGEST_TEXT:
        raise PriceTableError(f"{len(text)} characters: need at most {_LONGEST_TEXT}")
    try:
        # Integers as floats: one kind of number to check, and none with too many digits to convert.
        return json.loads(text, object_pairs_hook=_each_name_once, parse_int=float)
    except json.JSONDecodeError as error:
        raise PriceTableError(f"line {error.lineno}, column {error.colno}: need JSON ({error.msg})") from error
    except RecursionError as error:
        raise PriceTableError("nested too deeply: need an object with as_of and models") from error


def _each_name_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields: dict[str, object] = {}
    for name, value in pairs:
        if name in fields:
            raise PriceTableError(f"{_quoted(name)} appears twice: need each name once in an object")
        fields[name] = value
    return fields


def _shown(value: object) -> str:
    return "is missing" if value is None else f"is {_quoted(value)}"


def _quoted(value: object) -> str:
    """JSON on one line, short enough for a message."""
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
