"""What is counted, once, of requests and of the attempts before them."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from extproc.accounting import Accountant
from extproc.domain.request.admission import Admission
from extproc.domain.request.exchange import Exchange
from extproc.domain.usage.failure import Failure
from extproc.domain.usage.log_entry import NOTHING_READ, Ending, EntryKind, LogEntry, ReadAnswer
from extproc.domain.usage.outcome import Outcome
from extproc.domain.usage.price_file import packaged_prices, parse_price_table
from extproc.domain.usage.tokens import TokenCounts
from extproc.metrics.requests import Metrics
from tests.unit.domain.usage.test_outcome import FINISHED, REPORTED

PRICES = parse_price_table(packaged_prices())
FAILED = replace(
    FINISHED, kind=EntryKind.FAILED_ATTEMPT, status=429, business_code="1302", answer=NOTHING_READ,
    path_label="", source="", first_byte=0.25,
)  # fmt: skip


class Books:
    """An accountant with what it counts and what it tells."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.admission = Admission(20)
        self.outcomes: list[Outcome] = []
        self.failures: list[Failure] = []
        self.accountant = Accountant(
            self.metrics, self.admission, PRICES, [self.outcomes.append], failure_listeners=[self.failures.append]
        )
        self.record: Callable[[LogEntry], None] = self.accountant.record

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


@pytest.fixture
def books() -> Books:
    return Books()


def test_an_attempt_that_a_retry_hides_counts_once_and_the_request_not_at_all(books: Books) -> None:
    books.record(FAILED)
    books.record(replace(FINISHED, attempts=2))

    assert books.count("zai_errors_total") == books.count("zai_errors_total", code="1302") == 1
    assert books.count("retry_attempts_total", reason="429") == books.count("retry_attempts_total") == 1
    assert books.count("upstream_errors_total") == 0
    assert [failure.code.code for failure in books.failures] == ["1302"]


def test_an_error_that_the_client_sees_counts_with_its_attempt(books: Books) -> None:
    read = ReadAnswer("json", code="1308", final=True)
    books.record(replace(FAILED, business_code="1308"))
    books.record(replace(FINISHED, status=429, business_code="1308", answer=read))

    assert books.count("zai_errors_total") == books.count("zai_errors_total", **{"class": "quota"}) == 1
    assert books.count("upstream_errors_total", error_type="429") == 1
    assert len(books.failures) == 1


def test_an_error_within_a_stream_counts_with_its_request(books: Books) -> None:
    late = replace(REPORTED, final=False, code="1305", late=True)
    books.record(replace(FINISHED, business_code="1305", answer=late))

    assert books.count("zai_errors_total") == books.count("zai_errors_total", code="1305") == 1
    assert books.count("upstream_errors_total", error_type="529") == 1
    assert books.count("requests_total", status_code="200") == 1
    assert [failure.exchange_id for failure in books.failures] == ["x-1"]


def test_a_failure_that_the_answer_tells_of_itself_counts_as_one_within_z_ai(books: Books) -> None:
    books.record(replace(FINISHED, answer=replace(REPORTED, stop="network_error")))

    assert books.count("zai_errors_total", **{"class": "internal"}, code="other") == 1
    assert books.count("upstream_errors_total", error_type="read_error") == 1
    assert books.count("tokens_total", direction="output") == 50


def test_an_error_of_a_tool_is_none_of_z_ais(books: Books) -> None:
    of_a_tool = replace(FAILED, path="/api/mcp/zread/mcp", status=200, business_code="unknown")
    books.record(of_a_tool)
    books.record(replace(of_a_tool, business_code="1302"))

    assert books.count("zai_errors_total") == books.count("zai_errors_total", code="1302") == 1


def test_an_attempt_without_an_answer_is_no_error_of_z_ais(books: Books) -> None:
    books.record(replace(FAILED, status=0, business_code="", exchange_id=""))
    books.record(replace(FINISHED, attempts=2))

    assert books.count("zai_errors_total") == 0
    assert books.count("retry_attempts_total", reason="network_error") == 1
    assert [failure.is_answer for failure in books.failures] == [False]


