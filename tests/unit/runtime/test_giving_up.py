"""A request that finds no connection is ended after as many tries as the setting says, with the reason."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from extproc.domain.request.admission import Admission
from extproc.domain.request.business_codes import classify as classify_code
from extproc.domain.request.exchange import Exchange
from extproc.domain.request.refusals import Refusal
from extproc.domain.request.routes import classify
from extproc.domain.request.unreachable import no_connection
from extproc.domain.usage.failure import Failure
from extproc.domain.usage.log_entry import EntryKind, LogEntry
from extproc.runtime.giving_up import GivingUp

MESSAGES = "/api/anthropic/v1/messages"
BROKEN_TLS = (
    "upstream_reset_before_response_started{connection_failure|TLS_error:|268435581:"
    "SSL_routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:TLS_error_end}"
)
REFUSED = "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_111}"
NO_WAY = "Z.AI can't be reached%s. The log of this proxy and `zai-proxy doctor` say more."


@dataclass
class Way:
    """A request that may be sent again twice, what becomes of its attempts, and how it is ended."""

    ended: list[tuple[str, Refusal, str]] = field(default_factory=list)
    admission: Admission = field(default_factory=lambda: Admission(5))

    def __post_init__(self) -> None:
        self._giving_up = GivingUp(
            self.admission, 2, lambda details: no_connection(details, None), lambda *told: self.ended.append(told)
        )

    def fails(self, details: str = REFUSED, *, code: str = "", exchange_id: str = "x-1") -> None:
        entry = LogEntry(EntryKind.FAILED_ATTEMPT, "POST", MESSAGES, "r-1", started=time.time(), details=details)
        route = classify(MESSAGES, speaks_anthropic=True)
        self._giving_up.take_failure(Failure(entry, route, exchange_id, classify_code(code, 0), is_answer=bool(code)))


@pytest.fixture
def way() -> Iterator[Way]:
    way = Way()
    with way.admission.enter(Exchange("x-1", "r-1", "POST", "/v1/messages", "source-01", time.time())):
        yield way


@pytest.mark.parametrize(
    ("details", "words"), [(BROKEN_TLS, ": TLS with what answers there fails"), (REFUSED, "")], ids=["TLS", "refused"]
)
def test_after_the_last_try_its_client_is_told_why(way: Way, details: str, words: str) -> None:
    for _ in range(2):
        way.fails(details)
    assert not way.ended, "it may be tried twice more than once"

    way.fails(details)

    ((exchange_id, refusal, why),) = way.ended
    assert (exchange_id, why) == ("x-1", details)
    assert (refusal.status, refusal.retry_after, refusal.message) == (503, 2, NO_WAY % words)


def test_what_the_limits_refuse_is_no_failure(way: Way) -> None:
    for _ in range(5):
        way.fails(code="1302")
    way.fails()

    assert not way.ended


def test_other_errors_of_the_upstreams_are_but_what_answers_is_answered(way: Way) -> None:
    for _ in range(4):
        way.fails(code="1234")
    assert not way.ended, "an answer goes to its client as it is"

    way.fails()

    assert len(way.ended) == 1


def test_whoever_has_left_needs_no_answer(way: Way) -> None:
    for _ in range(4):
        way.fails(exchange_id="x-2")

    assert not way.ended
