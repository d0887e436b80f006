"""A failure on the way upstream, told once: an attempt that ended in an error, or an error in a good answer's body."""

from dataclasses import dataclass

from extproc.domain.request.business_codes import BusinessCode
from extproc.domain.request.routes import Route
from extproc.domain.usage.log_entry import EntryKind, LogEntry


@dataclass(frozen=True, slots=True)
class Failure:
    """`code` is what it means, to everybody; `is_answer` is false where no answer came. Times are Unix times."""

    entry: LogEntry
    route: Route
    exchange_id: str
    code: BusinessCode
    is_answer: bool

    @property
    def ended_at(self) -> float:
        """When Z.AI said so: with the first byte, or at the end where there was none."""
        entry = self.entry
        return entry.started + (entry.duration if entry.first_byte is None else entry.first_byte)

    @property
    def began_at(self) -> float:
        """When it set out. An answer that turned into an error had been taken until then."""
        return self.ended_at if self.entry.kind is EntryKind.REQUEST else self.entry.started
