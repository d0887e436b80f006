"""What was recorded, for the tests of who records and of who counts."""

from collections.abc import Callable
from dataclasses import replace

from extproc.accounting import Accountant
from extproc.domain.request.admission import Admission
from extproc.domain.request.exchange import Exchange
from extproc.domain.usage.failure import Failure
from extproc.domain.usage.log_entry import NOTHING_READ, EntryKind, LogEntry
from extproc.domain.usage.outcome import Outcome
from extproc.domain.usage.price_file import packaged_prices, parse_price_table
from extproc.metrics.requests import Metrics
from extproc.recorder import Listener, Recorder
from tests.unit.domain.usage.test_outcome import FINISHED

PRICES = parse_price_table(packaged_prices())
FAILED = replace(
    FINISHED, kind=EntryKind.FAILED_ATTEMPT, status=429, business_code="1302", answer=NOTHING_READ,
    path_label="", source="", first_byte=0.25,
)  # fmt: skip


class Books:
    """A recorder and an accountant, with what the one tells and the other counts."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.admission = Admission(20)
        self.outcomes: list[Outcome] = []
        self.failures: list[Failure] = []
        accountant = Accountant(self.metrics, PRICES.models)
        listeners = [
            Listener("accounting", accountant.count_request, accountant.count_failure),
            Listener("test", self.outcomes.append, self.failures.append),
        ]
        failures, durations = self.metrics.access_log_failures, self.metrics.token_count_duration
        self.recorder = Recorder(self.admission, PRICES, listeners, failures.inc, durations.observe)
        self.record: Callable[[LogEntry], None] = self.recorder.record

    def count(self, name: str, **labels: str) -> float:
        """The sum of a series over all labels that are not named."""
        return sum(
            sample.value
            for family in self.metrics.registry.collect()
            for sample in family.samples
            if sample.name == f"zai_proxy_{name}" and labels.items() <= sample.labels.items()
        )

    def run(self, exchange_id: str, source: str, request_id: str = "") -> None:
        """A request has come and gone; what Envoy tells of it is still to come."""
        exchange = Exchange(exchange_id, request_id or f"r-{exchange_id}", "POST", "/v1/messages", source, 0.0)
        with self.admission.enter(exchange):
            pass
