"""The table of finished requests. Its columns, filters and sorts are what the fields of `Request` say they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final, TypeAlias

from pydantic import Field

from dashboard.records.base import Record, Time, Tokens


class Outcome(StrEnum):
    """How a request ended."""

    OK = "ok"
    FAILED = "failed"
    ABORTED = "aborted"  # the client left
    REFUSED = "refused"  # by the proxy


class Kind(StrEnum):
    """The type of a column that is taken from a proxy's feed; the feed may leave out any of them."""

    TEXT = "text"
    NUMBER = "number"
    WHOLE = "whole number"


@dataclass(frozen=True, slots=True)
class Column:
    """How a field is stored and asked for.

    `kind` is None for a field that is not simply taken from the feed. `feed_name` is what the feed calls it, None if it
    has the same name there. `sorted_by` is an SQL expression. A search looks into the fields that are `is_searched`.
    """

    kind: Kind | None = None
    feed_name: str | None = None
    is_filter: bool = False
    is_searched: bool = False
    sorted_by: str | None = None


def _text(filters: bool = False, searched: bool = False, feed_name: str | None = None) -> Column:
    return Column(Kind.TEXT, feed_name, filters, searched)


def _sorted(name: str, kind: Kind | None = None) -> Column:
    return Column(kind, sorted_by=name)


Text: TypeAlias = str | None
Whole: TypeAlias = int | None
Number: TypeAlias = float | None


class Request(Record):
    """A finished request."""

    # The columns of a CSV file stand in this order: a new one goes to the end.

    id: int = Field(description="Rises with every stored request and is never used twice")
    target: int
    feed_id: str
    started: Time
    ended: Annotated[Time, _sorted("ended")]
    outcome: Annotated[Outcome, Column(is_filter=True)]
    duration: Annotated[float, _sorted("duration")]
    request_id: Annotated[Text, _text(searched=True)]
    client: Annotated[Text, _text(filters=True, searched=True)]
    session: Annotated[Text, _text(filters=True, searched=True)]
    agent: Annotated[Text, _text(filters=True)]
    lane: Annotated[Text, _text(filters=True)]
    method: Annotated[Text, _text(filters=True)]
    path: Annotated[Text, _text(filters=True, searched=True)]
    model: Annotated[Text, _text(filters=True, searched=True)] = Field(description="What answered")
    model_asked: Annotated[Text, _text(searched=True)] = Field(description="What it asked for")
    error: Annotated[Text, _text(searched=True)]
    refused: Annotated[Text, _text()]
    code: Annotated[Text, _text()]
    tokens_are: Annotated[Text, _text()]
    running_id: Annotated[Text, _text(feed_name="id")] = Field(description="Its id in Now while it ran")
    waited: Annotated[Number, _sorted("waited", Kind.NUMBER)]
    first_byte: Annotated[Number, _sorted("first_byte", Kind.NUMBER)]
    cost_usd: Annotated[Number, _sorted("cost_usd", Kind.NUMBER)]
    credits: Annotated[Number, Column(Kind.NUMBER)]
    status: Annotated[Whole, Column(Kind.WHOLE)]
    request_bytes: Annotated[Whole, _sorted("request_bytes", Kind.WHOLE)]
    response_bytes: Annotated[Whole, _sorted("response_bytes", Kind.WHOLE)]
    attempts: Annotated[Whole, _sorted("attempts", Kind.WHOLE)]
    tokens: Annotated[Tokens, _sorted("input + output + cache_read + cache_write")]
    program: Annotated[Text, _text(filters=True, searched=True)] = Field(description="What its user agent is known as")


class Lost(Record):
    """Requests that no proxy held any longer when the dashboard asked for them."""

    requests: int
    unknown_gaps: int


class Cancelled(Record):
    """A running or waiting request that was told to end."""

    cancelled: str = Field(description="Its id")


class Requests(Record):
    """A page of the table."""

    requests: list[Request]
    next: str | None = Field(description="`after` of the next page; null on the last")
    total: int
    total_is_exact: bool
    lost: Lost


COLUMNS: Final[Mapping[str, Column]] = {
    name: next((each for each in field.metadata if isinstance(each, Column)), Column())
    for name, field in Request.model_fields.items()
}
"""Every field of a request, in their order."""

TOKEN_KINDS: Final = tuple(Tokens.model_fields)
FILTERS: Final = tuple(name for name, column in COLUMNS.items() if column.is_filter)
SEARCHED: Final = tuple(name for name, column in COLUMNS.items() if column.is_searched)
SORTS: Final = {name: column.sorted_by for name, column in COLUMNS.items() if column.sorted_by is not None}
"""What each order is by, as SQL."""


def columns_of(*kinds: Kind) -> tuple[str, ...]:
    """The columns that hold what is of one of these kinds in the feed."""
    return tuple(name for name, column in COLUMNS.items() if column.kind in kinds)
