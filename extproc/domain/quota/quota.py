"""The plan's quota in one place: reports and refusals go in, decisions, forecasts and figures come out.

Pure: no clock, no socket. Every time is a Unix time in seconds, which the caller brings.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final

from extproc.domain.quota.forecast import Forecast, Forecaster, describe
from extproc.domain.quota.gate import GateEvent, QuotaGate
from extproc.domain.quota.gate_state import Closure, GateState
from extproc.domain.quota.pilot import LaneShares, QuotaPilot
from extproc.domain.quota.reconciliation import Comparison, Reconciliation
from extproc.domain.quota.refusal import QuotaRefusal
from extproc.domain.quota.windows import QuotaSample, seconds_of
from extproc.domain.request.priority import Lane

_OLDEST_TO_STEER_BY: Final = 900.0


@dataclass(frozen=True, slots=True)
class QuotaRules:
    """`gate`: refuse work that a used-up window would refuse. `reserve`: the share (0.0 to 1.0) of each window that
    only the main lane may use; without a gate it reserves nothing. `pilot`: slow the other lanes down in time."""

    gate: bool = True
    reserve: float = 0.0
    pilot: bool = False


@dataclass(frozen=True, slots=True)
class QuotaSnapshot:
    """Everything that is known at one moment. `sample` is None before the first report."""

    at: float
    sample: QuotaSample | None
    forecasts: tuple[Forecast, ...]
    closures: tuple[Closure, ...]
    comparisons: tuple[Comparison, ...]
    shares: LaneShares


class Quota:
    """Raises ValueError unless the reserve is from 0.0 to less than 1.0."""

    def __init__(self, rules: QuotaRules) -> None:
        if not 0.0 <= rules.reserve < 1.0:
            raise ValueError(f"reserve={rules.reserve}: need a share from 0.0 to less than 1.0")
        self._rules = rules
        self._gate = QuotaGate(rules.reserve)
        self._forecaster = Forecaster()
        self._pilot = QuotaPilot()
        self._reconciliation = Reconciliation()
        self._sample: QuotaSample | None = None

    def take_sample(self, sample: QuotaSample, now: float) -> None:
        """A report of the monitor API has come."""
        self._sample = sample
        self._forecaster.take_report(sample.report, sample.asked_at)
        self._reconciliation.take_report(sample.report, sample.asked_at)
        self._pilot.take_report(sample.report, sample.asked_at)
        if self._rules.gate:
            self._gate.take_report(sample.report, sample.asked_at, now)

    def take_usage(self, lane: Lane, credits: float | None, cost: float | None) -> None:
        """A request that is paid from the plan has ended: its credits by the published formula, and its list price in
        USD, which says how much the lanes spend compared with each other. None is a model without published figures."""
        self._reconciliation.count(credits or 0.0)
        self._pilot.spend(lane, cost or 0.0)

    def take_refusal(
        self, code: str, exchange_id: str, started: float, now: float, resets_at: float | None = None
    ) -> bool:
        """An attempt that is paid from the plan was refused with this business code; any code may be passed.

        `started` is when the request was let go, `resets_at` when the refusal said to come back, if it did. Returns
        whether a fresh report is wanted at once.
        """
        return self._rules.gate and self._gate.take_refusal(code, exchange_id, started, now, resets_at)

    def take_answer(self, exchange_id: str, now: float) -> None:
        """Z.AI is answering this request as asked: status 200, no business code, and more than an error's bytes."""
        self._gate.take_answer(exchange_id, now)

    def decide(self, exchange_id: str, lane: Lane, now: float) -> QuotaRefusal | None:
        """None lets a request go that is paid from the plan. It must be followed by `release`."""
        return self._gate.decide(exchange_id, lane, now) if self._rules.gate else None

    def release(self, exchange_id: str) -> None:
        """The exchange has ended or was given up, however that came; what was never decided about is ignored."""
        self._gate.release(exchange_id)

    def gate_state(self, now: float) -> GateState | None:
        """The state of the gate; None without one."""
        return self._gate.state(now) if self._rules.gate else None

    def adopt_gate(self, state: GateState, now: float) -> None:
        """Takes over the state of another replica's gate, if there is a gate here."""
        if self._rules.gate:
            self._gate.adopt(state, now)

    def wants_probe(self, now: float) -> bool:
        """Whether a request of this replica is the probe, or would be if it were allowed."""
        return self._rules.gate and self._gate.wants_probe(now)

    def allow_probe(self, allowed: bool) -> None:
        """Whether a request here may be the probe."""
        self._gate.may_probe = allowed

    def shares(self, now: float) -> LaneShares:
        """What each lane may use now: everything, unless the pilot is on and the last report is recent."""
        is_recent = self._sample is not None and self._sample.age(now) <= _OLDEST_TO_STEER_BY
        return self._pilot.shares if self._rules.pilot and is_recent else LaneShares()

    def take_events(self, now: float) -> list[GateEvent]:
        """When the gate closed and opened since the last call; ask about once a second."""
        return self._gate.take_events(now)

    def snapshot(self, now: float) -> QuotaSnapshot:
        return QuotaSnapshot(
            at=now,
            sample=self._sample,
            forecasts=tuple(self._forecaster.forecasts(now)),
            closures=tuple(self._gate.closures(now)),
            comparisons=tuple(self._reconciliation.comparisons()),
            shares=self.shares(now),
        )


def as_json(snapshot: QuotaSnapshot, zone: tzinfo = UTC) -> dict[str, object]:
    """What /status shows. Times are ISO 8601 in `zone`; `seconds` is how long a window lasts, `total` is in
    tokens, credits or calls, all else of a window in shares of that."""
    sample = snapshot.sample
    return {
        "plan": sample.report.plan if sample else "",
        "sample_age_seconds": round(sample.age(snapshot.at), 1) if sample else None,
        "windows": [_window_json(f, zone) for f in snapshot.forecasts],
        "gate": [
            {
                "window": closure.window,
                "seconds": seconds_of(closure.window),
                "cause": closure.cause.value,
                "code": closure.code,
                "since": _iso(closure.since, zone),
                "resets_at": _iso(closure.resets_at, zone),
            }
            for closure in snapshot.closures
        ],
        "credits": [
            {
                "window": each.window,
                "since": _iso(each.since, zone),
                "charged": round(each.charged, 2),
                "counted": round(each.counted, 2),
                "uncounted": round(each.uncounted, 2),
                "deviation": None if each.deviation is None else round(each.deviation, 4),
            }
            for each in snapshot.comparisons
        ],
        "lane_shares": {lane.value: round(snapshot.shares.of(lane), 3) for lane in Lane},
    }


def _window_json(forecast: Forecast, zone: tzinfo) -> dict[str, object]:
    return {
        "window": forecast.window.name,
        "limit_type": forecast.window.limit_type,
        "seconds": forecast.window.seconds,
        "total": forecast.window.total,
        "used": None if forecast.used is None else round(forecast.used, 4),
        "used_per_hour": None if forecast.rate is None else round(forecast.rate * 3600, 4),
        "resets_at": _iso(forecast.resets_at, zone),
        "exhausted_at": _iso(forecast.exhausted_at if forecast.runs_out_early else None, zone),
        "unused_at_reset": None if forecast.unused_at_reset is None else round(forecast.unused_at_reset, 4),
        "outlook": describe(forecast, zone),
    }


def _iso(at: float | None, zone: tzinfo) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, zone).isoformat(timespec="seconds")
