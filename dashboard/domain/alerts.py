"""Alerts: raised once, cleared once it has been quiet for a while. Pure: the caller brings the time."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from dashboard.records import alerts as records
from dashboard.records.alerts import AlertState, Severity

_QUIET_SECONDS: Final = 15.0
_MOST: Final = 100


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that a person should know, and what to do about it. The same trouble always has the same id."""

    id: str
    severity: Severity
    title: str
    advice: str


@dataclass(frozen=True, slots=True)
class AlertChange:
    """An alert that was raised or cleared at this Unix time."""

    at: float
    state: AlertState
    alert: Alert

    def record(self) -> records.AlertChange:
        """The event that tells of it."""
        alert = self.alert
        return records.AlertChange(
            id=alert.id,
            state=self.state,
            severity=alert.severity,
            title=alert.title,
            advice=alert.advice,
            at=self.at,
        )


@dataclass(slots=True)
class _Standing:
    alert: Alert
    since: float
    last: float


class Alerts:
    """The alerts that stand. One that comes and goes within 15 s is raised once."""

    def __init__(self) -> None:
        self._standing: dict[str, _Standing] = {}

    def update(self, found: Iterable[Alert], now: float) -> list[AlertChange]:
        """Takes in all that is wrong at this Unix time; returns what has changed. At most 100 alerts stand."""
        changes = []
        for alert in found:
            known = self._standing.get(alert.id)
            if known is not None:
                known.last = now
                worse = known.alert.severity is not alert.severity
                known.alert = alert
                if worse:
                    changes.append(AlertChange(now, AlertState.RAISED, alert))
            elif len(self._standing) < _MOST:
                self._standing[alert.id] = _Standing(alert, now, now)
                changes.append(AlertChange(now, AlertState.RAISED, alert))
        # A clock that went back must not keep an alert up.
        over = [key for key, each in self._standing.items() if not 0 <= now - each.last < _QUIET_SECONDS]
        changes += [AlertChange(now, AlertState.CLEARED, self._standing.pop(key).alert) for key in over]
        return changes

    def standing(self) -> list[records.Alert]:
        """Those that stand, the worst first."""
        order = list(reversed(Severity))
        ranked = sorted(self._standing.values(), key=lambda each: (order.index(each.alert.severity), each.since))
        return [_record(each.alert, each.since) for each in ranked]


def _record(alert: Alert, since: float) -> records.Alert:
    return records.Alert(id=alert.id, severity=alert.severity, title=alert.title, advice=alert.advice, since=since)
