"""What all records share. Times are Unix seconds, durations seconds, sizes bytes, money US dollars; None is unknown."""

from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

Time: TypeAlias = Annotated[float, Field(description="Unix time")]
MaybeTime: TypeAlias = Annotated[float | None, Field(description="Unix time")]


class Record(BaseModel):
    """A part of an answer, checked when it is made: a value of another type raises ValidationError there."""

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)


class Tokens(Record):
    """Tokens by kind; `input` is without those from and into the cache, `output` with those of reasoning."""

    input: int
    output: int
    cache_read: int
    cache_write: int
    reasoning: int


class Problem(Record):
    """Why the question has no answer."""

    error: str = Field(description="One sentence")
