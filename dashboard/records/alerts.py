"""Alerts: those that stand, and the event that one was raised or cleared."""

from enum import StrEnum

from dashboard.records.base import Record, Time


class Severity(StrEnum):
    """How soon a person has to look."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class AlertState(StrEnum):
    """What became of an alert."""

    RAISED = "raised"
    CLEARED = "cleared"


class Alert(Record):
    """Something that a person should know, and what to do about it. The same trouble always has the same id."""

    id: str
    severity: Severity
    title: str
    advice: str
    since: Time


class AlertChange(Record):
    """The event `alert`."""

    id: str
    state: AlertState
    severity: Severity
    title: str
    advice: str
    at: Time
