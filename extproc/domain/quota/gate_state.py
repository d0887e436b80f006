"""The state of the quota's gate, as plain values that replicas can tell each other. Times are Unix seconds."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from extproc.domain.quota.windows import LONGEST_SECONDS, seconds_of


class Cause(StrEnum):
    """What closed the gate."""

    REFUSED = "refused"  # Z.AI refused a request with a quota code
    REPORTED = "reported"  # the monitor API says that nothing is left


@dataclass(frozen=True, slots=True)
class Closure:
    """A window that refuses new work. `resets_at` is None while nobody has told; `code` is empty for a report.

    `reset_is_guess` is true where only a refusal has told, by its `retry-after`: any report knows better.
    """

    window: str
    cause: Cause
    since: float
    resets_at: float | None
    code: str = ""
    reset_is_guess: bool = False

    @property
    def known_reset(self) -> float | None:
        """The reset, if a report has told it."""
        return None if self.reset_is_guess else self.resets_at

    def with_reset(self, reported: float | None) -> "Closure":
        """The same with the reset that a report names, if it names one."""
        return self if reported is None else replace(self, resets_at=reported, reset_is_guess=False)

    @property
    def latest_end(self) -> float:
        """When it ends even if nobody ever tells: no window outlasts its length."""
        longest = seconds_of(self.window) or LONGEST_SECONDS
        return self.since + longest if self.resets_at is None else self.resets_at


@dataclass(frozen=True, slots=True)
class GateState:
    """What closes the gate, and when it is tried.

    `disproved` has windows that were reported as used up while a probe got through, each with the reset that was known
    then. `opened_at` is when the gate opened last. A probe is due at `probe_due`, the next one `probe_interval` later.
    """

    closures: tuple[Closure, ...] = ()
    disproved: tuple[tuple[str, float | None], ...] = ()
    opened_at: float = -math.inf
    probe_interval: float = 0.0
    probe_due: float = 0.0

    def shifted(self, seconds: float) -> "GateState":
        """The same state by a clock that is ahead by so many seconds. Resets are Z.AI's own times and stay as they
        are."""
        return GateState(
            tuple(replace(closure, since=closure.since + seconds) for closure in self.closures),
            self.disproved,
            self.opened_at + seconds,
            self.probe_interval,
            self.probe_due + seconds,
        )

    def merged(self, base: "GateState", own: "GateState") -> "GateState":
        """This state, with the changes that led from `base` to `own` made to it too: two replicas have changed the
        same base at the same time."""
        before = {closure.window: closure for closure in base.closures}
        mine = {closure.window: closure for closure in own.closures}
        closures = {each.window: each for each in self.closures}
        closures |= {window: closure for window, closure in mine.items() if before.get(window) != closure}
        for window in before.keys() - mine.keys():
            closures.pop(window, None)
        return GateState(
            tuple(closures.values()),
            tuple((dict(self.disproved) | dict(own.disproved)).items()),
            max(self.opened_at, own.opened_at),
            max(self.probe_interval, own.probe_interval),
            max(self.probe_due, own.probe_due),
        )

    def as_dict(self) -> dict[str, object]:
        """Plain values, fit for JSON."""
        return {
            "closures": [asdict(closure) for closure in self.closures],
            "disproved": [list(each) for each in self.disproved],
            "opened_at": None if math.isinf(self.opened_at) else self.opened_at,
            "probe_interval": self.probe_interval,
            "probe_due": self.probe_due,
        }


def read_gate_state(data: object) -> GateState:
    """What `as_dict` wrote. Raises ValueError for anything else."""
    if not isinstance(data, Mapping):
        raise ValueError("the gate: need an object")
    try:
        return GateState(
            tuple(_closure(each) for each in data["closures"]),
            tuple((str(window), _time(reset)) for window, reset in data["disproved"]),
            -math.inf if data["opened_at"] is None else float(data["opened_at"]),
            float(data["probe_interval"]),
            float(data["probe_due"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"the gate: {error!r}") from None


def _closure(data: Mapping[str, object]) -> Closure:
    since = _time(data["since"])
    if since is None:
        raise ValueError("the gate: a closure without its beginning")
    return Closure(
        str(data["window"]),
        Cause(str(data["cause"])),
        since,
        _time(data["resets_at"]),
        str(data["code"]),
        reset_is_guess=data.get("reset_is_guess") is True,  # replicas of an older version do not say
    )


def _time(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"the gate: {value!r}: need a time")
    return float(value)
