"""What is counted, once, of requests and of the attempts before them."""

from dataclasses import replace

import pytest

from extproc.domain.usage.log_entry import Ending, ReadAnswer
from extproc.domain.usage.tokens import TokenCounts
from tests.unit.books import FAILED, Books
from tests.unit.domain.usage.test_outcome import FINISHED, REPORTED


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