def test_two_requests_with_one_request_id_keep_their_own_attempts(books: Books) -> None:
    for exchange_id, status in (("x-1", 429), ("x-2", 500)):
        books.record(replace(FAILED, exchange_id=exchange_id, request_id="same", status=status))

    books.record(replace(FINISHED, exchange_id="x-2", request_id="same", attempts=2))
    assert (books.count("retry_attempts_total", reason="5xx"), books.count("retry_attempts_total")) == (1, 1)
    books.record(replace(FINISHED, exchange_id="x-1", request_id="same", attempts=2))
    assert (books.count("retry_attempts_total", reason="429"), books.count("retry_attempts_total")) == (1, 2)


def test_an_attempt_that_carries_no_id_is_known_by_the_request_id(books: Books) -> None:
    books.run("x-7", "source-01", request_id="r-7")

    books.record(replace(FAILED, exchange_id="", request_id="r-7"))

    assert [failure.exchange_id for failure in books.failures] == ["x-7"]


def test_a_client_that_hangs_up_behind_the_end_costs_nobody_an_estimate(books: Books) -> None:
    books.record(replace(FINISHED, ending=Ending.CLIENT_LEFT))

    assert books.count("requests_total", status_code="200") == 1
    assert books.count("usage_records_total", status="complete") == 1
    assert books.count("estimated_tokens_total") == books.count("upstream_errors_total") == 0


def test_of_a_part_that_was_estimated_only_that_part_counts_as_estimated(books: Books) -> None:
    cut = replace(REPORTED, tokens=TokenCounts(8834, 0, 7), final=False)
    books.record(replace(FINISHED, ending=Ending.CLIENT_LEFT, answer=cut))

    assert books.count("tokens_total", direction="input") == 8834
    assert books.count("estimated_tokens_total", direction="input") == 0
    output = books.count("tokens_total", direction="output")
    assert books.count("estimated_tokens_total", direction="output") == output > 0
    assert books.count("usage_records_total", status="partial") == 1


def test_progress_tells_of_a_running_request_what_has_been_read(books: Books) -> None:
    exchange = Exchange("x-1", "r-1", "POST", "/v1/messages", "source-07", 0.0)
    progress = replace(FINISHED, kind=EntryKind.PROGRESS, answer=ReadAnswer("events", "glm-5.3", begun=True))

    with books.admission.enter(exchange):
        books.record(progress)
        books.record(replace(progress, response_bytes=3000, answer=ReadAnswer("events")))

    assert (exchange.model, exchange.response_bytes) == ("glm-5.3", 3000)


def refuse(books: Books, at: float, number: int) -> None:
    books.run(f"odd-{number}", "source-13")
    overload = replace(FAILED, status=529, business_code="1305", user_agent="OpenAI/Python 2.1.0")
    books.record(replace(overload, exchange_id=f"odd-{number}", started=at))


def test_an_overload_of_one_client_alone_is_counted_and_told_as_a_refusal_of_its_identity(books: Books) -> None:
    at = FINISHED.started
    refuse(books, at, 1)
    for number in (1, 2):
        books.record(replace(FINISHED, exchange_id=f"x-{number}", started=at + number))
    refuse(books, at + 4, 2)

    assert books.count("zai_errors_total", **{"class": "overload"}, code="1305") == 1
    assert books.count("zai_errors_total", **{"class": "identity"}, code="1305") == 1
    assert [failure.code.error_class for failure in books.failures] == ["overload", "identity"]
    (told,) = books.accountant.identities.describe(at + 5)
    assert (told["client"], told["user_agent"]) == ("source-13", "openai")


def test_a_long_answer_speaks_for_the_others_while_it_runs(books: Books) -> None:
    at = FINISHED.started
    refuse(books, at, 1)
    for number in (1, 2):
        running = replace(FINISHED, kind=EntryKind.PROGRESS, exchange_id=f"x-{number}", started=at + number)
        for _ in range(3):
            books.record(replace(running, answer=replace(REPORTED, final=False)))
    refuse(books, at + 4, 2)

    assert [failure.code.error_class for failure in books.failures] == ["overload", "identity"]


def test_who_is_unknown_is_not_judged(books: Books) -> None:
    at = FINISHED.started
    overload = replace(FAILED, status=529, business_code="1305", exchange_id="from-before")
    books.record(overload)
    for number in (1, 2):
        books.record(replace(FINISHED, started=at + number))
    books.record(replace(overload, started=at + 4))

    assert books.count("zai_errors_total", **{"class": "overload"}) == 2
