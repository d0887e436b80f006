"""What holds whatever happens, in whatever order, with whatever clock."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from extproc.domain.pacing.config import PacingConfig, PacingMode
from extproc.domain.pacing.records import Admitted, Attempt, Decision, PacedRequest, Queued, Refused
from extproc.domain.pacing.scheduler import Pacing
from extproc.domain.request.business_codes import ErrorClass
from extproc.domain.request.priority import Lane
from tests.unit.domain.pacing.plan_model import CODES, EPOCH

pytestmark = pytest.mark.slow

_MAX_WORKERS = 12
_TIMEOUT = 30.0
_lanes = st.sampled_from(list(Lane))
_seconds = st.floats(0.0, 40.0)
_models = st.sampled_from(["glm", "air", "flash"])


class PacingMachine(RuleBasedStateMachine):
    """Does what a proxy may do, and keeps its own books of it."""

    mode = PacingMode.ADAPTIVE

    def __init__(self) -> None:
        super().__init__()
        config = PacingConfig(mode=self.mode, max_workers=_MAX_WORKERS, queue_timeout=_TIMEOUT)
        self.pacing = Pacing(config)
        self.now = EPOCH
        self.count = 0
        self.running: list[str] = []
        self.exempt: set[str] = set()
        self.waiting: dict[str, tuple[str, Lane, str]] = {}
        self.asked: dict[str, str] = {}
        self.names: dict[str, str] = {}
        self.again: set[str] = set()

    @rule(source=st.sampled_from("abc"), lane=_lanes, cost=st.integers(0, 10**7), exempt=st.booleans(), asked=_models)
    def arrive(self, source: str, lane: Lane, cost: int, exempt: bool, asked: str) -> None:
        self.count += 1
        model = self.names.get(asked, asked)
        request = PacedRequest(f"r{self.count}", source, lane, cost, exempt, asked, model)
        self.asked[request.id] = asked
        full = len(self.running) + len(self.again) + len(self.waiting) >= _MAX_WORKERS
        answer = self.pacing.arrive(request, self.now)
        assert isinstance(answer, Refused) == full
        if isinstance(answer, Admitted):
            self.running.append(request.id)
            if exempt or self.mode is PacingMode.OFF:
                self.exempt.add(request.id)
        elif isinstance(answer, Queued):
            assert not exempt
            self.waiting[request.id] = (source, lane, model)
            assert answer.position == len(self.waiting)
        else:
            assert answer.retry_after >= 1

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        ids = [*self.running, *sorted(self.again), *self.waiting, "unknown"]
        request_id = data.draw(st.sampled_from(ids))
        self.pacing.leave(request_id, self.now)
        self.pacing.leave(request_id, self.now)
        self.waiting.pop(request_id, None)
        self.again.discard(request_id)
        if request_id in self.running:
            self.running.remove(request_id)

    @rule(asked=_models, model=_models)
    def serves(self, asked: str, model: str) -> None:
        self.names[asked] = model
        self.pacing.serves(asked, model, self.now)
        for request_id, (source, lane, _) in self.waiting.items():
            if self.asked[request_id] == asked:
                self.waiting[request_id] = (source, lane, model)

    @rule(number=st.integers(1, 60), cost=st.floats(0.0, 1e7))
    def took(self, number: int, cost: float) -> None:
        """Told of any request: one that runs, has run, waits, gave up or never was here."""
        self.pacing.took(f"r{number}", cost)

    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        request_id = data.draw(st.sampled_from([*self.running, "unknown"]))
        answer = self.pacing.retry(request_id, self.now)
        paced = request_id in self.running and request_id not in self.exempt
        assert isinstance(answer, Queued) == paced
        if paced:
            self.running.remove(request_id)
            self.again.add(request_id)

    @rule(error=st.sampled_from([None, *CODES, ErrorClass.QUOTA]), data=st.data(), ago=_seconds, took=_seconds)
    def observe(self, error: ErrorClass | None, data: st.DataObject, ago: float, took: float) -> None:
        request_id = data.draw(st.sampled_from([*self.running, *sorted(self.again), "gone"]))
        started = self.now - ago
        attempt = Attempt(request_id, started, started + took, error, CODES.get(error, "") if error else "")
        self.pacing.observe(attempt, self.now)

    @rule(share=st.floats(0.0, 1.0), lane=_lanes)
    def throttle(self, share: float, lane: Lane) -> None:
        self.pacing.set_shares({lane: share}, self.now)

    @rule(seconds=_seconds)
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.take_due()

    @rule(seconds=st.floats(-1e5, 1e5))
    def jump(self, seconds: float) -> None:
        self.now += seconds
        self.take_due()

    @rule()
    def take_due(self) -> None:
        for decision in self.pacing.due(self.now):
            if decision.id in self.again:
                self.again.remove(decision.id)
                if isinstance(decision.answer, Admitted):
                    self.running.append(decision.id)
                else:
                    assert 1 <= decision.answer.retry_after <= 600
                continue
            self.check_order(decision)
            del self.waiting[decision.id]
            if isinstance(decision.answer, Admitted):
                assert decision.answer.waited >= 0.0
                self.running.append(decision.id)
            else:
                assert decision.answer.waited >= _TIMEOUT
                assert 1 <= decision.answer.retry_after <= 600

    def check_order(self, decision: Decision) -> None:
        own = self.waiting[decision.id]
        assert next(each for each, line in self.waiting.items() if line == own) == decision.id

    @rule()
    def restart(self) -> None:
        fresh = Pacing(self.pacing.config)
        fresh.restore(self.pacing.snapshot(max(self.now, EPOCH)), max(self.now, EPOCH))
        assert 1 <= fresh.limits[0] <= _MAX_WORKERS

    @invariant()
    def the_books_agree(self) -> None:
        assert self.pacing.in_flight == len(self.running) + len(self.again)
        assert [each.id for each in self.pacing.waiting()] == list(self.waiting)
        status = self.pacing.status(self.now)
        assert status.exempt == len(self.exempt & set(self.running))
        assert status.in_flight == len(self.running) - status.exempt
        assert sum(status.waiting.values()) == len(self.waiting) + len(self.again)
        assert 1 <= status.concurrency.limit <= _MAX_WORKERS
        assert 0.1 <= status.rate.limit <= 100.0
        assert 0.0 <= status.concurrency.confidence <= 1.0

    @invariant()
    def whoever_waits_will_be_asked_about(self) -> None:
        due = self.pacing.next_due(self.now)
        assert (due is None) == (not self.waiting and not self.again)
        assert due is None or self.now <= due <= self.now + 6.0

    def teardown(self) -> None:
        """Nobody waits for ever: as what runs ends and time goes by, every waiter is answered."""
        for _ in range(400):
            for request_id in self.running:
                self.pacing.leave(request_id, self.now)
            self.running.clear()
            due = self.pacing.next_due(self.now)
            if due is None:
                break
            self.now = due
            self.take_due()
        assert not self.waiting
        assert not self.again
        for request_id in self.running:
            self.pacing.leave(request_id, self.now)
        assert self.pacing.in_flight == 0


class FixedMachine(PacingMachine):
    mode = PacingMode.FIXED

    @invariant()
    def the_limits_stay(self) -> None:
        assert self.pacing.limits == (3, 5.0)


class OffMachine(PacingMachine):
    mode = PacingMode.OFF

    @invariant()
    def nobody_waits(self) -> None:
        assert not self.waiting


_SETTINGS = settings(max_examples=200, stateful_step_count=40, deadline=None)
for machine in (PacingMachine, FixedMachine, OffMachine):
    machine.TestCase.settings = _SETTINGS

TestAdaptive = PacingMachine.TestCase
TestFixed = FixedMachine.TestCase
TestOff = OffMachine.TestCase
