"""Who used what: the answer of /api/breakdown."""

from enum import StrEnum

from pydantic import Field

from dashboard.records.base import Record, Tokens


class By(StrEnum):
    """What tells the rows apart."""

    CLIENT = "client"
    SESSION = "session"
    AGENT = "agent"
    LANE = "lane"
    MODEL = "model"
    PATH = "path"
    HOUR = "hour"
    DAY = "day"


class Wasted(Record):
    """What was for nothing: requests that failed or were given up by their client."""

    requests: int
    tokens: int
    cost_usd: float


class Used(Record):
    """What the requests with one key (of one client, say) used together."""

    key: str | int | None = Field(description="Unix time for hours and days; null where a request had none")
    requests: int
    ok: int
    failed: int
    aborted: int
    refused: int
    retries: int
    tokens: Tokens
    cost_usd: float
    credits: float | None = Field(
        description="As far as known; null where all tokens are of models without a known price in credits"
    )
    request_bytes: int
    response_bytes: int
    mean_duration: float | None
    wasted: Wasted
    # A new one goes to the end: the columns of a CSV file stand in this order.
    programs: list[str] = Field(
        description="What a client or session asked with around this time, the latest first, at most 3; else empty"
    )


class Breakdown(Record):
    """What was used between two times, a row for each key."""

    by: By
    begin: float = Field(serialization_alias="from")
    to: float
    resolution: int = Field(description="Seconds that the window was widened to whole ones of; 0: not at all")
    rows: list[Used]
    other: Used | None
    total: Used
