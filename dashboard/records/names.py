"""Names that people give: the answer of /api/names, and the event `names`."""

from enum import StrEnum

from pydantic import Field

from dashboard.records.base import Record


class NameKind(StrEnum):
    """What may be named."""

    CLIENT = "client"
    SESSION = "session"


class Name(Record):
    """What a client or a session is called."""

    kind: NameKind
    key: str = Field(description="The client or session, as its requests have it")
    name: str = Field(description="One line of at most 60 characters; empty, where it is saved, for none any more")


class Names(Record):
    """All names, the latest used first."""

    names: list[Name]
