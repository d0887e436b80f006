"""Events of /api/events that have no other record."""

from dashboard.records.base import Record


class Gap(Record):
    """The event `gap`: so many requests and alerts are missing here."""

    lost: int


class Reset(Record):
    """The event `reset`: the store was begun anew, and so were the ids."""
