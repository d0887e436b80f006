"""What a log entry means to all who hear of it, and that one of them in trouble keeps no other from hearing."""

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from extproc.domain.request.admission import Admission
from extproc.domain.request.exchange import Exchange
from extproc.domain.usage.failure import Failure
from extproc.domain.usage.log_entry import Ending, EntryKind, LogEntry, ReadAnswer
from extproc.domain.usage.outcome import Outcome
from extproc.recorder import Listener, Recorder
from tests.unit.books import FAILED, PRICES, Books
from tests.unit.domain.usage.test_outcome import FINISHED, REPORTED


@pytest.fixture
def books() -> Books:
    return Books()


class Round:
    """A recorder whose first listener raises, and what the others hear nevertheless."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.heard: list[Outcome | Failure | LogEntry] = []
        self.failures = 0
        self.seconds: list[float] = []
        hear = self.heard.append
        listeners = [Listener("broken", self._fail, self._fail, self._fail), Listener("whole", hear, hear, hear)]
        self.record = Recorder(Admission(3), PRICES, listeners, self._count, self.seconds.append).record

    def _fail(self, _news: object) -> None:
        raise self.error

    def _count(self) -> None:
        self.failures += 1


PROGRESS = replace(FINISHED, kind=EntryKind.PROGRESS)


@pytest.mark.parametrize("entry", [FINISHED, FAILED, PROGRESS], ids=lambda entry: str(entry.kind.value))
def test_a_listener_in_trouble_keeps_no_other_from_hearing_and_is_counted(entry: LogEntry) -> None:
    a_round = Round(KeyError("a defect"))

    with capture_logs() as logged:
        a_round.record(entry)

    assert len(a_round.heard) == a_round.failures == 1
    assert [line["by"] for line in logged] == ["broken"]


def test_the_same_trouble_is_logged_once_and_each_entry_counted() -> None:
    a_round = Round(KeyError("a defect"))

    with capture_logs() as logged:
        for _ in range(3):
            a_round.record(FINISHED)
        a_round.error = ValueError("another one")
        a_round.record(FINISHED)

    assert (len(a_round.heard), a_round.failures, len(logged)) == (4, 4, 2)


def test_an_error_within_an_answer_is_told_before_the_request_has_ended() -> None:
    a_round = Round(KeyError("a defect"))

    a_round.record(replace(FINISHED, business_code="1305", answer=replace(REPORTED, code="1305", late=True)))

    failure, outcome = a_round.heard
    assert isinstance(failure, Failure)
    assert isinstance(outcome, Outcome)


def test_only_of_a_finished_request_it_is_told_how_long_that_took() -> None:
    a_round = Round(KeyError("a defect"))

    for entry in (FAILED, PROGRESS, FINISHED):
        a_round.record(entry)

    assert len(a_round.seconds) == 1


def test_an_attempt_below_a_base_path_of_the_operator_is_known_by_its_request(books: Books) -> None:
    exchange = Exchange("x-7", "r-7", "POST", "/v1/chat/completions", "source-01", 0.0)
    attempt = replace(FAILED, exchange_id="x-7", path="/of/a/relay/chat/completions")

    with books.admission.enter(exchange):
        books.record(attempt)
    books.record(replace(attempt, exchange_id="x-8"))

    assert [failure.route.label for failure in books.failures] == ["/v1/chat/completions", "other"]


def test_an_attempt_asked_for_the_model_of_its_request_also_when_that_has_left(books: Books) -> None:
    exchange = Exchange("x-7", "r-7", "POST", "/v1/messages", "source-01", 0.0, asked="glm-5.3")

    with books.admission.enter(exchange):
        pass
    books.record(replace(FAILED, exchange_id="x-7"))

    assert books.failures[0].entry.model_asked == "glm-5.3"


def test_an_attempt_on_a_known_path_is_what_that_path_says(books: Books) -> None:
    exchange = Exchange("x-7", "r-7", "POST", "other", "source-01", 0.0)

    with books.admission.enter(exchange):
        books.record(replace(FAILED, exchange_id="x-7", path="/api/mcp/a_tool_of_next_year/mcp"))

    assert not books.failures[0].route.waits


@pytest.mark.parametrize("path", ["/health", "/metrics"])
def test_what_this_proxy_itself_refuses_says_nothing_of_the_upstream(books: Books, path: str) -> None:
    books.record(replace(FAILED, path=path, status=401, business_code=""))

    assert books.failures == []
    assert books.count("zai_errors_total") == 0


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
    (told,) = books.recorder.identities.describe(at + 5)
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


@pytest.mark.parametrize("waits", [True, False], ids=["in the queue", "elsewhere"])
def test_who_leaves_in_the_queue_keeps_the_name_and_the_model(waits: bool) -> None:
    heard: list[Outcome] = []
    admission = Admission(3)
    recorder = Recorder(admission, PRICES, [Listener("one", heard.append)], lambda: None, lambda _seconds: None)
    exchange = Exchange(
        "x-9", "r-9", "POST", "/v1/messages", "team-a", 100.0, client="team-a", asked="glm-5.3", waits=waits
    )
    with admission.enter(exchange):
        pass

    entry = LogEntry(EntryKind.REQUEST, "POST", "/v1/messages", "r-9", 100.0, ending=Ending.CLIENT_LEFT, duration=2.5)
    recorder.record(entry)

    [outcome] = heard
    told = outcome.entry
    assert outcome.status == 499
    assert outcome.usage is None
    assert (told.client, told.source, told.model_asked) == (("team-a", "team-a", "glm-5.3") if waits else ("", "", ""))
    assert told.waited == (2.5 if waits else None)
