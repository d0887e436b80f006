"""Charts over time: the answer of /api/series."""

from enum import StrEnum
from typing import TypeAlias

from pydantic import Field

from dashboard.records.base import Record, Time

Amount: TypeAlias = int | float
"""A number that is written without a point where it is whole: there are thousands of them in an answer."""


class ChartKind(StrEnum):
    """What the points of a chart are."""

    SUM = "sum"  # what was counted within the step
    MEAN = "mean"  # the average within the step
    QUANTILE = "quantile"  # from the merged buckets of a histogram


class MarkKind(StrEnum):
    """What a mark says."""

    STARTED = "started"  # a proxy's process
    DEPLOYED = "deployed"  # with another version than before
    LOST = "lost"  # a target went stale
    BACK = "back"  # and answered again
    RESET = "reset"  # a quota window began anew
    GATE_CLOSED = "gate_closed"
    GATE_OPENED = "gate_opened"


class Line(Record):
    """One line. Value `i` is of the `step` seconds from `from + i * step` on."""

    label: str
    labels: dict[str, str]
    values: list[Amount | None] = Field(description="One for each point; null is a gap")
    total: Amount | None


class Chart(Record):
    """One chart."""

    name: str
    title: str
    kind: ChartKind
    unit: str
    lines: list[Line]


class Mark(Record):
    """Something worth a line in every chart."""

    at: Time
    kind: MarkKind
    target: int | None
    text: str


class Series(Record):
    """Charts over one time."""

    begin: int = Field(serialization_alias="from")
    to: int
    step: int
    points: int
    last_is_partial: bool
    charts: list[Chart]
    marks: list[Mark]
